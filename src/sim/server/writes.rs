//! The verbs of the API server.

use super::fields::{self, Path};
use super::kinds::{has_generation, has_status, is_status, keep_status};
use super::{Owners, Server, UNTRACKED, Written, refuse};
use crate::core::object::ObjectRef;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Server {
    /// Puts an object into a free place.
    ///
    /// # Errors
    /// 409 when something is there.
    pub fn create(&mut self, target: &ObjectRef, object: &Value, manager: &str, now: Timestamp) -> Written {
        if self.objects.contains_key(target) {
            return refuse(409, format!("{target} already exists"));
        }
        let mut stored = object.clone();
        if has_status(target) {
            stored.as_object_mut().map(|o| o.remove("status"));
        }
        self.uids += 1;
        let meta = &mut stored["metadata"];
        meta["uid"] = json!(format!("uid-{}", self.uids));
        meta["creationTimestamp"] = json!(now.to_string());
        if has_generation(target) {
            meta["generation"] = json!(1);
        }
        if target.resource.namespaced {
            meta["namespace"] = json!(target.namespace);
        }
        let owners = Owners::from([(manager.to_owned(), fields::claimed(target, &stored))]);
        Ok(self.store(target, stored, Arc::new(owners)))
    }

    /// Server-side apply. `metadata.uid`, when given, must be that of the object.
    ///
    /// # Errors
    /// 422 for another uid (to the server a change of an immutable field), 409 for a uid where nothing is, and without `force`
    /// for a field that another manager holds with another value.
    pub fn apply(&mut self, target: &ObjectRef, object: &Value, manager: &str, force: bool, now: Timestamp) -> Written {
        let uid = object["metadata"]["uid"].as_str();
        let Some(live) = self.objects.get(target) else {
            return match uid {
                Some(uid) => refuse(409, format!("{target} with uid {uid} is not there")),
                None => self.create(target, object, manager, now),
            };
        };
        if uid.is_some_and(|uid| live["metadata"]["uid"] != uid) {
            return refuse(422, format!("{target} has another uid, and metadata.uid is immutable"));
        }
        let claim: BTreeSet<Path> =
            fields::claimed(target, object).into_iter().filter(|p| !is_status(target, p)).collect();
        let mut owners = Owners::clone(&self.owners_of(target));
        if owners.is_empty() {
            owners.insert(UNTRACKED.to_owned(), fields::claimed(target, live));
        }
        let differs = |path: &Path| fields::get(live, path) != fields::get(object, path);
        if !force {
            let held = |path: &&Path| owners.iter().any(|(who, held)| who != manager && held.contains(*path));
            if let Some(path) = claim.iter().filter(|p| differs(p)).find(held) {
                return refuse(409, format!("{target}: {} is held by another manager", path.join(".")));
            }
        }
        let mut next = Value::clone(live);
        let former = owners.get(manager).cloned().unwrap_or_default();
        for path in former.difference(&claim) {
            let held_by_other = owners.iter().any(|(who, held)| who != manager && held.contains(path));
            if !held_by_other {
                fields::take(&mut next, path);
            }
        }
        for path in &claim {
            if differs(path) {
                for (_, held) in owners.iter_mut().filter(|(who, _)| who.as_str() != manager) {
                    held.remove(path);
                }
            }
            fields::put(&mut next, path, fields::get(object, path).cloned().unwrap_or_default());
        }
        owners.insert(manager.to_owned(), claim);
        Ok(self.store(target, next, Arc::new(owners)))
    }

    /// A JSON patch, with its tests.
    ///
    /// # Errors
    /// 404 when the object is not there, 422 when a test or a path fails.
    pub fn edit(&mut self, target: &ObjectRef, patch: &json_patch::Patch, manager: &str) -> Written {
        let live = self.live(target)?;
        let mut next = Value::clone(&live);
        if let Err(error) = json_patch::patch(&mut next, patch) {
            return refuse(422, format!("{target}: {error}"));
        }
        keep_status(target, &live, &mut next);
        Ok(self.rewrite(target, &live, next, manager))
    }

    /// A merge patch of the status, if the version is still this one.
    ///
    /// # Errors
    /// 404 when the object is not there, 409 for another version.
    pub fn patch_status(&mut self, target: &ObjectRef, version: &str, patch: &Value) -> Written {
        let live = self.live(target)?;
        if live["metadata"]["resourceVersion"] != version {
            return refuse(409, format!("{target} has been modified"));
        }
        let mut next = Value::clone(&live);
        json_patch::merge(&mut next["status"], patch);
        let owners = self.owners_of(target);
        Ok(self.store(target, next, owners))
    }

    /// A merge patch of the object as people's tools make it, with the version that they saw or without.
    ///
    /// # Errors
    /// 404 when the object is not there, 409 for another version.
    pub fn merge(&mut self, target: &ObjectRef, version: Option<&str>, patch: &Value, manager: &str) -> Written {
        let live = self.live(target)?;
        if version.is_some_and(|version| live["metadata"]["resourceVersion"] != version) {
            return refuse(409, format!("{target} has been modified"));
        }
        let mut next = Value::clone(&live);
        json_patch::merge(&mut next, patch);
        keep_status(target, &live, &mut next);
        Ok(self.rewrite(target, &live, next, manager))
    }

    /// What an actor of the model does: a change of the whole object, spec or status, as the latest version stands.
    ///
    /// # Errors
    /// 404 when the object is not there.
    pub fn change(&mut self, target: &ObjectRef, manager: &str, change: impl FnOnce(&mut Value)) -> Written {
        let live = self.live(target)?;
        let mut next = Value::clone(&live);
        change(&mut next);
        Ok(self.rewrite(target, &live, next, manager))
    }

    /// Deletes the object with this uid; with finalizers it is only marked.
    ///
    /// # Errors
    /// 404 when the object is not there, 409 for another uid.
    pub fn delete(&mut self, target: &ObjectRef, uid: Option<&str>, now: Timestamp) -> Written {
        let live = self.live(target)?;
        if uid.is_some_and(|uid| live["metadata"]["uid"] != uid) {
            return refuse(409, format!("{target} has another uid"));
        }
        if live["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty()) {
            if live["metadata"]["deletionTimestamp"].is_null() {
                let mut marked = Value::clone(&live);
                marked["metadata"]["deletionTimestamp"] = json!(now.to_string());
                let owners = self.owners_of(target);
                return Ok(self.store(target, marked, owners));
            }
            return Ok(live);
        }
        self.remove(target);
        Ok(live)
    }
}
