//! Names of objects: which resource, which namespace, which name.

use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// A resource as the API server serves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceType {
    /// Empty for the core group.
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    /// The name in URLs: `replicasets`.
    pub plural: Cow<'static, str>,
    pub namespaced: bool,
}

impl ResourceType {
    const fn fixed(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            kind: Cow::Borrowed(kind),
            plural: Cow::Borrowed(plural),
            namespaced: true,
        }
    }

    const fn of_cluster(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            kind: Cow::Borrowed(kind),
            plural: Cow::Borrowed(plural),
            namespaced: false,
        }
    }

    pub const ROLLOUT: Self = Self::fixed("tidegate.dev", "v1alpha1", "Rollout", "rollouts");
    pub const ANALYSIS_TEMPLATE: Self =
        Self::fixed("tidegate.dev", "v1alpha1", "AnalysisTemplate", "analysistemplates");
    pub const CLUSTER_ANALYSIS_TEMPLATE: Self =
        Self::of_cluster("tidegate.dev", "v1alpha1", "ClusterAnalysisTemplate", "clusteranalysistemplates");
    pub const ANALYSIS_RUN: Self = Self::fixed("tidegate.dev", "v1alpha1", "AnalysisRun", "analysisruns");
    pub const APPLICATION: Self = Self::fixed("tidegate.dev", "v1alpha1", "Application", "applications");
    pub const APP_PROJECT: Self = Self::fixed("tidegate.dev", "v1alpha1", "AppProject", "appprojects");
    pub const DEPLOYMENT: Self = Self::fixed("apps", "v1", "Deployment", "deployments");
    pub const REPLICA_SET: Self = Self::fixed("apps", "v1", "ReplicaSet", "replicasets");
    pub const POD_TEMPLATE: Self = Self::fixed("", "v1", "PodTemplate", "podtemplates");
    pub const POD: Self = Self::fixed("", "v1", "Pod", "pods");
    pub const SERVICE: Self = Self::fixed("", "v1", "Service", "services");
    pub const SECRET: Self = Self::fixed("", "v1", "Secret", "secrets");
    pub const ENDPOINT_SLICE: Self = Self::fixed("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
    pub const JOB: Self = Self::fixed("batch", "v1", "Job", "jobs");
    pub const EVENT: Self = Self::fixed("events.k8s.io", "v1", "Event", "events");
    pub const LEASE: Self = Self::fixed("coordination.k8s.io", "v1", "Lease", "leases");
    pub const INGRESS: Self = Self::fixed("networking.k8s.io", "v1", "Ingress", "ingresses");
    pub const INGRESS_ROUTE: Self = Self::fixed("traefik.io", "v1alpha1", "IngressRoute", "ingressroutes");
    pub const TRAEFIK_SERVICE: Self = Self::fixed("traefik.io", "v1alpha1", "TraefikService", "traefikservices");
    pub const SERVERS_TRANSPORT: Self = Self::fixed("traefik.io", "v1alpha1", "ServersTransport", "serverstransports");

    /// Every resource that has a constant above.
    const KNOWN: [Self; 18] = [
        Self::ROLLOUT,
        Self::ANALYSIS_TEMPLATE,
        Self::CLUSTER_ANALYSIS_TEMPLATE,
        Self::ANALYSIS_RUN,
        Self::APPLICATION,
        Self::APP_PROJECT,
        Self::DEPLOYMENT,
        Self::REPLICA_SET,
        Self::POD_TEMPLATE,
        Self::POD,
        Self::SERVICE,
        Self::SECRET,
        Self::ENDPOINT_SLICE,
        Self::INGRESS,
        Self::INGRESS_ROUTE,
        Self::TRAEFIK_SERVICE,
        Self::SERVERS_TRANSPORT,
        Self::JOB,
    ];

    /// The resource of an `apiVersion` and `kind` that Tidegate itself works with; any other needs discovery.
    pub fn known(api_version: &str, kind: &str) -> Option<Self> {
        Self::KNOWN.into_iter().find(|r| r.kind == kind && r.api_version() == api_version)
    }

    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// One object, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    pub resource: ResourceType,
    /// Empty for objects of the cluster.
    pub namespace: String,
    pub name: String,
}

impl ObjectRef {
    pub fn new(resource: ResourceType, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { resource, namespace: namespace.into(), name: name.into() }
    }

    /// The name that an object gives itself. The plural of a kind that Tidegate does not work with is only its usual form:
    /// good for naming the object to people, not for calling the API server.
    pub fn named_by(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let namespace = text(&object["metadata"]["namespace"]);
        let resource = ResourceType::known(&api_version, &kind).unwrap_or_else(|| {
            let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
            ResourceType {
                group: group.to_owned().into(),
                version: version.to_owned().into(),
                plural: format!("{}s", kind.to_lowercase()).into(),
                kind: kind.into(),
                namespaced: !namespace.is_empty(),
            }
        });
        Self { resource, namespace, name: text(&object["metadata"]["name"]) }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.resource.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.resource.kind, self.namespace, self.name)
        }
    }
}

/// What one pass of the loop is about: a Rollout, an AnalysisRun or an Application.
pub type Key = ObjectRef;
