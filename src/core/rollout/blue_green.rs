//! The blueGreen strategy: two full sets of pods, and a Service that moves from one to the other.

use super::Mutant;
use super::pass::{Pass, Phase};
use super::restart::Missing;
use super::retire::Terms;
use super::routing::{check_selectors, missing_service};
use super::runs::Place;
use super::shares::point;
use super::spec::{BlueGreen, Promotion};
use crate::api::{BlueGreenStatus, TrafficObjects, TrafficStatus};
use crate::core::scalar::Span;

pub(super) fn decide(pass: &mut Pass<'_>, strategy: &BlueGreen) {
    let f = pass.f;
    let before = f.seen.current_pod_hash.clone();
    pass.take_revision(None);
    check(pass, strategy);
    let skips = pass.next.promote_full == Some(true);
    if before != pass.next.current_pod_hash && pass.phase() == Phase::Updating && !skips && is_up(pass) {
        // N4: the former revision is still up; users go back to it at once.
        pass.next.promote_full = Some(true);
        pass.notice(false, "SkipSteps", "The revision is still up: no pause and no analysis");
    }
    let promoted = pass.take_commands();
    let active = f.selected(&strategy.active_service).map(str::to_owned);
    let wanted = match pass.phase() {
        Phase::Aborted => 0,
        Phase::Updating => new_pods(pass, strategy, active.as_deref()),
        Phase::Initial | Phase::Settled => f.spec.replicas,
    };
    let late = pass.watch_progress(wanted);
    let switch = advance(pass, strategy, active.as_deref(), promoted);
    direct(pass, strategy, active.as_deref(), switch);
    pass.begin_restart(Missing { allowed: strategy.max_unavailable, together: false });
    resize(pass, strategy, active.as_deref(), wanted);
    pass.end_runs();
    pass.keep_history();
    pass.keep_roles();
    pass.evict_old();
    super::conditions::conclude(pass, late.as_deref(), 0);
}

fn check(pass: &mut Pass<'_>, strategy: &BlueGreen) {
    let f = pass.f;
    let named =
        [("activeService", Some(&strategy.active_service)), ("previewService", strategy.preview_service.as_ref())];
    for (field, name) in named.into_iter().filter_map(|(field, name)| Some((field, name?))) {
        match f.service(name) {
            None => pass.refusals.push(missing_service(&format!("spec.strategy.blueGreen.{field}"), name)),
            Some(row) => pass.refusals.extend(check_selectors(f, &[row]).err().unwrap_or_default()),
        }
    }
    let runs = [(Place::PrePromotion, &strategy.pre_promotion), (Place::PostPromotion, &strategy.post_promotion)];
    for (place, analysis) in runs {
        if let Some(analysis) = analysis {
            pass.check_analysis(place, analysis);
        }
    }
}

/// All pods of the current revision are there already.
fn is_up(pass: &Pass<'_>) -> bool {
    let f = pass.f;
    f.spec.replicas > 0 && f.available(f.current()) >= f.spec.replicas
}

/// B1
fn new_pods(pass: &Pass<'_>, strategy: &BlueGreen, active: Option<&str>) -> u32 {
    let all = pass.f.spec.replicas;
    let checked = pass.next.blue_green.as_ref().and_then(|b| b.scale_up_preview_check_point) == Some(true);
    let whole = checked || pass.next.promote_full == Some(true) || active == Some(pass.f.current());
    if whole { all } else { strategy.preview_replicas.map_or(all, |preview| preview.min(all)) }
}

/// Decides whether users go to the current revision, and completes the update when they do.
fn advance(pass: &mut Pass<'_>, strategy: &BlueGreen, active: Option<&str>, promoted: bool) -> bool {
    let f = pass.f;
    let hash = f.current().to_owned();
    let all = f.spec.replicas;
    match pass.phase() {
        Phase::Initial => {
            if f.hash.is_some() && f.sets.contains_key(&hash) && f.available(&hash) >= all {
                pass.next.stable_proven = Some(all > 0);
                pass.complete("Initial deploy", None);
            }
            false
        }
        Phase::Settled | Phase::Aborted => false,
        Phase::Updating => {
            let switched = active == Some(hash.as_str());
            if switched {
                after_switch(pass, strategy);
                return pass.phase() == Phase::Updating;
            }
            let checked = checkpoint(pass, strategy, promoted);
            checked && pass.halted().is_none() && pass.phase() == Phase::Updating && f.available(&hash) >= all
        }
    }
}

