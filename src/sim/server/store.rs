//! How objects are kept: versions, generations, owners of fields, and what watches are told of it.

use super::fields::{self, Path};
use super::kinds::{has_generation, is_same_but, is_same_content};
use super::{Event, Owners, Server, Written, refuse};
use crate::core::object::ObjectRef;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Server {
    pub(super) fn owners_of(&self, target: &ObjectRef) -> Arc<Owners> {
        self.owners.get(target).cloned().unwrap_or_default()
    }

    pub(super) fn live(&self, target: &ObjectRef) -> Written {
        match self.objects.get(target) {
            Some(live) => Ok(live.clone()),
            None => refuse(404, format!("{target} is not there")),
        }
    }

    /// Puts an object in the place of what was there. Fields that a plain write changes belong to the writer from then on, as
    /// the server notes them for updates.
    pub(super) fn rewrite(
        &mut self,
        target: &ObjectRef,
        old: &Arc<Value>,
        mut new: Value,
        manager: &str,
    ) -> Arc<Value> {
        fields::drop_empty(target, &mut new);
        if new == **old {
            return old.clone();
        }
        let changed = fields::changed(target, old, &new);
        let mut owners = self.owners_of(target);
        // Where nobody holds anything (the last field that was applied is gone), plain writes are noted no more.
        if !owners.is_empty() {
            let lost = |who: &String, path: &Path| {
                fields::get(&new, path).is_none() || who != manager && changed.contains(path)
            };
            let has = |path: &Path| owners.get(manager).is_some_and(|held| held.contains(path));
            let same = changed.iter().all(has) && !owners.iter().any(|(who, held)| held.iter().any(|p| lost(who, p)));
            if !same {
                let owners = Arc::make_mut(&mut owners);
                for (who, held) in owners.iter_mut() {
                    held.retain(|path| !lost(who, path));
                }
                owners.entry(manager.to_owned()).or_default().extend(changed);
            }
        }
        self.store(target, new, owners)
    }

    /// Stores what differs. An equal object with equal owners is no write and gets no version, as on a real server; owners
    /// alone are one, as they are part of the object there.
    pub(super) fn store(&mut self, target: &ObjectRef, mut next: Value, mut owners: Arc<Owners>) -> Arc<Value> {
        fields::drop_empty(target, &mut next);
        if owners.values().any(BTreeSet::is_empty) {
            Arc::make_mut(&mut owners).retain(|_, held| !held.is_empty());
        }
        let old = self.objects.get(target);
        if let Some(old) = old.filter(|old| is_same_content(old, &next))
            && self.owners.get(target).is_some_and(|held| *held == owners)
        {
            return old.clone();
        }
        if let Some(old) = old.filter(|_| has_generation(target)) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(1);
            let same = is_same_but(old, &next, &["metadata", "status"])
                && old["metadata"]["deletionTimestamp"] == next["metadata"]["deletionTimestamp"];
            next["metadata"]["generation"] = json!(generation + i64::from(!same));
        }
        let finished = !next["metadata"]["deletionTimestamp"].is_null() && next["metadata"]["finalizers"].is_null();
        if finished {
            // The write becomes the deletion; its answer has the version that was deleted.
            self.remove(target);
            return Arc::new(next);
        }
        self.count(target);
        next["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let next = Arc::new(next);
        self.events.push(Event { version: self.version, target: target.clone(), object: next.clone(), gone: false });
        self.objects.insert(target.clone(), next.clone());
        self.owners.insert(target.clone(), owners);
        next
    }

    /// The next version, for a write of this object.
    fn count(&mut self, target: &ObjectRef) {
        self.version += 1;
        match self.newest.get_mut(target.resource.kind.as_ref()) {
            Some(newest) => *newest = self.version,
            None => _ = self.newest.insert(target.resource.kind.to_string(), self.version),
        }
    }

    pub(super) fn remove(&mut self, target: &ObjectRef) {
        self.owners.remove(target);
        if let Some(object) = self.objects.remove(target) {
            self.count(target);
            self.gone += 1;
            let mut object = Value::clone(&object);
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            let (target, object) = (target.clone(), Arc::new(object));
            self.events.push(Event { version: self.version, target, object, gone: true });
        }
    }
}
