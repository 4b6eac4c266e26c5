//! What is deleted because git no longer has it, and the brakes: a mistake in git, or in reading it, must not take away
//! what cannot be brought back.

use super::assess::Live;
use super::order::kind_rank;
use crate::api::InventoryEntry;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::question::LiveObject;
use std::collections::BTreeSet;

/// An entry of the inventory that the tree does not want.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra<'a> {
    pub entry: InventoryEntry,
    pub fate: Fate<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fate<'a> {
    /// Confirmed gone, or released by whoever took our label off: the entry goes.
    Gone,
    /// Being deleted: the entry stays.
    Going,
    /// Its kind may not be watched, so nothing is known of it: the entry stays.
    Unseen,
    /// Stays, and why.
    Kept(&'a LiveObject, String),
    /// May be deleted.
    Prunable(&'a LiveObject),
}

/// What allows pruning in this pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brakes<'a> {
    /// The policy allows it.
    pub allowed: bool,
    /// The tree wants nothing at all, and that was not declared to be fine.
    pub emptied: bool,
    /// In a hold: what this tree (its first digits) brought is taken away whatever the policy says.
    pub rejected: Option<&'a str>,
}

/// The id of an object in the inventory: `namespace_name_group_kind`.
pub fn entry_id(target: &ObjectRef) -> String {
    format!("{}_{}_{}_{}", target.namespace, target.name, target.resource.group, target.resource.kind)
}

/// The entry for an object, and the tree that brings it.
pub fn entry(target: &ObjectRef, tree: &str) -> InventoryEntry {
    InventoryEntry {
        id: entry_id(target),
        v: target.resource.version.to_string(),
        t: Some(tree.chars().take(12).collect()),
    }
}

/// `apiVersion` and kind of an entry, to ask which resource that is.
pub fn kind_of(entry: &InventoryEntry) -> Option<(String, String)> {
    let mut parts = entry.id.split('_').skip(2);
    let (group, kind) = (parts.next()?, parts.next()?);
    Some((if group.is_empty() { entry.v.clone() } else { format!("{group}/{}", entry.v) }, kind.to_owned()))
}

/// The fate of every entry that is not wanted.
pub fn extras<'a>(
    inventory: &[InventoryEntry],
    wanted: &BTreeSet<String>,
    live: &Live<'a>,
    known: &dyn Fn(&InventoryEntry) -> bool,
    brakes: Brakes<'_>,
) -> Vec<Extra<'a>> {
    let by_id = |id: &str| live.values().copied().find(|l| entry_id(&l.target) == id);
    let unwanted = inventory.iter().filter(|e| !wanted.contains(&e.id));
    unwanted
        .map(|entry| {
            let fate = match by_id(&entry.id) {
                None if known(entry) => Fate::Gone,
                None => Fate::Unseen,
                Some(object) if object.deleting => Fate::Going,
                Some(object) => match brake(object, entry, brakes) {
                    Some(reason) => Fate::Kept(object, reason),
                    None => Fate::Prunable(object),
                },
            };
            Extra { entry: entry.clone(), fate }
        })
        .collect()
}

/// Why an object stays, if it does.
fn brake(object: &LiveObject, entry: &InventoryEntry, brakes: Brakes<'_>) -> Option<String> {
    let opted = |key: &str, value: &str| object.annotations.get(key).is_some_and(|v| v == value);
    let options = object.annotations.get("argocd.argoproj.io/sync-options").map_or("", String::as_str);
    if options.split(',').any(|o| matches!(o.trim(), "Prune=false" | "Prune=confirm"))
        || opted("tidegate.dev/prune", "false")
    {
        return Some("its annotations say that it is not pruned".to_owned());
    }
    if object.owned {
        return Some("it has an owner reference: somebody else made it".to_owned());
    }
    if precious(&object.target.resource) && !opted("tidegate.dev/prune", "true") {
        return Some(format!(
            "a {} takes with it what cannot be brought back; annotate it with tidegate.dev/prune=true to allow it",
            object.target.resource.kind
        ));
    }
    if brakes.emptied {
        return Some("git has no object left; allow that with spec.syncPolicy.automated.allowEmpty".to_owned());
    }
    let brought =
        brakes.rejected.is_some_and(|tree| entry.t.as_deref().is_some_and(|t| !t.is_empty() && tree.starts_with(t)));
    if !brakes.allowed && !brought {
        return Some("pruning is off; see spec.syncPolicy.automated.prune".to_owned());
    }
    None
}

/// Deleting one of these deletes what was in it.
fn precious(resource: &ResourceType) -> bool {
    matches!(
        resource.kind.as_ref(),
        "Namespace" | "CustomResourceDefinition" | "PersistentVolumeClaim" | "PersistentVolume"
    )
}

