//! Restart: pods older than a moment are replaced, and nothing else changes (Q1).
//!
//! One revision after the other: stable, the current one, those that wait. Pods go by eviction, so that disruption budgets hold,
//! and never so many that fewer than wanted less `maxUnavailable` stay available; where nothing may be missing, the
//! ReplicaSet has one pod more until all are new. What is available is counted in the same answer that names the old pods:
//! deciding again on it names the same ones, and no pod more is lost.

use super::Mutant;
use super::edits;
use super::pass::Pass;
use super::pods::{Pods, is_available};
use crate::core::plan::{RefusedEffect, Why};
use crate::core::question::PodEvidence;
use crate::core::scalar::{CountOrShare, Rounding, Span};
use jiff::Timestamp;
use std::cmp::Reverse;

/// How long until a restart is looked at again though nothing was seen to change.
const RECHECK: Span = Span::from_secs(30);
/// A pod that is ready is reached only when the router has loaded it; Traefik does so within two seconds and a poll.
const REACHED: Span = Span::from_secs(5);

/// What lets pods be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub allowed: CountOrShare,
    /// The pods of all revisions serve together, so that they are counted together: a canary without a router.
    pub together: bool,
}

impl Missing {
    /// Of so many; one stays in any case.
    fn of(self, size: u32) -> u32 {
        self.allowed.of(size, Rounding::Down).min(size.saturating_sub(1))
    }
}

/// A restart under way.
#[derive(Debug)]
pub(super) struct Restart<'a> {
    /// The revision whose pods go now, and what was told of them; `None` while it is asked.
    turn: Option<(String, Pods<'a>)>,
    before: Timestamp,
    missing: Missing,
    /// Available pods of all revisions.
    available: u32,
    /// A pod more may be asked for.
    surges: bool,
    /// What its revision is held at, without that pod.
    held: Option<u32>,
}

impl Restart<'_> {
    fn is_turn_of(&self, hash: &str) -> bool {
        self.turn.as_ref().is_some_and(|(turn, _)| turn == hash)
    }

    /// A revision of this size gets one pod more: none of it may be missing.
    fn adds_to(&self, size: u32) -> bool {
        self.surges && size > 0 && self.missing.of(size) == 0
    }
}

impl<'a> Pass<'a> {
    /// Finds the revision whose turn it is, or ends the restart. Before sizes are decided: a pod more may be needed.
    pub(super) fn begin_restart(&mut self, missing: Missing) {
        let Some(before) = self.restart_due() else { return };
        self.wake_at(RECHECK.after(self.f.now));
        let mut told = Vec::new();
        for hash in self.in_turn() {
            let pods = self.pods_of(&hash);
            told.push(pods.map(|pods| (hash, pods)));
        }
        let mut restart = Restart { turn: None, before, missing, available: 0, surges: false, held: None };
        if let Some(told) = told.into_iter().collect::<Option<Vec<_>>>() {
            // Pods that were made between an answer and the request would be missed.
            if told.iter().any(|(_, pods)| pods.at <= before) {
                self.wake_at(Span::from_secs(1).after(self.f.now));
            } else {
                restart.available = told.iter().map(|(_, pods)| self.count_up(pods)).sum();
                restart.surges = !missing.together || told.len() == 1;
                restart.turn = told.into_iter().find(|(_, pods)| pods.all.iter().any(|pod| is_old(pod, before)));
                if restart.turn.is_none() {
                    self.end_restart(before);
                    return;
                }
            }
        }
        self.restart = Some(restart);
    }

    /// The moment before which pods are too old: what spec or a command asks for and was not carried out.
    fn restart_due(&mut self) -> Option<Timestamp> {
        let now = self.f.now;
        if let Some(at) = self.f.spec.restart_at {
            self.wake_at(at);
        }
        let asked = [self.f.spec.restart_at.filter(|at| *at <= now), self.next.restart_at];
        asked.into_iter().flatten().filter(|at| self.next.restarted_at.is_none_or(|done| *at > done)).max()
    }

    /// Revisions with pods in the order of their turns.
    fn in_turn(&self) -> Vec<String> {
        let f = self.f;
        let (stable, current) = (self.stable(), f.current());
        let mut found: Vec<&String> =
            f.sets.iter().filter(|(_, s)| s.size > 0 || s.created > 0).map(|(h, _)| h).collect();
        found.sort_by_key(|hash| (**hash != stable, *hash != current, Reverse(f.revision(hash))));
        found.into_iter().cloned().collect()
    }

