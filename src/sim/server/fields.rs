//! Fields of an object as server-side apply counts them: maps by key, everything else as one value.

use crate::core::object::ObjectRef;
use serde_json::Value;
use std::collections::BTreeSet;

/// A field, from the root of the object.
pub(super) type Path = Vec<String>;

/// Fields whose absence and emptiness are the same to a server: it knows their type and does not write empty ones.
const EMPTY_IS_ABSENT: [&[&str]; 4] = [
    &["metadata", "labels"],
    &["metadata", "annotations"],
    &["metadata", "finalizers"],
    &["metadata", "ownerReferences"],
];
/// The same of Kubernetes' own kinds; in kinds that come by a definition such maps stay.
const EMPTY_IS_ABSENT_IN_OWN_KINDS: [&[&str]; 4] = [
    &["data"],
    &["spec", "selector"],
    &["spec", "template", "metadata", "labels"],
    &["spec", "template", "metadata", "annotations"],
];

/// Kubernetes' own kinds, as opposed to those that come by a definition.
fn is_own(target: &ObjectRef) -> bool {
    let group = target.resource.group.as_ref();
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// Maps that have one owner as a whole, though they are maps: the selectors of Kubernetes' own kinds. Kinds that come by a
/// definition have none, as ours mark none.
fn is_atomic(target: &ObjectRef, path: &[&str]) -> bool {
    is_own(target) && path == ["spec", "selector"]
}

/// Takes off what is empty and as good as absent.
pub(super) fn drop_empty(target: &ObjectRef, object: &mut Value) {
    let own = if is_own(target) { &EMPTY_IS_ABSENT_IN_OWN_KINDS[..] } else { &[] };
    for path in EMPTY_IS_ABSENT.iter().chain(own) {
        let Some((last, parents)) = path.split_last() else { continue };
        let parent = parents.iter().try_fold(&mut *object, |value, key| value.get_mut(key));
        let Some(map) = parent.and_then(Value::as_object_mut) else { continue };
        let empty = |value: &Value| match value {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            other => other.is_null(),
        };
        if map.get(*last).is_some_and(empty) {
            map.remove(*last);
        }
    }
}

/// Set by the server, owned by nobody.
const SERVER_FIELDS: [&str; 7] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "namespace"];

/// The fields that an applied object claims.
pub(super) fn claimed(target: &ObjectRef, object: &Value) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    walk(target, None, object, &mut Vec::new(), &mut found);
    found
}

/// Those of `claimed` whose values are others than in `old`.
pub(super) fn changed(target: &ObjectRef, old: &Value, new: &Value) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    walk(target, Some(old), new, &mut Vec::new(), &mut found);
    found
}

/// `old`: what was there; where it is equal there is nothing to find.
fn walk<'v>(
    target: &ObjectRef,
    old: Option<&Value>,
    value: &'v Value,
    path: &mut Vec<&'v str>,
    found: &mut BTreeSet<Path>,
) {
    let identity = matches!(path.as_slice(), ["apiVersion" | "kind"] | ["metadata", "name"])
        || matches!(path.as_slice(), ["metadata", field] if SERVER_FIELDS.contains(field));
    if identity || old == Some(value) {
        return;
    }
    match value {
        Value::Object(map) if !is_atomic(target, path) && (path.is_empty() || !map.is_empty()) => {
            for (key, inner) in map {
                path.push(key);
                walk(target, old.and_then(|old| old.get(key)), inner, path, found);
                path.pop();
            }
        }
        _ => {
            found.insert(path.iter().map(|key| (*key).to_owned()).collect());
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

/// Takes a field away, and the maps that are empty without it; only `spec` stays, as objects are not valid without.
pub(super) fn take(object: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(&mut *object, |value, key| value.get_mut(key));
    let Some(map) = parent.and_then(Value::as_object_mut) else { return };
    map.remove(last);
    if map.is_empty() && parents != ["spec"] {
        take(object, parents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::ResourceType;
    use serde_json::json;

    #[test]
    fn a_selector_is_one_field_and_lists_are_too() {
        let object = json!({"kind": "Service", "metadata": {"name": "a", "labels": {"x": "1"}},
                            "spec": {"selector": {"app": "web", "hash": "1"}, "ports": [{"port": 80}]}});
        let target = ObjectRef::new(ResourceType::SERVICE, "shop", "a");
        let paths: Vec<String> = claimed(&target, &object).iter().map(|p| p.join(".")).collect();
        assert_eq!(paths, ["metadata.labels.x", "spec.ports", "spec.selector"]);
    }

    #[test]
    fn kinds_of_a_definition_have_an_owner_for_each_key_of_a_selector() {
        let object = json!({"spec": {"selector": {"matchLabels": {"app": "web"}}}});
        let paths = claimed(&ObjectRef::new(ResourceType::ROLLOUT, "shop", "a"), &object);
        assert_eq!(paths.iter().map(|p| p.join(".")).collect::<Vec<_>>(), ["spec.selector.matchLabels.app"]);
    }

    #[test]
    fn empty_labels_are_none_and_empty_maps_in_a_rollout_stay() {
        let mut object = json!({"metadata": {"labels": {}}, "spec": {"selector": {}}});
        drop_empty(&ObjectRef::new(ResourceType::ROLLOUT, "shop", "a"), &mut object);
        assert_eq!(object, json!({"metadata": {}, "spec": {"selector": {}}}));
    }

    #[test]
    fn taking_the_last_key_takes_the_empty_map_but_not_the_root_of_spec() {
        let mut object = json!({"spec": {"a": {"b": 1}}});
        take(&mut object, &["spec".into(), "a".into(), "b".into()]);
        assert_eq!(object, json!({"spec": {}}));
    }
}