/// What serves users is taken away only when everything that is wanted is healthy: its replacement may be on its way.
pub fn serves(resource: &ResourceType) -> bool {
    matches!(
        resource.kind.as_ref(),
        "Deployment"
            | "StatefulSet"
            | "DaemonSet"
            | "ReplicaSet"
            | "Pod"
            | "Rollout"
            | "Service"
            | "Ingress"
            | "IngressRoute"
            | "TraefikService"
            | "Middleware"
            | "HTTPRoute"
            | "ConfigMap"
            | "Secret"
            | "ServiceAccount"
    )
}

/// Objects in the order of their deletion: the reverse of how they were applied.
pub fn in_order<'a>(extras: &[Extra<'a>]) -> Vec<&'a LiveObject> {
    let mut all: Vec<_> = extras
        .iter()
        .filter_map(|e| match e.fate {
            Fate::Prunable(object) => Some(object),
            _ => None,
        })
        .collect();
    all.sort_by_key(|o| (std::cmp::Reverse(kind_rank(&o.target.resource.kind)), o.target.clone()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::application::health::Health;
    use std::collections::BTreeMap;

    const ON: Brakes<'static> = Brakes { allowed: true, emptied: false, rejected: None };

    fn live(kind: &'static str, annotations: &[(&str, &str)]) -> LiveObject {
        LiveObject {
            target: ObjectRef::new(ResourceType { kind: kind.into(), ..ResourceType::SERVICE }, "shop", "x"),
            uid: "u".into(),
            resource_version: "1".into(),
            generation: 1,
            metadata_digest: String::new(),
            deleting: false,
            owned: false,
            health: Health::healthy(),
            steered: false,
            pods: BTreeMap::new(),
            annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    fn fate(object: &LiveObject, brakes: Brakes<'_>) -> &'static str {
        let inventory = [entry(&object.target, "aaaaaaaaaaaaaaaa")];
        let all = Live::from([(&object.target, object)]);
        match extras(&inventory, &BTreeSet::new(), &all, &|_| true, brakes)[0].fate {
            Fate::Gone => "gone",
            Fate::Going => "going",
            Fate::Unseen => "unseen",
            Fate::Kept(..) => "kept",
            Fate::Prunable(_) => "prunable",
        }
    }

    #[test]
    fn g3_what_cannot_be_brought_back_needs_an_opt_in() {
        for kind in ["Namespace", "CustomResourceDefinition", "PersistentVolumeClaim"] {
            assert_eq!(fate(&live(kind, &[]), ON), "kept", "{kind}");
            assert_eq!(fate(&live(kind, &[("tidegate.dev/prune", "true")]), ON), "prunable", "{kind}");
        }
        assert_eq!(fate(&LiveObject { owned: true, ..live("ConfigMap", &[]) }, ON), "kept");
    }

    #[test]
    fn g2_an_emptied_tree_prunes_nothing() {
        assert_eq!(fate(&live("ConfigMap", &[]), ON), "prunable");
        assert_eq!(fate(&live("ConfigMap", &[]), Brakes { emptied: true, ..ON }), "kept");
    }

    #[test]
    fn pruning_that_is_off_still_takes_away_what_only_the_rejected_tree_brought() {
        let off = Brakes { allowed: false, ..ON };
        let object = live("ConfigMap", &[]);
        assert_eq!(fate(&object, off), "kept");
        assert_eq!(fate(&object, Brakes { rejected: Some("aaaaaaaaaaaaaaaabbbb"), ..off }), "prunable");
        assert_eq!(fate(&object, Brakes { rejected: Some("cccccccccccccccccccc"), ..off }), "kept");
    }

    #[test]
    fn g4_an_entry_goes_only_when_its_object_is_confirmed_gone() {
        let object = live("ConfigMap", &[]);
        let inventory = [entry(&object.target, "t")];
        let of = |known: bool| extras(&inventory, &BTreeSet::new(), &Live::new(), &|_| known, ON)[0].fate.clone();
        assert_eq!(of(true), Fate::Gone);
        assert_eq!(of(false), Fate::Unseen, "its kind could not be listed");
        assert_eq!(fate(&LiveObject { deleting: true, ..object }, ON), "going");
    }

    #[test]
    fn an_annotation_keeps_an_object() {
        assert_eq!(fate(&live("ConfigMap", &[("argocd.argoproj.io/sync-options", "Prune=false")]), ON), "kept");
    }

    #[test]
    fn an_entry_names_its_kind() {
        let target = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        assert_eq!(kind_of(&entry(&target, "t")), Some(("tidegate.dev/v1alpha1".into(), "Rollout".into())));
    }
}
