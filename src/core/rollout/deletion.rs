//! The end of a Rollout.
//!
//! What belongs to it goes by owner references, and what was changed in others' objects is put back when it is gone. Only
//! while a canary may have requests is there something to do first: they go to stable, which may be left serving
//! (`--cascade=orphan`). A finalizer holds the object for so long, and for nothing else: without routes, without stable pods
//! or after the bound it goes at once, so that no namespace waits for it.

use super::edits;
use super::pass::Pass;
use super::routing::{Routing, agreed, live_of, same_share};
use crate::api::TrafficShare;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::Effect;
use crate::core::scalar::{Span, Weight};

/// On a Rollout whose canary may have requests.
pub const FINALIZER: &str = "tidegate.dev/canary-weight";

/// A finalizer that is missing while a share is about to be raised, or there with no share any more.
pub(super) fn hold(pass: &mut Pass<'_>, routing: &Routing<'_>, weight: Weight) -> Weight {
    let rollout = pass.f.rollout;
    let held = rollout.meta.finalizers.iter().any(|f| f == FINALIZER);
    if weight > routing.weight && !held {
        // First the finalizer, then the share.
        pass.finalizer = Some(edits::add_finalizer(&rollout.meta, FINALIZER));
        return routing.weight;
    }
    let asked = pass.next.traffic.as_ref();
    let live = live_of(asked).and_then(|l| l.canary).unwrap_or(0);
    if held && weight == Weight::ZERO && routing.weight == Weight::ZERO && live == 0 && agreed(asked) {
        pass.finalizer = edits::remove_finalizer(&rollout.meta, FINALIZER);
    }
    weight
}

/// Sends everybody to stable, and lets go when that is live.
pub(super) fn decide(pass: &mut Pass<'_>) {
    let rollout = pass.f.rollout;
    if !rollout.meta.finalizers.iter().any(|f| f == FINALIZER) {
        return;
    }
    let bound = Span::from_secs(u32::try_from(pass.f.observed.settings.live_bound.as_secs()).unwrap_or(15));
    let routing = Routing::applied(pass.f, bound);
    let waits = routing.is_some_and(|routing| lower(pass, &routing));
    if !waits {
        pass.finalizer = edits::remove_finalizer(&rollout.meta, FINALIZER);
    }
}

/// Returns whether it has to be waited for.
fn lower(pass: &mut Pass<'_>, routing: &Routing<'_>) -> bool {
    let going = routing.row.is_none_or(|row| row.meta.deleting.is_some());
    if going || routing.is_without_stable() {
        return false;
    }
    pass.urgent = true;
    pass.safety.extend(routing.row.and_then(|row| routing.root.end(row, &pass.f.whose)));
    let want = TrafficShare {
        canary: Some(0),
        stable: Some(100),
        canary_hash: None,
        stable_hash: routing.serving.clone(),
        since: Some(pass.f.now),
    };
    let status = pass.next.traffic.get_or_insert_default();
    if !same_share(status.want.as_ref(), Some(&want)) {
        status.want = Some(want);
    }
    let since = status.want.as_ref().and_then(|w| w.since).unwrap_or(pass.f.now);
    routing.verify(pass, false);
    let end = routing.bound.after(since);
    pass.wake_at(end);
    pass.f.now < end && !(routing.weight == Weight::ZERO && agreed(pass.next.traffic.as_ref()))
}

/// An orphan is not taken in before the Rollout is known to stay: its watch may be late, and what belongs to an owner that is
/// gone is collected as garbage. Where no status is written with the version that was seen, a request that changes nothing
/// asks the API server itself.
pub(super) fn proof(pass: &Pass<'_>) -> Option<Effect> {
    let (f, o) = (pass.f, pass.f.observed);
    let metas = (f.sets.values().map(|s| (ResourceType::REPLICA_SET, &s.meta)))
        .chain(o.services.iter().map(|s| (ResourceType::SERVICE, &s.meta)))
        .chain(o.traefik_services.iter().map(|t| (ResourceType::TRAEFIK_SERVICE, &t.meta)))
        .chain(o.ingress_routes.iter().map(|r| (ResourceType::INGRESS_ROUTE, &r.meta)))
        .chain(o.servers_transports.iter().map(|t| (ResourceType::SERVERS_TRANSPORT, &t.meta)));
    let orphans = metas.filter(|(_, meta)| meta.owner.is_none() && f.whose.owns(meta));
    let orphans: Vec<ObjectRef> =
        orphans.map(|(kind, meta)| ObjectRef::new(kind, &meta.namespace, &meta.name)).collect();
    let adopts = !orphans.is_empty() && pass.effects.iter().any(|effect| orphans.contains(&effect.target()));
    adopts.then(|| edits::unchanged(&f.rollout.meta))
}

/// What a former Rollout of this name left behind (`--cascade=orphan`) belongs to this one. Its routes are applied again as
/// a whole where they are written.
pub(super) fn adopt(pass: &mut Pass<'_>) {
    let f = pass.f;
    let sets = f.sets.values().map(|set| (ResourceType::REPLICA_SET, &set.meta));
    let services = f.observed.services.iter().map(|s| (ResourceType::SERVICE, &s.meta));
    let left = sets.chain(services).filter(|(_, meta)| meta.owner.is_none() && meta.deleting.is_none());
    let left = left.filter(|(_, meta)| f.whose.owns(meta));
    let adopted: Vec<_> = left.map(|(resource, meta)| edits::adopt(resource, meta, &f.whose)).collect();
    pass.effects.splice(0..0, adopted);
}