/// Whether the preview is over: checked, and waited for (B2 to B4). Once over it stays over.
fn checkpoint(pass: &mut Pass<'_>, strategy: &BlueGreen, promoted: bool) -> bool {
    if pass.next.promote_full == Some(true) {
        pass.next.pause_conditions.clear();
        return true;
    }
    let seen = pass.next.blue_green.clone().unwrap_or_default();
    let before = seen.pre_promotion_analysis_run_status.clone();
    if seen.scale_up_preview_check_point == Some(true) {
        return true;
    }
    if promoted {
        // B4: a promote ends the pause in both modes, a timed one too, and an inconclusive one.
        let waited = !pass.next.pause_conditions.is_empty();
        pass.next.pause_conditions.clear();
        if waited {
            pass.next.blue_green.get_or_insert_default().scale_up_preview_check_point = Some(true);
            return true;
        }
    }
    let f = pass.f;
    let ready = f.available(f.current()) >= new_pods(pass, strategy, None) && f.sets.contains_key(f.current());
    let judged = match &strategy.pre_promotion {
        None => ready,
        // Not cancelled by later churn (Y5).
        Some(analysis) if ready || before.is_some() => match pass.run_of(Place::PrePromotion, analysis) {
            None => false,
            Some(run) => {
                let good = pass.judge(Place::PrePromotion, before.as_ref(), &run);
                pass.next.blue_green.get_or_insert_default().pre_promotion_analysis_run_status = Some(run);
                good
            }
        },
        Some(_) => false,
    };
    if !judged || !ready || pass.halted().is_some() || pass.phase() != Phase::Updating {
        return false;
    }
    let waited = match strategy.promotion {
        Promotion::Automatic(delay) if delay == Span::ZERO => true,
        Promotion::Automatic(delay) => {
            pass.pause("BlueGreenPause");
            let end = delay.after(paused_since(pass));
            pass.wake_at(end);
            pass.f.now >= end
        }
        Promotion::Manual => {
            pass.pause("BlueGreenPause");
            false
        }
    };
    if waited {
        pass.next.pause_conditions.clear();
        pass.next.blue_green.get_or_insert_default().scale_up_preview_check_point = Some(true);
    }
    waited
}

fn paused_since(pass: &Pass<'_>) -> jiff::Timestamp {
    let pause = pass.next.pause_conditions.iter().find(|p| p.reason == "BlueGreenPause");
    pause.and_then(|p| p.start_time).unwrap_or(pass.f.now)
}

/// Users are on the new revision; it becomes stable when its pods were seen behind the Service and its analysis is good (B7).
fn after_switch(pass: &mut Pass<'_>, strategy: &BlueGreen) {
    let hash = pass.f.current().to_owned();
    // Of nobody nobody is seen.
    let seen = pass.f.spec.replicas == 0 || pass.f.endpoints(&strategy.active_service).only(&hash);
    let before = pass.next.blue_green.as_ref().and_then(|b| b.post_promotion_analysis_run_status.clone());
    let good = match &strategy.post_promotion {
        Some(analysis) if pass.next.promote_full != Some(true) => {
            if !seen && before.is_none() {
                return;
            }
            let Some(run) = pass.run_of(Place::PostPromotion, analysis) else { return };
            let good = pass.judge(Place::PostPromotion, before.as_ref(), &run);
            pass.next.blue_green.get_or_insert_default().post_promotion_analysis_run_status = Some(run);
            good
        }
        _ => true,
    };
    if good && seen && pass.phase() == Phase::Updating {
        pass.next.stable_proven = Some(true);
        pass.complete("Completed blue-green update", None);
    }
}

