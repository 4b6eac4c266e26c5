//! A ReplicaSet: its size, what of it runs, and for which revision.

use super::meta::strings;
use super::{Meta, Packed, Row, RowError};
use crate::core::object::ResourceType;
use crate::core::rollout::ANNOTATION_ROLE;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is kept of a ReplicaSet. Counts are pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplicaSetRow {
    pub meta: Meta,
    /// `spec.replicas`; 1 when the field is absent, as the API server reads it.
    pub size: i64,
    pub min_ready_seconds: i64,
    /// `status.replicas`: pods that exist.
    pub created: i64,
    pub ready: i64,
    pub available: i64,
    pub observed_generation: i64,
    /// Images of the template's containers, in their order.
    pub images: Vec<String>,
    /// Labels and annotations of the template; empty for a ReplicaSet without pods, unless its role was written into them.
    pub pod_labels: BTreeMap<String, String>,
    pub pod_annotations: BTreeMap<String, String>,
    /// Text of a true condition `ReplicaFailure`, or empty.
    pub failure: String,
}

impl Row for ReplicaSetRow {
    type Kept = Packed<Self>;

    fn resource() -> ResourceType {
        ResourceType::REPLICA_SET
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let count = |value: &Value| value.as_i64().unwrap_or_default();
        let containers = spec["template"]["spec"]["containers"].as_array().into_iter().flatten();
        let failure = status["conditions"].as_array().into_iter().flatten();
        let failure = failure.filter(|c| c["type"] == "ReplicaFailure" && c["status"] == "True");
        let (meta, size) = (Meta::read(object)?, spec["replicas"].as_i64().unwrap_or(1));
        // Ten old ones for each Rollout would take their place for nothing.
        let in_use = size > 0 || meta.annotations.contains_key(ANNOTATION_ROLE);
        let of_pods =
            |field: &str| if in_use { strings(&spec["template"]["metadata"][field]) } else { BTreeMap::new() };
        Ok(Self {
            size,
            pod_labels: of_pods("labels"),
            pod_annotations: of_pods("annotations"),
            min_ready_seconds: count(&spec["minReadySeconds"]),
            created: count(&status["replicas"]),
            ready: count(&status["readyReplicas"]),
            available: count(&status["availableReplicas"]),
            observed_generation: count(&status["observedGeneration"]),
            images: containers.filter_map(|c| c["image"].as_str().map(str::to_owned)).collect(),
            meta,
            failure: failure.filter_map(|c| c["message"].as_str()).next().unwrap_or_default().to_owned(),
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_absent_count_is_none_and_an_absent_size_is_one() {
        let row = ReplicaSetRow::read(&json!({
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "resourceVersion": "3"},
            "spec": {"template": {"spec": {"containers": [{"image": "nginx"}]}}},
            "status": {"replicas": 1},
        }))
        .expect("a whole ReplicaSet");
        assert_eq!((row.size, row.created, row.available), (1, 1, 0));
        assert_eq!(row.images, ["nginx"]);
    }
}
