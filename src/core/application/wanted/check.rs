//! What is wrong with an object by itself, before the API server is asked.

use super::Trouble;
use crate::core::object::ObjectRef;
use crate::core::rollout;
use crate::core::scalar::{QUANTITY_REMEDY, wrong_quantities};
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
    } else {
        for (field, value) in wrong_quantities("", object) {
            let message = format!("{value} is no quantity; {QUANTITY_REMEDY}");
            found.push(Trouble::manifest(file, target.to_string(), &field, message));
        }
    }
    found
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
