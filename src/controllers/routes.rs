//! Which keys a change of an object wakes, and in which lane.

use crate::cluster::Caches;
use crate::cluster::cache::Change;
use crate::core::object::{Key, ObjectRef, ResourceType};
use crate::core::plan::Lane;
use crate::core::rollout;
use crate::core::row::KeptRollout;
use std::collections::BTreeSet;

/// Kinds whose objects stand in other namespaces or in none, and may still concern a Rollout.
const ACROSS_NAMESPACES: [&str; 3] = ["Ingress", "IngressRoute", "ClusterAnalysisTemplate"];

/// Kinds that change often, and whose objects say themselves whose they are: no other Rollout is asked.
const SAY_WHOSE: [&str; 4] = ["ReplicaSet", "EndpointSlice", "ServersTransport", "AnalysisRun"];

/// The keys to decide again. A key too many costs one pass, one too few leaves a Rollout standing.
pub fn keys(caches: &Caches, change: &Change) -> Vec<(Key, Lane)> {
    let target = &change.target;
    let mut keys: Vec<(Key, Lane)> = Vec::new();
    if super::KINDS.iter().any(|k| (k.resource)() == target.resource) {
        keys.push((target.clone(), lane(caches, change)));
    }
    if target.resource == ResourceType::ROLLOUT {
        // Others that name the same Service are told by their own passes; what a gone Rollout left is its own key's matter.
        return keys;
    }
    if target.resource == ResourceType::APP_PROJECT {
        let applications = caches.applications.all().into_iter();
        let key = |a: &crate::core::row::ApplicationRow| a.target();
        keys.extend(applications.map(|a| (key(&a), Lane::Normal)));
        return keys;
    }
    let lane = lane(caches, change);
    // What a Rollout changed in others' objects is put back when it is gone, also when that is found at start.
    // ReplicaSets that it left behind hold that up until they go.
    let lent = [ResourceType::SERVICE, ResourceType::DEPLOYMENT, ResourceType::REPLICA_SET].contains(&target.resource);
    let (label, mark) = (rollout::LABEL_ROLLOUT, rollout::ANNOTATION_MANAGED_BY);
    let name = change.meta.labels.get(label).or_else(|| change.meta.annotations.get(mark));
    if let Some(name) = name.filter(|name| lent && !caches.rollouts.has(&target.namespace, name)) {
        keys.push((ObjectRef::new(ResourceType::ROLLOUT, &target.namespace, name), lane));
    }
    let key = |kept: &KeptRollout| {
        let key = || ObjectRef::new(ResourceType::ROLLOUT, &*kept.namespace, &*kept.name);
        rollout::concerns(kept, target, &change.meta).then(|| (key(), lane))
    };
    let kind = target.resource.kind.as_ref();
    if SAY_WHOSE.contains(&kind) {
        let whose: BTreeSet<&str> = change.meta.rollouts().collect();
        keys.extend(whose.into_iter().filter_map(|name| caches.rollouts.look(&target.namespace, name, key).flatten()));
    } else {
        let namespace = Some(target.namespace.as_str()).filter(|_| !ACROSS_NAMESPACES.contains(&kind));
        keys.extend(caches.rollouts.filter_map(namespace, key));
    }
    keys
}

/// An abort that was asked for, a run that failed, a canary with a share that may have lost its endpoints: these pass at once. What
/// is not one of these must not be in their way.
fn lane(caches: &Caches, change: &Change) -> Lane {
    let (namespace, name) = (&change.target.namespace, &change.target.name);
    let urgent = match change.target.resource.kind.as_ref() {
        "Rollout" => change.meta.annotations.contains_key("tidegate.dev/abort"),
        "AnalysisRun" => {
            let run = caches.analysis_runs.get(namespace, name);
            run.is_some_and(|r| matches!(r.phase.as_str(), "Failed" | "Error"))
        }
        "EndpointSlice" => {
            let serves = |rollout| caches.rollouts.look(namespace, rollout, |kept| kept.canary_serves) == Some(true);
            change.meta.rollouts().any(serves)
        }
        _ => false,
    };
    if urgent { Lane::Urgent } else { Lane::Normal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::{EndpointSliceRow, Meta, RolloutRow, Row, ServiceRow};
    use jiff::Timestamp;
    use serde_json::json;

    fn caches() -> Caches {
        let caches = Caches::default();
        for (name, service) in [("web", "web-stable"), ("api", "api-stable")] {
            let row = RolloutRow::read(
                &json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"},
                "spec": {"strategy": {"canary": {"stableService": service}}}}),
            );
            caches.rollouts.apply(&None, row.expect("a Rollout"), Timestamp::UNIX_EPOCH);
        }
        caches
    }

    #[test]
    fn a_service_wakes_the_rollouts_that_name_it() {
        let meta = json!({"metadata": {"name": "web-stable", "namespace": "shop", "uid": "s", "resourceVersion": "2"}, "spec": {}});
        let row = ServiceRow::read(&meta).expect("a Service");
        let caches = caches();
        let change = caches.services.apply(&None, row, Timestamp::UNIX_EPOCH);
        let names: Vec<_> = keys(&caches, &change).into_iter().map(|(k, _)| k.name).collect();
        assert_eq!(names, ["web"]);
    }

    #[test]
    fn an_abort_annotation_goes_to_the_urgent_lane() {
        let target = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        let mut change = Change { target: target.clone(), meta: Meta::default(), gone: false };
        assert_eq!(keys(&caches(), &change), [(target.clone(), Lane::Normal)]);
        change.meta.annotations.insert("tidegate.dev/abort".into(), "bad".into());
        assert_eq!(keys(&caches(), &change), [(target, Lane::Urgent)]);
    }

    #[test]
    fn endpoints_are_urgent_while_a_canary_has_a_share() {
        for (share, lane) in [(0, Lane::Normal), (20, Lane::Urgent)] {
            let caches = caches();
            let row = RolloutRow::read(&json!({"metadata": {"name": "web", "namespace": "shop", "uid": "web",
                "resourceVersion": "2"}, "spec": {}, "status": {"traffic": {"want": {"canary": share}}}}));
            caches.rollouts.apply(&None, row.expect("a Rollout"), Timestamp::UNIX_EPOCH);
            let slice =
                EndpointSliceRow::read(&json!({"metadata": {"name": "web-canary-x", "namespace": "shop", "uid": "e",
                "resourceVersion": "3", "labels": {"tidegate.dev/rollout": "web"}}}));
            let change = caches.endpoint_slices.apply(&None, slice.expect("a slice"), Timestamp::UNIX_EPOCH);
            assert_eq!(
                keys(&caches, &change),
                [(ObjectRef::new(ResourceType::ROLLOUT, "shop", "web"), lane)],
                "{share}"
            );
        }
    }
}
