//! What a write did, as far as it is compared.
//!
//! Names of versions, uids and times differ from server to server and are taken off; that a version moved, that a uid is
//! another, that a deletion was asked for, stays.

use super::kinds::Sort;
use super::servers::MANAGERS;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Fields by manager.
pub(super) type Owners = BTreeMap<String, Vec<String>>;

/// One server's answer to one write, and the object after it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Seen {
    pub(super) answer: String,
    /// In the server's own words; not compared.
    reason: String,
    /// Whether the stored version is another one than before; not asked where others write too.
    moved: Option<bool>,
    /// Whether it is the same object as before.
    same_uid: bool,
    object: Value,
    owners: Owners,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        let compared = |s: &Self| (s.answer.clone(), s.moved, s.same_uid, s.object.clone(), s.owners.clone());
        compared(self) == compared(other)
    }
}

impl Seen {
    pub(super) fn new(
        sort: &Sort,
        answer: String,
        reason: String,
        before: &Value,
        after: &Value,
        owners: Owners,
    ) -> Self {
        let same = |field: &str| before["metadata"][field] == after["metadata"][field];
        Self {
            answer,
            reason,
            moved: (!sort.followed).then(|| !same("resourceVersion")),
            same_uid: same("uid"),
            object: plain(sort, after),
            owners: kept(sort, owners),
        }
    }
}

/// The object without what differs from server to server, and without fields that the simulation does not have.
fn plain(sort: &Sort, object: &Value) -> Value {
    let mut object = object.clone();
    for path in sort.defaulted {
        take(&mut object, &path.split('.').collect::<Vec<_>>());
    }
    if let Some(meta) = object["metadata"].as_object_mut() {
        for field in
            ["uid", "resourceVersion", "creationTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink"]
        {
            meta.remove(field);
        }
        if let Some(deletion) = meta.get_mut("deletionTimestamp") {
            *deletion = json!("asked for");
        }
    }
    object
}

fn take(object: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(object, |value, key| value.get_mut(key));
    if let Some(map) = parent.and_then(Value::as_object_mut) {
        map.remove(*last);
    }
}

/// The managers that both servers know, without fields that only the real one sets.
fn kept(sort: &Sort, owners: Owners) -> Owners {
    let defaulted = |path: &String| {
        sort.defaulted.iter().any(|d| path == d || path.strip_prefix(d).is_some_and(|rest| rest.starts_with('.')))
    };
    let known = owners.into_iter().filter(|(manager, _)| MANAGERS.contains(&manager.as_str()));
    known
        .map(|(manager, paths)| {
            let paths: BTreeSet<String> = paths.into_iter().filter(|p| !defaulted(p)).collect();
            (manager, paths.into_iter().collect::<Vec<_>>())
        })
        .filter(|(_, paths)| !paths.is_empty())
        .collect()
}

/// Who owns what of a real object, in the simulation's words: the fields of `managedFields` without its marks of maps that are
/// there, and with each list as one field. Writes of subresources are left out, as the simulation notes none.
pub(super) fn owners(object: &Value) -> Owners {
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        if entry["subresource"].as_str().is_some_and(|s| !s.is_empty()) {
            continue;
        }
        let of = owners.entry(entry["manager"].as_str().unwrap_or_default().to_owned()).or_default();
        walk(&entry["fieldsV1"], &mut Vec::new(), of);
    }
    owners.into_iter().map(|(manager, paths)| (manager, paths.into_iter().collect())).collect()
}

fn walk(fields: &Value, path: &mut Vec<String>, found: &mut BTreeSet<String>) {
    let Some(map) = fields.as_object() else { return };
    let is_item = |key: &String| ["k:", "v:", "i:"].iter().any(|start| key.starts_with(start));
    if map.is_empty() || map.keys().any(is_item) {
        if !path.is_empty() {
            found.insert(path.join("."));
        }
        return;
    }
    for (key, inner) in map {
        if let Some(name) = key.strip_prefix("f:") {
            path.push(name.to_owned());
            walk(inner, path, found);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_manager_are_paths_and_lists_are_one_field() {
        let object = json!({"metadata": {"managedFields": [
            {"manager": "a", "operation": "Update", "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
                "f:spec": {"f:selector": {}, "f:ports": {".": {}, "k:{\"port\":80}": {".": {}, "f:port": {}}}}}},
            {"manager": "b", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {"f:x": {}}}},
        ]}});
        let owners = owners(&object);
        assert_eq!(owners.get("a").map(|p| p.join(" ")).as_deref(), Some("metadata.labels.x spec.ports spec.selector"));
        assert_eq!(owners.get("b"), None);
    }

    #[test]
    fn versions_and_times_are_not_compared_but_that_they_moved_is() {
        let sort = &super::super::kinds::all()[0];
        let object = |uid: &str, version: &str| json!({"metadata": {"uid": uid, "resourceVersion": version}});
        let seen = |before: &Value, after: &Value| {
            Seen::new(sort, "written".into(), String::new(), before, after, Owners::new())
        };
        assert_eq!(seen(&object("u", "1"), &object("u", "2")), seen(&object("x", "7"), &object("x", "9")));
        assert_ne!(seen(&object("u", "1"), &object("u", "2")), seen(&object("x", "7"), &object("x", "7")));
        assert_ne!(seen(&object("u", "1"), &object("u", "2")), seen(&object("x", "7"), &object("y", "9")));
    }
}
