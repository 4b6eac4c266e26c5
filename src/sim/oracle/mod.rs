//! What must hold at every moment of a run, by the ids of the invariants. What breaks is noted with its time; a run is judged
//! at its end.
//!
//! | id | what it says |
//! |---|---|
//! | P1 | users that stable's pods could serve are never told 404 |
//! | P3 | an abort that was asked for is answered within seconds |
//! | T1 | the weights of the root sum to 100 |
//! | T2 | no share goes to pods that are not there for longer than it takes to correct |
//! | T5 | the canary's weight rises only to what a step declares |
//! | T6 | stable keeps its pods while it is what is gone back to |
//! | T7 | a raised share is carried by pods of the canary that were ready |
//! | T8 | after an abort the next weight is 0, and stays it |
//! | T10 | what Traefik sends requests to is not scaled away |
//! | T11 | the canary's Service does not change revision while it has a share |
//! | T12 | a Service moves only to a revision with ready pods |
//! | A4 | after an abort with a delay of zero the canary keeps its pods |
//! | A7 | a pause is not cut short |
//! | A9 | a revision that is listed as aborted is not under way |
//! | A11 | stable changes only to the current revision, and only with all its pods, at full weight |
//! | A12 | observedGeneration never falls and is never ahead; stable is never forgotten |
//! | Q1 | a restart leaves stable the pods that may not be missing |
//! | V2 | a Rollout that is gone steers nobody's Services |
//! | B4 | a promote ends the pause of a blue-green |
//! | D1 | a deadline is put off by a new high only, or by the next step |
//! | L3 | a write names what it expects to find |
//! | L7 | a decision does not panic |
//! | L8 | it comes to rest, at the end that was wished |

mod seen;
mod shares;
mod status;
mod writes;

use self::seen::{Seen, set_of};
use self::shares::Answer;
use super::api::State;
use super::recent::Recent;
use super::shop::{name, rollout};
use crate::core::object::ResourceType;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long the world may stand as it must not: Traefik's throttle, a pass, and a try anew.
const CORRECTED_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// Looks at the state after each thing that happened.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    /// Everything late (watches, backoff) is allowed so much more.
    pub late: SignedDuration,
    /// With a stable that grows first, an abort may go from declared weight to declared weight for so long.
    pub back_within: Option<SignedDuration>,
    now: Timestamp,
    /// What the last look saw; an equal one has nothing new to judge.
    looked: Option<(u64, u64, u64, usize, bool)>,
    /// Weights that a step declared at some time, and those that a schedule expects besides.
    pub declared: BTreeSet<i64>,
    generation: i64,
    observed: i64,
    /// Set when users have been served once: from then on they must be.
    served: bool,
    able_since: Option<Timestamp>,
    wrong_since: BTreeMap<String, Timestamp>,
    /// A write may be refused, or not be thought of: the lowering that goes before an abort's record may be missing.
    pub writes_may_fail: bool,
    /// The canary's weight when it was aborted, and ever since.
    aborted: Option<i64>,
    ready: BTreeMap<String, Recent>,
    /// Ready pods of each revision at the last look.
    ready_before: BTreeMap<String, i64>,
    /// The pods of which `ready_before` tells.
    kept: Option<u64>,
    /// How often pods broke.
    struck: Recent,
    /// The pods of which `ready` tells.
    noted: Option<u64>,
    wanted: Recent,
    weight: Recent,
    writes: usize,
    /// The Rollout as the last look saw it.
    before: Option<Arc<Value>>,
    /// What users get, and of which pods and configurations that is true.
    served_by: (u64, u64),
    answers: Vec<Answer>,
    /// Every weight of the canary that the root object has had, in order.
    pub weights: Vec<i64>,
    checks: BTreeMap<&'static str, u64>,
    broken: BTreeSet<(&'static str, String)>,
}

impl Oracle {
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that an invariant does not hold; each text once.
    pub fn broke(&mut self, id: &'static str, what: String) {
        if !self.broken.iter().any(|(known, text)| *known == id && text.ends_with(&what)) {
            self.broken.insert((id, format!("{} {what}", self.now)));
        }
    }

    /// Counts a judgement, and notes it when it does not hold.
    pub fn check(&mut self, id: &'static str, holds: bool, what: impl FnOnce() -> String) {
        *self.checks.entry(id).or_default() += 1;
        if !holds {
            self.broke(id, what());
        }
    }

    /// All that was broken, by id.
    pub fn broken(&self) -> Vec<String> {
        self.broken.iter().map(|(id, what)| format!("{id}: {what}")).collect()
    }

    pub fn broken_by_id(&self) -> Vec<(&'static str, String)> {
        self.broken.iter().cloned().collect()
    }

