//! Phase, message and conditions: what a person, `kubectl wait` and an Application read (2.13).

use super::Mutant;
use super::facts::pods;
use super::pass::{Pass, Phase};
use super::routing::{LOADS_WITHIN, live_of};
use super::spec::Strategy;
use crate::api::{Condition, LastGood};
use crate::core::application::wanted::source_in;
use crate::core::plan::StatusWrite;
use crate::core::scalar::Span;
use serde_json::Value;

/// How the message of a spec that is not accepted begins.
const INVALID: &str = "InvalidSpec: ";

/// Fills in what follows from everything else. `late`: an exceeded deadline; `steps`: the number of steps.
pub(super) fn conclude(pass: &mut Pass<'_>, late: Option<&str>, steps: usize) {
    counts(pass);
    let (phase, message) = judge(pass, late, steps);
    let well = phase == "Healthy";
    let rolled_back = pass.rolled_back();
    // What runs is not what spec says: nobody shall take it for that.
    let (phase, message) = match &rolled_back {
        Some(text) if well => ("Paused", text.clone()),
        _ => (phase, message),
    };
    let f = pass.f;
    let ahead = i64::from(f.breaks(Mutant::AheadOfItself));
    pass.next.observed_generation = Some(f.rollout.meta.generation + ahead);
    pass.next.phase = Some(phase.to_owned());
    pass.next.message = (!message.is_empty()).then(|| message.clone());
    if f.breaks(Mutant::NeverRests) {
        pass.next.message = Some(f.now.to_string());
    }
    assert!(!f.breaks(Mutant::BreaksOff), "{}", Mutant::PANIC);

    let all = f.spec.replicas;
    let total: u32 = f.sets.values().map(|s| pods(s.available)).sum();
    let settled = pass.phase() == Phase::Settled;
    let invalid = invalid(pass);
    let healthy = phase == "Healthy";
    let (progressing, reason) = match phase {
        _ if pass.next.abort == Some(true) => ("False", "RolloutAborted"),
        _ if late.is_some() => ("False", super::deadline::REASON),
        "Healthy" => ("True", "NewReplicaSetAvailable"),
        // Nothing is under way that a pause could stop.
        "Paused" if settled => ("True", "NewReplicaSetAvailable"),
        "Paused" => ("Unknown", "RolloutPaused"),
        _ => ("True", "ReplicaSetUpdated"),
    };
    let yes = |holds: bool| if holds { "True" } else { "False" };
    set(pass, "Available", yes(total >= all), if total >= all { "AvailableReason" } else { "NotAvailable" }, "");
    set(pass, "Progressing", progressing, reason, &message);
    set(pass, "Paused", yes(phase == "Paused"), "RolloutPaused", if phase == "Paused" { &message } else { "" });
    set(pass, "Completed", yes(settled), if settled { "RolloutCompleted" } else { "RolloutNotCompleted" }, "");
    set(pass, "Healthy", yes(healthy), if healthy { "RolloutHealthy" } else { "RolloutNotHealthy" }, "");
    match &invalid {
        Some(text) => set(pass, "InvalidSpec", "True", "InvalidSpec", text),
        None => pass.next.conditions.retain(|c| c.kind != "InvalidSpec"),
    }
    match &rolled_back {
        Some(text) => set(pass, "RolledBack", "True", "RollbackCommand", text),
        None => pass.next.conditions.retain(|c| c.kind != "RolledBack"),
    }
    let word = if phase == "Degraded" { reason_of(&message) } else { phase.to_owned() };
    set(pass, "Ready", yes(healthy), &word, &message);
    set(pass, "Reconciling", yes(matches!(phase, "Progressing" | "Paused")), &word, &message);
    set(pass, "Stalled", yes(phase == "Degraded"), &word, &message);

    pass.note_duration(well && settled);
    if well && settled && pass.next.stable_proven == Some(true) {
        remember_good(pass);
    }
}

fn remember_good(pass: &mut Pass<'_>) {
    let hash = pass.f.current().to_owned();
    let set = pass.f.sets.get(&hash);
    let source = set.and_then(|set| source_in(&set.meta.annotations));
    let known = pass.next.last_good.as_ref().filter(|good| good.hash == hash);
    if known.is_some_and(|good| good.source == source) {
        return;
    }
    let since = known.map_or(Some(pass.f.now), |good| good.since);
    let images = set.map(|s| s.images.clone()).unwrap_or_default();
    pass.next.last_good = Some(LastGood { hash, images, source, since });
}

