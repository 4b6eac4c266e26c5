//! The canary strategy: from step to step, and what each state asks of pods, Services and shares.

use super::facts::Facts;
use super::pass::{Pass, Phase};
use super::routing::{Routing, agreed, all_heard, live_of, same_share};
use super::runs::Place;
use super::sizes::{self, enough};
use super::spec::{AfterAbort, Canary, Step};
use super::{edits, revisions};
use crate::api::{TrafficShare, TrafficStatus};
use crate::core::object::ResourceType;
use crate::core::plan::Why;
use crate::core::row::ServiceRow;
use crate::core::scalar::{Span, Weight, raise_cap};
use crate::core::traffic::covers;

/// Times that the canary may lose its pods in one step.
const LOSSES: i32 = 3;
/// The highest share that is raised to while an instance of Traefik is silent.
const MOST_UNHEARD: Weight = match Weight::new(50) {
    Some(weight) => weight,
    None => Weight::ZERO,
};
/// How long it may have less than half of its pods (reliability: a node that drains is over by then).
const HALF_LOST: Span = Span::from_secs(10);

pub(super) fn decide(pass: &mut Pass<'_>, canary: &Canary) {
    let f = pass.f;
    let steps = &f.rollout.spec["strategy"]["canary"]["steps"];
    pass.take_revision(Some((revisions::steps_hash(steps), canary.steps.len())));
    let routing = match canary.traffic.as_ref().map(|traffic| Routing::observe(f, canary, traffic)) {
        None => None,
        Some(Ok(routing)) => Some(routing),
        Some(Err(refusals)) => {
            pass.refusals.extend(refusals);
            Routing::applied(f, Span::from_secs(15))
        }
    };
    check_analysis(pass, canary);
    let promoted = pass.take_commands();
    if let Some(routing) = &routing {
        let next = sizes::weight_at(canary, index(pass));
        let raises = pass.phase() == Phase::Updating && next > MOST_UNHEARD && next > routing.weight;
        routing.verify(pass, raises);
        guard(pass, canary, routing);
    }
    let wanted = current_pods(pass, canary);
    let late = pass.watch_progress(wanted);
    background(pass, canary);
    advance(pass, canary, routing.as_ref(), promoted);
    let weight = routing.as_ref().map(|routing| {
        let weight = desired_weight(pass, canary, routing);
        direct(pass, canary, routing, weight);
        weight
    });
    if routing.is_none() {
        basic_services(pass, canary);
    }
    resize(pass, canary, routing.as_ref());
    if let (Some(routing), Some(weight)) = (&routing, weight) {
        raise(pass, routing, weight);
    }
    pass.end_runs();
    pass.keep_history();
    super::conditions::conclude(pass, late.as_deref(), canary.steps.len());
}

fn index(pass: &Pass<'_>) -> usize {
    pass.next.current_step_index.and_then(|i| usize::try_from(i).ok()).unwrap_or(0)
}

fn check_analysis(pass: &mut Pass<'_>, canary: &Canary) {
    for (index, step) in canary.steps.iter().enumerate() {
        if let Step::Analysis(analysis) = step {
            pass.check_analysis(Place::Step(index), analysis);
        }
    }
    if let Some(background) = &canary.background {
        pass.check_analysis(Place::Background, &background.analysis);
    }
}

/// Pods that the current revision shall have.
fn current_pods(pass: &Pass<'_>, canary: &Canary) -> u32 {
    let all = pass.f.spec.replicas;
    match pass.phase() {
        Phase::Initial | Phase::Settled => all,
        Phase::Aborted => 0,
        Phase::Updating => sizes::canary_pods(canary, index(pass), all),
    }
}

