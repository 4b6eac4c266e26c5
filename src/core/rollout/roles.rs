//! Metadata of a role: labels and annotations that pods carry for as long as their revision is canary or stable (Q2).
//!
//! They are put into the ReplicaSet's template, so that new pods have them, and into the pods that run. What each key was before
//! is kept in an annotation of the ReplicaSet: the role ends, or is another one, and the template is as it was made.

use super::edits;
use super::pass::{Pass, Phase};
use super::spec::RoleMetadata;
use super::template;
use crate::core::plan::Effect;
use crate::core::question::PodEvidence;
use crate::core::row::ReplicaSetRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Pods that are written in one pass; the next one has a fresh answer.
const PODS_AT_ONCE: usize = 20;

type Texts = BTreeMap<String, String>;

/// What the annotation of a ReplicaSet holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Memo {
    /// What each key of ours was in the template before.
    labels: BTreeMap<String, Option<String>>,
    annotations: BTreeMap<String, Option<String>>,
    /// Keys that running pods may still have as they were.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pod_labels: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pod_annotations: BTreeSet<String>,
}

impl Memo {
    fn of(set: &ReplicaSetRow) -> Self {
        let text = set.meta.annotations.get(super::ANNOTATION_ROLE);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn text(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::to_string(self).expect("plain JSON"))
    }
}

/// A map of the template with the keys of a role in the place of those of the former one, and what is to be remembered of it.
fn with_role(
    seen: &Texts,
    former: &BTreeMap<String, Option<String>>,
    role: &Texts,
) -> (Texts, BTreeMap<String, Option<String>>) {
    let mut made = seen.clone();
    for (key, before) in former {
        match before {
            Some(value) => made.insert(key.clone(), value.clone()),
            None => made.remove(key),
        };
    }
    let memo = role.keys().map(|key| (key.clone(), made.get(key).cloned())).collect();
    made.extend(role.clone());
    (made, memo)
}

fn differing(one: &Texts, other: &Texts) -> BTreeSet<String> {
    one.keys().chain(other.keys()).filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}

impl Pass<'_> {
    /// What the pods of a revision carry.
    fn role_of(&self, hash: &str) -> RoleMetadata {
        let (new, stable) = self.f.spec.strategy.roles();
        let is_current = hash == self.f.current();
        let role = match self.phase() {
            Phase::Initial | Phase::Settled if is_current => Some(stable),
            Phase::Updating | Phase::Aborted if is_current => Some(new),
            _ if hash == self.stable() => Some(stable),
            _ => None,
        };
        role.cloned().unwrap_or_default()
    }

    /// Gives the ReplicaSet that is about to be made the metadata of its role.
    pub(super) fn dress(&self, hash: &str, set: &mut Value) {
        let role = self.role_of(hash);
        let texts = |value: &Value| serde_json::from_value::<Texts>(value.clone()).unwrap_or_default();
        let seen = &set["spec"]["template"]["metadata"];
        let none = BTreeMap::new();
        let (labels, of_labels) = with_role(&texts(&seen["labels"]), &none, &role.labels);
        let (annotations, of_annotations) = with_role(&texts(&seen["annotations"]), &none, &role.annotations);
        let memo = Memo { labels: of_labels, annotations: of_annotations, ..Memo::default() };
        if let Some(text) = memo.text() {
            set["metadata"]["annotations"][super::ANNOTATION_ROLE] = Value::from(text);
            template::set_metadata(&mut set["spec"]["template"], &labels, &annotations);
        }
    }

    /// Brings ReplicaSets and their pods to what their roles ask for.
    pub(super) fn keep_roles(&mut self) {
        let sets: Vec<(String, &ReplicaSetRow)> = self.f.sets.iter().map(|(h, set)| (h.clone(), *set)).collect();
        for (hash, set) in sets {
            let (role, memo) = (self.role_of(&hash), Memo::of(set));
            // Without pods there is nobody to carry it, and the template is not kept in memory.
            let nothing = memo == Memo::default() && (set.size == 0 || role == RoleMetadata::default());
            if nothing {
                continue;
            }
            let (labels, of_labels) = with_role(&set.pod_labels, &memo.labels, &role.labels);
            let (annotations, of_annotations) = with_role(&set.pod_annotations, &memo.annotations, &role.annotations);
            let mut wanted = Memo { labels: of_labels, annotations: of_annotations, ..memo.clone() };
            wanted.pod_labels.extend(differing(&set.pod_labels, &labels));
            wanted.pod_annotations.extend(differing(&set.pod_annotations, &annotations));
            if wanted != memo {
                self.effects.push(edits::dress(set, &labels, &annotations, wanted.text()));
            } else if !(memo.pod_labels.is_empty() && memo.pod_annotations.is_empty()) {
                self.keep_roles_of_pods(&hash, set, &memo);
            }
        }
    }

    /// The template is as it shall be: now the pods that were made before.
    fn keep_roles_of_pods(&mut self, hash: &str, set: &ReplicaSetRow, memo: &Memo) {
        let Some(pods) = self.pods_of(hash) else { return };
        let namespace = &self.f.whose.namespace;
        let behind: Vec<Effect> =
            pods.all.iter().filter_map(|pod| redress(namespace, pod, set, memo)).take(PODS_AT_ONCE).collect();
        // A pod that its controller makes of the former template is counted before it is seen here.
        let all_seen = set.observed_generation >= set.meta.generation
            && usize::try_from(set.created).is_ok_and(|created| created <= pods.all.len());
        if behind.is_empty() && all_seen {
            let done = Memo { pod_labels: BTreeSet::new(), pod_annotations: BTreeSet::new(), ..memo.clone() };
            self.effects.push(edits::dress(set, &set.pod_labels, &set.pod_annotations, done.text()));
        }
        self.effects.extend(behind);
    }
}

