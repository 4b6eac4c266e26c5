//! What is wrong with an object by itself, before the API server is asked.

use super::Trouble;
use crate::core::object::ObjectRef;
use crate::core::rollout;
use serde_json::{Value, json};

/// Commands that are a one-time request when they have no scope, so that git would repeat them for ever.
const COMMANDS: [&str; 6] = ["promote", "abort", "retry", "pause", "restart", "rollback"];

const HOOKS: [&str; 3] = ["argocd.argoproj.io/hook", "helm.sh/hook", "tidegate.dev/hook"];

pub(super) fn object(file: &str, target: &ObjectRef, object: &Value) -> Vec<Trouble> {
    let mut found = Vec::new();
    let annotations = &object["metadata"]["annotations"];
    for hook in HOOKS.iter().filter(|h| annotations[**h].is_string()) {
        let field = format!("metadata.annotations[{hook:?}]");
        let message = "hooks are not supported yet; remove the annotation to apply it as an ordinary object";
        found.push(Trouble::surroundings(file, target.to_string(), &field, message));
    }
    if object.get("sops").is_some() {
        let message = "is encrypted with SOPS, which is not supported; it would be stored encrypted. Decrypt it before, or keep it out of this directory";
        found.push(Trouble::surroundings(file, target.to_string(), "sops", message));
    }
    if target.resource.kind == "Rollout" && target.resource.group == "tidegate.dev" {
        found.extend(commands(file, target, annotations));
        // The same function that the Rollout itself is read with: what it would refuse later is refused before anything moves.
        let refusals = rollout::spec::Spec::parse(&target.name, &object["spec"]).err().unwrap_or_default();
        found.extend(refusals.iter().map(|refusal| {
            let message = format!("{}; {}", refusal.problem, refusal.remedy);
            let seen = if refusal.value.is_empty() { message } else { format!("{}: {message}", refusal.value) };
            Trouble::manifest(file, target.to_string(), &refusal.field, seen)
        }));
    }
    for (field, value) in wrong_quantities(object) {
        let message = format!("{value} is no quantity; write it like 500m, 2, 128Mi or 1.5Gi");
        found.push(Trouble::manifest(file, target.to_string(), &field, message));
    }
    found
}

/// Resources of containers that no API server can read. It says so without the field, so it is found here.
fn wrong_quantities(object: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk("", object, &mut found);
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

fn commands(file: &str, target: &ObjectRef, annotations: &Value) -> Vec<Trouble> {
    let mut found = Vec::new();
    for name in COMMANDS {
        let key = format!("tidegate.dev/{name}");
        let Some(value) = annotations[&key].as_str() else { continue };
        if !value.contains("@hash:") && !value.contains("@git:") {
            let field = format!("metadata.annotations[{key:?}]");
            let message = format!(
                "{value:?} is a one-time request and cannot live in git; give it a scope, like {value}@hash:<hash>, or remove it"
            );
            found.push(Trouble::manifest(file, target.to_string(), &field, message));
        }
    }
    found
}

/// The ReplicaSet that proves a Rollout's pod template: the API server never looks into the template of a Rollout itself.
pub fn template_probe(target: &ObjectRef, object: &Value) -> Option<Value> {
    let template = object["spec"].get("template").filter(|t| t.is_object())?;
    let labels = &template["metadata"]["labels"];
    Some(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("{}-probe", target.name.chars().take(200).collect::<String>()), "namespace": target.namespace},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_that_nobody_can_read_is_named_by_its_field() {
        let object = json!({"spec": {"template": {"spec": {"containers": [
            {"resources": {"requests": {"cpu": "500m", "memory": "1.5Gi"}, "limits": {"cpu": 2, "memory": "1e3"}}},
            {"resources": {"requests": {"cpu": "lots", "memory": "1GiB"}}}]}}}});
        let fields: Vec<_> = wrong_quantities(&object).into_iter().map(|w| w.0).collect();
        let at = "spec.template.spec.containers[1].resources.requests";
        assert_eq!(fields, [format!("{at}.cpu"), format!("{at}.memory")]);
    }
}
