//! The guard: a new revision that lost its pods gets no requests, and one that loses them again and again is given up.

use super::pass::{Pass, Phase};
use super::routing::Routing;
use super::shares::Wish;
use crate::core::scalar::{Span, Weight};

/// Times that the canary may lose its pods in one step.
const LOSSES: i32 = 3;
/// A stable that has been without pods for so long does not come back by itself: a node that went is replaced by then.
const STABLE_GONE: Span = Span::from_secs(300);
/// How long it may have less than half of its pods (reliability: a node that drains is over by then).
const HALF_LOST: Span = Span::from_secs(10);

/// Counts a loss when it is first seen, and aborts at the last that may be. The share follows from [`is_lost`].
pub(super) fn watch(pass: &mut Pass<'_>, wish: Wish<'_>, routing: &Routing<'_>) {
    let asked = pass.next.traffic.as_ref().and_then(|t| t.want.as_ref()?.canary).unwrap_or(0);
    if pass.phase() != Phase::Updating || routing.weight == Weight::ZERO || asked == 0 {
        return;
    }
    if routing.carried.as_deref() != Some(pass.f.current()) || !is_lost(pass, wish, routing) {
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

/// Keeps since when stable has no pod that answers.
pub(super) fn watch_stable(pass: &mut Pass<'_>, routing: &Routing<'_>) {
    let now = pass.f.now;
    let Some(progress) = &mut pass.next.progress else { return };
    progress.stable_lost_at = routing.is_without_stable().then(|| progress.stable_lost_at.unwrap_or(now));
    if let Some(lost) = progress.stable_lost_at {
        pass.wake_at(STABLE_GONE.after(lost));
    }
}

/// Stable has had no pod for so long that nothing is to be hoped for. Traefik drops a weighted service with an empty child, so that
/// no weight below 100 is ever seen live, and there is nobody whose share a weight could take: steps go on without it, or a stable
/// that is broken for good could not be replaced.
pub(super) fn stable_is_gone(pass: &Pass<'_>, routing: &Routing<'_>) -> bool {
    let lost = pass.next.progress.as_ref().and_then(|p| p.stable_lost_at);
    routing.is_without_stable() && lost.is_some_and(|lost| STABLE_GONE.after(lost) <= pass.f.now)
}

/// The new revision has no pod that answers, or for some time less than half of those that it shall have.
pub(super) fn is_lost(pass: &Pass<'_>, wish: Wish<'_>, routing: &Routing<'_>) -> bool {
    let ready = routing.canary_ends.ready_of(pass.f.current());
    // Half of a canary is better than a stable that was made smaller for it.
    if wish.dynamic.is_some() {
        return ready == 0;
    }
    let lost_at = pass.next.progress.as_ref().and_then(|p| p.lost_at);
    ready == 0 || (ready * 2 < wish.pods && lost_at.is_some_and(|at| HALF_LOST.after(at) <= pass.f.now))
}
