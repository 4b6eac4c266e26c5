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
            owners: kept(sort, after, owners),
        }
    }

    /// Both, one line for each thing that is not the same in them, and the servers' own words.
    pub(super) fn against(&self, real: &Self) -> String {
        let value = |seen: &Self| serde_json::to_value(seen).unwrap_or_default();
        let mut lines = Vec::new();
        differences("", &value(self), &value(real), &mut lines);
        lines.join("\n")
    }
}

fn differences(path: &str, simulated: &Value, real: &Value, lines: &mut Vec<String>) {
    match (simulated, real) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                differences(&format!("{path}/{key}"), a, b, lines);
            }
        }
        (a, b) if a == b => {}
        (a, b) => lines.push(format!("{path}: simulated {a}, real {b}")),
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

/// The managers that both servers know, without fields that only the real one sets, and without maps: a real server also notes
/// who made a map as such, even when it is gone, which differs from kind to kind and decides nothing.
fn kept(sort: &Sort, object: &Value, owners: Owners) -> Owners {
    let defaulted = |path: &String| {
        sort.defaulted.iter().any(|d| path == d || path.strip_prefix(d).is_some_and(|rest| rest.starts_with('.')))
    };
    let is_map =
        |path: &String| !sort.atomic.contains(&path.as_str()) && path_in(object, path).is_none_or(Value::is_object);
    let known = owners.into_iter().filter(|(manager, _)| MANAGERS.contains(&manager.as_str()));
    known
        .map(|(manager, paths)| {
            let paths: BTreeSet<String> = paths.into_iter().filter(|p| !defaulted(p) && !is_map(p)).collect();
            (manager, paths.into_iter().collect::<Vec<_>>())
        })
        .filter(|(_, paths)| !paths.is_empty())
        .collect()
}

/// Who owns what of a real object, in the simulation's words: the fields of `managedFields`, with each list as one field.
/// Writes of subresources are left out, as the simulation notes none.
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

/// The value at a path whose keys may hold dots.
fn path_in<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let map = object.as_object()?;
    map.iter().find_map(|(key, value)| match path.strip_prefix(key.as_str())? {
        "" => Some(value),
        rest => path_in(value, rest.strip_prefix('.')?),
    })
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
        let object = json!({"spec": {"selector": {"a": "b"}, "template": {"x": "y"}, "ports": []}, "metadata": {"labels": {"x": "1"}, "managedFields": [
            {"manager": "tidegate", "operation": "Update", "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
                "f:spec": {"f:selector": {}, "f:template": {}, "f:gone": {}, "f:ports": {".": {}, "k:{\"port\":80}": {".": {}, "f:port": {}}}}}},
            {"manager": "tidegate-sync", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {"f:x": {}}}},
        ]}});
        let sort = Sort { atomic: &["spec.selector"], ..super::super::kinds::all().remove(0) };
        let owners = kept(&sort, &object, owners(&object));
        assert_eq!(
            owners.get("tidegate").map(|p| p.join(" ")).as_deref(),
            Some("metadata.labels.x spec.ports spec.selector")
        );
        assert_eq!(owners.get("tidegate-sync"), None);
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
