//! `dynamicStableScale`: stable has the pods of its share, so it shrinks as the canary's share grows.
//!
//! The one exception to an abort in one write: stable could not carry everybody at once. On the way back stable grows first,
//! the canary's share follows what stable carries, from declared share to declared share, and the canary shrinks last. When
//! that takes too long, or the canary has no pod that answers, the share is 0 at once.

use super::pass::{Pass, Phase};
use super::routing::{Routing, agreed, live_of};
use super::spec::{Canary, DynamicStable, Step};
use crate::core::scalar::{Span, Weight};
use jiff::Timestamp;

/// From the wish to go back until the share is 0, whatever stable carries by then.
const BACK_WITHIN: Span = Span::from_secs(60);

/// The canary's share as it may be served now: between these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served {
    pub least: Weight,
    pub most: Weight,
}

/// What the object says, and what Traefik was last seen to serve of this revision.
pub(super) fn served(pass: &Pass<'_>, routing: &Routing<'_>) -> Served {
    let asked = pass.next.traffic.as_ref();
    let live = live_of(asked).and_then(|l| Weight::new(l.canary.unwrap_or(0).into())).unwrap_or(Weight::ZERO);
    let object = routing.weight;
    if agreed(asked) {
        Served { least: object, most: object }
    } else {
        Served { least: object.min(live), most: object.max(live) }
    }
}

/// Available pods of both roles, where `all` are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pods {
    pub all: u32,
    pub stable: u32,
    /// None of them count where the canary is held for its own time after an abort (A6).
    pub canary: u32,
}

/// The next share on the way back: the highest declared one that needs fewer pods than stable lacks and the canary has (A6).
pub(super) fn next_back(canary: &Canary, pods: Pods) -> Weight {
    let bound = pods.all.saturating_sub(pods.stable).max(pods.canary);
    declared(canary).filter(|v| v.pods(pods.all) < bound).max().unwrap_or(Weight::ZERO)
}

/// Pods of stable for the share that is next and the one that is served (T4), while its Service is in the route never none.
pub(super) fn stable_pods(canary: &Canary, all: u32, next: Weight, least: Weight) -> u32 {
    let pods = next.rest().pods(all).max(least.rest().pods(all)).max(1);
    pods.max(canary.min_pods).min(all)
}

/// The lowest declared share below `now` for which stable has the pods; `now` when there is none.
pub(super) fn lowered(canary: &Canary, now: Weight, all: u32, stable: u32) -> Weight {
    let carried = declared(canary).filter(|v| *v < now && v.rest().pods(all) <= stable);
    carried.min().unwrap_or(now)
}

fn declared(canary: &Canary) -> impl Iterator<Item = Weight> {
    let weights =
        canary.steps.iter().filter_map(|s| if let Step::SetWeight(weight) = s { Some(*weight) } else { None });
    weights.chain([Weight::ZERO])
}

/// Whether the canary's share goes back to stable: by abort, or as another revision than the canary's is wanted.
pub(super) fn goes_back(pass: &Pass<'_>, routing: &Routing<'_>) -> bool {
    let other = routing.carried.as_deref() != Some(pass.f.current());
    let busy = routing.weight > Weight::ZERO || live_of(pass.next.traffic.as_ref()).is_some_and(|l| l.canary > Some(0));
    match pass.phase() {
        Phase::Initial => false,
        Phase::Aborted => true,
        Phase::Updating | Phase::Settled => other && busy,
    }
}

/// By then all requests are sent back.
fn back_by(pass: &Pass<'_>) -> Timestamp {
    let since = pass.next.aborted_at.or(pass.next.current_step_started_at).unwrap_or(pass.f.now);
    BACK_WITHIN.after(since)
}

/// The canary's share on the way back.
pub(super) fn way_back(pass: &mut Pass<'_>, canary: &Canary, routing: &Routing<'_>) -> Weight {
    let now = routing.weight;
    let end = back_by(pass);
    if now == Weight::ZERO || routing.canary_ends.ready.is_empty() || pass.f.now >= end {
        return Weight::ZERO;
    }
    pass.wake_at(end);
    pass.urgent = true;
    let stable = pass.f.available(&pass.stable()).min(routing.stable_ends.ready_of(&pass.stable()));
    lowered(canary, now, pass.stable_pods(), stable)
}

