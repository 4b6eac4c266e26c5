//! `explain`: the one thing that a Rollout waits for, since when, and what would release it.
//!
//! The order of the questions is the order in which the controller answers them for `status.phase`: what makes the Rollout
//! Degraded first, then what holds it, then what it is doing.

use super::Observed;
use super::facts::{bare, pod_state, step, step_text, unseen};
use super::observed::hash_of;
use super::text::{Line, ago, plain};
use super::tree::measured;
use crate::api::{Condition, RolloutStatus};
use crate::core::scalar::Span;
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Wait {
    /// `nothing` when it is Healthy.
    #[serde(rename = "waitsFor")]
    pub(crate) what: String,
    pub(crate) since: Option<Timestamp>,
    /// Any one of these.
    #[serde(rename = "releasedBy")]
    pub(crate) release: Vec<String>,
}

fn wait(what: impl Into<String>, since: Option<Timestamp>, release: &[&str]) -> Wait {
    Wait { what: what.into(), since, release: release.iter().map(|r| (*r).to_owned()).collect() }
}

impl Wait {
    pub(crate) fn of(observed: &Observed, now: Timestamp) -> Self {
        let status = observed.status();
        let answers = [unseen_spec, degraded, held, pods, traffic, analysis, rolled_back, going];
        answers.iter().find_map(|answer| answer(observed, &status, now)).unwrap_or_else(|| wait("nothing", None, &[]))
    }

    pub(crate) fn lines(&self, now: Timestamp) -> Vec<Line> {
        let mut lines = vec![Line::field("Waits for", [plain(self.what.clone())])];
        if let Some(since) = self.since {
            let text = format!("{} ({} ago)", since.strftime("%Y-%m-%dT%H:%M:%SZ"), ago(since, now));
            lines.push(Line::field("Since", [plain(text)]));
        }
        for (at, release) in self.release.iter().enumerate() {
            lines.push(Line::field(if at == 0 { "Released by" } else { "or by" }, [plain(release.clone())]));
        }
        lines
    }
}

fn condition<'a>(status: &'a RolloutStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.kind == kind)
}

fn unseen_spec(observed: &Observed, status: &RolloutStatus, _: Timestamp) -> Option<Wait> {
    let generation = observed.rollout.metadata.generation.unwrap_or_default();
    let since =
        if status.observed_generation.is_none() { observed.rollout.creation_timestamp().map(|t| t.0) } else { None };
    unseen(&observed.rollout, status).then(|| {
        wait(
            format!("a controller that reads generation {generation} of the spec"),
            since,
            &["a running controller that serves this namespace: kubectl get pods -A -l app.kubernetes.io/name=tidegate"],
        )
    })
}

fn degraded(observed: &Observed, status: &RolloutStatus, _: Timestamp) -> Option<Wait> {
    let name = observed.rollout.name_any();
    if status.phase.as_deref() != Some("Degraded") {
        return None;
    }
    if let Some(invalid) = condition(status, "InvalidSpec").filter(|c| c.status == "True") {
        return Some(wait(
            format!("a spec that can be carried out: {}", invalid.message),
            invalid.last_transition_time,
            &["a change of the fields that are named"],
        ));
    }
    if status.abort == Some(true) {
        let record = status.aborted.iter().rev().find(|a| Some(&a.hash) == status.current_pod_hash.as_ref());
        let cause = record.map_or("no cause is recorded", |a| a.cause.as_str());
        let mut found = wait(
            format!("a decision, as revision {} was aborted: {cause}", status.current_revision.unwrap_or_default()),
            status.aborted_at.or(record.and_then(|a| a.time)),
            &["a new template, or the former one put back"],
        );
        found.release.push(format!("tidegate retry {name}, which runs the same revision again"));
        return Some(found);
    }
    let progressing = condition(status, "Progressing");
    let mut found = wait(
        format!(
            "what makes it Degraded to end: {}",
            status.message.as_deref().unwrap_or("the controller gives no reason")
        ),
        progressing.and_then(|c| c.last_transition_time),
        &["pods of the new revision that become available"],
    );
    if let Some((pod, state)) = stuck_pod(observed, status) {
        found.what = format!("{}; pod {pod} is {state}", found.what);
    }
    found.release.push(format!("tidegate abort {name}, which goes back to the stable revision"));
    Some(found)
}

