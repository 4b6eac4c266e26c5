//! The blueGreen strategy: two full sets of pods, and users that move from one to the other at once.
//!
//! Without a router the active Service moves. With one it stays with the stable revision, the preview Service has the new one,
//! and the switch is a 0/100 write of the router's object: one write there, and one back. When the new revision has become
//! stable, the active Service follows it and the router goes back to that.

use super::Mutant;
use super::deletion;
use super::guard;
use super::named::{Services, check_selectors, missing_service};
use super::pass::{Pass, Phase};
use super::restart::Missing;
use super::retire::Terms;
use super::routing::{Routing, serves_only};
use super::runs::Place;
use super::shares::{self, Wish, point};
use super::spec::{BlueGreen, Promotion, Threshold};
use crate::api::{TrafficObjects, TrafficStatus};
use crate::core::scalar::{Span, Weight};

/// Who users are served by.
struct Users<'p> {
    /// The revision that the objects send them to.
    active: Option<String>,
    /// `None`: they come through the active Service.
    routing: Option<&'p Routing<'p>>,
}

impl<'p> Users<'p> {
    fn of(pass: &Pass<'_>, strategy: &BlueGreen, routing: Option<&'p Routing<'p>>) -> Self {
        let active = match routing {
            None => pass.f.selected(&strategy.active_service.name).map(str::to_owned),
            Some(routing) if routing.weight == Weight::FULL => routing.carried.clone(),
            Some(routing) => routing.serving.clone(),
        };
        Self { active, routing }
    }

    fn are_sent_to(&self, hash: &str) -> bool {
        self.active.as_deref() == Some(hash)
    }

    /// They were seen to be served by this revision alone.
    fn are_seen_at(&self, pass: &Pass<'_>, strategy: &BlueGreen, hash: &str) -> bool {
        match self.routing {
            None => pass.f.endpoints(&strategy.active_service.name).only(hash),
            Some(_) => serves_only(pass.next.traffic.as_ref(), hash),
        }
    }

    /// Some of them may still be served by this revision.
    fn may_be_at(&self, pass: &Pass<'_>, hash: &str) -> bool {
        let sent = || self.are_sent_to(hash) && pass.f.spec.replicas > 0;
        self.routing.map_or_else(sent, |routing| routing.carries(pass, hash))
    }
}

pub(super) fn decide(pass: &mut Pass<'_>, strategy: &BlueGreen) {
    let f = pass.f;
    let before = f.seen.current_pod_hash.clone();
    pass.take_revision(None);
    let services = Services::of_blue_green(strategy);
    let routing = strategy.traffic.as_ref().and_then(|traffic| Routing::find(pass, services, traffic));
    check(pass, strategy);
    let skips = pass.next.promote_full == Some(true);
    if before != pass.next.current_pod_hash && pass.phase() == Phase::Updating && !skips && is_up(pass) {
        // N4: the former revision is still up; users go back to it at once.
        pass.next.promote_full = Some(true);
        pass.notice(false, "SkipSteps", "The revision is still up: no pause and no analysis");
    }
    let promoted = pass.take_commands();
    let users = Users::of(pass, strategy, routing.as_ref());
    if let Some(routing) = &routing {
        // A silent instance may serve others: before everybody is switched, each has its say.
        let hear = is_cleared(pass) && may_switch(pass) && routing.weight == Weight::ZERO;
        routing.verify(pass, hear);
        guard::watch(pass, wish(pass, strategy, true), routing);
    }
    let wanted = match pass.phase() {
        Phase::Aborted => 0,
        Phase::Updating => new_pods(pass, strategy, &users),
        Phase::Initial | Phase::Settled => f.spec.replicas,
    };
    let late = pass.watch_progress(wanted);
    if let Some(routing) = &routing {
        guard::watch_stable(pass, routing);
    }
    let switch = advance(pass, strategy, &users, promoted);
    let mut weight = Weight::ZERO;
    match &routing {
        Some(routing) => {
            let wish = wish(pass, strategy, switch);
            weight = shares::desired_weight(pass, wish, routing);
            weight = deletion::hold(pass, routing, weight);
            shares::direct(pass, wish, routing, weight);
        }
        None => direct(pass, strategy, users.active.as_deref(), switch),
    }
    note(pass, strategy, &users);
    pass.begin_restart(Missing { allowed: strategy.max_unavailable, together: false });
    resize(pass, strategy, &users, wanted);
    if let Some(routing) = &routing {
        shares::raise(pass, routing, weight);
    }
    pass.end_runs();
    pass.keep_history();
    pass.keep_roles();
    pass.evict_old();
    super::conditions::conclude(pass, late.as_deref(), 0);
}

