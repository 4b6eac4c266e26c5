//! Quantities of resources. The API server refuses a wrong one without saying where it is, so it is looked for here.

use serde_json::Value;

/// How a quantity is written.
pub const QUANTITY_REMEDY: &str = "write it like 500m, 2, 128Mi or 1.5Gi";

/// Resources of containers that no API server can read, each by its path below `at`.
pub fn wrong_quantities(at: &str, object: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(at, object, &mut found);
    found
}

fn walk(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if matches!(key.as_str(), "containers" | "initContainers") {
                    for (i, container) in inner.as_array().into_iter().flatten().enumerate() {
                        of_container(&format!("{path}[{i}].resources"), &container["resources"], found);
                    }
                } else {
                    walk(&path, inner, found);
                }
            }
        }
        Value::Array(items) => {
            for (i, inner) in items.iter().enumerate() {
                walk(&format!("{path}[{i}]"), inner, found);
            }
        }
        _ => {}
    }
}

fn of_container(path: &str, resources: &Value, found: &mut Vec<(String, Value)>) {
    for kind in ["limits", "requests"] {
        for (name, value) in resources[kind].as_object().into_iter().flatten() {
            let fine = match value {
                Value::String(text) => is_quantity(text),
                Value::Number(_) => true,
                _ => false,
            };
            if !fine {
                found.push((format!("{path}.{kind}.{name}"), value.clone()));
            }
        }
    }
}

/// `<sign><digits>[.<digits>]<suffix>`, as apimachinery's resource.Quantity reads it.
fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let number_fine = number.chars().any(|c| c.is_ascii_digit()) && number.matches('.').count() <= 1;
    let exponent = suffix.strip_prefix(['e', 'E']).map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    let exponent_fine = exponent.is_some_and(|e| !e.is_empty() && e.chars().all(|c| c.is_ascii_digit()));
    let known = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    number_fine && (known.contains(&suffix) || exponent_fine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quantity_that_nobody_can_read_is_named_by_its_field() {
        let object = json!({"spec": {"template": {"spec": {"containers": [
            {"resources": {"requests": {"cpu": "500m", "memory": "1.5Gi"}, "limits": {"cpu": 2, "memory": "1e3"}}},
            {"resources": {"requests": {"cpu": "lots", "memory": "1GiB"}}}]}}}});
        let fields: Vec<_> = wrong_quantities("", &object).into_iter().map(|w| w.0).collect();
        let at = "spec.template.spec.containers[1].resources.requests";
        assert_eq!(fields, [format!("{at}.cpu"), format!("{at}.memory")]);
    }
}
