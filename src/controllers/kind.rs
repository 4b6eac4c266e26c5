//! The pattern that every kind follows, and the list of them.

use super::World;
use crate::cluster::NotYet;
use crate::core::object::{Key, ResourceType};
use crate::core::plan::Plan;
use jiff::Timestamp;
use std::fmt;

/// A kind that is decided about.
pub trait Kind: 'static {
    /// Everything that a decision reads. It says by itself when the object is gone.
    type Observed: fmt::Debug;

    fn resource() -> ResourceType;

    /// Collects from caches and answers, and awaits nothing.
    ///
    /// # Errors
    /// When a cache that it needs has not listed yet. Freshness (L4) was checked before.
    fn observe(world: &World, key: &Key) -> Result<Self::Observed, NotYet>;

    /// Pure, total, deterministic.
    fn decide(observed: &Self::Observed, now: Timestamp) -> Plan;

    /// Whether the object is there. When it is not and nothing is left to do, the key is forgotten.
    fn exists(observed: &Self::Observed) -> bool;
}

type PlanOf = fn(&World, &Key, Timestamp) -> Result<(Plan, bool), NotYet>;

/// A [`Kind`] as a value.
#[derive(Debug, Clone, Copy)]
pub struct KindEntry {
    pub resource: fn() -> ResourceType,
    plan: PlanOf,
}

impl KindEntry {
    pub const fn of<K: Kind>() -> Self {
        Self { resource: K::resource, plan: plan::<K> }
    }
}

fn plan<K: Kind>(world: &World, key: &Key, now: Timestamp) -> Result<(Plan, bool), NotYet> {
    let observed = K::observe(world, key)?;
    tracing::trace!(%key, ?observed, "observed");
    Ok((K::decide(&observed, now), K::exists(&observed)))
}

/// Every kind: one line each.
pub const KINDS: &[KindEntry] = &[
    KindEntry::of::<super::rollout::Rollout>(),
    KindEntry::of::<super::analysis_run::AnalysisRun>(),
    KindEntry::of::<super::application::Application>(),
];

/// What is to be done about a key, and whether its object is there; `None` for a key of no kind.
///
/// # Errors
/// While the caches are behind.
pub fn decide(world: &World, key: &Key, now: Timestamp) -> Option<Result<(Plan, bool), NotYet>> {
    let kind = KINDS.iter().find(|k| (k.resource)() == key.resource)?;
    Some(world.caches.fresh(key).and_then(|()| (kind.plan)(world, key, now)))
}
