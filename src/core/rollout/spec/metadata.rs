//! Metadata of a role: `canaryMetadata`, `stableMetadata`, `previewMetadata`, `activeMetadata`.

use super::RoleMetadata;
use super::reader::Reader;
use crate::api::ObjectMetadata;
use crate::core::rollout::LABEL_HASH;
use serde_json::Value;

/// Refuses keys that decide which pods belong together, and what no API server would take: by then revisions are under way.
pub(super) fn read(reader: &mut Reader, field: &str, wire: Option<&ObjectMetadata>, selector: &Value) -> RoleMetadata {
    let Some(wire) = wire else { return RoleMetadata::default() };
    for (key, value) in &wire.labels {
        let field = format!("{field}.labels.{key}");
        if selects(selector, key) {
            reader.refuse(&field, value, "pods are selected by this label", "use another key");
        } else if !is_key(key) {
            reader.refuse(&field, value, "it cannot be the key of a label", KEY_REMEDY);
        } else if !value.is_empty() && !is_name(value) {
            reader.refuse(&field, value, "it cannot be the value of a label", VALUE_REMEDY);
        }
    }
    for (key, value) in &wire.annotations {
        let field = format!("{field}.annotations.{key}");
        if key.starts_with("tidegate.dev/") {
            reader.refuse(&field, value, "keys of tidegate.dev are the controller's own", "use another key");
        } else if !is_key(key) {
            reader.refuse(&field, value, "it cannot be the key of an annotation", KEY_REMEDY);
        }
    }
    RoleMetadata { labels: wire.labels.clone(), annotations: wire.annotations.clone() }
}

const KEY_REMEDY: &str =
    "write it like role or example.com/role: at most 63 letters, digits, hyphens, dots and underscores";
const VALUE_REMEDY: &str = "give at most 63 letters, digits, hyphens, dots and underscores";

fn selects(selector: &Value, key: &str) -> bool {
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    key == LABEL_HASH
        || key.starts_with("tidegate.dev/")
        || selector["matchLabels"].get(key).is_some()
        || expressions.any(|e| e["key"] == key)
}

/// `name` or `domain/name`.
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_name(key),
        Some((domain, name)) => domain.len() <= 253 && domain.split('.').all(is_domain_part) && is_name(name),
    }
}

fn is_domain_part(part: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !part.is_empty() && part.bytes().all(fine) && !part.starts_with('-') && !part.ends_with('-')
}

fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= 63 && text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().last())
}
