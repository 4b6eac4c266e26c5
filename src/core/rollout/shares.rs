//! The share of the canary, and what carries it: selectors, the weighted root, the routes around it.

use super::Mutant;
use super::dynamic;
use super::edits;
use super::guard::{is_lost, stable_is_gone};
use super::named::Services;
use super::pass::{Pass, Phase};
use super::routing::{LOADS_WITHIN, Routing, agreed, all_heard, live_of, same_share};
use super::sizes::enough;
use super::spec::{Canary, Threshold};
use crate::api::{TrafficShare, TrafficStatus};
use crate::core::object::ResourceType;
use crate::core::plan::{RefusedEffect, Why};
use crate::core::row::ServiceRow;
use crate::core::scalar::{Weight, raise_cap};
use crate::core::traffic::covers;
use crate::core::traffic::layers::RouteObject;

/// The highest share that is raised to while an instance of Traefik is silent.
pub(super) const MOST_UNHEARD: Weight = match Weight::new(50) {
    Some(weight) => weight,
    None => Weight::ZERO,
};

/// What a strategy asks of the router at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'s> {
    pub services: Services<'s>,
    /// Share of the new revision while the update goes on.
    pub weight: Weight,
    /// Pods that it shall have for that.
    pub pods: u32,
    pub threshold: Threshold,
    /// The canary whose stable shrinks as its share grows.
    pub dynamic: Option<&'s Canary>,
}

/// The share that the canary shall have now: what the strategy asks for, never raised above what its available pods carry, and
/// 0 for every reason to take it back.
pub(super) fn desired_weight(pass: &mut Pass<'_>, wish: Wish<'_>, routing: &Routing<'_>) -> Weight {
    let now = routing.weight;
    // W6: with nobody to answer in its place, the canary is all that users have.
    let alone = routing.is_without_stable() && !routing.canary_ends.ready.is_empty();
    let floor = if alone { now } else { Weight::ZERO };
    wished_weight(pass, wish, routing).max(floor)
}

/// What step and phase ask for, and pods and Traefik allow.
fn wished_weight(pass: &mut Pass<'_>, wish: Wish<'_>, routing: &Routing<'_>) -> Weight {
    let f = pass.f;
    let now = routing.weight;
    let carries_current = routing.carried.as_deref() == Some(f.current());
    let lost = routing.canary_ends.ready_of(f.current()) == 0 && !f.breaks(Mutant::KeepsLostShare);
    if let Some(canary) = wish.dynamic.filter(|_| dynamic::goes_back(pass, routing)) {
        return dynamic::way_back(pass, canary, routing);
    }
    match pass.phase() {
        Phase::Aborted
            if f.breaks(Mutant::AbortWaitsForAllOfStable) && f.available(&pass.stable()) < f.spec.replicas =>
        {
            now
        }
        Phase::Initial | Phase::Aborted => Weight::ZERO,
        _ if routing.leaving || !carries_current || lost => Weight::ZERO,
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
            if is_lost(pass, wish, routing) && !f.breaks(Mutant::KeepsLostShare) {
                return Weight::ZERO;
            }
            let wanted = wish.weight;
            if wish.dynamic.is_some() && wanted < now {
                // Stable grows first.
                let stable = f.available(&pass.stable()).min(routing.stable_ends.ready_of(&pass.stable()));
                return if wanted.rest().pods(pass.stable_pods()) <= stable { wanted } else { now };
            }
            if wanted <= now || pass.halted().is_some() {
                return wanted.min(now);
            }
            if f.breaks(Mutant::RaisesUncapped) {
                return wanted;
            }
            let available = f.available(f.current()).min(routing.canary_ends.ready_of(f.current()));
            if !enough(wish.threshold, available, wish.pods) {
                return now;
            }
            // Above half, every instance must have been heard just now: a silent one may serve another share.
            let by_bound = pass.next.traffic.as_ref().is_some_and(|t| t.rung.as_deref() == Some("bound"));
            if wanted > MOST_UNHEARD && !by_bound && !stable_is_gone(pass, routing) && !all_heard(pass) {
                return now;
            }
            let raised = wanted.min(raise_cap(available, wish.pods)).max(now);
            if f.breaks(Mutant::RaisesTooFar) {
                return Weight::new(i64::from(raised.percent()) + 1).unwrap_or(raised);
            }
            raised
        }
    }
}

