//! The hash of a pod template.
//!
//! A versioned function over the canonical JSON of the template **as stored** (keys sorted, nulls dropped), never over a
//! typed copy: a field that this program does not know counts too, and an upgrade of a library never makes a revision.
//! A change of the function is a new version; the older ones stay, and existing ReplicaSets are looked up by all of them.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Letters without vowels and digits that look like none, so that a hash spells no word (as Kubernetes does).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length of a hash: 27^10 is 2 * 10^14, so two templates of one Rollout do not meet.
const LENGTH: usize = 10;

/// The hash of a template under the newest version of the function.
pub fn template_hash(template: &Value) -> String {
    hash_v1(template)
}

/// The hashes of a template, newest version first.
pub fn known_hashes(template: &Value) -> Vec<String> {
    vec![hash_v1(template)]
}

/// The hash of a list of steps: it starts the Rollout again from step 0 when it changes.
pub fn steps_hash(steps: &Value) -> String {
    digest("tidegate.dev/steps/1", steps)
}

fn hash_v1(template: &Value) -> String {
    digest("tidegate.dev/template/1", template)
}

/// A short name for any JSON value; `domain` keeps hashes of different things apart.
pub fn digest(domain: &str, value: &Value) -> String {
    let mut text = String::from(domain);
    text.push('\n');
    canonical(value, &mut text);
    let bytes = Sha256::digest(text.as_bytes());
    let head: [u8; 8] = bytes[..8].try_into().expect("a SHA-256 digest has 32 bytes");
    let mut rest = u64::from_be_bytes(head);
    let base = u64::try_from(ALPHABET.len()).expect("27 fits");
    let symbol = |n: u64| char::from(ALPHABET[usize::try_from(n).expect("below 27")]);
    (0..LENGTH)
        .map(|_| {
            let next = symbol(rest % base);
            rest /= base;
            next
        })
        .collect()
}

/// Keys sorted, fields that hold null left out, no white space.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| k).collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                canonical(&fields[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Golden: a changed value here is a new revision of every Rollout in every cluster. Add a version instead.
    #[test]
    fn the_hash_of_version_one_never_changes() {
        let nginx = json!({"metadata": {"labels": {"run": "mynginx"}},
            "spec": {"containers": [{"image": "nginx", "name": "mynginx", "ports": [{"containerPort": 80}]}]}});
        let golden = [
            (json!({}), "ctpgjldmp6"),
            (nginx.clone(), "75q89lxb9v"),
            (json!({"spec": {"unknownFieldOfTheFuture": [1, 2.5, true, "é\""]}}), "tnkdc9vs6f"),
        ];
        for (template, hash) in golden {
            assert_eq!(template_hash(&template), hash, "{template}");
        }
    }

    #[test]
    fn order_of_keys_and_nulls_do_not_count_and_order_of_items_does() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":{"x":null,"y":[1,2]}}"#).expect("JSON");
        let two: Value = serde_json::from_str(r#"{"b":{"y":[1,2]},"a":1,"c":null}"#).expect("JSON");
        assert_eq!(template_hash(&one), template_hash(&two));
        assert_ne!(template_hash(&one), template_hash(&json!({"a": 1, "b": {"y": [2, 1]}})));
    }

    #[test]
    fn a_template_and_a_list_of_steps_never_share_a_hash() {
        assert_ne!(template_hash(&json!([])), steps_hash(&json!([])));
    }
}
