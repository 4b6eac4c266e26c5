//! The simulated API server: versions, conflicts, preconditions, field ownership and watch events, as far as Tidegate's writes
//! and the model's actors depend on them.
//!
//! Not simulated: validation by schema, defaulting, admission, paging. `e2e/suite` runs the same random writes against this and
//! against a real server and compares answers and objects.

use super::fields::{self, Path};
use crate::core::object::ObjectRef;
use jiff::Timestamp;
use serde_json::{Value, json};
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
        Ok(self.store(target, stored, owners))
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
        let mut owners = self.owners_of(target);
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
        Ok(self.store(target, next, owners))
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

    fn owners_of(&self, target: &ObjectRef) -> Owners {
        self.owners.get(target).map(|owners| Owners::clone(owners)).unwrap_or_default()
    }

    fn live(&self, target: &ObjectRef) -> Written {
        match self.objects.get(target) {
            Some(live) => Ok(live.clone()),
            None => refuse(404, format!("{target} is not there")),
        }
    }

    /// Puts an object in the place of what was there. Fields that a plain write changes belong to the writer from then on, as
    /// the server notes them for updates.
    fn rewrite(&mut self, target: &ObjectRef, old: &Arc<Value>, mut new: Value, manager: &str) -> Arc<Value> {
        fields::drop_empty(target, &mut new);
        if new == **old {
            return old.clone();
        }
        let claim = fields::claimed(target, &new);
        let changed: Vec<Path> =
            claim.iter().filter(|p| fields::get(old, p) != fields::get(&new, p)).cloned().collect();
        let mut owners = self.owners_of(target);
        // Where nobody holds anything (the last field that was applied is gone), plain writes are noted no more.
        let tracked = !owners.is_empty();
        for held in owners.values_mut() {
            held.retain(|path| fields::get(&new, path).is_some() && !changed.contains(path));
        }
        if tracked {
            owners.entry(manager.to_owned()).or_default().extend(changed);
        }
        self.store(target, new, owners)
    }

    /// Stores what differs. An equal object with equal owners is no write and gets no version, as on a real server; owners
    /// alone are one, as they are part of the object there.
    fn store(&mut self, target: &ObjectRef, mut next: Value, mut owners: Owners) -> Arc<Value> {
        fields::drop_empty(target, &mut next);
        owners.retain(|_, held| !held.is_empty());
        let old = self.objects.get(target);
        if let Some(old) = old.filter(|old| is_same_content(old, &next))
            && self.owners.get(target).is_some_and(|held| **held == owners)
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
        self.owners.insert(target.clone(), Arc::new(owners));
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

    fn remove(&mut self, target: &ObjectRef) {
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

/// Equal but for what the server itself sets at each write.
fn is_same_content(one: &Value, other: &Value) -> bool {
    is_same_but(one, other, &["metadata"])
        && is_same_but(&one["metadata"], &other["metadata"], &["resourceVersion", "generation"])
}

/// Equal maps but for these keys.
fn is_same_but(one: &Value, other: &Value, keys: &[&str]) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let rest = |map: &serde_json::Map<String, Value>| map.keys().filter(|k| !keys.contains(&k.as_str())).count();
    rest(one) == rest(other)
        && one.iter().filter(|(k, _)| !keys.contains(&k.as_str())).all(|(k, v)| other.get(k) == Some(v))
}

/// Kinds whose status is a subresource, so that writes of the object leave it alone.
fn has_status(target: &ObjectRef) -> bool {
    matches!(
        target.resource.kind.as_ref(),
        "Rollout" | "AnalysisRun" | "Application" | "ReplicaSet" | "Deployment" | "Service"
    )
}

/// Takes back what a write of the object did to its status.
fn keep_status(target: &ObjectRef, live: &Value, next: &mut Value) {
    if let Some(next) = next.as_object_mut().filter(|_| has_status(target)) {
        match live.get("status") {
            Some(status) => next.insert("status".to_owned(), status.clone()),
            None => next.remove("status"),
        };
    }
}

/// Kinds whose changes are counted. Those of the core group are not, without a status that could speak of a count.
fn has_generation(target: &ObjectRef) -> bool {
    !target.resource.group.is_empty()
}

fn is_status(target: &ObjectRef, path: &Path) -> bool {
    has_status(target) && path.first().is_some_and(|p| p == "status")
}

fn refuse<T>(code: u16, message: String) -> Result<T, Refused> {
    Err(Refused { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::ResourceType;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn service() -> ObjectRef {
        ObjectRef::new(ResourceType::SERVICE, "shop", "web")
    }

    fn with(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    }

    #[test]
    fn an_equal_write_gets_no_version_and_no_event() {
        let mut server = Server::default();
        let made = server.apply(&service(), &with(json!({"a": 1})), "git", true, NOW).expect("free place");
        let again = server.apply(&service(), &with(json!({"a": 1})), "git", true, NOW).expect("own fields");
        assert_eq!((made, server.events.len()), (again, 1));
    }

    #[test]
    fn a_write_of_owners_alone_is_a_write() {
        let mut server = Server::default();
        server.apply(&service(), &with(json!({"a": 1})), "git", true, NOW).expect("free place");
        let shared = server.apply(&service(), &with(json!({"a": 1})), "other", true, NOW).expect("equal value");
        assert_eq!(shared["metadata"]["resourceVersion"], "2");
    }

    #[test]
    fn what_nobody_holds_is_not_tracked_until_an_apply_finds_it() {
        let mut server = Server::default();
        let secret = ObjectRef::new(ResourceType::SECRET, "shop", "web");
        let data = |value: Value| json!({"data": {"a": value}});
        server.apply(&secret, &data(json!("1")), "git", true, NOW).expect("free place");
        server.merge(&secret, None, &data(Value::Null), "user").expect("there");
        server.merge(&secret, None, &data(json!("2")), "user").expect("there");
        assert!(server.held_by(&secret, "user").is_empty());
        let refused = server.apply(&secret, &data(json!("1")), "git", false, NOW);
        assert_eq!(refused.map_err(|r| r.code), Err(409));
    }

    #[test]
    fn a_forced_apply_of_gits_selector_wipes_a_key_that_another_manager_put_there() {
        let mut server = Server::default();
        server.apply(&service(), &with(json!({"selector": {"app": "web"}})), "git", true, NOW).expect("free place");
        let hash = serde_json::from_value(json!([{"op": "add", "path": "/spec/selector/hash", "value": "1"}]));
        server.edit(&service(), &hash.expect("a patch"), "rollout").expect("no test in it");
        let refused = server.apply(&service(), &with(json!({"selector": {"app": "web"}})), "git", false, NOW);
        assert_eq!(refused.map_err(|r| r.code), Err(409));
        let forced = server.apply(&service(), &with(json!({"selector": {"app": "web"}})), "git", true, NOW);
        assert_eq!(forced.expect("forced")["spec"]["selector"], json!({"app": "web"}));
    }

    #[test]
    fn a_field_that_is_no_longer_applied_goes_away_unless_another_holds_it() {
        let mut server = Server::default();
        server.apply(&service(), &with(json!({"a": 1, "b": 2})), "git", true, NOW).expect("free place");
        server.apply(&service(), &with(json!({"b": 2})), "other", true, NOW).expect("equal value, shared");
        let after = server.apply(&service(), &with(json!({"c": 3})), "git", true, NOW).expect("own fields");
        assert_eq!(after["spec"], json!({"b": 2, "c": 3}));
    }

    #[test]
    fn status_is_written_only_with_the_version_that_was_read() {
        let mut server = Server::default();
        let rollout = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        let made =
            server.create(&rollout, &json!({"metadata": {"name": "web"}, "spec": {}, "status": {"x": 1}}), "me", NOW);
        assert!(made.expect("free place")["status"].is_null(), "create leaves status out");
        server.patch_status(&rollout, "1", &json!({"phase": "Healthy"})).expect("the version is 1");
        let stale = server.patch_status(&rollout, "1", &json!({"phase": "Degraded"}));
        assert_eq!(stale.map_err(|r| r.code), Err(409));
    }

    #[test]
    fn generation_counts_changes_of_spec_only() {
        let mut server = Server::default();
        let rollout = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        server.create(&rollout, &json!({"metadata": {"name": "web"}, "spec": {"a": 1}}), "me", NOW).expect("free");
        server.patch_status(&rollout, "1", &json!({"phase": "Healthy"})).expect("version 1");
        server.change(&rollout, "user", |o| o["metadata"]["labels"] = json!({"x": "y"})).expect("there");
        let changed = server.change(&rollout, "user", |o| o["spec"]["a"] = json!(2)).expect("there");
        assert_eq!(changed["metadata"]["generation"], 2);
    }

    #[test]
    fn a_deletion_that_is_asked_for_counts_as_a_generation() {
        let mut server = Server::default();
        let rollout = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        let object = json!({"metadata": {"name": "web", "finalizers": ["x"]}, "spec": {}});
        server.create(&rollout, &object, "me", NOW).expect("free");
        assert_eq!(server.delete(&rollout, None, NOW).expect("there")["metadata"]["generation"], 2);
    }

    #[test]
    fn a_finalizer_delays_deletion_until_it_is_taken_off() {
        let mut server = Server::default();
        let object = json!({"metadata": {"name": "web", "finalizers": ["x"]}});
        server.create(&service(), &object, "me", NOW).expect("free");
        server.delete(&service(), None, NOW).expect("marked");
        assert!(server.get(&service()).is_some());
        server.change(&service(), "me", |o| o["metadata"]["finalizers"] = json!([])).expect("there");
        assert!(server.get(&service()).is_none());
    }
}
