//! Applications: what their decision reads.

use super::{Kind, World};
use crate::cluster::{Became, NotYet, Written};
use crate::core::application::{Observed, decide};
use crate::core::object::{Key, ObjectRef, ResourceType};
use crate::core::plan::Plan;
use crate::core::question::{LiveObjects, Told};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A write that its watch does not show within this time is not waited for any more: the object was deleted or lost its
/// label since, and the next dry run tells.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The kind Application.
#[derive(Debug)]
pub struct Application;

impl Kind for Application {
    type Observed = Observed;

    fn resource() -> ResourceType {
        ResourceType::APPLICATION
    }

    fn observe(world: &World, key: &Key) -> Result<Observed, NotYet> {
        let application = world.caches.applications.synced()?.get(&key.namespace, &key.name);
        let control = world.home.namespace.as_str();
        let name = application.as_ref().and_then(|a| a.spec.project.clone()).filter(|p| !p.is_empty());
        let project = world.caches.app_projects.synced()?.get(control, name.as_deref().unwrap_or("default"));
        let answers = world.answers.of(key);
        for answer in answers.values() {
            if let Told::Objects(objects) = &answer.what {
                world.applied.fresh(key, objects)?;
            }
        }
        Ok(Observed {
            application,
            project,
            control_namespace: control.to_owned(),
            controller: world.home.controller.clone(),
            answers,
            refused: world.refused.of(key),
        })
    }

    fn decide(observed: &Observed, now: Timestamp) -> Plan {
        decide(observed, now)
    }

    fn exists(observed: &Observed) -> bool {
        observed.application.is_some()
    }
}

/// What Applications applied and their live objects do not show yet (L4).
#[derive(Debug, Default)]
pub struct Applied {
    waiting: Mutex<BTreeMap<Key, BTreeMap<ObjectRef, Wait>>>,
}

#[derive(Debug)]
struct Wait {
    written: Written,
    /// It was asked to go: it may stay for a while in deletion.
    deletes: bool,
    since: Instant,
}

impl Applied {
    /// Notes a write of an Application before anybody decides about it again.
    pub fn wrote(&self, key: &Key, written: &Written, deletes: bool) {
        if key.resource != ResourceType::APPLICATION || written.target == *key || written.became == Became::Elsewhere {
            return;
        }
        let wait = Wait { written: written.clone(), deletes, since: Instant::now() };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(key.clone()).or_default().insert(written.target.clone(), wait);
    }

    /// Nothing more is waited for on behalf of this key.
    pub fn forget(&self, key: &Key) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn fresh(&self, key: &Key, objects: &LiveObjects) -> Result<(), NotYet> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = all.get_mut(key) else { return Ok(()) };
        waiting.retain(|target, wait| wait.since.elapsed() < LONGEST_WAIT && !shown(objects, target, wait));
        if let Some(target) = waiting.keys().next() {
            return Err(NotYet::Behind(Box::new(target.clone())));
        }
        all.remove(key);
        Ok(())
    }
}

/// Whether the rows are at least as new as a write.
fn shown(objects: &LiveObjects, target: &ObjectRef, wait: &Wait) -> bool {
    let row = objects.objects.iter().find(|o| o.target == *target);
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let written = &wait.written;
    if wait.deletes {
        return row.is_none_or(|r| r.uid != written.uid || r.deleting);
    }
    match (&written.became, row) {
        (Became::Version(version), Some(row)) => number(&row.resource_version) >= number(version),
        (Became::Version(_), None) => false,
        (Became::Gone, row) => row.is_none_or(|r| r.uid != written.uid),
        (Became::Elsewhere, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::application::health::Health;
    use crate::core::question::LiveObject;

    fn rows(version: &str) -> LiveObjects {
        let object = LiveObject {
            target: target(),
            uid: "u".into(),
            resource_version: version.into(),
            generation: 1,
            metadata_digest: String::new(),
            deleting: false,
            owned: false,
            health: Health::healthy(),
            steered: false,
            pods: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        LiveObjects { objects: vec![object], unreadable: vec![] }
    }

    fn target() -> ObjectRef {
        ObjectRef::new(ResourceType::SERVICE, "shop", "web")
    }

    #[test]
    fn l4_what_was_applied_is_waited_for() {
        let applied = Applied::default();
        let key = ObjectRef::new(ResourceType::APPLICATION, "tidegate", "web");
        applied.wrote(&key, &Written { target: target(), uid: "u".into(), became: Became::Version("9".into()) }, false);
        assert_eq!(applied.fresh(&key, &rows("8")), Err(NotYet::Behind(Box::new(target()))));
        assert_eq!(applied.fresh(&key, &rows("9")), Ok(()));
        applied.wrote(&key, &Written { target: target(), uid: "u".into(), became: Became::Gone }, true);
        assert!(applied.fresh(&key, &rows("9")).is_err());
        assert_eq!(applied.fresh(&key, &LiveObjects::default()), Ok(()));
    }
}
