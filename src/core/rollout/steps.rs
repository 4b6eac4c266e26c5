//! Steps of a canary: at most one ends in a pass, and why it does.

use super::Mutant;
use super::canary::{index, wish};
use super::guard::{is_lost, stable_is_gone};
use super::pass::{Pass, Phase};
use super::routing::{Routing, agreed, live_of};
use super::runs::Place;
use super::sizes::{self, enough};
use super::spec::{Canary, Step};
use crate::core::scalar::Weight;

/// The reason of a pause that is a step.
pub(super) const PAUSE_STEP: &str = "CanaryPauseStep";

/// Makes at most one step (K1).
pub(super) fn advance(pass: &mut Pass<'_>, canary: &Canary, routing: Option<&Routing<'_>>, promoted: bool) {
    let f = pass.f;
    let all = f.spec.replicas;
    let hash = f.current().to_owned();
    let len = canary.steps.len();
    match pass.phase() {
        Phase::Initial => {
            // Of a stable that somebody deleted too: there is nobody to hold users at.
            pass.next.pause_conditions.clear();
            let there = enough(canary.threshold, f.available(&hash), all) || f.breaks(Mutant::StableUnseen);
            if f.hash.is_some() && there && f.sets.contains_key(&hash) {
                pass.next.stable_proven = Some(all > 0);
                pass.complete("Initial deploy", Some(len));
            }
        }
        Phase::Settled => {
            if f.available(&hash) > 0 {
                pass.next.stable_proven = Some(true);
            }
        }
        Phase::Aborted => {}
        Phase::Updating => {
            if promoted && index(pass) < len {
                pass.next.pause_conditions.clear();
                end_step(pass, canary, index(pass) + 1, "promoted");
                return;
            }
            if promoted {
                pass.next.pause_conditions.clear();
            }
            if pass.halted().is_some() {
                keep_step_run(pass, canary);
                return;
            }
            if pass.next.promote_full == Some(true) && index(pass) < len {
                pass.next.pause_conditions.clear();
                end_step(pass, canary, len, "all that was left was skipped");
                return;
            }
            let at = index(pass);
            if at < len {
                if step_is_done(pass, canary, routing, at) {
                    end_step(pass, canary, at + 1, "done");
                }
                return;
            }
            let all_live = routing.is_none_or(|routing| is_live(pass, routing, Weight::FULL, &hash))
                || all == 0
                || f.breaks(Mutant::CompletesUnseen);
            if all_live && enough(canary.threshold, f.available(&hash), all) {
                pass.next.stable_proven = Some(all > 0);
                pass.complete("Completed all steps", Some(len));
            }
        }
    }
}

/// The run of a step goes on while steps stand still, and its failure still aborts.
fn keep_step_run(pass: &mut Pass<'_>, canary: &Canary) {
    let at = index(pass);
    let Some(Step::Analysis(_)) = canary.steps.get(at) else { return };
    let before = pass.next.canary.as_ref().and_then(|c| c.current_step_analysis_run_status.clone());
    if let Some(run) = pass.existing_run(Place::Step(at)) {
        pass.judge(Place::Step(at), before.as_ref(), &run);
        pass.next.canary.get_or_insert_default().current_step_analysis_run_status = Some(run);
    }
}

/// Ends the current step. A pause begins with the write that says so, and not with one more.
fn end_step(pass: &mut Pass<'_>, canary: &Canary, to: usize, how: &str) {
    let from = index(pass);
    pass.next.current_step_index = Some(i32::try_from(to).unwrap_or(i32::MAX));
    pass.next.current_step_started_at = Some(pass.f.now);
    pass.next.pause_conditions.retain(|p| p.reason != PAUSE_STEP);
    pass.next.controller_pause = None;
    if let Some(status) = &mut pass.next.canary {
        status.current_step_analysis_run_status = None;
    }
    if let Some(progress) = &mut pass.next.progress {
        progress.at = Some(pass.f.now);
        progress.losses = None;
    }
    pass.notice(false, "RolloutStepCompleted", format!("Rollout step {from} completed: {how}"));
    if matches!(canary.steps.get(to), Some(Step::Pause(_))) && pass.halted().is_none() {
        pass.pause(PAUSE_STEP);
    }
}

/// Without a router the share is that of the pods: none are too many, and stable's are made (T7).
fn is_split(pass: &Pass<'_>, canary: &Canary, weight: Weight) -> bool {
    let f = pass.f;
    let split = sizes::split(canary, weight, f.spec.replicas);
    let stable = pass.stable();
    f.size(f.current()) <= split.canary && (f.size(&stable) == split.stable || !f.sets.contains_key(&stable))
}

fn step_is_done(pass: &mut Pass<'_>, canary: &Canary, routing: Option<&Routing<'_>>, at: usize) -> bool {
    let f = pass.f;
    let hash = f.current().to_owned();
    let pods = sizes::canary_pods(canary, at, f.spec.replicas);
    let scaled = enough(canary.threshold, f.available(&hash), pods);
    match &canary.steps[at] {
        Step::SetWeight(weight) => {
            let reached = match routing {
                None => is_split(pass, canary, *weight),
                Some(routing) => {
                    f.spec.replicas == 0 || stable_is_gone(pass, routing) || is_live(pass, routing, *weight, &hash)
                }
            };
            scaled && reached
        }
        Step::SetCanaryScale(_) => scaled,
        Step::Pause(duration) => {
            pass.pause(PAUSE_STEP);
            let started = pass.next.pause_conditions.iter().find(|p| p.reason == PAUSE_STEP);
            let started = started.and_then(|p| p.start_time).unwrap_or(f.now);
            let Some(duration) = duration else { return false };
            // The pause is for users of the declared share: while a lost canary has none its time does not count.
            let weight = sizes::weight_at(canary, at);
            let mut since = started;
            if let Some(routing) = routing.filter(|_| weight > Weight::ZERO && f.spec.replicas > 0) {
                // What was live may be an old record: a process that died before it noted the loss comes back to it.
                let live = stable_is_gone(pass, routing) || is_live(pass, routing, weight, &hash);
                if is_lost(pass, wish(pass, canary), routing) || !live {
                    return false;
                }
                let served = live_of(pass.next.traffic.as_ref()).and_then(|l| l.since);
                since = since.max(served.unwrap_or(since));
            }
            let mut end = duration.after(since);
            if f.breaks(Mutant::HalvesPauses) {
                end -= duration.as_duration() / 2;
            }
            pass.wake_at(end);
            f.now >= end
        }
        Step::Analysis(analysis) => {
            let before = pass.next.canary.as_ref().and_then(|c| c.current_step_analysis_run_status.clone());
            let Some(run) = pass.run_of(Place::Step(at), analysis) else { return false };
            let done = pass.judge(Place::Step(at), before.as_ref(), &run);
            pass.next.canary.get_or_insert_default().current_step_analysis_run_status = Some(run);
            done
        }
    }
}

/// The canary was seen to have this share, with the pods of this revision, and nobody took it from the object since.
fn is_live(pass: &Pass<'_>, routing: &Routing<'_>, weight: Weight, hash: &str) -> bool {
    let traffic = pass.next.traffic.as_ref();
    agreed(traffic)
        && routing.weight == weight
        && live_of(traffic).is_some_and(|l| {
            l.canary == Some(weight.percent()) && (weight == Weight::ZERO || l.canary_hash.as_deref() == Some(hash))
        })
}
