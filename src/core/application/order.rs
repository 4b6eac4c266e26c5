//! In which order objects are applied: first what others need to exist at all (definitions, namespaces), then by wave, then
//! by kind as Argo CD orders them, then by name. Pruning goes the other way round.

use crate::core::object::ObjectRef;
use serde_json::Value;

/// Smaller is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The group: the next one begins when all of this one is in sync and healthy.
    pub group: Group,
    kind: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// CustomResourceDefinitions and Namespaces.
    Ground,
    Wave(i32),
}

const WAVES: [&str; 2] = ["tidegate.dev/sync-wave", "argocd.argoproj.io/sync-wave"];

const KINDS: [&str; 30] = [
    "Namespace",
    "CustomResourceDefinition",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    // Templates before the Rollout that names them.
    "AnalysisTemplate",
    "ClusterAnalysisTemplate",
];

/// The place of an object, or the wave that is no whole number.
pub fn place(target: &ObjectRef, object: &Value) -> Result<Place, String> {
    let annotations = &object["metadata"]["annotations"];
    let wave = WAVES.iter().find_map(|key| annotations[*key].as_str());
    let wave = match wave {
        None => 0,
        Some(text) => text.trim().parse().map_err(|_| text.to_owned())?,
    };
    let kind = target.resource.kind.as_ref();
    let group =
        if matches!(kind, "Namespace" | "CustomResourceDefinition") { Group::Ground } else { Group::Wave(wave) };
    Ok(Place { group, kind: kind_rank(kind) })
}

/// Every kind that is not listed comes after the listed ones.
pub fn kind_rank(kind: &str) -> usize {
    KINDS.iter().position(|k| *k == kind).unwrap_or(KINDS.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::ResourceType;
    use serde_json::json;

    fn of(kind: &'static str, wave: Option<&str>) -> Place {
        let resource = ResourceType { kind: kind.into(), ..ResourceType::SERVICE };
        let object = match wave {
            Some(wave) => json!({"metadata": {"annotations": {"argocd.argoproj.io/sync-wave": wave}}}),
            None => json!({}),
        };
        place(&ObjectRef::new(resource, "shop", "x"), &object).expect("a number")
    }

    #[test]
    fn definitions_first_then_waves_then_kinds() {
        let mut all = [
            of("Rollout", None),
            of("Deployment", Some("-1")),
            of("Service", None),
            of("CustomResourceDefinition", Some("5")),
        ];
        all.sort();
        assert_eq!(all[0].group, Group::Ground);
        assert_eq!(all[1].group, Group::Wave(-1));
        assert_eq!(all[2], of("Service", None));
        assert_eq!(all[3], of("Rollout", None));
    }
}
