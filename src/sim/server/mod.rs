//! The simulated API server: versions, conflicts, preconditions, field ownership and watch events, as far as Tidegate's writes
//! and the model's actors depend on them.
//!
//! Not simulated: validation by schema, defaulting, admission, paging. `e2e/suite` runs the same random writes against this and
//! against a real server and compares answers and objects.

mod fields;
mod kinds;
mod store;
#[cfg(test)]
mod tests;
mod writes;

use self::fields::Path;
use crate::core::object::ObjectRef;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Refused, with the code that a real server gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: u16,
    pub message: String,
}

/// What a watch would tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub version: u64,
    pub target: ObjectRef,
    /// The object after the write; of a deletion its last state with the deletion's version.
    pub object: Arc<Value>,
    pub gone: bool,
}

/// Who holds which fields of an object, by name of the manager.
type Owners = BTreeMap<String, BTreeSet<Path>>;

/// Holds what nobody held when the first apply came.
const UNTRACKED: &str = "before-first-apply";

/// All objects, and all that ever happened to them.
#[derive(Debug, Clone, Default)]
pub struct Server {
    objects: BTreeMap<ObjectRef, Arc<Value>>,
    owners: BTreeMap<ObjectRef, Arc<Owners>>,
    /// What was there before the first of `events`.
    before: BTreeMap<ObjectRef, Arc<Value>>,
    /// Every event since the start, oldest first.
    pub events: Vec<Event>,
    /// The version of the newest write of each kind.
    newest: BTreeMap<String, u64>,
    version: u64,
    uids: u64,
    gone: u64,
}

type Written = Result<Arc<Value>, Refused>;

impl Server {
    pub fn get(&self, target: &ObjectRef) -> Option<&Value> {
        self.objects.get(target).map(AsRef::as_ref)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ObjectRef, &Value)> {
        self.objects.iter().map(|(target, object)| (target, object.as_ref()))
    }

    /// The objects of a kind as they were before the event with this number.
    pub fn as_of(&self, kind: &str, event: usize) -> BTreeMap<ObjectRef, Arc<Value>> {
        let of_kind = |target: &ObjectRef| target.resource.kind == kind;
        let mut objects: BTreeMap<_, _> = (self.before.iter())
            .filter(|(target, _)| of_kind(target))
            .map(|(target, object)| (target.clone(), object.clone()))
            .collect();
        for event in self.events.iter().take(event).filter(|e| of_kind(&e.target)) {
            match event.gone {
                true => _ = objects.remove(&event.target),
                false => _ = objects.insert(event.target.clone(), event.object.clone()),
            }
        }
        objects
    }

    /// Forgets how the present objects came to be, so that a copy is cheap.
    pub fn forget_history(&mut self) {
        self.events.clear();
        self.before = self.objects.clone();
    }

    /// How many objects went since the start.
    pub fn gone(&self) -> u64 {
        self.gone
    }

    /// The object as it is shared with the events.
    pub fn shared(&self, target: &ObjectRef) -> Option<Arc<Value>> {
        self.objects.get(target).cloned()
    }

    /// The version of the newest write of these kinds.
    pub fn version_of(&self, kinds: &[&str]) -> u64 {
        kinds.iter().filter_map(|kind| self.newest.get(*kind)).copied().max().unwrap_or(0)
    }

    /// Who holds which fields, by name of the manager.
    pub fn held_by(&self, target: &ObjectRef, manager: &str) -> Vec<String> {
        let held = self.owners.get(target).and_then(|o| o.get(manager));
        held.into_iter().flatten().map(|path| path.join(".")).collect()
    }

    /// The version of the newest write.
    pub fn version(&self) -> u64 {
        self.version
    }
}

fn refuse<T>(code: u16, message: String) -> Result<T, Refused> {
    Err(Refused { code, message })
}
