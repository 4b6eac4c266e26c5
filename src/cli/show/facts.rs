//! Small readings of objects that several pictures share.

use crate::api::{CanaryStep, Rollout, RolloutStatus};
use k8s_openapi::api::core::v1::{ContainerState, Pod};

/// `canary`, `blueGreen`, or what is wrong.
pub(super) fn strategy(rollout: &Rollout) -> &'static str {
    match rollout.spec.strategy.as_ref() {
        Some(s) if s.canary.is_some() => "canary",
        Some(s) if s.blue_green.is_some() => "blueGreen",
        _ => "none",
    }
}

/// The steps of a canary strategy.
pub(super) fn steps(rollout: &Rollout) -> &[CanaryStep] {
    let canary = rollout.spec.strategy.as_ref().and_then(|s| s.canary.as_ref());
    canary.map_or(&[], |c| c.steps.as_slice())
}

/// The current step and its index, from 0; none when all are done.
pub(super) fn step<'a>(rollout: &'a Rollout, status: &RolloutStatus) -> Option<(usize, &'a CanaryStep)> {
    let index = usize::try_from(status.current_step_index?).ok()?;
    Some((index, steps(rollout).get(index)?))
}

/// `2/6`: how many steps are done; empty without steps.
pub(super) fn progress(rollout: &Rollout, status: &RolloutStatus) -> String {
    match (status.current_step_index, steps(rollout).len()) {
        (Some(index), all) if all > 0 => format!("{index}/{all}"),
        _ => String::new(),
    }
}

/// A step in words.
pub(super) fn step_text(step: &CanaryStep) -> String {
    if let Some(weight) = step.set_weight {
        return format!("setWeight {weight}");
    }
    if let Some(pause) = &step.pause {
        return match &pause.duration {
            Some(duration) => format!("pause for {}", bare(duration)),
            None => "pause until promoted".to_owned(),
        };
    }
    if step.analysis.is_some() {
        return "analysis".to_owned();
    }
    match &step.set_canary_scale {
        Some(scale) if scale.replicas.is_some() => format!("setCanaryScale {}", scale.replicas.unwrap_or_default()),
        Some(scale) if scale.weight.is_some() => format!("setCanaryScale {} %", scale.weight.unwrap_or_default()),
        Some(_) => "setCanaryScale as the weight needs".to_owned(),
        None => "a step of an unknown kind".to_owned(),
    }
}

/// A number without unit is seconds.
pub(super) fn bare(duration: &crate::api::IntOrText) -> String {
    match duration {
        crate::api::IntOrText::Int(seconds) => format!("{seconds}s"),
        crate::api::IntOrText::Text(text) => text.clone(),
    }
}

/// Whether the status speaks of an older spec.
pub(super) fn unseen(rollout: &Rollout, status: &RolloutStatus) -> bool {
    status.observed_generation != rollout.metadata.generation
}

/// The state of a pod in one word, as `kubectl get pods` says it, and what else is to be said.
pub(super) fn pod_state(pod: &Pod) -> (String, String) {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let all = pod.spec.as_ref().map_or(containers.len(), |s| s.containers.len());
    let ready = containers.iter().filter(|c| c.ready).count();
    let restarts: i32 = containers.iter().map(|c| c.restart_count).sum();
    let mut info = format!("{ready}/{all} ready");
    if restarts > 0 {
        info = format!("{info}, {restarts} restarts");
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return ("Terminating".to_owned(), info);
    }
    let waiting = containers.iter().find_map(|c| trouble(c.state.as_ref()));
    if let Some((reason, message)) = waiting {
        if !message.is_empty() {
            info = format!("{info}: {message}");
        }
        return (reason, info);
    }
    let unschedulable = status
        .conditions
        .unwrap_or_default()
        .into_iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable"));
    if let Some(condition) = unschedulable {
        return ("Pending".to_owned(), format!("unschedulable: {}", condition.message.unwrap_or_default()));
    }
    let phase = status.phase.unwrap_or_else(|| "Unknown".to_owned());
    // Running says nothing about whether it serves.
    if phase == "Running" && ready < all { ("Starting".to_owned(), info) } else { (phase, info) }
}

/// Why a container does not run; its usual start is no trouble.
fn trouble(state: Option<&ContainerState>) -> Option<(String, String)> {
    let state = state?;
    if let Some(ended) = &state.terminated {
        let reason = ended.reason.clone().unwrap_or_else(|| "Error".to_owned());
        return (ended.exit_code != 0).then(|| (reason, format!("exit code {}", ended.exit_code)));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    let usual = matches!(reason.as_str(), "ContainerCreating" | "PodInitializing");
    (!usual).then(|| (reason, waiting.message.clone().unwrap_or_default()))
}
