//! All that one decision about a Rollout may read.

use crate::core::object::ObjectRef;
use crate::core::plan::RefusedEffect;
use crate::core::question::Answer;
use crate::core::row::{
    AnalysisRunRow, AnalysisTemplateRow, ClusterAnalysisTemplateRow, DeploymentRow, EndpointSliceRow, IngressRouteRow,
    IngressRow, KeptRollout, Meta, ReplicaSetRow, RolloutRow, ServersTransportRow, ServiceRow, TraefikServiceRow,
};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The snapshot of one Rollout. It is made by filling every list with what may matter to it in its namespace, or from the whole
/// cluster where its comment says so, and narrowing it: what belongs to a Rollout is part of the decision.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Name of the Rollout, also when it is gone.
    pub name: String,
    pub rollout: Option<Arc<RolloutRow>>,
    /// ReplicaSets of the namespace whose controlling owner has the Rollout's uid, and those of its label that nobody owns.
    pub replica_sets: Vec<Arc<ReplicaSetRow>>,
    /// Services of the namespace that are named by the Rollout or by its Ingress, begin with its name or say that they are its
    /// own; there may be others.
    pub services: Vec<Arc<ServiceRow>>,
    /// Deployments of the namespace that carry the label of a Rollout.
    pub deployments: Vec<Arc<DeploymentRow>>,
    /// EndpointSlices of the namespace with the label `tidegate.dev/rollout: <name>`.
    pub endpoint_slices: Vec<Arc<EndpointSliceRow>>,
    /// TraefikServices of the namespace, as Services.
    pub traefik_services: Vec<Arc<TraefikServiceRow>>,
    /// ServersTransports of the namespace with the label `tidegate.dev/rollout: <name>`.
    pub servers_transports: Vec<Arc<ServersTransportRow>>,
    /// IngressRoutes of the whole cluster: those of other namespaces may serve the same host.
    pub ingress_routes: Vec<Arc<IngressRouteRow>>,
    /// Ingresses of the whole cluster.
    pub ingresses: Vec<Arc<IngressRow>>,
    /// AnalysisTemplates of the namespace.
    pub templates: Vec<Arc<AnalysisTemplateRow>>,
    pub cluster_templates: Vec<Arc<ClusterAnalysisTemplateRow>>,
    /// AnalysisRuns of the namespace whose controlling owner has the Rollout's uid.
    pub runs: Vec<Arc<AnalysisRunRow>>,
    /// Names of other Rollouts that are there, of those by which something in these lists is marked: two must not steer the same
    /// object.
    pub others: BTreeSet<String>,
    /// Answers to the questions of this key's last plan, by question id.
    pub answers: BTreeMap<String, Answer>,
    /// Effects of this key that the API server refused, and that were not carried out since.
    pub refused: Vec<RefusedEffect>,
    pub settings: Settings,
}

impl Observed {
    /// Leaves in the lists what their comments say, of all that there is in the namespace.
    #[must_use]
    pub fn narrowed(mut self) -> Self {
        let uid = self.rollout.as_ref().map(|r| r.meta.uid.clone()).unwrap_or_default();
        let name = self.name.clone();
        let owned = |meta: &Meta| meta.owner.as_ref().is_some_and(|owner| owner.uid == uid);
        let labelled = |meta: &Meta| meta.labels.get(super::LABEL_ROLLOUT) == Some(&name);
        self.replica_sets.retain(|s| owned(&s.meta) || s.meta.owner.is_none() && labelled(&s.meta));
        self.endpoint_slices.retain(|s| labelled(&s.meta));
        self.servers_transports.retain(|t| labelled(&t.meta));
        self.runs.retain(|r| owned(&r.meta));
        self.others.remove(&name);
        self
    }
}

/// What the installation decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When no instance of Traefik can be read, a write counts as live after this long (15 s: seven times Traefik's throttle).
    pub live_bound: SignedDuration,
    /// Traefik cannot be read here at all (no right, no address): the bound is the only rung.
    pub traefik_readable: bool,
    /// A rule that is broken on purpose.
    #[cfg(any(test, feature = "sim"))]
    pub mutant: Option<super::Mutant>,
}

impl Settings {
    /// Whether this rule is broken on purpose: never, but where the explorer tests its oracles.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn breaks(&self, mutant: super::Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    #[cfg(not(any(test, feature = "sim")))]
    #[expect(clippy::unused_self, reason = "what ships breaks no rule")]
    pub(super) const fn breaks(&self, _: super::Mutant) -> bool {
        false
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            live_bound: SignedDuration::from_secs(15),
            traefik_readable: true,
            #[cfg(any(test, feature = "sim"))]
            mutant: None,
        }
    }
}

/// Whether a change of the object with this name and metadata may change what is decided about the Rollout: who keeps
/// the caches asks this for the Rollouts of the object's namespace (of all namespaces for Ingress, IngressRoute and
/// ClusterAnalysisTemplate), and wakes those that say yes.
pub fn concerns(ours: &KeptRollout, target: &ObjectRef, meta: &Meta) -> bool {
    let labelled = || meta.labels.get(super::LABEL_ROLLOUT).is_some_and(|name| **name == *ours.name);
    match target.resource.kind.as_ref() {
        "Rollout" => *target.namespace == *ours.namespace && *target.name == *ours.name,
        "ReplicaSet" if meta.owner.is_none() => labelled(),
        "ReplicaSet" | "AnalysisRun" => meta.owner.as_ref().is_some_and(|o| *o.uid == *ours.uid),
        "EndpointSlice" | "ServersTransport" => labelled(),
        // A false yes costs one pass.
        _ if *target.namespace == *ours.namespace || target.namespace.is_empty() => {
            labelled() || ours.names(&target.name)
        }
        // Siblings of the host in other namespaces.
        "Ingress" | "IngressRoute" => ours.routes_by_traefik,
        _ => false,
    }
}
