//! The canary strategy: from step to step, and what each state asks of pods, Services and shares.

use super::Mutant;
use super::deletion;
use super::dynamic;
use super::facts::Facts;
use super::guard;
use super::named::Services;
use super::pass::{Pass, Phase};
use super::restart::Missing;
use super::retire::Terms;
use super::revisions;
use super::routing::{Routing, agreed, live_of};
use super::runs::Place;
use super::shares::{MOST_UNHEARD, Wish, desired_weight, direct, point, raise};
use super::sizes;
use super::spec::{AfterAbort, Canary, DynamicStable, Step};
use super::steps::advance;
use crate::core::scalar::{Rounding, Span, Weight};

pub(super) fn decide(pass: &mut Pass<'_>, canary: &Canary) {
    let f = pass.f;
    let steps = &f.rollout.spec["strategy"]["canary"]["steps"];
    pass.take_revision(Some((revisions::steps_hash(steps), canary.steps.len())));
    let services = Services::of_canary(canary);
    let routing = canary.traffic.as_ref().and_then(|traffic| Routing::find(pass, services, traffic));
    check_analysis(pass, canary);
    let promoted = pass.take_commands();
    if let Some(routing) = &routing {
        let wish = wish(pass, canary);
        let raises = pass.phase() == Phase::Updating && wish.weight > MOST_UNHEARD && wish.weight > routing.weight;
        routing.verify(pass, raises);
        guard::watch(pass, wish, routing);
    }
    let wanted = current_pods(pass, canary);
    let late = pass.watch_progress(wanted);
    if let Some(routing) = &routing {
        guard::watch_stable(pass, routing);
    }
    background(pass, canary);
    advance(pass, canary, routing.as_ref(), promoted);
    let weight = routing.as_ref().map(|routing| {
        let wish = wish(pass, canary);
        let weight = desired_weight(pass, wish, routing);
        let weight = deletion::hold(pass, routing, weight);
        direct(pass, wish, routing, weight);
        weight
    });
    if routing.is_none() {
        basic_services(pass, canary);
    }
    pass.begin_restart(Missing { allowed: canary.max_unavailable, together: canary.traffic.is_none() });
    resize(pass, canary, routing.as_ref());
    if let (Some(routing), Some(weight)) = (&routing, weight) {
        raise(pass, routing, weight);
    }
    pass.end_runs();
    pass.keep_history();
    pass.keep_roles();
    pass.evict_old();
    super::conditions::conclude(pass, late.as_deref(), canary.steps.len());
}

pub(super) fn index(pass: &Pass<'_>) -> usize {
    pass.next.current_step_index.and_then(|i| usize::try_from(i).ok()).unwrap_or(0)
}