/// A canary that lost its pods gets no requests; one that loses them again and again is given up.
fn guard(pass: &mut Pass<'_>, canary: &Canary, routing: &Routing<'_>) {
    let asked = pass.next.traffic.as_ref().and_then(|t| t.want.as_ref()?.canary).unwrap_or(0);
    if pass.phase() != Phase::Updating || routing.weight == Weight::ZERO || asked == 0 {
        return;
    }
    if routing.carried.as_deref() != Some(pass.f.current()) || !is_lost(pass, canary, routing) {
        return;
    }
    pass.urgent = true;
    let losses = {
        let progress = pass.next.progress.get_or_insert_default();
        progress.losses = Some(progress.losses.unwrap_or(0) + 1);
        progress.losses.unwrap_or(0)
    };
    pass.notice(
        true,
        "CanaryLost",
        format!("The canary lost its ready pods ({losses} of {LOSSES} times in this step)"),
    );
    if losses >= LOSSES {
        pass.abort("Guard", format!("the canary lost its ready pods {losses} times in one step"));
    }
}

fn is_lost(pass: &Pass<'_>, canary: &Canary, routing: &Routing<'_>) -> bool {
    let ready = routing.canary_ends.ready_of(pass.f.current());
    let needed = sizes::canary_pods(canary, index(pass), pass.f.spec.replicas);
    let lost_at = pass.next.progress.as_ref().and_then(|p| p.lost_at);
    ready == 0 || (ready * 2 < needed && lost_at.is_some_and(|at| HALF_LOST.after(at) <= pass.f.now))
}

fn background(pass: &mut Pass<'_>, canary: &Canary) {
    let before = pass.next.canary.as_ref().and_then(|c| c.current_background_analysis_run_status.clone());
    let Some(background) = &canary.background else { return };
    let started = before.is_some();
    let live = live_of(pass.next.traffic.as_ref()).and_then(|l| l.canary).unwrap_or(0) > 0;
    // Its window starts when the canary is seen to have a share.
    let reached = index(pass) >= background.starting_step
        && (if canary.traffic.is_some() { live } else { pass.f.available(pass.f.current()) > 0 });
    if pass.phase() != Phase::Updating || pass.next.promote_full == Some(true) || !(started || reached) {
        return;
    }
    let Some(run) = pass.run_of(Place::Background, &background.analysis) else { return };
    pass.judge(Place::Background, before.as_ref(), &run);
    let status = pass.next.canary.get_or_insert_default();
    status.current_background_analysis_run_status = Some(run);
}

