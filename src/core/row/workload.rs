//! A workload that a Rollout takes its pod template from: a Deployment, a ReplicaSet or a PodTemplate.

use super::meta::strings;
use super::{Meta, Packed, Row, RowError};
use crate::core::object::{ObjectRef, ResourceType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Keys of ours on other people's objects.
const OURS: &str = "tidegate.dev/";

/// What is kept of a workload while a Rollout names it. Without version and status, so that its own controller's writes are
/// no news.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadRow {
    pub target: ObjectRef,
    pub uid: String,
    /// 0 for kinds that count none.
    pub generation: i64,
    /// `spec.replicas`; `None` for a PodTemplate.
    pub size: Option<i64>,
    /// As stored: the hash of a template is made of what is stored.
    pub template: Arc<Value>,
    /// `None` for a PodTemplate.
    pub selector: Option<Arc<Value>>,
    /// Its annotations under `tidegate.dev/`.
    pub annotations: BTreeMap<String, String>,
}

impl WorkloadRow {
    /// Reads a workload of this resource.
    ///
    /// # Errors
    /// Without name or uid, which every stored object has.
    pub fn read(resource: &ResourceType, object: &Value) -> Result<Self, RowError> {
        let meta = Meta::read(object)?;
        let spec = &object["spec"];
        let bare = *resource == ResourceType::POD_TEMPLATE;
        let mut annotations = meta.annotations;
        annotations.retain(|key, _| key.starts_with(OURS));
        Ok(Self {
            target: ObjectRef::new(resource.clone(), meta.namespace, meta.name),
            uid: meta.uid,
            generation: meta.generation,
            size: (!bare).then(|| spec["replicas"].as_i64().unwrap_or(1)),
            template: Arc::new(if bare { object["template"].clone() } else { spec["template"].clone() }),
            selector: (!bare).then(|| Arc::new(spec["selector"].clone())),
            annotations,
        })
    }

    /// How messages call it: `Deployment web`.
    pub fn title(&self) -> String {
        format!("{} {}", self.target.resource.kind, self.target.name)
    }
}

/// A Deployment that carries our label, since its pods were handed over to a Rollout: what is put back when that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeploymentRow {
    pub meta: Meta,
    /// `spec.replicas`; 1 when the field is absent, as the API server reads it.
    pub size: i64,
}

impl Row for DeploymentRow {
    type Kept = Packed<Self>;

    fn resource() -> ResourceType {
        ResourceType::DEPLOYMENT
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        let mut meta = Meta::read(object)?;
        meta.annotations = strings(&object["metadata"]["annotations"]);
        meta.annotations.retain(|key, _| key.starts_with(OURS));
        Ok(Self { meta, size: object["spec"]["replicas"].as_i64().unwrap_or(1) })
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
    fn a_status_that_changes_is_no_other_workload() {
        let mut object = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "3", "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "1", "tidegate.dev/managed-by": "web"}},
            "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {}}}});
        let before = WorkloadRow::read(&ResourceType::DEPLOYMENT, &object).expect("a whole Deployment");
        assert_eq!((before.size, before.generation, before.title().as_str()), (Some(4), 2, "Deployment web"));
        assert_eq!(before.annotations.len(), 1);
        object["metadata"]["resourceVersion"] = json!("4");
        object["status"] = json!({"replicas": 4});
        assert_eq!(WorkloadRow::read(&ResourceType::DEPLOYMENT, &object).expect("it"), before);
    }

    #[test]
    fn a_pod_template_has_neither_size_nor_selector() {
        let object =
            json!({"metadata": {"name": "web", "uid": "u", "resourceVersion": "3"}, "template": {"spec": {"x": 1}}});
        let row = WorkloadRow::read(&ResourceType::POD_TEMPLATE, &object).expect("a whole PodTemplate");
        assert_eq!((row.size, row.selector, row.template["spec"]["x"].as_i64()), (None, None, Some(1)));
    }
}
