//! Rollouts: what their decision reads.

use super::{Kind, World};
use crate::cluster::NotYet;
use crate::core::object::{Key, ResourceType};
use crate::core::plan::Plan;
use crate::core::question::Told;
use crate::core::rollout::{ANNOTATION_MANAGED_BY, Observed};
use jiff::Timestamp;

/// The kind Rollout.
#[derive(Debug)]
pub struct Rollout;

impl Kind for Rollout {
    type Observed = Observed;

    fn resource() -> ResourceType {
        ResourceType::ROLLOUT
    }

    fn observe(world: &World, key: &Key) -> Result<Observed, NotYet> {
        let (caches, namespace, name) = (&world.caches, key.namespace.as_str(), key.name.as_str());
        let rollout = caches.rollouts.synced()?.get(namespace, name);
        let mut names = rollout.as_ref().map(|rollout| rollout.named()).unwrap_or_default();
        let ingresses = caches.ingresses.synced()?;
        let behind: Vec<_> = names.iter().filter_map(|name| ingresses.get(namespace, name)).collect();
        names.extend(behind.iter().flat_map(|ingress| ingress.services()).map(str::to_owned));
        let mut observed = Observed {
            name: key.name.clone(),
            replica_sets: caches.replica_sets.synced()?.related(namespace, name, &names),
            services: caches.services.synced()?.related(namespace, name, &names),
            // Only what a gone Rollout left behind is looked for there; it is looked for again when they are listed.
            deployments: caches.deployments.related(namespace, name, &names),
            endpoint_slices: caches.endpoint_slices.synced()?.related(namespace, name, &names),
            traefik_services: caches.traefik_services.synced()?.related(namespace, name, &names),
            servers_transports: caches.servers_transports.synced()?.related(namespace, name, &names),
            ingress_routes: caches.ingress_routes.synced()?.all(),
            ingresses: ingresses.all(),
            templates: caches.analysis_templates.synced()?.list(namespace),
            cluster_templates: caches.cluster_analysis_templates.synced()?.all(),
            runs: caches.analysis_runs.synced()?.related(namespace, name, &names),
            answers: world.answers.of(key),
            refused: world.refused.of(key),
            settings: world.settings.clone(),
            rollout,
            ..Observed::default()
        };
        observed.others =
            marks(&observed).filter(|other| caches.rollouts.has(namespace, other)).map(str::to_owned).collect();
        Ok(observed.narrowed())
    }

    fn decide(observed: &Observed, now: Timestamp) -> Plan {
        crate::core::rollout::decide(observed, now)
    }

    fn exists(observed: &Observed) -> bool {
        observed.rollout.is_some()
    }
}

/// The Rollouts by which something that was seen is marked.
fn marks(observed: &Observed) -> impl Iterator<Item = &str> {
    let workloads = observed.answers.values().filter_map(|answer| match &answer.what {
        Told::Workload(Ok(Some(row))) => row.annotations.get(ANNOTATION_MANAGED_BY),
        _ => None,
    });
    observed.services.iter().flat_map(|s| s.meta.rollouts()).chain(workloads.map(String::as_str))
}