/// Selectors, and the record of what is asked; lowering goes out at once.
pub(super) fn direct(pass: &mut Pass<'_>, wish: Wish<'_>, routing: &Routing<'_>, weight: Weight) {
    let f = pass.f;
    let stable = pass.stable();
    let live = live_of(pass.next.traffic.as_ref()).cloned();
    let live_canary = live.as_ref().and_then(|l| l.canary).unwrap_or(0);

    // Stable's Service moves when the pods of the stable revision are there to answer.
    let stable_target = if pass.phase() == Phase::Initial {
        // Where there was a stable revision and its ReplicaSet is gone, users go to whoever is there.
        let replaces = !stable.is_empty();
        let able = f.available(f.current()) > 0;
        wish.services.stable().filter(|s| if replaces { able } else { s.ours }).and(f.hash.clone())
    } else {
        let ready = f.available(&stable) > 0 || routing.stable_ends.is_deserted();
        if ready { Some(stable.clone()) } else { routing.serving.clone() }
    };

    // The canary's Service never changes revision while it has a share, as far as is known (T11).
    let known = pass.next.traffic.is_none() || agreed(pass.next.traffic.as_ref());
    // An object that lists an empty stable is not loaded: nobody is reached through it, and no weight of it is ever known.
    // One that somebody deleted may be served for a moment yet.
    let loaded = !stable_is_gone(pass, routing);
    let everybody = routing.weight == Weight::FULL;
    let has_share = routing.weight > Weight::ZERO || live_canary > 0;
    let reached = everybody || (loaded && (has_share || !known));
    let refused = refused_root(pass, routing, weight).is_some();
    let overdue = pass
        .next
        .traffic
        .as_ref()
        .and_then(|t| t.want.as_ref())
        .is_some_and(|w| w.canary == Some(0) && w.since.is_some_and(|since| routing.bound.after(since) <= f.now));
    let second_lever = pass.phase() == Phase::Aborted && (refused || overdue);
    let canary_target = match pass.phase() {
        // Should stable's ReplicaSet be gone, those that the canary serves are served by it until they have been moved.
        Phase::Initial if !(reached && has_share) => stable_target.clone(),
        // Where somebody took the revision off the Service, it is put back.
        _ if reached && !second_lever && !f.breaks(Mutant::MovesServiceWithShare) => {
            let asked = pass.next.traffic.as_ref().and_then(|t| t.want.as_ref()?.canary_hash.clone());
            routing.carried.clone().or(asked)
        }
        Phase::Aborted if f.breaks(Mutant::ServiceStaysOnCanary) => routing.carried.clone(),
        Phase::Updating if f.breaks(Mutant::SelectsUnready) => Some(f.current().to_owned()),
        Phase::Updating if f.available(f.current()) > 0 || routing.carried.as_deref() == Some(f.current()) => {
            Some(f.current().to_owned())
        }
        // Of a stable without pods nobody could answer.
        _ if f.available(&stable) == 0 && f.spec.replicas > 0 => {
            let there = routing.carried.clone().filter(|hash| f.sets.contains_key(hash));
            there.or_else(|| routing.canary_ends.is_deserted().then(|| stable.clone()))
        }
        _ => Some(stable.clone()),
    };

    let mut want = TrafficShare {
        canary: Some(weight.percent()),
        stable: Some(weight.rest().percent()),
        canary_hash: (weight > Weight::ZERO).then(|| routing.carried.clone()).flatten(),
        stable_hash: if pass.phase() == Phase::Initial { None } else { stable_target.clone() },
        since: Some(f.now),
    };
    let mut status: TrafficStatus = pass.next.traffic.clone().unwrap_or_default();
    // Back to what was seen, from something that was not: what is seen next may still be the sight from before both.
    let asked = status.want.as_ref();
    let back = asked.is_some_and(|asked| asked.canary != want.canary) && want.canary == Some(live_canary);
    let late = LOADS_WITHIN.after(f.now);
    if back && !agreed(Some(&status)) {
        want.since = Some(late);
    } else {
        want.since = want.since.max(asked.and_then(|asked| asked.since).filter(|since| *since <= late));
    }
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
    status.message = problem(pass, routing, weight);
    if wish.dynamic.is_some() && status.message.is_none() {
        status.message = dynamic::waits(pass, routing);
    }
    pass.next.traffic = Some(status);

    if weight < routing.weight {
        pass.urgent = true;
        if let Ok(Some(effect)) = routing.root.write(routing.row, weight, &f.whose, Why::LowerWeight) {
            let late = f.breaks(Mutant::LowersLate);
            if late { &mut pass.effects } else { &mut pass.safety }.push(effect);
        }
    }
    let roles = [
        (wish.services.stable(), &routing.root.stable, stable_target),
        (wish.services.canary(), &routing.root.canary, canary_target),
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

/// The refusal of the root's write, while that is still wanted: of one that nobody wants any more nothing follows.
fn refused_root<'a>(pass: &Pass<'a>, routing: &Routing<'_>, weight: Weight) -> Option<&'a RefusedEffect> {
    let wanted = routing.row.is_none() || weight != routing.weight;
    let of_root =
        |r: &&RefusedEffect| r.target.resource == ResourceType::TRAEFIK_SERVICE && r.target.name == routing.root.name;
    pass.f.observed.refused.iter().find(of_root).filter(|_| wanted)
}

/// What stands in the way of a share, for status.
fn problem(pass: &Pass<'_>, routing: &Routing<'_>, weight: Weight) -> Option<String> {
    let f = pass.f;
    let named = f.observed.ingress_routes.iter().flat_map(|r| &r.routes).flat_map(|r| &r.services);
    let routed = named.into_iter().any(|(kind, _, name)| kind == "TraefikService" && *name == routing.root.name);
    if let Some(refused) = refused_root(pass, routing, weight) {
        return Some(format!("{}: {}", refused.target, refused.message));
    }
    (routing.way == "weightedTraefikServiceName" && !routed)
        .then(|| format!("no IngressRoute has TraefikService {} as its backend", routing.root.name))
}

/// The root with a share that is not lower than before, and the routes around it; leaf first.
pub(super) fn raise(pass: &mut Pass<'_>, routing: &Routing<'_>, weight: Weight) {
    let f = pass.f;
    if routing.leaving {
        return;
    }
    // It leads nobody anywhere, and has to be there for a while before it is named.
    let is_transport = |layer: &&RouteObject| layer.kind == "ServersTransport";
    routing.layers.iter().filter(is_transport).for_each(|layer| make(pass, routing, layer));
    if let Some(from) = routing.transport_from.filter(|_| weight > Weight::ZERO) {
        pass.wake_at(from);
    }
    // Before anybody answers there is nothing to route to; what routed before goes on to route.
    if routing.row.is_none() && routing.is_without_stable() && weight == Weight::ZERO {
        return;
    }
    let asked = f.seen.traffic.as_ref().and_then(|t| t.want.as_ref()?.canary);
    let trusts = f.breaks(Mutant::TrustsItsRecord) && asked == Some(weight.percent());
    if weight >= routing.weight && !trusts {
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
    routing.layers.iter().filter(|layer| !is_transport(layer)).for_each(|layer| make(pass, routing, layer));
    for (resource, meta) in routing.stale(f) {
        pass.effects.push(edits::delete(resource, meta, Why::RouteTakeDown));
    }
}

/// Makes an object of ours, or makes it what it shall be.
fn make(pass: &mut Pass<'_>, routing: &Routing<'_>, layer: &RouteObject) {
    let seen = routing.seen(pass.f, layer);
    if seen.is_none_or(|(meta, spec)| meta.owner.is_none() || !covers(spec, &layer.object["spec"])) {
        let uid = seen.map(|(meta, _)| meta.uid.as_str());
        pass.effects.push(edits::apply(layer.object.clone(), uid, Why::RouteSetUp));
    }
}