/// The write that gives a pod what the template of its ReplicaSet has, if it lacks it.
fn redress(namespace: &str, pod: &PodEvidence, set: &ReplicaSetRow, memo: &Memo) -> Option<Effect> {
    if pod.deleting {
        return None;
    }
    let wanted = |keys: &BTreeSet<String>, seen: &Texts, template: &Texts| -> BTreeMap<String, Option<String>> {
        let differs = keys.iter().filter(|key| seen.get(*key) != template.get(*key));
        differs.map(|key| (key.clone(), template.get(key).cloned())).collect()
    };
    let labels = wanted(&memo.pod_labels, &pod.labels, &set.pod_labels);
    let annotations = wanted(&memo.pod_annotations, &pod.annotations, &set.pod_annotations);
    (!(labels.is_empty() && annotations.is_empty())).then(|| edits::redress(namespace, pod, &labels, &annotations))
}

/// What the template of a ReplicaSet was made of, apart from its role; `memo` is the text of its annotation.
pub(super) fn undressed(mut template: Value, memo: Option<&str>) -> Value {
    let Some(memo) = memo.and_then(|text| serde_json::from_str::<Memo>(text).ok()) else { return template };
    let texts = |value: &Value| serde_json::from_value::<Texts>(value.clone()).unwrap_or_default();
    let seen = &template["metadata"];
    let (labels, _) = with_role(&texts(&seen["labels"]), &memo.labels, &Texts::new());
    let (annotations, _) = with_role(&texts(&seen["annotations"]), &memo.annotations, &Texts::new());
    template::set_metadata(&mut template, &labels, &annotations);
    template
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(pairs: &[(&str, &str)]) -> Texts {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn q2_a_role_takes_the_place_of_the_former_one_and_what_was_there_before_comes_back() {
        let plain = texts(&[("app", "web"), ("tier", "front")]);
        let (canary, memo) = with_role(&plain, &BTreeMap::new(), &texts(&[("role", "canary"), ("tier", "test")]));
        assert_eq!(canary, texts(&[("app", "web"), ("role", "canary"), ("tier", "test")]));
        let (stable, memo) = with_role(&canary, &memo, &texts(&[("role", "stable"), ("served", "yes")]));
        assert_eq!(stable, texts(&[("app", "web"), ("role", "stable"), ("served", "yes"), ("tier", "front")]));
        let (same, same_memo) = with_role(&stable, &memo, &texts(&[("role", "stable"), ("served", "yes")]));
        assert_eq!((&same, &same_memo), (&stable, &memo), "a second time nothing changes");
        assert_eq!(with_role(&stable, &memo, &Texts::new()), (plain, BTreeMap::new()));
    }

    #[test]
    fn a_template_is_read_back_as_it_was_without_its_role() {
        let memo = json!({"labels": {"role": null, "tier": "front"}, "annotations": {"note": null}}).to_string();
        let dressed = json!({"metadata": {"labels": {"app": "web", "role": "canary", "tier": "x"}, "annotations": {"note": "n"}}});
        let plain = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        assert_eq!(undressed(dressed, Some(&memo)), plain);
        assert_eq!(undressed(plain.clone(), None), plain);
    }
}
