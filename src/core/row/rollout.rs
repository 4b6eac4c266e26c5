//! A Rollout: its spec and status as they are on the wire.

use super::{Meta, Row, RowError};
use crate::core::object::{ObjectRef, ResourceType};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept of a Rollout. Its spec is parsed by `core::rollout::spec`, once per decision.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutRow {
    pub meta: Meta,
    /// The stored spec, untyped: the hash of a template is made of what is stored, never of a typed copy.
    pub spec: Arc<Value>,
    pub status: Arc<Value>,
    /// Which field manager last wrote each `tidegate.dev/` annotation.
    pub annotation_managers: BTreeMap<String, String>,
}

impl RolloutRow {
    /// The Rollout's name as effects and notices use it.
    pub fn target(&self) -> ObjectRef {
        ObjectRef::new(ResourceType::ROLLOUT, &self.meta.namespace, &self.meta.name)
    }
}

impl Row for RolloutRow {
    fn resource() -> ResourceType {
        ResourceType::ROLLOUT
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        Ok(Self {
            meta: Meta::read(object)?,
            spec: Arc::new(object["spec"].clone()),
            status: Arc::new(object["status"].clone()),
            annotation_managers: annotation_managers(object),
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

pub(super) fn annotation_managers(object: &Value) -> BTreeMap<String, String> {
    let mut managers = BTreeMap::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let Some(manager) = entry["manager"].as_str() else { continue };
        let owned = entry["fieldsV1"]["f:metadata"]["f:annotations"].as_object();
        for key in owned.into_iter().flatten().filter_map(|(k, _)| k.strip_prefix("f:tidegate.dev/")) {
            managers.insert(format!("tidegate.dev/{key}"), manager.to_owned());
        }
    }
    managers
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_the_manager_of_each_command_annotation() {
        let row = RolloutRow::read(&json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "3", "managedFields": [
                {"manager": "kubectl-annotate", "fieldsV1": {"f:metadata": {"f:annotations": {"f:tidegate.dev/abort": {}}}}},
                {"manager": "other", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"replicas": 2},
        }))
        .expect("a whole Rollout");
        assert_eq!(row.annotation_managers.get("tidegate.dev/abort").map(String::as_str), Some("kubectl-annotate"));
        assert_eq!(row.spec["replicas"], 2);
    }
}