/// The word before the colon, as a reason.
fn reason_of(message: &str) -> String {
    let word = message.split(':').next().unwrap_or_default();
    let camel = !word.is_empty() && word.chars().all(char::is_alphanumeric);
    if camel { word.to_owned() } else { "Degraded".to_owned() }
}

/// What is not accepted, in words.
fn invalid(pass: &Pass<'_>) -> Option<String> {
    let mut texts: Vec<String> = pass.refusals.iter().map(ToString::to_string).collect();
    if let Some(refusal) = pass.f.pending.as_ref().and_then(|p| p.refusal.as_ref()) {
        if refusal.causes.is_empty() {
            texts.push(format!("spec.template: {}", refusal.message));
        }
        for (field, text) in &refusal.causes {
            // The dry run is of the ReplicaSet, whose template lies at the same path.
            texts.push(if field.is_empty() { format!("spec.template: {text}") } else { format!("{field}: {text}") });
        }
    }
    // Said of the object in which a person finds the template.
    if let Some(workload) = pass.f.spec.workload.as_ref().filter(|_| pass.f.pending.is_some()) {
        for text in texts.iter_mut().filter(|t| t.starts_with("spec.template")) {
            text.insert_str(0, &format!("{} {}: ", workload.kind.resource().kind, workload.name));
        }
    }
    if texts.is_empty() && pass.f.pending.as_ref().is_some_and(|p| p.refusal.is_none()) {
        // A process that was just started asks again; until it is told otherwise the answer is the former one.
        let seen = pass.f.seen;
        let same = seen.observed_generation == Some(pass.f.rollout.meta.generation);
        return seen.message.as_deref().filter(|_| same).and_then(|m| m.strip_prefix(INVALID)).map(str::to_owned);
    }
    texts.sort();
    texts.dedup();
    (!texts.is_empty()).then(|| texts.join(". "))
}

fn judge(pass: &Pass<'_>, late: Option<&str>, steps: usize) -> (&'static str, String) {
    let f = pass.f;
    let all = f.spec.replicas;
    let hash = f.current();
    if let Some(text) = invalid(pass) {
        return ("Degraded", format!("{INVALID}{text}"));
    }
    if pass.phase() == Phase::Aborted {
        let revision = pass.next.current_revision.unwrap_or(0);
        let record = pass.next.aborted.iter().find(|a| a.hash == hash);
        let cause = record.map(|a| a.cause.clone()).unwrap_or_default();
        let time = record.and_then(|a| a.time).map(|t| t.to_string()).unwrap_or_default();
        return (
            "Degraded",
            format!(
                "RolloutAborted: Rollout aborted update to revision {revision} at {time}: {cause}; retry to run it again"
            ),
        );
    }
    if f.rollback.is_some() && !f.sets.contains_key(hash) {
        let text = format!(
            "RollbackLost: the ReplicaSet of revision {hash} is gone; change spec.template, or roll back to another"
        );
        return ("Degraded", text);
    }
    if let Some(text) = late {
        return ("Degraded", format!("{}{text}", super::deadline::EXCEEDED));
    }
    if f.spec.paused {
        return ("Paused", "manually paused".to_owned());
    }
    if let Some(reason) = super::commands::pause_reason(f.rollout) {
        return ("Paused", format!("paused by annotation: {reason}"));
    }
    if let Some(pause) = pass.next.pause_conditions.first() {
        return ("Paused", pause.reason.clone());
    }
    if let Some(text) = pass.restarting() {
        return ("Progressing", text);
    }
    if f.pending.is_some() {
        return ("Progressing", "waiting for the API server to accept the template".to_owned());
    }
    let updated = f.sets.get(hash).map_or(0, |s| pods(s.created));
    let available = f.available(hash);
    let full = matches!(pass.phase(), Phase::Settled | Phase::Initial);
    if full && updated < all {
        return ("Progressing", "more replicas need to be updated".to_owned());
    }
    if available < updated.min(all) {
        return ("Progressing", "updated replicas are still becoming available".to_owned());
    }
    if pass.phase() != Phase::Settled {
        let text = match (&f.spec.strategy, pass.next.current_step_index) {
            (Strategy::BlueGreen(_), _) => "active service cutover pending".to_owned(),
            (_, Some(index)) if usize::try_from(index).is_ok_and(|i| i < steps) => {
                format!("waiting for all steps to complete (step {index} of {steps})")
            }
            _ => "waiting for all steps to complete".to_owned(),
        };
        return ("Progressing", text);
    }
    if let Some(text) = routes_pending(pass) {
        return ("Progressing", text);
    }
    ("Healthy", String::new())
}