    fn end_restart(&mut self, before: Timestamp) {
        self.next.restarted_at = Some(before);
        self.next.restart_at = None;
        self.notice(false, "RolloutRestarted", format!("All pods are younger than {before}"));
    }

    /// A new revision brings new pods: what was asked for before it counts as done.
    pub(super) fn cancel_restart(&mut self) {
        if let Some(before) = self.restart_due() {
            self.next.restarted_at = Some(before);
            self.next.restart_at = None;
        }
    }

    /// The size to hold a revision at: one more where the restart needs it.
    pub(super) fn with_restart(&mut self, hash: &str, size: u32) -> u32 {
        let Some(restart) = self.restart.as_mut().filter(|restart| restart.is_turn_of(hash)) else { return size };
        restart.held = Some(size);
        if restart.adds_to(size) { size + 1 } else { size }
    }

    /// How many pods a revision has without the one more of a restart: what is held at what it has would get one more each time.
    pub(super) fn size_without_restart(&self, hash: &str) -> u32 {
        let size = self.f.size(hash);
        let more = self.restart.as_ref().is_some_and(|restart| restart.is_turn_of(hash) && restart.adds_to(size));
        if more { size - 1 } else { size }
    }

    /// Evicts as many old pods as may be missing. After all other effects: a budget that refuses one ends the pass.
    pub(super) fn evict_old(&mut self) {
        let f = self.f;
        let Some(restart) = &self.restart else { return };
        let Some((hash, pods)) = &restart.turn else { return };
        if self.refused_eviction().is_some() {
            return;
        }
        let own = self.count_up(pods);
        // What is scaled away is not there to go a second time.
        let mut may_go = match restart.held {
            _ if restart.missing.together => {
                let going: u32 = f.sets.keys().map(|hash| self.going(hash)).sum();
                let stay = f.spec.replicas - restart.missing.of(f.spec.replicas);
                restart.available.saturating_sub(going + stay)
            }
            Some(size) => own.saturating_sub(self.going(hash) + size - restart.missing.of(size)),
            // It only waits for its end.
            None => own.saturating_sub(f.size(hash) - restart.missing.of(f.size(hash)).max(1).min(f.size(hash))),
        };
        let mut old: Vec<&PodEvidence> = pods.all.iter().copied().filter(|pod| is_old(pod, restart.before)).collect();
        old.sort_by_key(|pod| (self.is_up(pod), pod.created, pod.name.clone()));
        let mut evictions = Vec::new();
        for pod in old {
            // One that is not ready is not missed; one that just got it may be reached already, and is not counted.
            let missed = pod.ready_since.is_some();
            if missed && !f.breaks(Mutant::RestartsAllAtOnce) {
                if may_go == 0 || !self.is_up(pod) {
                    continue;
                }
                may_go -= 1;
            }
            evictions.push(edits::evict(&f.whose.namespace, pod));
        }
        let starting = pods.all.iter().filter_map(|pod| pod.ready_since.filter(|_| !self.is_up(pod)));
        let next = starting.map(|since| self.reached_after().after(since)).min();
        self.effects.extend(evictions);
        if let Some(next) = next {
            self.wake_at(next);
        }
    }

    /// How long a pod must be ready until others may go for it.
    fn reached_after(&self) -> Span {
        self.f.spec.min_ready.max(REACHED)
    }

    fn is_up(&self, pod: &PodEvidence) -> bool {
        is_available(pod, self.reached_after(), self.f.now)
    }

    fn count_up(&self, pods: &Pods<'_>) -> u32 {
        u32::try_from(pods.all.iter().filter(|pod| self.is_up(pod)).count()).unwrap_or(u32::MAX)
    }

    /// An eviction that was refused just now: it is tried again when the next look is due.
    fn refused_eviction(&self) -> Option<&'a RefusedEffect> {
        let now = self.f.now;
        self.f.observed.refused.iter().find(|r| r.why == Why::Restart && RECHECK.after(r.at) > now)
    }

    /// For status, while a restart is under way.
    pub(super) fn restarting(&self) -> Option<String> {
        self.restart.as_ref()?;
        Some(match self.refused_eviction() {
            Some(refused) => format!("rollout is restarting: {} is not evicted: {}", refused.target, refused.message),
            None => "rollout is restarting".to_owned(),
        })
    }
}

/// Created in an earlier second: pods know no smaller unit of their age, and one that came in the place of an old one in the same
/// second would go again and again until that is over.
fn is_old(pod: &PodEvidence, before: Timestamp) -> bool {
    !pod.deleting && pod.created.is_some_and(|created| created.as_second() < before.as_second())
}
