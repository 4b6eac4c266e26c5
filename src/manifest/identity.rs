//! Who an object is: what every manifest must say before it is worth asking the API server about it.

use serde_json::Value;

/// What keeps a document from being an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("is {found}, not an object; a manifest is a mapping with apiVersion, kind and metadata")]
    NoMapping { found: &'static str },
    #[error("{field} is missing; add it, or exclude the file if it is no manifest")]
    Missing { field: &'static str },
    #[error("{field} is {found}; {wanted}")]
    Invalid { field: String, found: String, wanted: &'static str },
    #[error("metadata.generateName makes a new object at each apply; give it a metadata.name")]
    GeneratedName,
    #[error("kind {kind} is for kustomize, which is not supported yet; commit what `kustomize build` prints")]
    Kustomize { kind: String },
    #[error("lists are nested deeper than {0} levels; write the objects as documents of their own")]
    NestedLists(usize),
}

fn invalid(field: impl Into<String>, found: &Value, wanted: &'static str) -> IdentityError {
    let mut shown = found.to_string();
    if shown.chars().count() > 80 {
        shown = shown.chars().take(77).chain("...".chars()).collect();
    }
    IdentityError::Invalid { field: field.into(), found: shown, wanted }
}

/// Checks apiVersion, kind, name, namespace, labels and annotations.
pub(super) fn check(object: &Value) -> Result<(), IdentityError> {
    let found = match object {
        Value::Object(_) => None,
        Value::Array(_) => Some("a list"),
        _ => Some("a single value"),
    };
    if let Some(found) = found {
        return Err(IdentityError::NoMapping { found });
    }
    let version = text(&object["apiVersion"], "apiVersion")?;
    let parts: Vec<&str> = version.split('/').collect();
    if parts.len() > 2 || parts.iter().any(|p| !is_subdomain(p)) {
        return Err(invalid("apiVersion", &object["apiVersion"], "write a version such as v1 or apps/v1"));
    }
    let kind = text(&object["kind"], "kind")?;
    if !kind.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(invalid("kind", &object["kind"], "write a kind such as Deployment"));
    }
    if parts[0].ends_with("kustomize.config.k8s.io") {
        return Err(IdentityError::Kustomize { kind: kind.to_owned() });
    }
    let meta = &object["metadata"];
    if meta["name"].is_null() && meta["generateName"].is_string() {
        return Err(IdentityError::GeneratedName);
    }
    let name = text(&meta["name"], "metadata.name")?;
    // The rule of path segments; kinds with narrower names are told so by the API server.
    if name.len() > 253 || name == "." || name == ".." || name.contains(['/', '%']) || name.contains(char::is_control) {
        return Err(invalid(
            "metadata.name",
            &meta["name"],
            "write at most 253 characters, without slash and percent sign",
        ));
    }
    match &meta["namespace"] {
        Value::Null => {}
        Value::String(namespace) if namespace.is_empty() || is_label(namespace) => {}
        other => return Err(invalid("metadata.namespace", other, "write lower-case letters, digits and dashes")),
    }
    for field in ["labels", "annotations"] {
        match &meta[field] {
            Value::Null => {}
            Value::Object(pairs) => {
                if let Some((key, value)) = pairs.iter().find(|(_, v)| !v.is_string() && !v.is_null()) {
                    return Err(invalid(
                        format!("metadata.{field}[{key:?}]"),
                        value,
                        "text is wanted: put it in quotes",
                    ));
                }
            }
            other => return Err(invalid(format!("metadata.{field}"), other, "a mapping of text to text is wanted")),
        }
    }
    Ok(())
}

fn text<'a>(value: &'a Value, field: &'static str) -> Result<&'a str, IdentityError> {
    match value {
        Value::Null => Err(IdentityError::Missing { field }),
        Value::String(text) if text.is_empty() => Err(IdentityError::Missing { field }),
        Value::String(text) => Ok(text),
        other => Err(invalid(field, other, "text is wanted: put it in quotes")),
    }
}

/// A DNS label: at most 63 of a-z, 0-9 and dash, neither first nor last a dash.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// How deep a List may hold Lists.
const MAX_LIST_DEPTH: usize = 4;

/// Takes a `List` apart, as kubectl does for every kind that ends in `List` and has items; anything else stays.
pub(super) fn expand(value: Value, into: &mut Vec<Value>) -> Result<(), IdentityError> {
    expand_at(value, into, 0)
}

fn expand_at(mut value: Value, into: &mut Vec<Value>, depth: usize) -> Result<(), IdentityError> {
    let is_list = value["kind"].as_str().is_some_and(|k| k.ends_with("List"));
    if !is_list || !value["items"].is_array() {
        into.push(value);
        return Ok(());
    }
    if depth == MAX_LIST_DEPTH {
        return Err(IdentityError::NestedLists(MAX_LIST_DEPTH));
    }
    if let Value::Array(items) = value["items"].take() {
        for item in items {
            expand_at(item, into, depth + 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(object: &Value) -> String {
        check(object).expect_err("must be refused").to_string()
    }

    #[test]
    fn each_refusal_names_the_field_and_what_to_write() {
        assert!(refusal(&json!([1])).starts_with("is a list, not an object"));
        assert!(refusal(&json!({"kind": "A"})).starts_with("apiVersion is missing"));
        assert!(refusal(&json!({"apiVersion": 1.5, "kind": "A"})).contains("apiVersion is 1.5; text is wanted"));
        assert!(refusal(&json!({"apiVersion": "a/b/c", "kind": "A"})).contains("apps/v1"));
        assert!(
            refusal(&json!({"apiVersion": "v1", "kind": "A", "metadata": {"generateName": "x-"}})).contains("name")
        );
        let named = |meta: Value| refusal(&json!({"apiVersion": "v1", "kind": "A", "metadata": meta}));
        assert!(named(json!({"name": "a/b"})).contains("metadata.name"));
        assert!(named(json!({"name": "a", "namespace": "A b"})).contains("metadata.namespace"));
        assert!(named(json!({"name": "a", "labels": {"v": 1}})).contains("metadata.labels[\"v\"] is 1; text"));
    }

    #[test]
    fn names_of_roles_may_have_colons_and_capitals() {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:A"}});
        assert_eq!(check(&role), Ok(()));
    }

    #[test]
    fn lists_of_lists_are_taken_apart_up_to_a_bound() {
        let mut into = Vec::new();
        expand(
            json!({"kind": "List", "items": [{"kind": "ConfigMapList", "items": [{"kind": "A"}]}, {"kind": "B"}]}),
            &mut into,
        )
        .expect("two levels");
        assert_eq!(into, [json!({"kind": "A"}), json!({"kind": "B"})]);
        let mut bomb = json!({"kind": "A"});
        for _ in 0..6 {
            bomb = json!({"kind": "List", "items": [bomb]});
        }
        assert!(expand(bomb, &mut Vec::new()).is_err());
    }
}
