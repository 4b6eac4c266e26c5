//! Analysis as a Rollout names it. Whether the templates exist and are sound is found where they are resolved.

use super::reader::Reader;
use super::{Analysis, ArgumentValue};
use crate::api::{AnalysisRunArgument, BackgroundAnalysis, RolloutAnalysis};
use crate::core::analysis::template::TemplateRef;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) fn read_background(reader: &mut Reader, field: &str, wire: &BackgroundAnalysis) -> Option<Analysis> {
    let BackgroundAnalysis { templates, args, dry_run, measurement_retention, analysis_run_metadata, starting_step: _ } =
        wire.clone();
    read(reader, field, &RolloutAnalysis { templates, args, dry_run, measurement_retention, analysis_run_metadata })
}

/// `None` when a part of it was refused.
pub(super) fn read(reader: &mut Reader, field: &str, wire: &RolloutAnalysis) -> Option<Analysis> {
    if wire.templates.is_empty() {
        reader.refuse(
            &format!("{field}.templates"),
            &"[]",
            "it names no template",
            "name at least one AnalysisTemplate",
        );
    }
    let mut templates = Vec::new();
    for (index, template) in wire.templates.iter().enumerate() {
        let field = format!("{field}.templates[{index}]");
        let value = json!({"templateName": template.template_name, "clusterScope": template.cluster_scope});
        match TemplateRef::parse(&field, &value) {
            Ok(reference) => templates.push(reference),
            Err(refusal) => reader.refusals.push(refusal),
        }
    }
    let mut args = BTreeMap::new();
    for (index, arg) in wire.args.iter().enumerate() {
        let field = format!("{field}.args[{index}]");
        if arg.name.is_empty() {
            reader.refuse(&format!("{field}.name"), &"", "it is missing", "name an argument of the templates");
            continue;
        }
        if let Some(value) = argument(reader, &field, arg)
            && args.insert(arg.name.clone(), value).is_some()
        {
            reader.refuse(&format!("{field}.name"), &arg.name, "it is given twice", "keep one of them");
        }
    }
    let metadata = wire.analysis_run_metadata.clone().unwrap_or_default();
    let complete = templates.len() == wire.templates.len() && !templates.is_empty() && args.len() == wire.args.len();
    complete.then(|| Analysis {
        templates,
        args,
        dry_run: wire.dry_run.iter().map(|d| json!({"metricName": d.metric_name})).collect(),
        measurement_retention: wire
            .measurement_retention
            .iter()
            .map(|r| json!({"metricName": r.metric_name, "limit": r.limit}))
            .collect(),
        labels: metadata.labels,
        annotations: metadata.annotations,
    })
}

fn argument(reader: &mut Reader, field: &str, arg: &AnalysisRunArgument) -> Option<ArgumentValue> {
    match (&arg.value, &arg.value_from) {
        (Some(text), None) => Some(ArgumentValue::Text(text.clone())),
        (None, Some(from)) => {
            let hash = from.pod_template_hash_value.as_deref();
            let path = from.field_ref.as_ref().map(|f| f.field_path.as_str()).filter(|p| !p.is_empty());
            match (hash, path) {
                (Some("Stable"), None) => Some(ArgumentValue::StableHash),
                (Some("Latest"), None) => Some(ArgumentValue::LatestHash),
                (Some(other), None) => {
                    let field = format!("{field}.valueFrom.podTemplateHashValue");
                    reader.refuse(&field, &other, "it is not known", "give Stable or Latest");
                    None
                }
                (None, Some(path)) => Some(ArgumentValue::Field(path.to_owned())),
                _ => {
                    let remedy = "give exactly one of podTemplateHashValue and fieldRef.fieldPath";
                    reader.refuse(&format!("{field}.valueFrom"), &"", "it does not say one source", remedy);
                    None
                }
            }
        }
        _ => {
            reader.refuse(field, &arg.name, "it does not say one value", "give exactly one of value and valueFrom");
            None
        }
    }
}