fn held(observed: &Observed, status: &RolloutStatus, now: Timestamp) -> Option<Wait> {
    let name = observed.rollout.name_any();
    let since = condition(status, "Paused").filter(|c| c.status == "True").and_then(|c| c.last_transition_time);
    if observed.rollout.spec.paused == Some(true) {
        return Some(wait("spec.paused to be false", since, &["spec.paused: false, in git if the Rollout is in git"]));
    }
    if let Some(reason) = observed.rollout.annotations().get("tidegate.dev/pause") {
        let release = format!("tidegate resume {name}");
        return Some(wait(format!("the pause that was asked for to end: {reason}"), since, &[&release]));
    }
    let pause = status.pause_conditions.first()?;
    let promote = format!("tidegate promote {name}");
    if pause.reason == "InconclusiveAnalysisRun" {
        let abort = format!("tidegate abort {name}");
        return Some(wait(
            "a decision, as an analysis was neither good nor bad",
            pause.start_time,
            &[&promote, &abort],
        ));
    }
    let duration = step(&observed.rollout, status).and_then(|(_, step)| step.pause.as_ref()?.duration.as_ref());
    let span = duration.and_then(|d| Span::read(&json!(d)).ok());
    let (Some(span), Some(begun)) = (span, pause.start_time) else {
        let what = match step(&observed.rollout, status) {
            Some((index, _)) => format!("a promotion: step {} is a pause without an end", index + 1),
            None => format!("a promotion: {}", pause.reason),
        };
        return Some(wait(what, pause.start_time, &[&promote]));
    };
    let end = span.after(begun);
    let left = if end > now { ago(now, end) } else { "0s".to_owned() };
    let time = format!("time: {left} are left");
    let what = format!("the pause of {} to end", duration.map(bare).unwrap_or_default());
    Some(wait(what, pause.start_time, &[&time, &promote]))
}

/// Nothing is under way, and what runs is not what spec says.
fn rolled_back(observed: &Observed, status: &RolloutStatus, _: Timestamp) -> Option<Wait> {
    let rollback = status.rollback.as_ref().filter(|_| status.phase.as_deref() == Some("Paused"))?;
    let what = format!(
        "a new template, as it was rolled back to revision {} ({})",
        status.current_revision.unwrap_or_default(),
        rollback.hash
    );
    let back = format!(
        "tidegate rollback {} --to-revision {}, which runs the template in spec",
        observed.rollout.name_any(),
        rollback.template
    );
    Some(wait(what, rollback.since, &["a change of spec.template", &back]))
}

/// A pod of the current revision that does not get ready, with its state.
fn stuck_pod(observed: &Observed, status: &RolloutStatus) -> Option<(String, String)> {
    let current = status.current_pod_hash.as_deref().unwrap_or_default();
    let states = observed.pods.iter().filter(|p| hash_of(*p) == current).map(|p| (p.name_any(), pod_state(p)));
    let mut stuck = states.filter(|(_, (state, _))| !matches!(state.as_str(), "Running" | "Terminating"));
    stuck.next().map(|(name, (state, info))| (name, format!("{state} ({info})")))
}

fn pods(observed: &Observed, status: &RolloutStatus, _: Timestamp) -> Option<Wait> {
    let current = status.current_pod_hash.as_deref()?;
    let set = observed.sets.iter().find(|s| hash_of(*s) == current)?;
    let wanted = set.spec.replicas.unwrap_or_default();
    let available = set.status.as_ref().and_then(|s| s.available_replicas).unwrap_or_default();
    if available >= wanted {
        return None;
    }
    let mut found = wait(
        format!(
            "pods of revision {}: {available} of {wanted} are available",
            status.current_revision.unwrap_or_default()
        ),
        status.progress.as_ref().and_then(|p| p.at),
        &["pods that become ready"],
    );
    if let Some((pod, state)) = stuck_pod(observed, status) {
        found.what = format!("{}; {pod} is {state}", found.what);
    }
    found.release.push(format!("tidegate abort {}", observed.rollout.name_any()));
    Some(found)
}

fn traffic(observed: &Observed, status: &RolloutStatus, _: Timestamp) -> Option<Wait> {
    let traffic = status.traffic.as_ref()?;
    let wanted = traffic.want.as_ref()?;
    let live = traffic.live.as_ref();
    let same = live.is_some_and(|l| l.canary == wanted.canary && l.stable_hash == wanted.stable_hash);
    if same {
        return None;
    }
    let share = wanted.canary.unwrap_or_default();
    let mut what = format!("the router to serve weight {share}");
    for instance in &traffic.instances {
        what = format!("{what}; {}: {}", instance.name, instance.message.as_deref().unwrap_or("does not yet"));
    }
    if let Some(message) = &traffic.message {
        what = format!("{what}; {message}");
    }
    let abort = format!("tidegate abort {}", observed.rollout.name_any());
    Some(wait(what, wanted.since, &["every ready instance of Traefik that loads the weight", &abort]))
}

