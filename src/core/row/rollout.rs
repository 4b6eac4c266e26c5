//! A Rollout: its spec and status as they are on the wire.

use super::kept::shared;
use super::{Keep, Meta, Packed, Row, RowError};
use crate::core::object::{ObjectRef, ResourceType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What is known of a Rollout. Its spec is parsed by `core::rollout::spec`, once per decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutRow {
    pub meta: Meta,
    /// The stored spec, untyped: the hash of a template is made of what is stored, never of a typed copy.
    #[serde(with = "shared")]
    pub spec: Arc<Value>,
    #[serde(with = "shared")]
    pub status: Arc<Value>,
    /// Which field manager last wrote each `tidegate.dev/` annotation.
    pub annotation_managers: BTreeMap<String, String>,
}

/// A Rollout as it is kept between decisions, with what each event of another object asks all of them.
#[derive(Debug, Clone)]
pub struct KeptRollout {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub uid: Box<str>,
    /// It has a router.
    pub routes_by_traefik: bool,
    /// By its last status a canary has a share, or may have.
    pub canary_serves: bool,
    /// Digests of the names that it mentions, sorted.
    names: Box<[u64]>,
    row: Packed<RolloutRow>,
}

impl KeptRollout {
    /// Whether spec or the last status name an object so. Seldom yes where they do not, never no where they do.
    pub fn names(&self, name: &str) -> bool {
        self.names.binary_search(&digest(name)).is_ok()
    }
}

impl Keep<RolloutRow> for KeptRollout {
    fn keep(row: RolloutRow) -> Self {
        let (spec, status) = (&row.spec, &row.status);
        let mut names = Vec::new();
        for_each_name(spec, status, &mut |text| names.push(digest(text)));
        names.sort_unstable();
        names.dedup();
        let routed = |body: &&str| !spec["strategy"][body]["trafficRouting"]["traefik"].is_null();
        let share = |which: &&str| status["traffic"][which]["canary"].as_i64().unwrap_or(0);
        Self {
            namespace: row.meta.namespace.as_str().into(),
            name: row.meta.name.as_str().into(),
            uid: row.meta.uid.as_str().into(),
            routes_by_traefik: ["canary", "blueGreen"].iter().any(routed),
            canary_serves: ["want", "live"].iter().any(|which| share(which) > 0),
            names: names.into(),
            row: Packed::keep(row),
        }
    }

    fn open(&self) -> Arc<RolloutRow> {
        self.row.open()
    }

    fn version(&self) -> u64 {
        self.row.version()
    }
}

impl RolloutRow {
    /// The texts by which spec and the last status may name other objects.
    pub fn named(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for_each_name(&self.spec, &self.status, &mut |text| _ = names.insert(text.to_owned()));
        names
    }

    /// The Rollout's name as effects and notices use it.
    pub fn target(&self) -> ObjectRef {
        ObjectRef::new(ResourceType::ROLLOUT, &self.meta.namespace, &self.meta.name)
    }
}

impl Row for RolloutRow {
    type Kept = KeptRollout;

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

/// Every text where a Rollout may name other objects.
fn for_each_name(spec: &Value, status: &Value, each: &mut impl FnMut(&str)) {
    for_each_text(&spec["strategy"], each);
    for_each_text(&status["traffic"], each);
}

fn for_each_text(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| for_each_text(item, each)),
        Value::Object(fields) => fields.values().for_each(|field| for_each_text(field, each)),
        _ => {}
    }
}

fn digest(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
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

    #[test]
    fn knows_the_names_in_its_strategy_and_in_its_traffic_and_opens_to_the_row() {
        let object = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "3"},
            "spec": {"strategy": {"canary": {"stableService": "web-stable", "steps": [{"analysis": {"templates": [
                {"templateName": "rate"}]}}]}}, "template": {"spec": {"serviceAccountName": "web"}}},
            "status": {"traffic": {"root": "web-root"}, "message": "elsewhere"},
        });
        let whole = RolloutRow::read(&object).expect("a whole Rollout");
        let row = KeptRollout::keep(whole.clone());
        let open = row.open();
        assert_eq!(*open, whole);
        assert_eq!(open.named().iter().collect::<Vec<_>>(), ["rate", "web-root", "web-stable"]);
        let named = ["web-stable", "rate", "web-root", "web", "elsewhere", ""].map(|name| row.names(name));
        assert_eq!(named, [true, true, true, false, false, false]);
    }
}