    /// How often each was judged.
    pub fn checks(&self) -> &BTreeMap<&'static str, u64> {
        &self.checks
    }

    /// What may stand for a while: judged by how long it stood. `excused`: nobody could have corrected it.
    fn lasting(&mut self, id: &'static str, what: &str, wrong: bool, excused: bool) {
        self.lasting_for(id, what, wrong, excused, CORRECTED_WITHIN);
    }

    fn lasting_for(&mut self, id: &'static str, what: &str, wrong: bool, excused: bool, within: SignedDuration) {
        *self.checks.entry(id).or_default() += 1;
        let place = format!("{id} {what}");
        if let Some(since) = self.wrong_since.get(&place).copied()
            && self.now.duration_since(since) > within + self.late
        {
            self.broke(id, what.to_owned());
        }
        if wrong && !excused {
            let now = self.now;
            self.wrong_since.entry(place).or_insert(now);
        } else {
            self.wrong_since.remove(&place);
        }
    }

    /// `awake`: a process is there, and all its watches tell.
    pub(super) fn look(&mut self, state: &State, awake: bool) {
        let traefiks = state.traefiks.iter().fold(0, |n: u64, t| n.wrapping_mul(31).wrapping_add(t.changes()));
        let looked = (state.server.version(), state.node.changes, traefiks, state.writes.len(), awake);
        if self.looked == Some(looked) && self.wrong_since.is_empty() {
            return;
        }
        self.looked = Some(looked);
        self.now = state.now;
        let Some(object) = state.server.get(&rollout()) else {
            self.forget();
            return;
        };
        let seen = Seen::of(state, object);
        self.note(state, &seen);
        self.able(state, &seen);
        self.weights_are_declared(&seen, awake);
        if self.served_by != (state.node.changes, traefiks) {
            self.served_by = (state.node.changes, traefiks);
            self.answers = shares::answers(state);
        }
        self.users_are_served(awake, &seen);
        self.abort_is_answered(object, &seen, awake);
        self.status_goes_on(state, object);
        for wrote in &state.writes[self.writes.min(state.writes.len())..] {
            self.judge_write(wrote, state, &seen);
        }
        self.writes = state.writes.len();
        self.keep_ready(state);
        self.before = state.server.shared(&rollout());
    }

    /// Without a Rollout nothing is promised.
    fn forget(&mut self) {
        (self.served, self.able_since, self.aborted, self.observed) = (false, None, None, 0);
        self.wrong_since.clear();
        self.before = None;
    }

    /// Keeps what the past moments were like.
    fn note(&mut self, state: &State, seen: &Seen<'_>) {
        let generation = seen.object["metadata"]["generation"].as_i64().unwrap_or(0);
        if generation != self.generation {
            self.generation = generation;
            let steps = seen.object["spec"]["strategy"]["canary"]["steps"].as_array();
            self.declared.extend(steps.into_iter().flatten().filter_map(|s| s["setWeight"].as_i64()));
        }
        let now = self.now;
        self.wanted.note(now, seen.replicas);
        self.struck.note(now, i64::try_from(state.node.struck).unwrap_or(i64::MAX));
        self.weight.note(now, seen.weight.unwrap_or(0));
        if self.noted == Some(state.node.changes) {
            return;
        }
        self.noted = Some(state.node.changes);
        let gone = |hash: &str| state.node.pods_of(&set_of(hash)).is_none();
        self.ready.iter_mut().filter(|(hash, _)| gone(hash)).for_each(|(_, recent)| recent.note(now, 0));
        for (target, ready) in state.node.ready_by_set() {
            let Some(hash) = target.name.strip_prefix("web-") else { continue };
            let ready = i64::try_from(ready).unwrap_or(i64::MAX);
            match self.ready.get_mut(hash) {
                Some(recent) => recent.note(now, ready),
                None => self.ready.entry(hash.to_owned()).or_default().note(now, ready),
            }
        }
    }

    /// Keeps what the next look compares with.
    fn keep_ready(&mut self, state: &State) {
        if self.kept == Some(state.node.changes) {
            return;
        }
        self.kept = Some(state.node.changes);
        self.ready_before.retain(|hash, _| state.node.pods_of(&set_of(hash)).is_some());
        for (target, ready) in state.node.ready_by_set() {
            let Some(hash) = target.name.strip_prefix("web-") else { continue };
            let ready = i64::try_from(ready).unwrap_or(i64::MAX);
            match self.ready_before.get_mut(hash) {
                Some(before) => *before = ready,
                None => _ = self.ready_before.insert(hash.to_owned(), ready),
            }
        }
    }

    /// Whether stable could serve everybody.
    fn able(&mut self, state: &State, seen: &Seen<'_>) {
        let there = |service: &str| state.server.get(&name(ResourceType::SERVICE, service)).is_some();
        let stable = seen.stable.filter(|_| seen.replicas > 0 && there("web-stable") && there("web-canary"));
        let able = stable.is_some_and(|hash| state.node.ready(&set_of(hash)) > 0);
        self.able_since = able.then(|| self.able_since.unwrap_or(self.now));
    }

    /// Stable could serve everybody for long enough that everybody knows.
    fn is_settled(&self) -> bool {
        self.able_since.is_some_and(|since| self.now.duration_since(since) > CORRECTED_WITHIN + self.late)
    }
}
