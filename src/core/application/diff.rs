//! What an apply would change: the live object against the same object after a dry run.
//!
//! Both come from the API server, so both are defaulted and normalised by it: no rule of ours about quantities or empty
//! lists is needed, and what a user is shown is what was computed.

use crate::core::question::FieldChange;
use serde_json::Value;

/// Kept per object; more does not help a person.
const MAX_CHANGES: usize = 20;
const MAX_VALUE_CHARS: usize = 120;

/// Fields that the API server itself writes.
const BOOKKEEPING: [&str; 5] = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/// The fields that differ, at most 20. Values of a Secret are never in the result.
pub fn changes(live: &Value, applied: &Value) -> Vec<FieldChange> {
    let hidden = live["kind"] == "Secret" || applied["kind"] == "Secret";
    let mut found = Vec::new();
    walk(String::new(), live, applied, &mut found);
    found.truncate(MAX_CHANGES);
    let show = |path: &str, value: &Value| match value {
        Value::Null => String::new(),
        _ if hidden && !path.starts_with("metadata.labels") => "(hidden)".to_owned(),
        value => shortened(&value.to_string()),
    };
    found
        .into_iter()
        .map(|(path, live, applied)| FieldChange { live: show(&path, live), wanted: show(&path, applied), path })
        .collect()
}

fn walk<'a>(path: String, live: &'a Value, applied: &'a Value, found: &mut Vec<(String, &'a Value, &'a Value)>) {
    if live == applied || found.len() >= MAX_CHANGES {
        return;
    }
    match (live, applied) {
        (Value::Object(old), Value::Object(new)) => {
            let both = old.keys().chain(new.keys().filter(|k| !old.contains_key(*k)));
            for key in both.filter(|key| counts(&path, key)) {
                let (old, new) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
                walk(joined(&path, key), old, new, found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (i, (old, new)) in old.iter().zip(new).enumerate() {
                walk(format!("{path}[{i}]"), old, new, found);
            }
        }
        _ => found.push((path, live, applied)),
    }
}

/// kubectl's own copy of an object holds its whole content, Secrets included.
fn counts(path: &str, key: &str) -> bool {
    match path {
        "" => key != "status",
        "metadata" => !BOOKKEEPING.contains(&key),
        "metadata.annotations" => key != "kubectl.kubernetes.io/last-applied-configuration",
        _ => true,
    }
}

fn joined(path: &str, key: &str) -> String {
    match (path.is_empty(), key.contains('.')) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}[{key:?}]"),
        (false, false) => format!("{path}.{key}"),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_VALUE_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_VALUE_CHARS - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_the_field_and_both_values_and_ignores_bookkeeping() {
        let live = json!({"metadata": {"resourceVersion": "1", "managedFields": [1], "generation": 1},
            "spec": {"containers": [{"image": "a"}]}, "status": {"x": 1}});
        let applied = json!({"metadata": {"resourceVersion": "2", "managedFields": [2], "generation": 2},
            "spec": {"containers": [{"image": "b"}]}});
        let change =
            FieldChange { path: "spec.containers[0].image".into(), live: "\"a\"".into(), wanted: "\"b\"".into() };
        assert_eq!(changes(&live, &applied), [change]);
        assert_eq!(changes(&live, &live), []);
    }

    #[test]
    fn the_content_of_a_secret_is_never_shown() {
        let secret = |value: &str| {
            json!({"kind": "Secret", "data": {"password": value},
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": value}}})
        };
        let found = changes(&secret("aHVudGVyMg=="), &secret("c3dvcmRmaXNo"));
        assert_eq!(found.len(), 1);
        assert!(!format!("{found:?}").contains("aHVudGVy") && !format!("{found:?}").contains("c3dv"), "{found:?}");
    }
}