/// What is asked of the router: everybody or nobody.
fn wish<'s>(pass: &Pass<'_>, strategy: &'s BlueGreen, switch: bool) -> Wish<'s> {
    Wish {
        services: Services::of_blue_green(strategy),
        weight: if switch { Weight::FULL } else { Weight::ZERO },
        pods: pass.f.spec.replicas,
        threshold: Threshold::All,
        dynamic: None,
    }
}

fn check(pass: &mut Pass<'_>, strategy: &BlueGreen) {
    let f = pass.f;
    let named =
        [("activeService", Some(&strategy.active_service)), ("previewService", strategy.preview_service.as_ref())];
    // With a router its own look at them has refused what is wrong.
    let named = named.into_iter().filter(|_| strategy.traffic.is_none());
    for (field, name) in named.filter_map(|(field, service)| Some((field, &service?.name))) {
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
fn new_pods(pass: &Pass<'_>, strategy: &BlueGreen, users: &Users<'_>) -> u32 {
    let all = pass.f.spec.replicas;
    let whole = is_cleared(pass) || users.are_sent_to(pass.f.current());
    if whole { all } else { strategy.preview_replicas.map_or(all, |preview| preview.min(all)) }
}

/// The preview is over, or skipped.
fn is_cleared(pass: &Pass<'_>) -> bool {
    let checked = pass.next.blue_green.as_ref().and_then(|b| b.scale_up_preview_check_point) == Some(true);
    checked || pass.next.promote_full == Some(true)
}

/// Nothing holds users back from the current revision once its preview is over.
fn may_switch(pass: &Pass<'_>) -> bool {
    let f = pass.f;
    pass.halted().is_none() && pass.phase() == Phase::Updating && f.available(f.current()) >= f.spec.replicas
}

/// Decides whether users go to the current revision, and completes the update when they do.
fn advance(pass: &mut Pass<'_>, strategy: &BlueGreen, users: &Users<'_>, promoted: bool) -> bool {
    let f = pass.f;
    let hash = f.current().to_owned();
    let all = f.spec.replicas;
    match pass.phase() {
        Phase::Initial => {
            // Of a stable that somebody deleted too: there is nobody to hold users at.
            pass.next.pause_conditions.clear();
            if f.hash.is_some() && f.sets.contains_key(&hash) && f.available(&hash) >= all {
                pass.next.stable_proven = Some(all > 0);
                pass.complete("Initial deploy", None);
            }
            false
        }
        Phase::Settled | Phase::Aborted => false,
        Phase::Updating => {
            if !users.are_sent_to(&hash) {
                keep_post_run(pass);
                let over = checkpoint(pass, strategy, users, promoted) && may_switch(pass);
                // Where no pods are wanted nobody is there to be switched.
                if !over || all > 0 {
                    return over;
                }
            }
            after_switch(pass, strategy, users);
            pass.phase() == Phase::Updating
        }
    }
}

/// Whether the preview is over: checked, and waited for (B2 to B4). Once over it stays over.
fn checkpoint(pass: &mut Pass<'_>, strategy: &BlueGreen, users: &Users<'_>, promoted: bool) -> bool {
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
        if waited && !pass.f.breaks(Mutant::PromoteRestartsPause) {
            pass.next.blue_green.get_or_insert_default().scale_up_preview_check_point = Some(true);
            return true;
        }
    }
    let f = pass.f;
    let wanted = new_pods(pass, strategy, users);
    let ready = f.available(f.current()) >= wanted && (wanted == 0 || f.sets.contains_key(f.current()));
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

/// Users were sent back for want of pods: the analysis goes on, and its failure still aborts.
fn keep_post_run(pass: &mut Pass<'_>) {
    let before = pass.next.blue_green.as_ref().and_then(|b| b.post_promotion_analysis_run_status.clone());
    let Some(run) = before.as_ref().and_then(|_| pass.existing_run(Place::PostPromotion)) else { return };
    pass.judge(Place::PostPromotion, before.as_ref(), &run);
    pass.next.blue_green.get_or_insert_default().post_promotion_analysis_run_status = Some(run);
}

/// Users are sent to the new revision; it becomes stable when they were seen there and its analysis is good (B7).
fn after_switch(pass: &mut Pass<'_>, strategy: &BlueGreen, users: &Users<'_>) {
    let (hash, all) = (pass.f.current().to_owned(), pass.f.spec.replicas);
    let seen = users.are_seen_at(pass, strategy, &hash) || all == 0;
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
        pass.next.stable_proven = Some(all > 0);
        pass.complete("Completed blue-green update", None);
    }
}

/// The Services, where the active one is what users come through. Abort goes back whatever the new pods do (B6 put right).
fn direct(pass: &mut Pass<'_>, strategy: &BlueGreen, active: Option<&str>, switch: bool) {
    let f = pass.f;
    let (stable, hash) = (pass.stable(), f.current().to_owned());
    let target = match pass.phase() {
        // Of a stable revision whose ReplicaSet is gone nobody can answer.
        Phase::Initial => Some(hash.clone()).filter(|hash| !stable.is_empty() && f.available(hash) > 0),
        // Pods that all went while stable's are still there: users go back until they are all there again.
        Phase::Updating if switch && (f.available(&hash) > 0 || f.available(&stable) == 0) => Some(hash.clone()),
        _ => {
            // With nobody of stable's to answer, those who answer now go on to.
            let deserted = f.endpoints(&strategy.active_service.name).is_deserted();
            let able = f.available(&stable) > 0 || deserted;
            if able { Some(stable.clone()) } else { active.map(str::to_owned) }
        }
    };
    if pass.phase() == Phase::Aborted && active != Some(stable.as_str()) {
        pass.urgent = true;
    }
    if let Some(row) = f.service(&strategy.active_service.name) {
        point(pass, row, target.as_deref());
    }
    let preview = match pass.phase() {
        Phase::Updating if f.available(&hash) > 0 => Some(hash),
        Phase::Initial => None,
        // Of a stable without pods nobody could answer.
        _ if f.available(&stable) == 0 && f.spec.replicas > 0 => None,
        Phase::Updating | Phase::Settled | Phase::Aborted => Some(stable),
    };
    if let Some(row) = strategy.preview_service.as_ref().and_then(|service| f.service(&service.name)) {
        point(pass, row, preview.as_deref());
    }
    let objects = TrafficObjects {
        stable_service: Some(strategy.active_service.name.clone()),
        canary_service: strategy.preview_service.as_ref().map(|service| service.name.clone()),
        ..TrafficObjects::default()
    };
    // What a router of a former spec was asked for is asked of nobody any more.
    let way = Some("service".to_owned());
    pass.next.traffic = Some(TrafficStatus { way, objects: Some(objects), ..TrafficStatus::default() });
}

/// What the status says of both Services.
fn note(pass: &mut Pass<'_>, strategy: &BlueGreen, users: &Users<'_>) {
    let f = pass.f;
    let over = pass.phase() != Phase::Updating;
    let status = pass.next.blue_green.get_or_insert_default();
    status.active_selector.clone_from(&users.active);
    let preview = strategy.preview_service.as_ref().and_then(|service| f.selected(&service.name));
    status.preview_selector = preview.map(str::to_owned);
    if over {
        status.scale_up_preview_check_point = None;
    }
}

fn resize(pass: &mut Pass<'_>, strategy: &BlueGreen, users: &Users<'_>, wanted: u32) {
    let f = pass.f;
    let all = f.spec.replicas;
    let (stable, current) = (pass.stable(), f.current().to_owned());
    let phase = pass.phase();
    // The clock of the old pods starts when users are seen to be off them.
    let moved = users.are_seen_at(pass, strategy, &stable) || all == 0;
    if phase != Phase::Updating && moved {
        pass.end_floor();
    }
    match phase {
        Phase::Initial => pass.hold_current(all),
        Phase::Settled => pass.hold_current(pass.stable_pods()),
        Phase::Updating => {
            // A return to a revision that is up does not shrink it to the size of a preview first.
            let up = if pass.next.promote_full == Some(true) { all } else { wanted };
            // Nor does one that a router sent requests to, until it is seen that it does not.
            let kept = users.routing.is_some_and(|routing| routing.carries(pass, &current));
            pass.hold_current(if kept { up.max(f.size(&current).min(all)) } else { up });
        }
        Phase::Aborted => {}
    }
    if phase != Phase::Initial && stable != current {
        pass.hold(&stable, pass.stable_pods());
    }
    if !moved || phase == Phase::Initial {
        return;
    }
    let unused: Vec<String> = f.sets.keys().filter(|hash| !users.may_be_at(pass, hash)).cloned().collect();
    let terms = Terms {
        after_abort: strategy.after_abort,
        delay: strategy.scale_down_delay(),
        limit: strategy.scale_down_delay_revisions,
        fewest: 0,
    };
    pass.let_go(unused, terms);
}
