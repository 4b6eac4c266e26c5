//! What each key wrote and its caches have not seen yet.

use super::{Cache, Caches, EachKind, Held, NotYet, each_kind};
use crate::cluster::write::{Became, Written};
use crate::core::object::{Key, ObjectRef, ResourceType};
use crate::core::row::number;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Writes that are waited for, by who wrote and what was written.
#[derive(Debug, Default)]
pub struct OwnWrites {
    waiting: Mutex<BTreeMap<Key, BTreeMap<ObjectRef, Waiting>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Waiting {
    /// For this version, noted when so many lists had begun.
    Version { version: u64, lists: u64 },
    /// For the object with this uid to be gone.
    Gone { uid: String },
}

impl OwnWrites {
    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, BTreeMap<ObjectRef, Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more is waited for on behalf of this key.
    pub fn forget(&self, key: &Key) {
        self.waiting().remove(key);
    }
}

impl Caches {
    /// Notes that `key` wrote something, before anybody decides about the key again.
    pub fn wrote(&self, key: &Key, written: &Written) {
        let target = &written.target;
        // What an Application applies carries none of the labels by which a watch is narrowed, so that cache never shows it; the
        // Application waits for rows of its own (`controllers/application`).
        if key.resource == ResourceType::APPLICATION && self.ask(&target.resource, Narrowed) == Some(true) {
            return;
        }
        let wait = match &written.became {
            Became::Elsewhere => return,
            Became::Gone => Waiting::Gone { uid: written.uid.clone() },
            Became::Version(version) => {
                let lists = self.ask(&target.resource, Lists { namespace: &target.namespace });
                // No cache holds this resource, so there is nothing to wait for.
                let Some(lists) = lists else { return };
                Waiting::Version { version: number(version), lists }
            }
        };
        self.own_writes.waiting().entry(key.clone()).or_default().insert(target.clone(), wait);
    }

    /// # Errors
    /// When a cache is older than what `key` wrote last.
    pub fn fresh(&self, key: &Key) -> Result<(), NotYet> {
        let mut all = self.own_writes.waiting();
        let Some(waiting) = all.get_mut(key) else { return Ok(()) };
        waiting.retain(|target, wait| !self.ask(&target.resource, Seen { target, wait }).unwrap_or(true));
        if let Some(target) = waiting.keys().next() {
            return Err(NotYet::Behind(Box::new(target.clone())));
        }
        all.remove(key);
        Ok(())
    }

    /// Asks the cache that holds a resource; `None` when none does.
    fn ask<Q: OfCache>(&self, resource: &ResourceType, question: Q) -> Option<Q::Answer> {
        struct Find<'a, Q: OfCache> {
            caches: &'a Caches,
            resource: &'a ResourceType,
            question: Q,
            answer: Option<Q::Answer>,
        }
        impl<Q: OfCache> EachKind for Find<'_, Q> {
            fn kind<R: Held>(&mut self) {
                if R::resource() == *self.resource {
                    self.answer = Some(self.question.of(R::cache(self.caches)));
                }
            }
        }
        let mut find = Find { caches: self, resource, question, answer: None };
        each_kind(&mut find);
        find.answer
    }
}

/// A question to a cache whose kind is known only when it runs.
trait OfCache {
    type Answer;
    fn of<R: Held>(&self, cache: &Cache<R>) -> Self::Answer;
}

/// Whether only objects with a label are held.
struct Narrowed;

impl OfCache for Narrowed {
    type Answer = bool;
    fn of<R: Held>(&self, _: &Cache<R>) -> bool {
        R::LABEL.is_some()
    }
}

struct Lists<'a> {
    namespace: &'a str,
}

impl OfCache for Lists<'_> {
    type Answer = u64;
    fn of<R: Held>(&self, cache: &Cache<R>) -> u64 {
        cache.lists_begun(self.namespace)
    }
}

struct Seen<'a> {
    target: &'a ObjectRef,
    wait: &'a Waiting,
}

impl OfCache for Seen<'_> {
    type Answer = bool;
    fn of<R: Held>(&self, cache: &Cache<R>) -> bool {
        let ObjectRef { namespace, name, .. } = self.target;
        match self.wait {
            Waiting::Version { version, lists } => cache.reflects(namespace, name, *version, *lists),
            Waiting::Gone { uid } => cache.forgot(namespace, name, uid),
        }
    }
}
