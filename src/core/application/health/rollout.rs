//! A Rollout, by its phase; and whether it was the revision that broke it.

use super::{Fault, Health, HealthStatus, condition, observed};
use serde_json::Value;

pub(super) fn judge(object: &Value) -> Health {
    let status = &object["status"];
    let message = status["message"].as_str().unwrap_or_default();
    if observed(object) != Some(true) {
        return Health::progressing("its newest generation was not observed yet");
    }
    if let Some(("True", _, why)) = condition(object, "InvalidSpec") {
        return Health::degraded(why, Fault::Revision);
    }
    match status["phase"].as_str().unwrap_or_default() {
        "Healthy" => Health::healthy(),
        "Paused" => Health::new(HealthStatus::Suspended, message),
        "Degraded" => Health::degraded(message, fault(object)),
        _ => Health::progressing(message),
    }
}

/// A Rollout aborts by itself for what its revision did. An abort by a person is a person's judgement, an analysis that
/// could not measure says nothing of the revision, and a deadline passes without abort when the cluster is at fault.
fn fault(object: &Value) -> Fault {
    let status = &object["status"];
    if status["abort"].as_bool() != Some(true) {
        return Fault::None;
    }
    let last = status["aborted"].as_array().and_then(|all| all.last());
    let text = |field: &str| last.and_then(|a| a[field].as_str()).unwrap_or_default();
    match text("class") {
        "Analysis" if text("cause").contains(" Error (") => Fault::None,
        "Command" | "Traffic" => Fault::None,
        _ => Fault::Revision,
    }
}