/// What a person who waits for the way back is told.
pub(super) fn waits(pass: &Pass<'_>, routing: &Routing<'_>) -> Option<String> {
    let waits = routing.weight > Weight::ZERO && goes_back(pass, routing);
    let (have, all) = (pass.f.available(&pass.stable()), pass.stable_pods());
    waits.then(|| {
        format!(
            "dynamicStableScale: stable has {have} of {all} pods and takes the requests back as it grows, all of them after \
             {BACK_WITHIN} at the latest"
        )
    })
}

/// Pods of the canary's and of the stable revision, in this order; `wanted` of the former while it goes forward.
pub(super) fn sizes(pass: &Pass<'_>, canary: &Canary, routing: &Routing<'_>, forward: (u32, Weight)) -> (u32, u32) {
    let all = pass.stable_pods();
    let served = served(pass, routing);
    let (wanted, next) = forward;
    if !goes_back(pass, routing) {
        let kept = served.most.pods(pass.f.spec.replicas).min(pass.f.size(pass.f.current()));
        return (wanted.max(kept), stable_pods(canary, all, next, served.least));
    }
    let carried = routing.carried.clone().unwrap_or_default();
    let held = canary.dynamic_stable == DynamicStable::HoldsCanary;
    let pods = Pods {
        all,
        stable: pass.f.available(&pass.stable()),
        canary: if held { 0 } else { pass.f.available(&carried) },
    };
    // Late, too: a stable whose few pods are dead needs others to come back at all.
    let over = served.most == Weight::ZERO || pass.f.now >= back_by(pass);
    let next = if over { Weight::ZERO } else { next_back(canary, pods) };
    (served.most.pods(pass.f.spec.replicas), stable_pods(canary, all, next, served.least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rollout::spec::{Spec, Strategy};
    use serde_json::json;

    fn canary(weights: &[i64]) -> Canary {
        let steps: Vec<_> = weights.iter().map(|w| json!({"setWeight": w})).collect();
        let spec = json!({"replicas": 10, "selector": {"matchLabels": {"app": "w"}},
            "template": {"metadata": {"labels": {"app": "w"}}, "spec": {}},
            "strategy": {"canary": {"steps": steps, "dynamicStableScale": true, "stableService": "s", "canaryService": "c",
                "trafficRouting": {"traefik": {"weightedTraefikServiceName": "w"}}}}});
        match Spec::parse("web", &spec).expect("accepted").strategy {
            Strategy::Canary(canary) => canary,
            Strategy::BlueGreen(_) => panic!("a canary was written"),
        }
    }

    fn weight(percent: i64) -> Weight {
        Weight::new(percent).expect("a percentage")
    }

    /// T4, forward: N = 10.
    #[test]
    fn stable_has_the_pods_of_the_share_that_is_served_until_the_next_is() {
        for (wanted, served, counts) in
            [(10, 10, (1, 9)), (20, 10, (2, 9)), (20, 20, (2, 8)), (60, 60, (6, 4)), (100, 60, (10, 4))]
        {
            let stable = stable_pods(&canary(&[10, 20, 60]), 10, weight(wanted), weight(served));
            assert_eq!((weight(wanted).pods(10), stable), counts, "{wanted} at {served}");
        }
        assert_eq!(stable_pods(&canary(&[100]), 10, weight(100), weight(100)), 1, "its Service is still in the route");
    }

    /// T4, aborted: share that is served, available pods of canary and stable; counts of canary and stable.
    #[test]
    fn an_abort_asks_for_the_pods_of_the_next_lower_share() {
        let vectors = [
            (&[20][..], 20, (2, 8), (2, 10)),
            (&[10][..], 10, (1, 9), (1, 10)),
            (&[20, 60][..], 60, (6, 4), (6, 8)),
            (&[20, 60][..], 60, (1, 4), (6, 8)),
            (&[20, 60][..], 60, (6, 4), (6, 8)),
        ];
        for (weights, served, (new, stable), counts) in vectors {
            let canary = canary(weights);
            let next = next_back(&canary, Pods { all: 10, stable, canary: new });
            let sizes = (weight(served).pods(10), stable_pods(&canary, 10, next, weight(served)));
            assert_eq!(sizes, counts, "{weights:?} at {served} with {new}/{stable}");
        }
    }

    /// A6: the share follows what stable carries, and goes to 0 at once where it carries everybody.
    #[test]
    fn a_share_is_lowered_only_as_far_as_stable_carries_the_rest() {
        let canary = canary(&[20, 60]);
        let to = |stable| lowered(&canary, weight(60), 10, stable).percent();
        assert_eq!([to(4), to(7), to(8), to(9), to(10)], [60, 60, 20, 20, 0]);
    }
}
