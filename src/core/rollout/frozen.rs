//! A spec that cannot be read freezes steps, and nothing else: abort, the guard and the way back go on, with the names that
//! were applied last.

use super::canary;
use super::facts::Facts;
use super::pass::{Pass, Phase};
use super::routing::Routing;
use super::shares;
use super::spec::{
    AfterAbort, Canary, DeadlineAbort, DynamicStable, RoleMetadata, RunHistory, Spec, Strategy, Threshold,
};
use super::{Mutant, Observed};
use crate::api::RolloutStatus;
use crate::core::refusal::Refusal;
use crate::core::row::RolloutRow;
use crate::core::scalar::{CountOrShare, Span};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// What stands in for a spec that cannot be read: it asks for nothing.
pub(super) fn placeholder(rollout: &RolloutRow) -> Spec {
    let replicas = rollout.spec["replicas"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    Spec {
        replicas,
        selector: Arc::new(rollout.spec["selector"].clone()),
        template: Arc::new(Value::Null),
        workload: None,
        min_ready: Span::ZERO,
        strategy: Strategy::Canary(no_steps()),
        history_limit: usize::MAX,
        paused: false,
        progress_deadline: Span::from_secs(600),
        deadline_abort: DeadlineAbort::Never,
        rollback_window: 0,
        restart_at: None,
        run_history: RunHistory { successful: usize::MAX, unsuccessful: usize::MAX },
    }
}

/// What is true of a Rollout whose spec asks for nothing.
pub(super) fn facts<'a>(
    observed: &'a Observed,
    rollout: &'a RolloutRow,
    nothing: &'a Spec,
    seen: &'a RolloutStatus,
    now: Timestamp,
) -> Facts<'a> {
    let mut f = Facts::derive(observed, rollout, nothing, seen, now);
    f.hash.clone_from(&seen.current_pod_hash);
    f.pending = None;
    f.rollback = None;
    f
}

fn no_steps() -> Canary {
    Canary {
        steps: Vec::new(),
        traffic: None,
        stable_service: None,
        canary_service: None,
        background: None,
        max_surge: CountOrShare::Count(1),
        max_unavailable: CountOrShare::Count(0),
        scale_down_delay: Span::ZERO,
        scale_down_delay_revisions: None,
        after_abort: AfterAbort::Keep,
        dynamic_stable: DynamicStable::Off,
        min_pods: 0,
        threshold: Threshold::All,
        anti_affinity: None,
        canary_metadata: RoleMetadata::default(),
        stable_metadata: RoleMetadata::default(),
    }
}

/// How many pods are wanted can be read without the rest: users go on to be served by as many.
fn resize(pass: &mut Pass<'_>) {
    let wanted = pass.f.rollout.spec["replicas"].as_u64().and_then(|n| u32::try_from(n).ok());
    let (Some(all), stable) = (wanted, pass.stable()) else { return };
    match pass.phase() {
        Phase::Settled => pass.hold(&stable, all),
        Phase::Updating | Phase::Aborted if pass.f.size(&stable) < all => pass.hold(&stable, all),
        Phase::Initial | Phase::Updating | Phase::Aborted => {}
    }
}

pub(super) fn decide(pass: &mut Pass<'_>, refusals: Vec<Refusal>) {
    let f = pass.f;
    pass.frozen = true;
    pass.refusals = refusals;
    if !f.breaks(Mutant::InvalidSpecStopsAbort) {
        pass.take_commands();
    }
    let strategy = no_steps();
    let by_service = f.seen.traffic.as_ref().is_some_and(|t| t.way.as_deref() == Some("service"));
    if by_service {
        let objects = f.seen.traffic.as_ref().and_then(|t| t.objects.as_ref());
        let active = objects.and_then(|o| o.stable_service.as_ref()).and_then(|name| f.service(name));
        let stable = pass.stable();
        if let Some(row) = active.filter(|_| pass.phase() == Phase::Aborted && f.available(&stable) > 0) {
            pass.urgent = true;
            shares::point(pass, row, Some(&stable));
        }
    } else if let Some(mut routing) = Routing::applied(f, Span::from_secs(15)) {
        routing.leaving = false;
        routing.verify(pass, false);
        let wish = canary::wish(pass, &strategy);
        let weight = shares::desired_weight(pass, wish, &routing);
        shares::direct(pass, wish, &routing, weight);
        if let Some(traffic) = &mut pass.next.traffic {
            traffic.way = f.seen.traffic.as_ref().and_then(|t| t.way.clone());
            traffic.objects = f.seen.traffic.as_ref().and_then(|t| t.objects.clone());
        }
    }
    resize(pass);
    // Runs of the revision that is frozen go on.
    pass.runs = f.observed.runs.iter().map(|r| r.meta.name.clone()).collect();
    let steps = f.seen.current_step_index.and_then(|i| usize::try_from(i).ok()).unwrap_or(0);
    super::conditions::conclude(pass, None, steps + 1);
}
