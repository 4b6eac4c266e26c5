//! One pass: snapshot, decide, then safety, status, effects, notices, in the order that `core::plan` lays down.

use super::kind;
use super::questions::Desk;
use super::world::World;
use crate::cluster::{Api, Tenure, WriteError, Written};
use crate::core::object::Key;
use crate::core::plan::{Effect, Lane, Plan};
use crate::execute::Executor;
use futures::FutureExt as _;
use jiff::Timestamp;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Everything that a pass needs; the same in the cluster and in the simulation.
#[derive(Debug)]
pub struct Controller<A, D> {
    pub world: Arc<World>,
    pub desk: D,
    pub executor: Executor<A>,
}

/// How a pass ended, for the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    pub next: Next,
    /// Where the key goes when it is next due.
    pub lane: Lane,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// All was done. Decide again at this time, or when something changes.
    Rest(Option<Timestamp>),
    /// Something failed: again after a backoff. The text is for the log.
    Again(String),
    /// The caches are behind: again when they have moved, or soon.
    Behind(String),
    /// The decision panicked: this key is set aside with the longest backoff (L7).
    Quarantine(String),
    /// The object is gone, and so is everything known about its key.
    Forget,
    /// A fault plan of a simulation ended the process.
    Killed,
}

impl<A: Api, D: Desk> Controller<A, D> {
    /// Runs one pass. A panic ends only this pass (L7).
    pub async fn pass(&self, tenure: &Tenure, key: &Key, lane: Lane, now: Timestamp) -> Passed {
        match AssertUnwindSafe(self.pass_unguarded(tenure, key, lane, now)).catch_unwind().await {
            Ok(passed) => passed,
            Err(panic) => Passed { next: Next::Quarantine(panic_text(&*panic)), lane: Lane::Normal },
        }
    }

    async fn pass_unguarded(&self, tenure: &Tenure, key: &Key, lane: Lane, now: Timestamp) -> Passed {
        let (plan, exists) = match kind::decide(&self.world, key, now) {
            None => return Passed { next: Next::Forget, lane },
            Some(Err(behind)) => return Passed { next: Next::Behind(behind.to_string()), lane },
            Some(Ok(decided)) => decided,
        };
        self.desk.ask(key, &plan.ask);
        if !exists && plan == Plan::default() {
            self.world.refused.forget(key);
            self.world.caches.own_writes.forget(key);
            self.world.applied.forget(key);
            return Passed { next: Next::Forget, lane };
        }
        let lane_now = lane.max(plan.lane());
        let next = match self.carry_out(tenure, key, lane_now, &plan, now).await {
            Ok(()) => Next::Rest(plan.wake),
            Err(WriteError::Killed) => Next::Killed,
            // Somebody wrote in between, and the watch is about to tell what: no failure that waits longer each time, or an abort
            // that comes with the next event would wait along.
            Err(error @ WriteError::Conflict(_)) => Next::Behind(error.to_string()),
            Err(error) => Next::Again(error.to_string()),
        };
        Passed { next, lane: plan.lane() }
    }

    async fn carry_out(
        &self,
        tenure: &Tenure,
        key: &Key,
        lane: Lane,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let mut failed = None;
        for effect in &plan.safety {
            match self.effect(tenure, key, lane, effect, now).await {
                Err(WriteError::Killed) => return Err(WriteError::Killed),
                Err(error) => failed = Some(error),
                Ok(()) => {}
            }
        }
        if let Some(status) = &plan.status {
            let written = self.executor.status(tenure, lane, key, status).await?;
            self.world.caches.wrote(key, &written);
        }
        for effect in &plan.effects {
            self.effect(tenure, key, lane, effect, now).await?;
        }
        for notice in &plan.notices {
            self.executor.notice(tenure, notice).await;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn effect(
        &self,
        tenure: &Tenure,
        key: &Key,
        lane: Lane,
        effect: &Effect,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let outcome: Result<Written, WriteError> = self.executor.effect(tenure, lane, key, effect).await;
        self.world.refused.note(key, &effect.target(), effect.why, outcome.as_ref().map(|_| ()), now);
        let written = outcome?;
        let deletes = matches!(effect.verb, crate::core::plan::Verb::Delete { .. });
        self.world.applied.wrote(key, &written, deletes);
        self.world.caches.wrote(key, &written);
        Ok(())
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without text".to_owned())
}

#[cfg(test)]
mod tests;
