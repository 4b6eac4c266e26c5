//! The kinds of objects that scenarios touch.

use kube::api::ApiResource;
use serde_json::Value;

/// A kind and where the API server serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// The name in URLs.
    pub plural: &'static str,
    pub namespaced: bool,
}

macro_rules! kinds {
    ($($name:ident = $group:literal $version:literal $kind:literal $plural:literal $namespaced:literal;)*) => {
        impl Kind {
            $(pub const $name: Self = Self { group: $group, version: $version, kind: $kind, plural: $plural, namespaced: $namespaced };)*
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    NAMESPACE = "" "v1" "Namespace" "namespaces" false;
    POD = "" "v1" "Pod" "pods" true;
    SERVICE = "" "v1" "Service" "services" true;
    SECRET = "" "v1" "Secret" "secrets" true;
    CONFIG_MAP = "" "v1" "ConfigMap" "configmaps" true;
    SERVICE_ACCOUNT = "" "v1" "ServiceAccount" "serviceaccounts" true;
    POD_TEMPLATE = "" "v1" "PodTemplate" "podtemplates" true;
    RESOURCE_QUOTA = "" "v1" "ResourceQuota" "resourcequotas" true;
    EVENT = "events.k8s.io" "v1" "Event" "events" true;
    DEPLOYMENT = "apps" "v1" "Deployment" "deployments" true;
    REPLICA_SET = "apps" "v1" "ReplicaSet" "replicasets" true;
    JOB = "batch" "v1" "Job" "jobs" true;
    POD_DISRUPTION_BUDGET = "policy" "v1" "PodDisruptionBudget" "poddisruptionbudgets" true;
    AUTOSCALER = "autoscaling" "v2" "HorizontalPodAutoscaler" "horizontalpodautoscalers" true;
    INGRESS = "networking.k8s.io" "v1" "Ingress" "ingresses" true;
    ENDPOINT_SLICE = "discovery.k8s.io" "v1" "EndpointSlice" "endpointslices" true;
    LEASE = "coordination.k8s.io" "v1" "Lease" "leases" true;
    ROLE = "rbac.authorization.k8s.io" "v1" "Role" "roles" true;
    ROLE_BINDING = "rbac.authorization.k8s.io" "v1" "RoleBinding" "rolebindings" true;
    CLUSTER_ROLE = "rbac.authorization.k8s.io" "v1" "ClusterRole" "clusterroles" false;
    CLUSTER_ROLE_BINDING = "rbac.authorization.k8s.io" "v1" "ClusterRoleBinding" "clusterrolebindings" false;
    CRD = "apiextensions.k8s.io" "v1" "CustomResourceDefinition" "customresourcedefinitions" false;
    INGRESS_ROUTE = "traefik.io" "v1alpha1" "IngressRoute" "ingressroutes" true;
    TRAEFIK_SERVICE = "traefik.io" "v1alpha1" "TraefikService" "traefikservices" true;
    SERVERS_TRANSPORT = "traefik.io" "v1alpha1" "ServersTransport" "serverstransports" true;
    ROLLOUT = "tidegate.dev" "v1alpha1" "Rollout" "rollouts" true;
    ANALYSIS_TEMPLATE = "tidegate.dev" "v1alpha1" "AnalysisTemplate" "analysistemplates" true;
    ANALYSIS_RUN = "tidegate.dev" "v1alpha1" "AnalysisRun" "analysisruns" true;
    APPLICATION = "tidegate.dev" "v1alpha1" "Application" "applications" true;
}

impl Kind {
    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The kind that an object says it is of.
    pub fn of(object: &Value) -> Option<Self> {
        Self::ALL.iter().find(|k| object["kind"] == k.kind && object["apiVersion"] == k.api_version().as_str()).copied()
    }

    /// Path of the collection, or of one object with `name`.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        let mut path = format!("{root}/{}", self.version);
        if self.namespaced && !namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(self.plural);
        if !name.is_empty() {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    pub(crate) fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version: self.api_version(),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_those_of_the_api_server() {
        assert_eq!(Kind::POD.path("a", ""), "/api/v1/namespaces/a/pods");
        assert_eq!(Kind::ROLLOUT.path("a", "web"), "/apis/tidegate.dev/v1alpha1/namespaces/a/rollouts/web");
        assert_eq!(Kind::NAMESPACE.path("", "a"), "/api/v1/namespaces/a");
    }

    #[test]
    fn an_object_names_its_kind_by_group_and_name() {
        assert_eq!(Kind::of(&json!({"apiVersion": "apps/v1", "kind": "Deployment"})), Some(Kind::DEPLOYMENT));
        assert_eq!(Kind::of(&json!({"apiVersion": "v1", "kind": "Deployment"})), None);
    }
}
