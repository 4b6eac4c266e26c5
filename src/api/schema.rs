//! Schemas of fields that say less than their Rust type, or more than it could.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An object whose fields the API server keeps as they came: pod templates, providers, what only exists upstream.
pub(super) fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}

/// Any value at all: for fields that take a boolean or a word, and for upstream lists that are not ours.
pub(super) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A number or text. Its meaning is found when the object is parsed.
pub(super) fn int_or_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true, "nullable": true })
}

/// RFC 3339, with or without fractions of a second.
pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}

/// The number of wanted pods. The only default in the schema, since the scale subresource has to answer something.
pub(super) fn replicas(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 0, "default": 1 })
}
