//! Routing objects as data: what they shall look like, and whether what Traefik serves is what was asked for.
//!
//! The problem: requests shall be shared between two revisions by objects that Traefik rebuilds on its own time, beside
//! objects that others own. The rules: the weights lie in one object, so that a change of them is one write; every other
//! object of ours fails towards stable; priorities never tie; nothing counts as live before every instance serves it.
//!
//! What enters: rows and plain values. What does not: when a weight may move, which is `core/rollout`.

pub mod ingress;
pub mod layers;
pub mod live;
pub mod names;
pub mod root;
mod rule;
pub mod siblings;
pub mod transport;

use crate::core::row::Meta;
use serde_json::{Value, json};

/// A Rollout made it, whoever owns it now.
fn is_made(meta: &Meta) -> bool {
    meta.labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "tidegate")
}

/// What every object of ours carries: whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    pub namespace: String,
    /// Name and uid of the Rollout.
    pub rollout: String,
    pub uid: String,
}

impl Ownership {
    /// Made by this Rollout, or by a former one of its name that left it behind: nobody else puts this label on what
    /// nobody owns, but for Services of the user.
    pub fn owns(&self, meta: &Meta) -> bool {
        match &meta.owner {
            Some(owner) => owner.uid == self.uid,
            None => {
                let of = meta.labels.get(crate::core::rollout::LABEL_ROLLOUT);
                is_made(meta) && meta.namespace == self.namespace && of == Some(&self.rollout)
            }
        }
    }

    /// `metadata` of an object with this name.
    pub fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": self.namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "tidegate",
                (crate::core::rollout::LABEL_ROLLOUT): self.rollout,
            },
            "ownerReferences": [self.reference()],
        })
    }

    /// The owner reference to the Rollout.
    pub fn reference(&self) -> Value {
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "name": self.rollout, "uid": self.uid,
            "controller": true, "blockOwnerDeletion": true,
        })
    }
}

/// Whether `seen` holds all that is `wanted`: every field with its value, lists of the same length. What the API server or a
/// person added beside it does not count.
pub fn covers(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| seen.get(key).is_some_and(|s| covers(s, value)))
        }
        (Value::Array(seen), Value::Array(wanted)) => {
            seen.len() == wanted.len() && seen.iter().zip(wanted).all(|(s, w)| covers(s, w))
        }
        _ => seen == wanted,
    }
}

/// A port as Traefik's objects take it: a number where it is one, else its name.
pub fn port_value(port: &str) -> Value {
    port.parse::<u16>().map_or_else(|_| json!(port), |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_default_is_no_difference_and_a_longer_list_is() {
        assert!(covers(&json!({"a": [{"b": 1, "c": 2}], "d": 0}), &json!({"a": [{"b": 1}]})));
        assert!(!covers(&json!({"a": [1, 2]}), &json!({"a": [1]})));
    }
}