/// Users are not yet served by the stable revision alone, as far as is known.
fn routes_pending(pass: &Pass<'_>) -> Option<String> {
    let traffic = pass.next.traffic.as_ref()?;
    if traffic.way.as_deref() == Some("service") || pass.f.spec.replicas == 0 {
        return None;
    }
    let stable = pass.stable();
    let live = live_of(Some(traffic));
    let there = live.is_some_and(|l| l.canary == Some(0) && l.stable_hash.as_deref() == Some(stable.as_str()));
    (!there).then(|| "waiting until Traefik serves the stable revision alone".to_owned())
}

fn counts(pass: &mut Pass<'_>) {
    let f = pass.f;
    let count = |n: u32| Some(i32::try_from(n).unwrap_or(i32::MAX));
    let total = |of: fn(&crate::core::row::ReplicaSetRow) -> i64| f.sets.values().map(|s| pods(of(s))).sum::<u32>();
    let created = total(|s| s.created);
    pass.next.replicas = count(created);
    pass.next.hpa_replicas = count(created);
    pass.next.updated_replicas = count(f.sets.get(f.current()).map_or(0, |s| pods(s.created)));
    pass.next.ready_replicas = count(total(|s| s.ready));
    pass.next.available_replicas = count(total(|s| s.available));
    if matches!(f.spec.strategy, Strategy::BlueGreen(_)) {
        // B9: what users are served by.
        let active = pass.next.blue_green.as_ref().and_then(|b| b.active_selector.clone());
        let set = active.and_then(|hash| f.sets.get(&hash).copied());
        pass.next.ready_replicas = count(set.map_or(0, |s| pods(s.ready)));
        pass.next.available_replicas = count(set.map_or(0, |s| pods(s.available)));
        pass.next.hpa_replicas = count(set.map_or(0, |s| pods(s.created)));
    }
    let active = pass.next.blue_green.as_ref().and_then(|b| b.active_selector.as_deref());
    let active = active.filter(|_| matches!(f.spec.strategy, Strategy::BlueGreen(_)));
    let text = selector_text(&f.spec.selector, active);
    // A spec that cannot be read says nothing about it.
    if !text.is_empty() {
        pass.next.selector = Some(text);
    }
}

/// A selector as an autoscaler reads it, narrowed to one revision.
fn selector_text(selector: &Value, hash: Option<&str>) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> = labels.filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?))).collect();
    for requirement in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = requirement["key"].as_str().unwrap_or_default();
        let values = requirement["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        parts.push(match requirement["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("Exists") => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    parts.extend(hash.filter(|_| !parts.is_empty()).map(|hash| format!("{}={hash}", super::LABEL_HASH)));
    parts.sort();
    parts.join(",")
}

/// Says that a Deployment whose pods were taken over has pods again, with its name and their number.
pub(super) fn workload_is_up(pass: &mut Pass<'_>, up: Option<(String, i64)>) {
    match up {
        Some((title, pods)) => {
            let text = format!(
                "{title} was scaled up to {pods} after its pods were handed over, and runs each new template at once; \
                 scale it to 0, and leave spec.replicas out of its manifest"
            );
            set(pass, "WorkloadScaledUp", "True", "ScaledUpByAnother", &text);
        }
        None => pass.next.conditions.retain(|c| c.kind != "WorkloadScaledUp"),
    }
}

