//! Rollouts: what their decision reads.

use super::{Kind, World};
use crate::cluster::NotYet;
use crate::core::object::{Key, ResourceType};
use crate::core::plan::Plan;
use crate::core::rollout::Observed;
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
        let (caches, namespace) = (&world.caches, key.namespace.as_str());
        let rollout = caches.rollouts.synced()?.get(namespace, &key.name);
        let uid = rollout.as_ref().map(|r| r.meta.uid.clone()).unwrap_or_default();
        Ok(Observed {
            name: key.name.clone(),
            replica_sets: caches.replica_sets.synced()?.list(namespace),
            services: caches.services.synced()?.list(namespace),
            // Only what a gone Rollout left behind is looked for there; it is looked for again when they are listed.
            deployments: caches.deployments.list(namespace),
            endpoint_slices: caches.endpoint_slices.synced()?.list(namespace),
            traefik_services: caches.traefik_services.synced()?.list(namespace),
            servers_transports: caches.servers_transports.synced()?.list(namespace),
            ingress_routes: caches.ingress_routes.synced()?.all(),
            ingresses: caches.ingresses.synced()?.all(),
            templates: caches.analysis_templates.synced()?.list(namespace),
            cluster_templates: caches.cluster_analysis_templates.synced()?.all(),
            runs: caches.analysis_runs.synced()?.owned_by(namespace, &uid),
            others: caches.rollouts.list(namespace),
            answers: world.answers.of(key),
            refused: world.refused.of(key),
            settings: world.settings.clone(),
            rollout,
        }
        .narrowed())
    }

    fn decide(observed: &Observed, now: Timestamp) -> Plan {
        crate::core::rollout::decide(observed, now)
    }

    fn exists(observed: &Observed) -> bool {
        observed.rollout.is_some()
    }
}
