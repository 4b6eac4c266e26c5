//! The guard: a new revision that lost its pods gets no requests, and one that loses them again and again is given up.

use super::pass::{Pass, Phase};
use super::routing::Routing;
use super::shares::Wish;
use crate::core::scalar::{Span, Weight};

/// Times that the canary may lose its pods in one step.
const LOSSES: i32 = 3;
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
