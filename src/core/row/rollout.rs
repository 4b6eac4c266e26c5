//! A Rollout: its spec and status as they are on the wire.

use super::{Meta, Row, RowError};
use crate::core::object::{ObjectRef, ResourceType};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
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

/// A Rollout as it is kept between decisions: spec and status as text. As values they take ten times the memory.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptRollout {
    pub meta: Meta,
    spec: Box<str>,
    status: Box<str>,
    annotation_managers: BTreeMap<String, String>,
    /// Digests of the names that it mentions, sorted: each event of another object asks every Rollout for its name.
    names: Box<[u64]>,
    /// It has a router.
    pub routes_by_traefik: bool,
}

impl KeptRollout {
    /// The row that a decision reads.
    pub fn open(&self) -> RolloutRow {
        let value = |text: &str| Arc::new(serde_json::from_str(text).unwrap_or_default());
        RolloutRow {
            meta: self.meta.clone(),
            spec: value(&self.spec),
            status: value(&self.status),
            annotation_managers: self.annotation_managers.clone(),
        }
    }

    /// Whether spec or the last status name an object so. Seldom yes where they do not, never no where they do.
    pub fn names(&self, name: &str) -> bool {
        self.names.binary_search(&digest(name)).is_ok()
    }
}

impl Row for KeptRollout {
    fn resource() -> ResourceType {
        ResourceType::ROLLOUT
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let mut names = Vec::new();
        for_each_name(spec, status, &mut |text| names.push(digest(text)));
        names.sort_unstable();
        names.dedup();
        let routed = |body: &&str| !spec["strategy"][body]["trafficRouting"]["traefik"].is_null();
        Ok(Self {
            meta: Meta::read(object)?,
            spec: spec.to_string().into(),
            status: status.to_string().into(),
            annotation_managers: annotation_managers(object),
            names: names.into(),
            routes_by_traefik: ["canary", "blueGreen"].iter().any(routed),
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
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
        let row = KeptRollout::read(&object).expect("a whole Rollout");
        let open = row.open();
        assert_eq!(open, RolloutRow::read(&object).expect("a whole Rollout"));
        assert_eq!(open.named().iter().collect::<Vec<_>>(), ["rate", "web-root", "web-stable"]);
        let named = ["web-stable", "rate", "web-root", "web", "elsewhere", ""].map(|name| row.names(name));
        assert_eq!(named, [true, true, true, false, false, false]);
    }
}
