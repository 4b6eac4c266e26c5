//! AnalysisRuns of a Rollout: which there shall be, and what theirs came to.

use super::LABEL_HASH;
use super::edits;
use super::pass::Pass;
use super::spec::{Analysis, ArgumentValue};
use crate::api::RunStatus;
use crate::core::analysis::spec::RunSpec;
use crate::core::analysis::template::{Given, TemplateRef, resolve};
use crate::core::object::ResourceType;
use crate::core::plan::Why;
use crate::core::refusal::Refusal;
use crate::core::row::AnalysisRunRow;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where in the Rollout a run belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Step(usize),
    Background,
    PrePromotion,
    PostPromotion,
}

impl Place {
    /// Value of the label `rollout-type`.
    fn label(self) -> &'static str {
        match self {
            Self::Step(_) => "Step",
            Self::Background => "Background",
            Self::PrePromotion => "PrePromotion",
            Self::PostPromotion => "PostPromotion",
        }
    }

    fn suffix(self) -> String {
        match self {
            Self::Step(index) => format!("-{index}"),
            Self::Background => String::new(),
            Self::PrePromotion => "-pre".to_owned(),
            Self::PostPromotion => "-post".to_owned(),
        }
    }

    /// How a person calls it.
    pub(super) fn title(self) -> String {
        match self {
            Self::Step(index) => format!("analysis of step {index}"),
            Self::Background => "background analysis".to_owned(),
            Self::PrePromotion => "analysis before the promotion".to_owned(),
            Self::PostPromotion => "analysis after the promotion".to_owned(),
        }
    }
}