/// What the current step asks of the router.
pub(super) fn wish<'s>(pass: &Pass<'_>, canary: &'s Canary) -> Wish<'s> {
    let at = index(pass);
    Wish {
        services: Services::of_canary(canary),
        weight: sizes::weight_at(canary, at),
        pods: sizes::canary_pods(canary, at, pass.f.spec.replicas),
        threshold: canary.threshold,
        dynamic: Some(canary).filter(|canary| canary.dynamic_stable != DynamicStable::Off),
    }
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

/// Services of a canary without a router: each follows its revision while that has pods.
fn basic_services(pass: &mut Pass<'_>, canary: &Canary) {
    let f = pass.f;
    if canary.traffic.is_some() || pass.phase() == Phase::Initial {
        return;
    }
    if pass.phase() == Phase::Settled {
        // Of a former strategy: nobody has a share by it any more.
        pass.next.traffic = None;
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
        // Where shares are numbers of pods, stable's size is its share.
        pass.end_floor();
        resize_basic(pass, canary);
        return;
    }
    // The pods that carry a share stay until the share is seen to be lower.
    let carried = routing.map_or(0, |routing| {
        let live = live_of(pass.next.traffic.as_ref()).filter(|l| l.canary_hash.as_deref() == Some(current.as_str()));
        let live = live.and_then(|l| Weight::new(l.canary.unwrap_or(0).into())).unwrap_or(Weight::ZERO);
        let object = if routing.carried.as_deref() == Some(current.as_str()) { routing.weight } else { Weight::ZERO };
        // Asked for in between was another share, of which nobody knows whether it was served.
        let unknown = !agreed(pass.next.traffic.as_ref()) && routing.carries(pass, &current);
        if unknown { pass.size_without_restart(&current) } else { live.max(object).pods(all) }
    });
    let asked = pass.next.traffic.as_ref();
    let back = agreed(asked) && live_of(asked).is_none_or(|l| l.canary.unwrap_or(0) == 0);
    if phase != Phase::Updating && back {
        pass.end_floor();
    }
    if let Some(routing) = routing.filter(|_| canary.dynamic_stable != DynamicStable::Off) {
        resize_dynamic(pass, canary, routing);
        return;
    }
    match phase {
        Phase::Initial => pass.hold_current(all),
        Phase::Settled => pass.hold_current(pass.stable_pods()),
        Phase::Updating => {
            let wanted = sizes::canary_pods(canary, index(pass), all).max(carried.min(f.size(&current)));
            pass.hold_current(wanted);
        }
        Phase::Aborted => {}
    }
    if phase != Phase::Initial && stable != current {
        let gives = f.breaks(Mutant::StableGivesWay) && phase == Phase::Updating;
        pass.hold(&stable, pass.stable_pods().saturating_sub(if gives { f.available(&current) } else { 0 }));
    }
    if phase == Phase::Initial {
        return;
    }
    let keeps = !f.breaks(Mutant::ScalesDownWhatCarries);
    let carries = |hash: &String| keeps && routing.is_some_and(|routing| routing.carries(pass, hash));
    let unused: Vec<String> = f.sets.keys().filter(|h| !carries(h)).cloned().collect();
    pass.let_go(unused, terms(pass, canary));
}

/// Pods of every revision where stable has those of its share only.
fn resize_dynamic(pass: &mut Pass<'_>, canary: &Canary, routing: &Routing<'_>) {
    let f = pass.f;
    let (stable, current) = (pass.stable(), f.current().to_owned());
    let phase = pass.phase();
    let at = index(pass);
    let forward = (sizes::canary_pods(canary, at, f.spec.replicas), sizes::weight_at(canary, at));
    let (new, old) = dynamic::sizes(pass, canary, routing, forward);
    let back = dynamic::goes_back(pass, routing);
    match phase {
        Phase::Initial => pass.hold_current(f.spec.replicas),
        Phase::Settled => pass.hold_current(pass.stable_pods()),
        // Another revision still has a share: this one starts, and shrinks nobody.
        Phase::Updating => pass.hold_current(if back { forward.0 } else { new }),
        Phase::Aborted => {}
    }
    if matches!(phase, Phase::Updating | Phase::Aborted) {
        pass.hold(&stable, old);
    }
    if phase == Phase::Initial {
        return;
    }
    let held = canary.dynamic_stable == DynamicStable::HoldsCanary;
    let carried = routing.carried.clone().filter(|hash| back && *hash != stable && !(held && *hash == current));
    if let Some(hash) = carried.filter(|hash| routing.carries(pass, hash)) {
        // It shrinks behind its share.
        pass.hold(&hash, new.min(f.size(&hash)));
    }
    let unused: Vec<String> = f.sets.keys().filter(|hash| !routing.carries(pass, hash)).cloned().collect();
    let after_abort = if held { canary.after_abort } else { AfterAbort::ScaleDownAfter(Span::ZERO) };
    pass.let_go(unused, Terms { after_abort, delay: Span::ZERO, ..terms(pass, canary) });
}

/// On what terms former revisions go.
fn terms(pass: &Pass<'_>, canary: &Canary) -> Terms {
    let all = pass.f.spec.replicas;
    Terms {
        after_abort: canary.after_abort,
        delay: canary.scale_down_delay,
        limit: canary.scale_down_delay_revisions,
        fewest: all - canary.max_unavailable.of(all, Rounding::Down).min(all),
    }
}

fn resize_basic(pass: &mut Pass<'_>, canary: &Canary) {
    let f: &Facts<'_> = pass.f;
    let all = f.spec.replicas;
    let (stable, current) = (pass.stable(), f.current().to_owned());
    if matches!(pass.phase(), Phase::Initial | Phase::Settled) {
        // Going back, first, or all that is left: the others make room as the wanted pods get available.
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
