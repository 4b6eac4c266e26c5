//! Fields of an object as server-side apply counts them: maps by key, everything else as one value.

use serde_json::Value;
use std::collections::BTreeSet;

/// A field, from the root of the object.
pub(super) type Path = Vec<String>;

/// Maps that have one owner as a whole, though they are maps. Measured for selectors of Services.
const ATOMIC_MAPS: [&[&str]; 2] = [&["spec", "selector"], &["spec", "template"]];

/// Set by the server, owned by nobody.
const SERVER_FIELDS: [&str; 7] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "namespace"];

/// The fields that an applied object claims.
pub(super) fn claimed(object: &Value) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    walk(object, &mut Vec::new(), &mut found);
    found
}

fn walk(value: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let identity = matches!(words.as_slice(), ["apiVersion" | "kind"] | ["metadata", "name"])
        || matches!(words.as_slice(), ["metadata", field] if SERVER_FIELDS.contains(field));
    if identity {
        return;
    }
    match value {
        Value::Object(map) if !ATOMIC_MAPS.contains(&words.as_slice()) && !(map.is_empty() && !path.is_empty()) => {
            for (key, inner) in map {
                path.push(key.clone());
                walk(inner, path, found);
                path.pop();
            }
        }
        _ => {
            found.insert(path.clone());
        }
    }
}

/// The value at a field.
pub(super) fn get<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// Puts a value, making the maps on the way.
pub(super) fn put(object: &mut Value, path: &[String], value: Value) {
    let mut place = object;
    for key in path {
        if !place.is_object() {
            *place = Value::Object(serde_json::Map::new());
        }
        place = &mut place[key.as_str()];
    }
    *place = value;
}

/// Takes a field away, and the maps that are empty without it.
pub(super) fn take(object: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(&mut *object, |value, key| value.get_mut(key));
    let Some(map) = parent.and_then(Value::as_object_mut) else { return };
    map.remove(last);
    if map.is_empty() && parents.len() > 1 {
        take(object, parents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_is_one_field_and_lists_are_too() {
        let object = json!({"kind": "Service", "metadata": {"name": "a", "labels": {"x": "1"}},
                            "spec": {"selector": {"app": "web", "hash": "1"}, "ports": [{"port": 80}]}});
        let paths: Vec<String> = claimed(&object).iter().map(|p| p.join(".")).collect();
        assert_eq!(paths, ["metadata.labels.x", "spec.ports", "spec.selector"]);
    }

    #[test]
    fn taking_the_last_key_takes_the_empty_map_but_not_the_root_of_spec() {
        let mut object = json!({"spec": {"a": {"b": 1}}});
        take(&mut object, &["spec".into(), "a".into(), "b".into()]);
        assert_eq!(object, json!({"spec": {}}));
    }
}