/// Makes at most one step (K1).
fn advance(pass: &mut Pass<'_>, canary: &Canary, routing: Option<&Routing<'_>>, promoted: bool) {
    let f = pass.f;
    let all = f.spec.replicas;
    let hash = f.current().to_owned();
    let len = canary.steps.len();
    match pass.phase() {
        Phase::Initial => {
            if f.hash.is_some() && enough(canary.threshold, f.available(&hash), all) && f.sets.contains_key(&hash) {
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
                end_step(pass, index(pass) + 1, "promoted");
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
                end_step(pass, len, "all that was left was skipped");
                return;
            }
            let at = index(pass);
            if at < len {
                if step_is_done(pass, canary, routing, at) {
                    end_step(pass, at + 1, "done");
                }
                return;
            }
            let all_live = routing.is_none() || all == 0 || is_live(pass, Weight::FULL, &hash);
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

fn end_step(pass: &mut Pass<'_>, to: usize, how: &str) {
    let from = index(pass);
    pass.next.current_step_index = Some(i32::try_from(to).unwrap_or(i32::MAX));
    pass.next.current_step_started_at = Some(pass.f.now);
    pass.next.pause_conditions.retain(|p| p.reason != "CanaryPauseStep");
    pass.next.controller_pause = None;
    if let Some(status) = &mut pass.next.canary {
        status.current_step_analysis_run_status = None;
    }
    if let Some(progress) = &mut pass.next.progress {
        progress.at = Some(pass.f.now);
        progress.losses = None;
    }
    pass.notice(false, "RolloutStepCompleted", format!("Rollout step {from} completed: {how}"));
}

fn step_is_done(pass: &mut Pass<'_>, canary: &Canary, routing: Option<&Routing<'_>>, at: usize) -> bool {
    let f = pass.f;
    let hash = f.current().to_owned();
    let pods = sizes::canary_pods(canary, at, f.spec.replicas);
    let scaled = enough(canary.threshold, f.available(&hash), pods);
    match &canary.steps[at] {
        Step::SetWeight(weight) => {
            let live = routing.is_none() || f.spec.replicas == 0 || is_live(pass, *weight, &hash);
            scaled && live
        }
        Step::SetCanaryScale(_) => scaled,
        Step::Pause(duration) => {
            pass.pause("CanaryPauseStep");
            let started = pass.next.pause_conditions.iter().find(|p| p.reason == "CanaryPauseStep");
            let started = started.and_then(|p| p.start_time).unwrap_or(f.now);
            let Some(duration) = duration else { return false };
            // The pause is for users of the declared share: while a lost canary has none its time does not count.
            let weight = sizes::weight_at(canary, at);
            let mut since = started;
            if let Some(routing) = routing.filter(|_| weight > Weight::ZERO && f.spec.replicas > 0) {
                // What was live may be an old record: a process that died before it noted the loss comes back to it.
                if is_lost(pass, canary, routing) || !is_live(pass, weight, &hash) {
                    return false;
                }
                let served = live_of(pass.next.traffic.as_ref()).and_then(|l| l.since);
                since = since.max(served.unwrap_or(since));
            }
            let end = duration.after(since);
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

/// The canary was seen to have this share, with the pods of this revision.
fn is_live(pass: &Pass<'_>, weight: Weight, hash: &str) -> bool {
    let traffic = pass.next.traffic.as_ref();
    agreed(traffic)
        && live_of(traffic).is_some_and(|l| {
            l.canary == Some(weight.percent()) && (weight == Weight::ZERO || l.canary_hash.as_deref() == Some(hash))
        })
}

/// The share that the canary shall have now: what the steps ask for, never raised above what its available pods carry, and
/// 0 for every reason to take it back.
pub(super) fn desired_weight(pass: &Pass<'_>, canary: &Canary, routing: &Routing<'_>) -> Weight {
    let f = pass.f;
    let now = routing.weight;
    // W6: with nobody to answer in its place, the canary is all that users have.
    if now > Weight::ZERO && routing.stable_ends.ready.is_empty() && !routing.canary_ends.ready.is_empty() {
        return now;
    }
    let carries_current = routing.carried.as_deref() == Some(f.current());
    match pass.phase() {
        Phase::Initial | Phase::Aborted => Weight::ZERO,
        _ if routing.leaving || !carries_current || routing.canary_ends.ready_of(f.current()) == 0 => Weight::ZERO,
        Phase::Settled => {
            // The end of a promotion: stable's share moves to the new pods before the canary's share goes.
            let stable = pass.stable();
            let moved = agreed(pass.next.traffic.as_ref())
                && live_of(pass.next.traffic.as_ref()).is_some_and(|l| {
                    l.stable_hash.as_deref() == Some(stable.as_str()) && l.canary == Some(now.percent())
                });
            if moved && routing.serving.as_deref() == Some(stable.as_str()) { Weight::ZERO } else { now }
        }
        Phase::Updating => {
            if is_lost(pass, canary, routing) {
                return Weight::ZERO;
            }
            let at = index(pass);
            let wanted = sizes::weight_at(canary, at);
            if wanted <= now || pass.halted().is_some() {
                return wanted.min(now);
            }
            let pods = sizes::canary_pods(canary, at, f.spec.replicas);
            let available = f.available(f.current()).min(routing.canary_ends.ready_of(f.current()));
            if !enough(canary.threshold, available, pods) {
                return now;
            }
            // Above half, every instance must have been heard just now: a silent one may serve another share.
            let by_bound = pass.next.traffic.as_ref().is_some_and(|t| t.rung.as_deref() == Some("bound"));
            if wanted > MOST_UNHEARD && !by_bound && !all_heard(pass) {
                return now;
            }
            let cap = raise_cap(available, pods);
            wanted.min(cap).max(now)
        }
    }
}

/// Selectors, and the record of what is asked; lowering goes out at once.
pub(super) fn direct(pass: &mut Pass<'_>, canary: &Canary, routing: &Routing<'_>, weight: Weight) {
    let f = pass.f;
    let stable = pass.stable();
    let live = live_of(pass.next.traffic.as_ref()).cloned();
    let live_canary = live.as_ref().and_then(|l| l.canary).unwrap_or(0);

    // Stable's Service moves when the pods of the stable revision are there to answer.
    let stable_target = if pass.phase() == Phase::Initial {
        canary.stable_service.as_ref().filter(|s| s.ours).and(f.hash.clone())
    } else {
        let ready = f.available(&stable) > 0 || routing.stable_ends.ready.is_empty();
        if ready { Some(stable.clone()) } else { routing.serving.clone() }
    };

    // The canary's Service never changes revision while it has a share, as far as is known (T11).
    let known = pass.next.traffic.is_none() || agreed(pass.next.traffic.as_ref());
    let reached = routing.weight > Weight::ZERO || live_canary > 0 || (!known && routing.row.is_some());
    let refused = f
        .observed
        .refused
        .iter()
        .any(|r| r.target.resource == ResourceType::TRAEFIK_SERVICE && r.target.name == routing.root.name);
    let overdue = pass
        .next
        .traffic
        .as_ref()
        .and_then(|t| t.want.as_ref())
        .is_some_and(|w| w.canary == Some(0) && w.since.is_some_and(|since| routing.bound.after(since) <= f.now));
    let second_lever = pass.phase() == Phase::Aborted && (refused || overdue);
    let canary_target = match pass.phase() {
        Phase::Initial => stable_target.clone(),
        _ if reached && !second_lever => routing.carried.clone(),
        Phase::Updating if f.available(f.current()) > 0 || routing.carried.as_deref() == Some(f.current()) => {
            Some(f.current().to_owned())
        }
        _ => Some(stable.clone()),
    };

    let want = TrafficShare {
        canary: Some(weight.percent()),
        stable: Some(weight.rest().percent()),
        canary_hash: (weight > Weight::ZERO).then(|| routing.carried.clone()).flatten(),
        stable_hash: if pass.phase() == Phase::Initial { None } else { stable_target.clone() },
        since: Some(f.now),
    };
    let mut status: TrafficStatus = pass.next.traffic.clone().unwrap_or_default();
    if !same_share(status.want.as_ref(), Some(&want)) {
        if weight != Weight::new(status.want.as_ref().and_then(|w| w.canary).unwrap_or(0).into()).unwrap_or_default() {
            let text = format!("Traffic weight updated to {weight} canary, {} stable", weight.rest());
            pass.notice(false, "TrafficWeightUpdated", text);
        }
        status.want = Some(want);
    }
    if !routing.leaving {
        status.objects = Some(routing.objects());
        status.way = Some(routing.way.to_owned());
    }
    status.message = problem(pass, routing);
    pass.next.traffic = Some(status);

    if weight < routing.weight {
        pass.urgent = true;
        if let Ok(Some(effect)) = routing.root.write(routing.row, weight, &f.whose, Why::LowerWeight) {
            pass.safety.push(effect);
        }
    }
    let roles = [
        (canary.stable_service.as_ref(), &routing.root.stable, stable_target),
        (canary.canary_service.as_ref(), &routing.root.canary, canary_target),
    ];
    for (named, child, target) in roles {
        let row = f.service(&child.service);
        match (row, target) {
            (None, Some(hash)) if named.is_some_and(|n| n.ours) => {
                if let Some(like) = routing.like {
                    let object = edits::own_service(&child.service, like, child, &hash, &f.whose);
                    pass.effects.push(edits::apply(object, None, Why::RouteSetUp));
                }
            }
            (Some(row), target) => point(pass, row, target.as_deref()),
            _ => {}
        }
    }
}

/// Marks a Service and points it at a revision.
pub(super) fn point(pass: &mut Pass<'_>, row: &ServiceRow, target: Option<&str>) {
    let f = pass.f;
    if !edits::is_marked(row, &f.whose) {
        pass.effects.push(edits::mark(row, &f.whose));
    }
    let Some(target) = target else { return };
    if row.selector != edits::selector_of(row, target) {
        let text = format!("Switched selector of Service {} to {target}", row.meta.name);
        pass.notice(false, "SwitchService", text);
        pass.effects.push(edits::select(row, target));
    }
}

/// What stands in the way of a share, for status.
fn problem(pass: &Pass<'_>, routing: &Routing<'_>) -> Option<String> {
    let f = pass.f;
    let named = f.observed.ingress_routes.iter().flat_map(|r| &r.routes).flat_map(|r| &r.services);
    let routed = named.into_iter().any(|(kind, _, name)| kind == "TraefikService" && *name == routing.root.name);
    let refused = f.observed.refused.iter().find(|r| r.target.name == routing.root.name);
    if let Some(refused) = refused {
        return Some(format!("{}: {}", refused.target, refused.message));
    }
    (routing.way == "weightedTraefikServiceName" && !routed)
        .then(|| format!("no IngressRoute has TraefikService {} as its backend", routing.root.name))
}

/// The root with a share that is not lower than before, and the routes around it; leaf first.
fn raise(pass: &mut Pass<'_>, routing: &Routing<'_>, weight: Weight) {
    let f = pass.f;
    if routing.leaving || (routing.row.is_none() && routing.stable_ends.ready.is_empty()) {
        return;
    }
    if weight >= routing.weight {
        let why = if routing.row.is_none() { Why::RouteSetUp } else { Why::RaiseWeight };
        match routing.root.write(routing.row, weight, &f.whose, why) {
            Ok(effect) => pass.effects.extend(effect),
            Err(error) => {
                if let Some(status) = &mut pass.next.traffic {
                    status.message = Some(error.to_string());
                }
            }
        }
    }
    // Before there is a stable revision, whatever routed before goes on to route.
    if routing.row.is_none() || pass.phase() == Phase::Initial {
        return;
    }
    for layer in &routing.layers {
        let rows = &f.observed;
        let seen = if layer.kind == "IngressRoute" {
            let of = |r: &&std::sync::Arc<crate::core::row::IngressRouteRow>| {
                r.meta.name == layer.name && r.meta.namespace == f.whose.namespace
            };
            rows.ingress_routes.iter().find(of).map(|r| (&r.meta, &r.spec))
        } else {
            rows.traefik_services.iter().find(|r| r.meta.name == layer.name).map(|r| (&r.meta, &r.spec))
        };
        if seen.is_none_or(|(_, spec)| !covers(spec, &layer.object["spec"])) {
            let uid = seen.map(|(meta, _)| meta.uid.as_str());
            pass.effects.push(edits::apply(layer.object.clone(), uid, Why::RouteSetUp));
        }
    }
    for (resource, meta) in routing.stale(f) {
        pass.effects.push(edits::delete(resource, meta, Why::RouteTakeDown));
    }
}

/// Services of a canary without a router: each follows its revision while that has pods.
fn basic_services(pass: &mut Pass<'_>, canary: &Canary) {
    let f = pass.f;
    if canary.traffic.is_some() || pass.phase() == Phase::Initial {
        return;
    }
    let stable = pass.stable();
    let new = if pass.phase() == Phase::Updating && f.available(f.current()) > 0 {
        f.current().to_owned()
    } else {
        stable.clone()
    };
    for (named, target) in [(&canary.stable_service, stable), (&canary.canary_service, new)] {
        let Some(row) = named.as_ref().and_then(|n| f.service(&n.name)) else { continue };
        let able = f.available(&target) > 0;
        point(pass, row, able.then_some(target.as_str()));
    }
}

/// Pods of every revision.
fn resize(pass: &mut Pass<'_>, canary: &Canary, routing: Option<&Routing<'_>>) {
    let f = pass.f;
    let all = f.spec.replicas;
    let (stable, current) = (pass.stable(), f.current().to_owned());
    let phase = pass.phase();
    if canary.traffic.is_none() {
        resize_basic(pass, canary);
        return;
    }
    // The pods that carry a share stay until the share is seen to be lower.
    let carried = routing.map_or(0, |routing| {
        let live = live_of(pass.next.traffic.as_ref()).filter(|l| l.canary_hash.as_deref() == Some(current.as_str()));
        let live = live.and_then(|l| Weight::new(l.canary.unwrap_or(0).into())).unwrap_or(Weight::ZERO);
        let object = if routing.carried.as_deref() == Some(current.as_str()) { routing.weight } else { Weight::ZERO };
        live.max(object).pods(all)
    });
    match phase {
        Phase::Initial | Phase::Settled => pass.hold_current(all),
        Phase::Updating => {
            let wanted = sizes::canary_pods(canary, index(pass), all).max(carried.min(f.size(&current)));
            pass.hold_current(wanted);
        }
        Phase::Aborted => {}
    }
    if phase != Phase::Initial && stable != current {
        pass.hold(&stable, all);
    }
    let hashes: Vec<String> = f.sets.keys().cloned().collect();
    for hash in hashes {
        let in_role = hash == stable || (hash == current && phase != Phase::Aborted);
        let carries = routing.is_some_and(|routing| routing.carries(pass, &hash));
        if in_role || carries || phase == Phase::Initial {
            continue;
        }
        let delay = if hash == current {
            match canary.after_abort {
                AfterAbort::ScaleDownAfter(delay) => delay,
                AfterAbort::Keep => continue,
            }
        } else {
            canary.scale_down_delay
        };
        pass.retire(&hash, delay);
    }
}

fn resize_basic(pass: &mut Pass<'_>, canary: &Canary) {
    let f: &Facts<'_> = pass.f;
    let all = f.spec.replicas;
    let (stable, current) = (pass.stable(), f.current().to_owned());
    if stable.is_empty() || stable == current {
        // Going back or first: the others make room as the wanted pods get available.
        let others: u32 = f.sets.iter().filter(|(h, _)| **h != current).map(|(_, s)| super::facts::pods(s.size)).sum();
        let seen = sizes::Pods {
            canary: (f.size(&current), f.available(&current)),
            stable: (
                others,
                f.sets.iter().filter(|(h, _)| **h != current).map(|(_, s)| super::facts::pods(s.available)).sum(),
            ),
            others: 0,
        };
        let (new, mut left) = sizes::basic(canary, Weight::FULL, all, seen);
        pass.hold_current(if others == 0 { all } else { new });
        let hashes: Vec<String> = f.sets.keys().filter(|h| **h != current).cloned().collect();
        for hash in hashes {
            let keep = left.min(f.size(&hash));
            left -= keep;
            if keep < f.size(&hash) {
                pass.hold(&hash, keep);
            }
        }
        return;
    }
    let others: u32 =
        (f.sets.iter()).filter(|(h, _)| **h != current && **h != stable).map(|(_, s)| super::facts::pods(s.size)).sum();
    let seen = sizes::Pods {
        canary: (f.size(&current), f.available(&current)),
        stable: (f.size(&stable), f.available(&stable)),
        others,
    };
    let weight = if pass.phase() == Phase::Aborted { Weight::ZERO } else { sizes::weight_at(canary, index(pass)) };
    let (new, old) = sizes::basic(canary, weight, all, seen);
    if f.sets.contains_key(&current) || new > 0 {
        pass.hold_current(new);
    }
    pass.hold(&stable, old);
    let hashes: Vec<String> = f.sets.keys().filter(|h| **h != current && **h != stable).cloned().collect();
    for hash in hashes {
        pass.retire(&hash, Span::ZERO);
    }
}
