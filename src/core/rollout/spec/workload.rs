//! `workloadRef`: the object whose pod template is rolled out, instead of one in the Rollout itself.

use super::reader::Reader;
use super::{ScaleDown, WorkloadKind, WorkloadRef, selector};
use crate::api;
use crate::core::row::WorkloadRow;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

const FIELD: &str = "spec.workloadRef";

/// The workload that a stored spec names, if what it says can be followed; what is wrong with it is told by `Spec::parse`.
pub(super) fn named(spec: &Value) -> Option<WorkloadRef> {
    let wire = api::WorkloadRef::deserialize(spec.get("workloadRef").filter(|w| w.is_object())?).ok()?;
    read(&mut Reader::default(), &wire)
}

/// `None` when it was refused.
pub(super) fn read(reader: &mut Reader, wire: &api::WorkloadRef) -> Option<WorkloadRef> {
    let kind = match (wire.api_version.as_str(), wire.kind.as_str()) {
        ("apps/v1", "Deployment") => Some(WorkloadKind::Deployment),
        ("apps/v1", "ReplicaSet") => Some(WorkloadKind::ReplicaSet),
        ("v1", "PodTemplate") => Some(WorkloadKind::PodTemplate),
        (version, kind) => {
            let remedy = "name a Deployment or ReplicaSet of apps/v1, or a PodTemplate of v1";
            let shown = format!("{version} {kind}");
            reader.refuse(&format!("{FIELD}.kind"), &shown, "no pod template is taken from this kind", remedy);
            None
        }
    };
    let name = name(reader, &wire.name);
    let scale_down = match wire.scale_down.as_deref() {
        None | Some("" | "never") => ScaleDown::Never,
        Some("onsuccess") => ScaleDown::OnSuccess,
        Some("progressively") => ScaleDown::Progressively,
        Some(other) => {
            let remedy = "give never, onsuccess or progressively";
            reader.refuse(&format!("{FIELD}.scaleDown"), &other, "it is not known", remedy);
            ScaleDown::Never
        }
    };
    if scale_down != ScaleDown::Never && kind.is_some_and(|k| k != WorkloadKind::Deployment) {
        let remedy = "remove it; scale a ReplicaSet down yourself";
        let shown = wire.scale_down.clone().unwrap_or_default();
        reader.refuse(&format!("{FIELD}.scaleDown"), &shown, "only a Deployment is scaled down", remedy);
    }
    Some(WorkloadRef { kind: kind?, name: name?, scale_down })
}

/// Names of workloads may have dots and be long; what is no name at all must not reach a selector of fields.
fn name(reader: &mut Reader, name: &str) -> Option<String> {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if name.is_empty() || name.len() > 253 || !name.bytes().all(known) {
        let remedy = "give the name of an object in the Rollout's namespace";
        reader.refuse(&format!("{FIELD}.name"), &name, "it cannot be the name of an object", remedy);
        return None;
    }
    Some(name.to_owned())
}

/// Selector and template of the workload, checked against each other. The template is never in the Rollout too.
pub(super) fn template(
    reader: &mut Reader,
    wire: &api::RolloutSpec,
    spec: &Value,
    found: Option<&WorkloadRow>,
) -> (Arc<Value>, Arc<Value>) {
    if wire.template.as_ref().and_then(Value::as_object).is_some_and(|t| !t.is_empty()) {
        let remedy = "keep one of the two";
        reader.refuse("spec.template", &"{…}", "the template is taken from spec.workloadRef", remedy);
    }
    let own = wire.selector.is_some().then(|| Arc::new(spec["selector"].clone()));
    let Some(found) = found else { return (own.unwrap_or_default(), Arc::default()) };
    let title = found.title();
    let path = if found.selector.is_some() { "spec.template" } else { "template" };
    let (field, selector) = match (own, &found.selector) {
        (Some(own), _) => ("spec.selector".to_owned(), own),
        (None, Some(selector)) => (format!("{title}: spec.selector"), selector.clone()),
        (None, None) => ("spec.selector".to_owned(), Arc::default()),
    };
    let typed = api::LabelSelector::deserialize(&*selector).ok();
    selector::check(reader, (&field, typed.as_ref()), (&format!("{title}: {path}"), &found.template));
    (selector, found.template.clone())
}
