//! What the server knows of kinds: which have a status of their own, and whose changes are counted.

use super::fields::Path;
use crate::core::object::ObjectRef;
use serde_json::Value;

/// Equal but for what the server itself sets at each write.
pub(super) fn is_same_content(one: &Value, other: &Value) -> bool {
    is_same_but(one, other, &["metadata"])
        && is_same_but(&one["metadata"], &other["metadata"], &["resourceVersion", "generation"])
}

/// Equal maps but for these keys.
pub(super) fn is_same_but(one: &Value, other: &Value, keys: &[&str]) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let rest = |map: &serde_json::Map<String, Value>| map.keys().filter(|k| !keys.contains(&k.as_str())).count();
    rest(one) == rest(other)
        && one.iter().filter(|(k, _)| !keys.contains(&k.as_str())).all(|(k, v)| other.get(k) == Some(v))
}

/// Kinds whose status is a subresource, so that writes of the object leave it alone.
pub(super) fn has_status(target: &ObjectRef) -> bool {
    matches!(
        target.resource.kind.as_ref(),
        "Rollout" | "AnalysisRun" | "Application" | "ReplicaSet" | "Deployment" | "Service"
    )
}

/// Takes back what a write of the object did to its status.
pub(super) fn keep_status(target: &ObjectRef, live: &Value, next: &mut Value) {
    if let Some(next) = next.as_object_mut().filter(|_| has_status(target)) {
        match live.get("status") {
            Some(status) => next.insert("status".to_owned(), status.clone()),
            None => next.remove("status"),
        };
    }
}

/// Kinds whose changes are counted. Those of the core group are not, without a status that could speak of a count.
pub(super) fn has_generation(target: &ObjectRef) -> bool {
    !target.resource.group.is_empty()
}

pub(super) fn is_status(target: &ObjectRef, path: &Path) -> bool {
    has_status(target) && path.first().is_some_and(|p| p == "status")
}
