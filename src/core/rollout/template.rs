//! What the controller adds to a pod template on its way into a ReplicaSet, and how the template reads without it. None of it
//! is part of the hash.

use super::LABEL_HASH;
use super::roles;
use super::spec::AntiAffinity;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const AFFINITY: &str = "affinity";
const POD_ANTI_AFFINITY: &str = "podAntiAffinity";

/// Keeps the pods off nodes that have pods of `stable` (Q3).
pub(super) fn keep_apart(template: &mut Value, rule: AntiAffinity, stable: &str) {
    let of_stable = json!({"key": LABEL_HASH, "operator": "In", "values": [stable]});
    let selector = json!({"matchExpressions": [of_stable]});
    let term = json!({"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"});
    let (list, entry) = match rule {
        AntiAffinity::Required => (REQUIRED, term),
        AntiAffinity::Preferred(weight) => (PREFERRED, json!({"weight": weight, "podAffinityTerm": term})),
    };
    let list = inside(template, &["spec", AFFINITY, POD_ANTI_AFFINITY, list]);
    match list {
        Value::Array(terms) => terms.push(entry),
        other => *other = json!([entry]),
    }
}

/// Labels and annotations as a whole; a map without keys is left out, as the API server leaves it out.
pub(super) fn set_metadata(
    template: &mut Value,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) {
    for (name, texts) in [("labels", labels), ("annotations", annotations)] {
        let Value::Object(fields) = as_object(inside(template, &["metadata"])) else { continue };
        if texts.is_empty() {
            fields.remove(name);
        } else {
            fields.insert(name.to_owned(), json!(texts));
        }
    }
}

/// The value at these keys; objects on the way are made.
fn inside<'v>(value: &'v mut Value, keys: &[&str]) -> &'v mut Value {
    keys.iter().fold(value, |at, key| &mut as_object(at)[*key])
}

fn as_object(value: &mut Value) -> &mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    value
}

/// The template that a ReplicaSet was made of: `role` is the value of its annotation [`super::ANNOTATION_ROLE`].
pub fn as_written(template: Value, role: Option<&str>) -> Value {
    let mut template = roles::undressed(template, role);
    if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
        labels.remove(LABEL_HASH);
    }
    let mut found = false;
    for (list, term) in [(REQUIRED, ""), (PREFERRED, "/podAffinityTerm")] {
        let at = format!("/spec/{AFFINITY}/{POD_ANTI_AFFINITY}/{list}");
        let Some(Value::Array(terms)) = template.pointer_mut(&at) else { continue };
        let path = format!("{term}/labelSelector/matchExpressions/0/key");
        let before = terms.len();
        terms.retain(|term| term.pointer(&path).is_none_or(|key| key != LABEL_HASH));
        found |= terms.len() < before;
    }
    if !found {
        return template;
    }
    // What is empty now was not there before.
    for place in ["/spec/affinity/podAntiAffinity", "/spec/affinity", "/spec"] {
        let Some(Value::Object(fields)) = template.pointer_mut(place) else { continue };
        fields.retain(|key, value| {
            let ours = [REQUIRED, PREFERRED, POD_ANTI_AFFINITY, AFFINITY].contains(&key.as_str());
            let empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(|o| o.is_empty());
            !(ours && empty)
        });
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q3_a_new_revision_is_kept_off_the_nodes_of_stable_and_keeps_its_own_terms() {
        let plain = json!({"spec": {"containers": []}});
        let mut required = plain.clone();
        keep_apart(&mut required, AntiAffinity::Required, "abc");
        let term = &required["spec"]["affinity"]["podAntiAffinity"][REQUIRED][0];
        assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
        assert_eq!(term["labelSelector"]["matchExpressions"][0]["values"], json!(["abc"]));
        assert_eq!(as_written(required, None), plain);

        let own = json!({"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}});
        let with_own = json!({"spec": {"affinity": {"nodeAffinity": {}, "podAntiAffinity": {PREFERRED: [own]}}}});
        let mut preferred = with_own.clone();
        keep_apart(&mut preferred, AntiAffinity::Preferred(30), "abc");
        let terms = &preferred["spec"]["affinity"]["podAntiAffinity"][PREFERRED];
        assert_eq!((&terms[0], &terms[1]["weight"]), (&own, &json!(30)));
        assert_eq!(as_written(preferred, None), with_own);
    }

    #[test]
    fn a_template_that_nobody_can_read_is_no_crash() {
        let mut broken = json!({"spec": {"affinity": "none"}});
        keep_apart(&mut broken, AntiAffinity::Required, "abc");
        assert!(broken["spec"]["affinity"]["podAntiAffinity"][REQUIRED].is_array());
    }
}