fn analysis(observed: &Observed, status: &RolloutStatus, _: Timestamp) -> Option<Wait> {
    let canary = status.canary.as_ref().and_then(|c| c.current_step_analysis_run_status.as_ref());
    let blue_green = status.blue_green.as_ref();
    let before = blue_green.and_then(|b| b.pre_promotion_analysis_run_status.as_ref());
    let after = blue_green.and_then(|b| b.post_promotion_analysis_run_status.as_ref());
    let going = |state: Option<&str>| matches!(state, None | Some("Pending" | "Running"));
    let named = [canary, before, after].into_iter().flatten().find(|run| going(run.status.as_deref()))?;
    let run = observed.runs.iter().find(|run| run.name_any() == named.name);
    let counts = run.map(measured).filter(|text| !text.is_empty());
    let mut what = format!("AnalysisRun {}", named.name);
    if let Some(counts) = counts {
        what = format!("{what} ({counts})");
    }
    let since = run.and_then(|run| run.status.as_ref()?.started_at);
    let promote = format!("tidegate promote {}", observed.rollout.name_any());
    Some(wait(what, since, &["the run's end as Successful", &promote]))
}

fn going(observed: &Observed, status: &RolloutStatus, _: Timestamp) -> Option<Wait> {
    if status.phase.as_deref() == Some("Healthy") {
        return None;
    }
    let step = step(&observed.rollout, status);
    let what = match (step, &status.message) {
        (Some((index, step)), Some(message)) => format!("step {}, {}: {message}", index + 1, step_text(step)),
        (_, Some(message)) => message.clone(),
        (_, None) => "the controller's next pass".to_owned(),
    };
    Some(wait(what, status.current_step_started_at, &["the controller, by itself"]))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::text::paint;
    use super::*;

    fn told(status: &serde_json::Value, spec: &serde_json::Value) -> Wait {
        Wait::of(&sample::with(status, spec), sample::NOW)
    }

    #[test]
    fn each_state_names_the_one_thing_it_waits_for() {
        let none = json!({});
        let table = [
            (json!({}), none.clone(), "a promotion: step 2 is a pause without an end"),
            (json!({"observedGeneration": 1}), none.clone(), "a controller that reads generation 2 of the spec"),
            (json!({"phase": "Healthy", "pauseConditions": null}), none.clone(), "nothing"),
            (json!({}), json!({"paused": true}), "spec.paused to be false"),
            (
                json!({"pauseConditions": [{"reason": "InconclusiveAnalysisRun"}]}),
                none.clone(),
                "a decision, as an analysis was neither good nor bad",
            ),
            (
                json!({"pauseConditions": null, "traffic": {"live": {"canary": 0}, "instances": [{"name": "t1", "message": "answers with 404"}]}}),
                none.clone(),
                "the router to serve weight 20; t1: answers with 404",
            ),
            (
                json!({"pauseConditions": null, "canary": {"currentStepAnalysisRunStatus": {"name": "web-new-2-0", "status": "Running"}}}),
                none.clone(),
                "AnalysisRun web-new-2-0 (errors: 3 of 4 good, 1 failed)",
            ),
            (
                json!({"pauseConditions": null, "rollback": {"hash": "new", "template": "newer"}}),
                none.clone(),
                "a new template, as it was rolled back to revision 2 (new)",
            ),
            (
                json!({"phase": "Degraded", "conditions": [{"type": "InvalidSpec", "status": "True", "reason": "", "message": "spec.replicas: -1"}]}),
                none.clone(),
                "a spec that can be carried out: spec.replicas: -1",
            ),
        ];
        for (status, spec, what) in table {
            assert_eq!(told(&status, &spec).what, what, "{status} {spec}");
        }
    }

    #[test]
    fn a_timed_pause_says_how_long_it_still_is() {
        let steps = json!({"strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": "5m"}}]}}});
        let text = paint(&told(&json!({}), &steps).lines(sample::NOW), false);
        assert_eq!(
            text,
            "Waits for   the pause of 5m to end\n\
             Since       2026-01-02T03:18:00Z (2m ago)\n\
             Released by time: 3m are left\n\
             or by       tidegate promote web\n"
        );
    }

    #[test]
    fn an_aborted_revision_waits_for_a_person_and_says_why() {
        let found = Wait::of(&sample::aborted(), sample::NOW);
        assert_eq!(found.what, "a decision, as revision 2 was aborted: errors rose");
        assert_eq!(found.release[1], "tidegate retry web, which runs the same revision again");
    }

    #[test]
    fn pods_that_do_not_start_are_named_with_their_reason() {
        let mut observed = sample::with(&json!({"phase": "Progressing", "pauseConditions": null}), &json!({}));
        observed.sets[0].status.as_mut().expect("a status").available_replicas = Some(0);
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
        observed.pods[0] = serde_json::from_value(sample::pod("new", "c", &waiting, false)).expect("a pod");
        assert_eq!(
            Wait::of(&observed, sample::NOW).what,
            "pods of revision 2: 0 of 1 are available; web-new-c is ImagePullBackOff (0/1 ready: no such image)"
        );
    }
}