/// The Services. Abort goes back whatever the new pods do (B6 put right).
fn direct(pass: &mut Pass<'_>, strategy: &BlueGreen, active: Option<&str>, switch: bool) {
    let f = pass.f;
    let (stable, hash) = (pass.stable(), f.current().to_owned());
    let target = match pass.phase() {
        // Of a stable revision whose ReplicaSet is gone nobody can answer.
        Phase::Initial => Some(hash.clone()).filter(|hash| !stable.is_empty() && f.available(hash) > 0),
        Phase::Updating if switch => Some(hash.clone()),
        _ => {
            // With nobody of stable's to answer, those who answer now go on to.
            let ready = &f.endpoints(&strategy.active_service).ready;
            let waits = pass.phase() == Phase::Aborted && f.available(&hash) < f.spec.replicas;
            let able =
                (f.available(&stable) > 0 || ready.is_empty()) && !(waits && f.breaks(Mutant::AbortWaitsForNewPods));
            if able { Some(stable.clone()) } else { active.map(str::to_owned) }
        }
    };
    if pass.phase() == Phase::Aborted && active != Some(stable.as_str()) {
        pass.urgent = true;
    }
    if let Some(row) = f.service(&strategy.active_service) {
        point(pass, row, target.as_deref());
    }
    let preview = match pass.phase() {
        Phase::Updating if f.available(&hash) > 0 => Some(hash),
        Phase::Initial => None,
        Phase::Updating | Phase::Settled | Phase::Aborted => Some(stable),
    };
    if let Some(row) = strategy.preview_service.as_ref().and_then(|name| f.service(name)) {
        point(pass, row, preview.as_deref());
    }
    let status: &mut BlueGreenStatus = pass.next.blue_green.get_or_insert_default();
    status.active_selector = active.map(str::to_owned);
    status.preview_selector = strategy.preview_service.as_ref().and_then(|name| f.selected(name)).map(str::to_owned);
    if pass.phase() != Phase::Updating {
        if let Some(status) = &mut pass.next.blue_green {
            status.scale_up_preview_check_point = None;
        }
    }
    let objects = TrafficObjects {
        stable_service: Some(strategy.active_service.clone()),
        canary_service: strategy.preview_service.clone(),
        ..TrafficObjects::default()
    };
    let traffic: &mut TrafficStatus = pass.next.traffic.get_or_insert_default();
    traffic.way = Some("service".to_owned());
    traffic.objects = Some(objects);
}

fn resize(pass: &mut Pass<'_>, strategy: &BlueGreen, active: Option<&str>, wanted: u32) {
    let f = pass.f;
    let all = f.spec.replicas;
    let (stable, current) = (pass.stable(), f.current().to_owned());
    let phase = pass.phase();
    // The clock of the old pods starts when users are seen to be off them.
    let moved = f.endpoints(&strategy.active_service).only(&stable) || all == 0;
    if phase != Phase::Updating && moved {
        pass.end_floor();
    }
    match phase {
        Phase::Initial => pass.hold_current(all),
        Phase::Settled => pass.hold_current(pass.stable_pods()),
        Phase::Updating => {
            // A return to a revision that is up does not shrink it to the size of a preview first.
            let up = if pass.next.promote_full == Some(true) { all } else { wanted };
            pass.hold_current(up);
        }
        Phase::Aborted => {}
    }
    if phase != Phase::Initial && stable != current {
        pass.hold(&stable, pass.stable_pods());
    }
    if !moved || phase == Phase::Initial {
        return;
    }
    let unused: Vec<String> = f.sets.keys().filter(|h| active != Some(h.as_str())).cloned().collect();
    let terms = Terms {
        after_abort: strategy.after_abort,
        delay: strategy.scale_down_delay(),
        limit: strategy.scale_down_delay_revisions,
        fewest: 0,
    };
    pass.let_go(unused, terms);
}