impl Pass<'_> {
    /// The run of this place: looked up by its name, which follows from revision and attempt, and created when it is not
    /// there (Y2). `None` while it was not yet seen.
    pub(super) fn run_of(&mut self, place: Place, analysis: &Analysis) -> Option<RunStatus> {
        if let Some(run) = self.existing_run(place) {
            return Some(run);
        }
        let name = self.run_name(place);
        match self.run_object(&name, place, analysis) {
            Ok(object) => self.effects.push(edits::create(object, Why::Analysis)),
            Err(refusals) => self.refusals.extend(refusals),
        }
        None
    }

    /// The run of this place, if it was made.
    pub(super) fn existing_run(&mut self, place: Place) -> Option<RunStatus> {
        let name = self.run_name(place);
        self.runs.push(name.clone());
        self.f.observed.runs.iter().find(|r| r.meta.name == name).map(|run| run_status(run))
    }

    fn run_name(&self, place: Place) -> String {
        let (rollout, hash) = (&self.f.whose.rollout, self.f.current());
        let revision = self.next.current_revision.unwrap_or(0);
        let attempt = match self.next.attempt {
            Some(attempt) if attempt > 1 => format!(".{}", attempt - 1),
            _ => String::new(),
        };
        format!("{rollout}-{hash}-{revision}{}{attempt}", place.suffix())
    }

    fn run_object(&self, name: &str, place: Place, analysis: &Analysis) -> Result<Value, Vec<Refusal>> {
        let spec = self.run_spec(analysis)?;
        let mut metadata = self.f.whose.metadata(name);
        for (key, value) in &analysis.labels {
            metadata["labels"][key] = json!(value);
        }
        metadata["labels"]["rollout-type"] = json!(place.label());
        metadata["labels"][LABEL_HASH] = json!(self.f.current());
        if let Place::Step(index) = place {
            metadata["labels"]["step-index"] = json!(index.to_string());
        }
        if !analysis.annotations.is_empty() {
            metadata["annotations"] = json!(analysis.annotations);
        }
        Ok(json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisRun", "metadata": metadata, "spec": spec}))
    }

    fn run_spec(&self, analysis: &Analysis) -> Result<Value, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut args = BTreeMap::new();
        for (name, value) in &analysis.args {
            let text = match value {
                ArgumentValue::Text(text) => Some(text.clone()),
                ArgumentValue::StableHash => self.next.stable_rs.clone(),
                ArgumentValue::LatestHash => Some(self.f.current().to_owned()),
                ArgumentValue::Field(path) => self.field(path),
            };
            match text {
                Some(text) => _ = args.insert(name.clone(), text),
                None => refusals.push(Refusal::new(
                    format!("analysis args[{name}]"),
                    &format!("{value:?}"),
                    "the Rollout has no such plain value",
                    "name a field that holds text, a number or a boolean",
                )),
            }
        }
        let given = Given {
            args,
            dry_run: analysis.dry_run.clone(),
            measurement_retention: analysis.measurement_retention.clone(),
        };
        let find = |reference: &TemplateRef| self.template(reference);
        match resolve(&analysis.templates, &find, &given) {
            Ok(spec) if refusals.is_empty() => Ok(spec),
            Ok(_) => Err(refusals),
            Err(more) => Err(refusals.into_iter().chain(more).collect()),
        }
    }

    fn template(&self, reference: &TemplateRef) -> Option<Arc<Value>> {
        if reference.cluster_scope {
            let rows = &self.f.observed.cluster_templates;
            rows.iter().find(|t| t.meta.name == reference.name).map(|t| t.spec.clone())
        } else {
            let rows = &self.f.observed.templates;
            rows.iter().find(|t| t.meta.name == reference.name).map(|t| t.spec.clone())
        }
    }

    /// A plain value of the Rollout by downward-API path: `metadata.labels['app']`, `spec.replicas`.
    fn field(&self, path: &str) -> Option<String> {
        let rollout = self.f.rollout;
        let meta = &rollout.meta;
        let whole = json!({
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid,
                         "labels": meta.labels, "annotations": meta.annotations},
            "spec": &*rollout.spec, "status": &*rollout.status,
        });
        let mut at = &whole;
        for token in path_tokens(path) {
            at = match at {
                Value::Array(items) => items.get(token.parse::<usize>().ok()?)?,
                other => other.get(&token)?,
            };
        }
        match at {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(at.to_string()),
            _ => None,
        }
    }

    /// Refuses analysis that could not start, or could not end where somebody waits for its end (E4), before anything moves.
    pub(super) fn check_analysis(&mut self, place: Place, analysis: &Analysis) {
        let spec = match self.run_spec(analysis) {
            Ok(spec) => spec,
            Err(refusals) => return self.refusals.extend(refusals),
        };
        let run = RunSpec::parse(&spec).ok().filter(|_| place != Place::Background);
        for metric in run.iter().flat_map(RunSpec::endless) {
            self.refusals.push(Refusal::new(
                format!("metric {metric:?} of the {}", place.title()),
                &"interval without count",
                "it measures without end, and the rollout would wait for its end",
                "set count or consecutiveSuccessLimit, or use the template in spec.strategy.canary.analysis",
            ));
        }
    }

    /// Takes the verdict of a run. Returns true when it is Successful.
    pub(super) fn judge(&mut self, place: Place, before: Option<&RunStatus>, run: &RunStatus) -> bool {
        match run.status.as_deref() {
            Some("Successful") => return true,
            Some(phase @ ("Failed" | "Error")) => {
                let message = run.message.as_deref().filter(|m| !m.is_empty()).unwrap_or("no message");
                self.abort("Analysis", format!("{} {phase} ({}): {message}", place.title(), run.name));
            }
            // Once for each run: a promote has to be able to end it.
            Some("Inconclusive") if before != Some(run) => self.pause("InconclusiveAnalysisRun"),
            _ => {}
        }
        false
    }

    /// Ends runs that belong to nothing that is under way (Y1), and deletes old ones beyond the limits (Y7).
    pub(super) fn end_runs(&mut self) {
        let runs = &self.f.observed.runs;
        for run in runs.iter().filter(|r| !r.is_over() && !self.runs.contains(&r.meta.name)) {
            if run.spec["terminate"] != json!(true) {
                self.effects.push(edits::terminate(run));
            }
        }
        let history = self.f.spec.run_history;
        for (limit, successful) in [(history.successful, true), (history.unsuccessful, false)] {
            let mut over: Vec<_> = runs
                .iter()
                .filter(|r| r.is_over() && (r.phase == "Successful") == successful && !self.runs.contains(&r.meta.name))
                .collect();
            over.sort_by_key(|r| r.meta.created);
            for run in over.iter().take(over.len().saturating_sub(limit)) {
                self.effects.push(edits::delete(ResourceType::ANALYSIS_RUN, &run.meta, Why::HistoryLimit));
            }
        }
    }
}

fn run_status(run: &AnalysisRunRow) -> RunStatus {
    RunStatus {
        name: run.meta.name.clone(),
        status: (!run.phase.is_empty()).then(|| run.phase.clone()),
        message: (!run.message.is_empty()).then(|| run.message.clone()),
    }
}

fn path_tokens(path: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']').unwrap_or(inner.len());
            tokens.push(inner[..end].trim_matches(['\'', '"']).to_owned());
            rest = inner.get(end + 1..).unwrap_or_default();
        } else {
            let rest_of = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest_of.find(['.', '[']).unwrap_or(rest_of.len());
            if end > 0 {
                tokens.push(rest_of[..end].to_owned());
            }
            rest = &rest_of[end..];
            if end == 0 && !rest.starts_with('[') {
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::path_tokens;

    #[test]
    fn paths_are_those_of_the_downward_api() {
        assert_eq!(
            path_tokens("metadata.labels['app.kubernetes.io/name']"),
            ["metadata", "labels", "app.kubernetes.io/name"]
        );
        assert_eq!(path_tokens("spec.list[0].x"), ["spec", "list", "0", "x"]);
    }
}