fn set(pass: &mut Pass<'_>, kind: &str, status: &str, reason: &str, message: &str) {
    let now = pass.f.now;
    let generation = Some(pass.f.rollout.meta.generation);
    let old = pass.next.conditions.iter_mut().find(|c| c.kind == kind);
    let fresh = Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: Some(now),
        last_update_time: Some(now),
        observed_generation: generation,
    };
    match old {
        None => pass.next.conditions.push(fresh),
        Some(old) => {
            let same = old.status == fresh.status && old.reason == fresh.reason && old.message == fresh.message;
            let transition = if old.status == fresh.status { old.last_transition_time } else { Some(now) };
            let update = if same { old.last_update_time } else { Some(now) };
            *old = Condition { last_transition_time: transition, last_update_time: update, ..fresh };
        }
    }
}

/// Fields by which nothing is decided: counts, and words.
const TOLD: [&str; 8] = [
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "HPAReplicas",
    "selector",
    "message",
    "conditions",
];
/// Parts of fields that may be told late. The time of a deadline runs a little longer by it, never shorter.
const TOLD_WITHIN: [(&str, &[&str]); 2] = [("traffic", &["instances"]), ("progress", &["at", "available"])];
/// Between two writes that only tell: what happens in quick succession is told once, with its end.
const TOLD_EVERY: Span = Span::from_secs(1);

/// Whether nothing is decided by what a patch says of a field.
fn is_told(field: &str, patch: &Value) -> bool {
    let within = TOLD_WITHIN.iter().find(|(outer, _)| *outer == field);
    TOLD.contains(&field)
        || within
            .zip(patch.as_object())
            .is_some_and(|((_, inner), patch)| patch.keys().all(|field| inner.contains(&field.as_str())))
}

/// The write that makes the status what it shall be, if it is not, and if it is worth one already.
pub(super) fn status_write(pass: &mut Pass<'_>) -> Option<StatusWrite> {
    let (f, rollout) = (pass.f, pass.f.rollout);
    let wanted = serde_json::to_value(&pass.next).expect("a status is plain JSON");
    let write = StatusWrite::between(rollout.target(), &rollout.meta.resource_version, &rollout.status, &wanted)?;
    let only = |told: &dyn Fn(&str) -> bool| {
        let patch = write.patch.as_object();
        patch.is_some_and(|fields| fields.iter().all(|(field, value)| is_told(field, value) || told(field)))
    };
    // Whether the template is accepted is known in a moment, and then there is more to say.
    let is_tried = f.pending.as_ref().is_some_and(|pending| pending.refusal.is_none());
    if is_tried && only(&|field| matches!(field, "phase" | "observedGeneration")) {
        return None;
    }
    let progress = f.seen.progress.as_ref().and_then(|progress| progress.at);
    let told = f.seen.conditions.iter().filter_map(|condition| condition.last_update_time).max().max(progress);
    let again = told.filter(|told| *told <= f.now).map(|told| TOLD_EVERY.after(told));
    let asked = f.seen.traffic.as_ref().and_then(|traffic| traffic.want.as_ref()?.since);
    let loads =
        asked.filter(|asked| *asked <= f.now && !write.patch["traffic"].is_null()).map(|at| LOADS_WITHIN.after(at));
    match again.max(loads).filter(|again| f.now < *again) {
        Some(again) if only(&|_| false) => {
            pass.wake_at(again);
            None
        }
        _ => Some(write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_is_written_as_kubectl_writes_it() {
        let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"},
            {"key": "x", "operator": "NotIn", "values": ["y"]}, {"key": "z", "operator": "Exists"}]});
        assert_eq!(selector_text(&selector, None), "!old,app=web,tier in (a,b),x notin (y),z");
        assert_eq!(selector_text(&json!({}), Some("abc")), "", "nothing known is nothing said");
    }

    #[test]
    fn what_is_told_of_progress_and_of_instances_waits_and_what_is_asked_for_does_not() {
        assert!(is_told("message", &json!("x")));
        assert!(is_told("progress", &json!({"at": "2026-01-01T00:00:00Z", "available": 3})));
        assert!(!is_told("progress", &json!({"at": "2026-01-01T00:00:00Z", "hash": "abc"})), "another revision");
        assert!(!is_told("progress", &json!({"lostAt": "2026-01-01T00:00:00Z"})), "a loss starts a clock of its own");
        assert!(is_told("traffic", &json!({"instances": null})));
        assert!(!is_told("traffic", &json!({"instances": null, "want": {"canary": 20}})));
        assert!(!is_told("phase", &json!("Healthy")));
    }
}
