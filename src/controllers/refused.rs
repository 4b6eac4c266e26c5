//! Writes that failed, as rows by key.

use crate::cluster::WriteError;
use crate::core::object::{Key, ObjectRef};
use crate::core::plan::{RefusedEffect, Why};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// By key, then by what was written and why.
type Rows = BTreeMap<Key, BTreeMap<(ObjectRef, Why), RefusedEffect>>;

/// The last failure of each write that did not succeed since.
#[derive(Debug, Default)]
pub struct Refused {
    rows: Mutex<Rows>,
}

impl Refused {
    fn rows(&self) -> std::sync::MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failures of a key, by target and reason.
    pub fn of(&self, key: &Key) -> Vec<RefusedEffect> {
        self.rows().get(key).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Notes how a write ended. One that no decision can be about (this process no longer leads) is not noted.
    pub fn note(&self, key: &Key, target: &ObjectRef, why: Why, outcome: Result<(), &WriteError>, now: Timestamp) {
        let mut rows = self.rows();
        let place = (target.clone(), why);
        let Err(error) = outcome else {
            if let Some(of_key) = rows.get_mut(key) {
                of_key.remove(&place);
                if of_key.is_empty() {
                    rows.remove(key);
                }
            }
            return;
        };
        let Some(class) = error.class() else { return };
        let of_key = rows.entry(key.clone()).or_default();
        let row = RefusedEffect { target: target.clone(), why, at: now, class, message: error.to_string() };
        of_key.insert(place, row);
    }

    /// The key is gone.
    pub fn forget(&self, key: &Key) {
        self.rows().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::ResourceType;

    #[test]
    fn a_failed_write_is_a_row_until_the_same_write_succeeds() {
        let (refused, now) = (Refused::default(), Timestamp::UNIX_EPOCH);
        let key = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        let target = ObjectRef::new(ResourceType::SERVICE, "shop", "web");
        let error = WriteError::Unknown("deadline".into());
        refused.note(&key, &target, Why::SelectPods, Err(&error), now);
        refused.note(&key, &target, Why::SelectPods, Err(&error), now);
        assert_eq!(refused.of(&key).len(), 1);
        refused.note(&key, &target, Why::Scale, Ok(()), now);
        assert_eq!(refused.of(&key).len(), 1, "another write says nothing about this one");
        refused.note(&key, &target, Why::SelectPods, Ok(()), now);
        assert!(refused.of(&key).is_empty());
    }

    #[test]
    fn a_lost_lease_is_no_fact_about_the_object() {
        let refused = Refused::default();
        let key = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        refused.note(&key, &key, Why::Scale, Err(&WriteError::LostTenure), Timestamp::UNIX_EPOCH);
        assert!(refused.of(&key).is_empty());
    }
}
