//! The metadata that every row carries.

use super::RowError;
use crate::core::rollout::{ANNOTATION_MANAGED_BY, LABEL_ROLLOUT};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Identity and version of an object; labels and annotations are kept by the rows that read them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// Empty for objects of the cluster.
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// As the API server wrote it. Comparable as a number with others of the same resource (Kubernetes 1.35 and later say so).
    pub resource_version: String,
    pub generation: i64,
    pub created: Option<Timestamp>,
    pub finalizers: Vec<String>,
    /// When its deletion was asked for.
    pub deleting: Option<Timestamp>,
    /// The owner that controls it.
    pub owner: Option<Owner>,
    pub labels: BTreeMap<String, String>,
    /// Without the copy of the whole object that kubectl keeps for itself.
    pub annotations: BTreeMap<String, String>,
}

/// The owner reference with `controller: true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub kind: String,
    pub name: String,
    pub uid: String,
}

impl Meta {
    /// The Rollouts to which the object says that it belongs: by label, by mark, or as their own.
    pub fn rollouts(&self) -> impl Iterator<Item = &str> {
        let owner = self.owner.as_ref().filter(|owner| owner.kind == "Rollout").map(|owner| &owner.name);
        let (label, mark) = (self.labels.get(LABEL_ROLLOUT), self.annotations.get(ANNOTATION_MANAGED_BY));
        [owner, label, mark].into_iter().flatten().map(String::as_str)
    }

    /// Reads `metadata`.
    ///
    /// # Errors
    /// Without name, uid or resourceVersion, which every stored object has.
    pub fn read(object: &Value) -> Result<Self, RowError> {
        let meta = &object["metadata"];
        let required = |field: &str| {
            meta[field].as_str().map(str::to_owned).ok_or_else(|| RowError {
                field: format!("metadata.{field}"),
                found: meta[field].to_string(),
                expected: "a string",
            })
        };
        let time = |field: &str| meta[field].as_str().and_then(|t| t.parse().ok());
        let owner = meta["ownerReferences"].as_array().and_then(|refs| {
            let controller = refs.iter().find(|r| r["controller"].as_bool() == Some(true))?;
            Some(Owner {
                kind: controller["kind"].as_str()?.to_owned(),
                name: controller["name"].as_str()?.to_owned(),
                uid: controller["uid"].as_str()?.to_owned(),
            })
        });
        let finalizers = meta["finalizers"].as_array().into_iter().flatten();
        let mut annotations = strings(&meta["annotations"]);
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        Ok(Self {
            namespace: meta["namespace"].as_str().unwrap_or_default().to_owned(),
            name: required("name")?,
            uid: required("uid")?,
            resource_version: required("resourceVersion")?,
            generation: meta["generation"].as_i64().unwrap_or_default(),
            created: time("creationTimestamp"),
            finalizers: finalizers.filter_map(|f| f.as_str().map(str::to_owned)).collect(),
            deleting: time("deletionTimestamp"),
            owner,
            labels: strings(&meta["labels"]),
            annotations,
        })
    }
}

/// A map of strings, as labels, annotations and selectors are; anything else in it is left out.
pub(crate) fn strings(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_identity_owner_and_drops_kubectls_copy() {
        let meta = Meta::read(&json!({"metadata": {
            "name": "web-abc", "namespace": "shop", "uid": "u1", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"app": "web"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "x"},
            "ownerReferences": [{"kind": "Other", "name": "o", "uid": "u0"},
                                {"kind": "Rollout", "name": "web", "uid": "u2", "controller": true}],
        }}))
        .expect("complete metadata");
        assert_eq!(meta.owner.map(|o| o.name), Some("web".to_owned()));
        assert_eq!(meta.annotations.keys().collect::<Vec<_>>(), ["note"]);
        assert_eq!(meta.created.map(|t| t.to_string()), Some("2026-01-02T03:04:05Z".to_owned()));
    }

    #[test]
    fn an_object_without_uid_is_refused_by_field() {
        let error = Meta::read(&json!({"metadata": {"name": "x"}})).expect_err("no uid");
        assert_eq!(error.to_string(), "metadata.uid holds null, expected a string");
    }
}
