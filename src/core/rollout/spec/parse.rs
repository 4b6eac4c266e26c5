//! The spec as a whole.

use super::reader::Reader;
use super::{
    BlueGreen, DeadlineAbort, RunHistory, Spec, Strategy, WorkloadRef, blue_green, canary, selector, unsupported,
    workload,
};
use crate::api;
use crate::core::refusal::Refusal;
use crate::core::row::WorkloadRow;
use crate::core::scalar::{QUANTITY_REMEDY, wrong_quantities};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

impl Spec {
    /// What the stored `spec` of the Rollout with this name means.
    ///
    /// # Errors
    /// Everything that is wrong with it, together and in the order of the fields.
    pub fn parse(rollout: &str, spec: &Value) -> Result<Self, Vec<Refusal>> {
        Self::parse_with(rollout, spec, None)
    }

    /// The workload that a stored spec takes its template from.
    pub fn workload_of(spec: &Value) -> Option<WorkloadRef> {
        workload::named(spec)
    }

    /// As [`Self::parse`], with the workload that `workloadRef` names. Template and selector are null without it.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with(rollout: &str, spec: &Value, found: Option<&WorkloadRow>) -> Result<Self, Vec<Refusal>> {
        let wire = api::RolloutSpec::deserialize(spec).map_err(|error| {
            vec![Refusal::new(
                "spec",
                &error,
                "a field has another type than the schema says",
                "compare it with kubectl explain rollout.spec",
            )]
        })?;
        let mut reader = Reader::default();
        unsupported::refuse(&mut reader, spec);
        let parsed = read(&mut reader, rollout, spec, &wire, found);
        match parsed {
            Some(parsed) if reader.refusals.is_empty() => Ok(parsed),
            _ => {
                let mut refusals = reader.refusals;
                refusals.sort();
                refusals.dedup_by(|a, b| a.field == b.field);
                Err(refusals)
            }
        }
    }
}

/// Reads on after a refusal, so that all are found; `None` only where a part cannot be put together.
fn read(
    reader: &mut Reader,
    rollout: &str,
    spec: &Value,
    wire: &api::RolloutSpec,
    found: Option<&WorkloadRow>,
) -> Option<Spec> {
    let replicas = reader.natural("spec.replicas", wire.replicas, 1);
    let min_ready = reader.seconds("spec.minReadySeconds", wire.min_ready_seconds, 0);
    let progress_deadline = reader.seconds("spec.progressDeadlineSeconds", wire.progress_deadline_seconds, 600);
    if progress_deadline <= min_ready {
        reader.refuse(
            "spec.progressDeadlineSeconds",
            &progress_deadline,
            format!("no pod can be available before minReadySeconds ({min_ready}) is over"),
            "give more than minReadySeconds",
        );
    }
    let workload = wire.workload_ref.as_ref().map(|named| workload::read(reader, named));
    let (selector, template) = if workload.is_some() {
        workload::template(reader, wire, spec, found)
    } else {
        selector::check(reader, ("spec.selector", wire.selector.as_ref()), ("spec.template", &spec["template"]));
        for (field, value) in wrong_quantities("spec.template", &spec["template"]) {
            reader.refuse(&field, &value, "it is no quantity", QUANTITY_REMEDY);
        }
        (Arc::new(spec["selector"].clone()), Arc::new(spec["template"].clone()))
    };
    let history_limit = reader.count("spec.revisionHistoryLimit", wire.revision_history_limit, 10);
    let history = wire.analysis.clone().unwrap_or_default();
    let run_history = RunHistory {
        successful: reader.count("spec.analysis.successfulRunHistoryLimit", history.successful_run_history_limit, 5),
        unsuccessful: reader.count(
            "spec.analysis.unsuccessfulRunHistoryLimit",
            history.unsuccessful_run_history_limit,
            5,
        ),
    };
    let window = wire.rollback_window.as_ref().and_then(|window| window.revisions);
    let rollback_window = reader.count("spec.rollbackWindow.revisions", window, 0);
    let deadline_abort = deadline_abort(reader, wire.progress_deadline_abort.as_ref());
    let strategy = strategy(reader, rollout, &selector, wire);
    if let Some(Strategy::BlueGreen(BlueGreen { scale_down_delay_revisions: Some(limit), .. })) = &strategy
        && *limit > history_limit
    {
        let field = "spec.strategy.blueGreen.scaleDownDelayRevisionLimit";
        let problem = format!("so many old revisions are not kept: revisionHistoryLimit is {history_limit}");
        reader.refuse(field, limit, problem, "give at most revisionHistoryLimit");
    }
    Some(Spec {
        replicas,
        selector,
        template,
        workload: match workload {
            Some(workload) => Some(workload?),
            None => None,
        },
        min_ready,
        strategy: strategy?,
        history_limit,
        paused: wire.paused.unwrap_or_default(),
        progress_deadline,
        deadline_abort,
        rollback_window,
        restart_at: wire.restart_at,
        run_history,
    })
}

fn strategy(reader: &mut Reader, rollout: &str, selector: &Value, wire: &api::RolloutSpec) -> Option<Strategy> {
    let given = wire.strategy.as_ref();
    match (given.and_then(|s| s.canary.as_ref()), given.and_then(|s| s.blue_green.as_ref())) {
        (Some(canary), None) => canary::read(reader, rollout, selector, canary).map(Strategy::Canary),
        (None, Some(blue_green)) => blue_green::read(reader, rollout, selector, blue_green).map(Strategy::BlueGreen),
        (None, None) => {
            reader.refuse("spec.strategy", &"", "it names no strategy", "give canary or blueGreen");
            None
        }
        (Some(_), Some(_)) => {
            reader.refuse("spec.strategy", &"canary, blueGreen", "it names two strategies", "keep one of them");
            None
        }
    }
}

fn deadline_abort(reader: &mut Reader, value: Option<&Value>) -> DeadlineAbort {
    match value {
        None | Some(Value::Null) => DeadlineAbort::Auto,
        Some(Value::Bool(true)) => DeadlineAbort::Always,
        Some(Value::Bool(false)) => DeadlineAbort::Never,
        Some(Value::String(text)) if text == "auto" => DeadlineAbort::Auto,
        Some(Value::String(text)) if text == "true" => DeadlineAbort::Always,
        Some(Value::String(text)) if text == "false" => DeadlineAbort::Never,
        Some(other) => {
            reader.refuse("spec.progressDeadlineAbort", other, "it is not known", "give auto, true or false");
            DeadlineAbort::Auto
        }
    }
}
