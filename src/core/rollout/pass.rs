//! One decision under way: the facts, the status that shall be, and what was found to be done.

use super::Mutant;
use super::commands;
use super::duration::Ending;
use super::facts::{self, Facts};
use super::restart::Restart;
use super::rollback;
use super::template;
use crate::api::{AbortedRevision, PauseCondition, RolloutStatus};
use crate::core::application::wanted::{ANNOTATION_SOURCE, source_in};
use crate::core::object::ObjectRef;
use crate::core::plan::{Effect, Notice, Why};
use crate::core::question::Question;
use crate::core::refusal::Refusal;
use crate::core::row::ReplicaSetRow;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Revisions that are remembered as aborted.
const ABORTED_KEPT: usize = 20;

/// Where the Rollout stands. Follows from status and the current revision, and is stored nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No revision was ever stable.
    Initial,
    /// The current revision is the stable one.
    Settled,
    /// Another revision than stable is under way.
    Updating,
    /// It was under way, and traffic is to stay with stable.
    Aborted,
}

#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub f: &'a Facts<'a>,
    pub next: RolloutStatus,
    pub safety: Vec<Effect>,
    pub effects: Vec<Effect>,
    /// Put on or taken off the Rollout itself, in a pass that writes nothing else to it.
    pub finalizer: Option<Effect>,
    pub ask: Vec<Question>,
    pub notices: Vec<Notice>,
    pub wake: Option<Timestamp>,
    pub urgent: bool,
    /// The spec is not read, for whatever reason: nothing goes on but what takes a share back.
    pub frozen: bool,
    /// What is wrong with the spec or with what it names; steps do not go on.
    pub refusals: Vec<Refusal>,
    /// Names of the AnalysisRuns that may go on.
    pub runs: Vec<String>,
    /// Pods are being replaced.
    pub restart: Option<Restart<'a>>,
    /// New sizes of ReplicaSets.
    scaled: BTreeMap<String, u32>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(f: &'a Facts<'a>) -> Self {
        Self {
            f,
            next: f.seen.clone(),
            safety: Vec::new(),
            effects: Vec::new(),
            finalizer: None,
            ask: Vec::new(),
            notices: Vec::new(),
            wake: None,
            urgent: false,
            frozen: false,
            refusals: Vec::new(),
            runs: Vec::new(),
            restart: None,
            scaled: BTreeMap::new(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let stable = self.next.stable_rs.as_deref();
        match stable {
            None | Some("") => Phase::Initial,
            Some(stable) if stable == self.f.current() => Phase::Settled,
            // Somebody deleted its ReplicaSet, and with it the only copy of its template: there is nothing to go back to.
            Some(stable) if !self.f.sets.contains_key(stable) => Phase::Initial,
            _ if self.next.abort == Some(true) => Phase::Aborted,
            _ => Phase::Updating,
        }
    }

    /// The stable revision; empty when there is none.
    pub(super) fn stable(&self) -> String {
        self.next.stable_rs.clone().unwrap_or_default()
    }

    /// Decide again at this moment at the latest, if it is still to come.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        if at > self.f.now && self.wake.is_none_or(|w| at < w) {
            self.wake = Some(at);
        }
    }

    pub(super) fn notice(&mut self, warning: bool, reason: &'static str, message: impl Into<String>) {
        let on: ObjectRef = self.f.rollout.target();
        let uid = self.f.rollout.meta.uid.clone();
        self.notices.push(Notice { on, uid, warning, reason, message: message.into() });
    }

    /// Why steps and switches stand still, if they do.
    pub(super) fn halted(&self) -> Option<String> {
        if self.f.spec.paused {
            return Some("manually paused".to_owned());
        }
        if let Some(reason) = commands::pause_reason(self.f.rollout) {
            return Some(format!("paused by annotation: {reason}"));
        }
        if self.f.pending.is_some() {
            return Some("the template is not accepted yet".to_owned());
        }
        if self.is_turning() {
            return Some("a rollback begins".to_owned());
        }
        if self.frozen || !self.refusals.is_empty() {
            return Some("the spec is not accepted".to_owned());
        }
        self.next.pause_conditions.iter().find(|p| p.reason.starts_with("Inconclusive")).map(|p| p.reason.clone())
    }

    /// Starts over with the revision that is current now, when it is another than before; `steps` is the hash of the steps
    /// and their number.
    pub(super) fn take_revision(&mut self, steps: Option<(String, usize)>) {
        let Some(hash) = self.f.hash.clone() else { return };
        if self.f.rollback.is_none() && self.f.pending.is_none() {
            self.next.rollback = None;
        }
        let length = steps.as_ref().map(|(_, len)| i32::try_from(*len).unwrap_or(i32::MAX));
        let changed = self.next.current_pod_hash.as_deref() != Some(hash.as_str());
        let steps_hash = steps.map(|(hash, _)| hash);
        let steps_changed = !changed && self.next.current_step_hash != steps_hash;
        self.next.current_step_hash = steps_hash;
        let stable = self.next.stable_rs.as_deref() == Some(hash.as_str());
        if changed {
            self.cancel_restart();
            let newest = self.f.newest_revision();
            let own = self.f.revision(&hash);
            let revision = if own > 0 && own == newest { own } else { newest + 1 };
            self.next.current_revision = Some(revision);
            self.notice(false, "RolloutUpdated", format!("Rollout updated to revision {revision}"));
            if stable {
                self.notice(false, "SkipSteps", "Rollback to stable: all steps are skipped");
            }
            self.next.current_pod_hash = Some(hash.clone());
            self.next.attempt = Some(1);
            self.next.abort = None;
            self.next.aborted_at = None;
            if self.f.breaks(Mutant::ForgetsStable) {
                self.next.stable_rs = None;
            }
            self.start_over(length, stable);
            self.begin_duration();
            if stable {
                self.end_duration(Ending::FastRolledBack);
            } else {
                self.begin_floor();
            }
            if let Some(before) = self.next.aborted.iter().find(|a| a.hash == hash).filter(|_| !stable)
                && !self.f.breaks(Mutant::StartsAbortedAgain)
            {
                self.next.abort = Some(true);
                self.next.aborted_at = before.time;
            }
            self.skip_in_window();
        } else if steps_changed && self.next.abort != Some(true) {
            self.start_over(length, stable);
            if self.next.attempt.is_none_or(|attempt| attempt == 1) {
                self.skip_in_window();
            }
        }
        if stable {
            self.next.abort = None;
            self.next.aborted_at = None;
            self.next.promote_full = None;
            self.next.current_step_index = length;
        }
    }

    fn start_over(&mut self, steps: Option<i32>, stable: bool) {
        let now = self.f.now;
        self.next.pause_conditions.clear();
        self.next.controller_pause = None;
        self.next.promote_full = None;
        self.next.progress = None;
        self.next.canary = None;
        if let Some(blue_green) = &mut self.next.blue_green {
            blue_green.scale_up_preview_check_point = None;
            blue_green.pre_promotion_analysis_run_status = None;
            blue_green.post_promotion_analysis_run_status = None;
        }
        self.next.current_step_index = steps.map(|len| if stable { len } else { 0 });
        self.next.current_step_started_at = Some(now);
    }

    /// Handles commands. Their effect on steps is the caller's; abort and retry are handled here. Returns whether a step
    /// shall end.
    pub(super) fn take_commands(&mut self) -> bool {
        let f = self.f;
        let commit = |set: &ReplicaSetRow| source_in(&set.meta.annotations).map(|source| source.revision);
        let mut known: commands::Known = f.sets.iter().map(|(hash, set)| (hash.clone(), commit(set))).collect();
        known.extend(f.hash.clone().filter(|hash| !f.sets.contains_key(hash)).map(|hash| (hash, None)));
        let phase = self.phase();
        let revisions = rollback::revisions(f);
        let in_spec = (!f.spec.template.is_null()).then_some(f.in_spec.as_str());
        let goals = rollback::Goals { revisions: &revisions, in_spec, aborted: &f.seen.aborted };
        let situation = commands::Situation {
            now: f.now,
            restarted_at: self.next.restarted_at,
            goals,
            hash: f.hash.as_deref(),
            step: self.next.current_step_index.unwrap_or(0),
            attempt: self.next.attempt.unwrap_or(1),
            updating: matches!(phase, Phase::Updating | Phase::Initial) || self.is_leaving(),
            aborted: phase == Phase::Aborted,
            has_stable: phase != Phase::Initial,
            frozen: self.frozen,
            settled_spec: f.seen.observed_generation == Some(f.rollout.meta.generation)
                || f.breaks(Mutant::PromotesUnseen),
        };
        let taken = commands::take(f.rollout, &mut self.next, &known, situation);
        for (refused, text) in taken.notices {
            self.notice(refused, if refused { "CommandRefused" } else { "CommandAccepted" }, text);
        }
        self.effects.extend(taken.removals);
        let mut step = false;
        for order in taken.orders {
            match order {
                commands::Order::Abort(_) if self.forgets_abort() => {}
                commands::Order::Abort(reason) => self.abort("Command", reason),
                commands::Order::Retry => self.retry(),
                commands::Order::Rollback(word) => _ = goals.find(&word).map(|hash| self.go_back(hash)),
                commands::Order::Restart(at) => self.next.restart_at = self.next.restart_at.max(Some(at.min(f.now))),
                commands::Order::PromoteStep => step = true,
                commands::Order::PromoteFull => self.next.promote_full = Some(true),
            }
        }
        step
    }

    fn forgets_abort(&self) -> bool {
        let f = self.f;
        f.breaks(Mutant::PromotionBeatsAbort) && self.next.promote_full == Some(true)
            || f.breaks(Mutant::PauseStopsAbort) && f.spec.paused
    }

    /// A canary still has a share although its revision is no longer the wanted one.
    fn is_leaving(&self) -> bool {
        let want = self.next.traffic.as_ref().and_then(|t| t.want.as_ref());
        want.and_then(|w| w.canary).is_some_and(|w| w > 0) && self.phase() != Phase::Settled
    }

    /// Ends the update: traffic is to go back to stable. Class: Command, Analysis, Deadline, Guard or Traffic.
    pub(super) fn abort(&mut self, class: &str, cause: impl Into<String>) {
        if self.phase() != Phase::Updating {
            return;
        }
        let (cause, hash) = (cause.into(), self.f.current().to_owned());
        self.urgent = true;
        self.next.abort = Some(true);
        self.next.aborted_at = Some(self.f.now);
        self.next.promote_full = None;
        self.next.pause_conditions.clear();
        self.next.controller_pause = None;
        if self.next.current_step_index.is_some() {
            self.next.current_step_index = Some(0);
        }
        let revision = self.next.current_revision.unwrap_or(0);
        self.notice(true, "RolloutAborted", format!("Rollout aborted update to revision {revision}: {cause}"));
        self.end_duration(Ending::Aborted);
        self.next.aborted.retain(|a| a.hash != hash);
        self.next.aborted.push(AbortedRevision { hash, time: Some(self.f.now), cause, class: Some(class.to_owned()) });
        let excess = self.next.aborted.len().saturating_sub(ABORTED_KEPT);
        self.next.aborted.drain(..excess);
    }

    fn retry(&mut self) {
        let hash = self.f.current();
        self.next.aborted.retain(|a| a.hash != hash);
        self.next.abort = None;
        self.next.aborted_at = None;
        self.next.attempt = Some(self.next.attempt.unwrap_or(1) + 1);
        let steps = self.next.current_step_index.map(|_| 1);
        self.start_over(steps, false);
        self.begin_duration();
        self.begin_floor();
        self.notice(false, "RolloutRetry", "Retrying the aborted revision from its first step");
    }

    /// Adds a reason to wait, once.
    pub(super) fn pause(&mut self, reason: &str) {
        if self.next.pause_conditions.iter().any(|p| p.reason == reason) {
            return;
        }
        self.next.pause_conditions.push(PauseCondition { reason: reason.to_owned(), start_time: Some(self.f.now) });
        self.next.controller_pause = Some(true);
        self.notice(false, "RolloutPaused", format!("Rollout is paused ({reason})"));
    }

    /// Makes the current revision the stable one.
    pub(super) fn complete(&mut self, reason: &str, steps: Option<usize>) {
        let hash = self.f.current().to_owned();
        let made = |hash: &str| self.f.sets.get(hash).and_then(|set| set.meta.created);
        let older = made(&hash) < made(&self.stable());
        self.end_duration(match (self.next.promote_full == Some(true), older) {
            (false, false) => Ending::Promoted,
            (true, false) => Ending::FastPromoted,
            (false, true) => Ending::RolledBack,
            (true, true) => Ending::FastRolledBack,
        });
        self.next.stable_rs = Some(hash);
        self.end_floor();
        self.next.abort = None;
        self.next.aborted_at = None;
        self.next.promote_full = None;
        self.next.pause_conditions.clear();
        self.next.controller_pause = None;
        self.next.current_step_index = steps.map(|len| i32::try_from(len).unwrap_or(i32::MAX));
        self.next.current_step_started_at = Some(self.f.now);
        let revision = self.next.current_revision.unwrap_or(0);
        self.notice(false, "RolloutCompleted", format!("Rollout completed update to revision {revision}: {reason}"));
    }

    /// Creates the ReplicaSet of the current revision, or brings it to `size`; keeps its revision number and takes a
    /// deadline off.
    pub(super) fn hold_current(&mut self, size: u32) {
        let Some(hash) = self.f.hash.clone() else { return };
        let revision = self.next.current_revision.unwrap_or(1);
        if let Some(set) = self.f.sets.get(&hash).copied() {
            let is_new = facts::revision_of(set) != revision;
            let mut annotate = |key: &str, value: String| {
                self.effects.push(super::edits::annotate_set(set, key, Some(value), Why::NewRevision));
            };
            if is_new {
                annotate(super::ANNOTATION_REVISION, revision.to_string());
            }
            let noted = set.meta.annotations.get(ANNOTATION_SOURCE);
            let source = self.f.source().filter(|source| noted != Some(*source) && (is_new || noted.is_none()));
            if let Some(source) = source {
                annotate(ANNOTATION_SOURCE, source.clone());
            }
            self.hold(&hash, size);
            return;
        }
        // What was rolled back to has another template than spec.
        let accepted = self.f.pending.is_none() && self.f.rollback.is_none();
        // With no pods wanted too: it keeps the template that a later revision may go back to.
        if accepted && (size > 0 || matches!(self.phase(), Phase::Initial | Phase::Settled)) {
            self.make_current(&hash, size, revision);
        }
    }

    /// Creates the ReplicaSet of the template in spec, kept apart and dressed for its role.
    fn make_current(&mut self, hash: &str, size: u32, revision: i64) {
        let (f, stable) = (self.f, self.stable());
        let mut template = serde_json::Value::clone(&f.spec.template);
        if let Some(rule) = f.spec.strategy.anti_affinity().filter(|_| !stable.is_empty() && stable != hash) {
            template::keep_apart(&mut template, rule, &stable);
        }
        let min_ready = f.spec.min_ready.as_duration().as_secs();
        let selector = &f.spec.selector;
        let mut set = super::edits::replica_set(&template, selector, hash, size, revision, min_ready, &f.whose);
        if let Some(source) = f.source() {
            set["metadata"]["annotations"][ANNOTATION_SOURCE] = source.as_str().into();
        }
        self.dress(hash, &mut set);
        self.notice(false, "NewReplicaSetCreated", format!("Created ReplicaSet {}-{hash}", f.whose.rollout));
        self.effects.push(super::edits::create(set, Why::NewRevision));
    }

    /// Brings a ReplicaSet that is in use to `size`.
    pub(super) fn hold(&mut self, hash: &str, size: u32) {
        let Some(set) = self.f.sets.get(hash).copied() else { return };
        let size = self.with_restart(hash, size);
        if set.meta.annotations.contains_key(super::edits::SCALE_DOWN_DEADLINE) {
            self.effects.push(super::edits::annotate_set(set, super::edits::SCALE_DOWN_DEADLINE, None, Why::Scale));
        }
        self.scale(hash, size);
    }

    pub(super) fn scale(&mut self, hash: &str, size: u32) {
        let Some(set) = self.f.sets.get(hash).copied() else { return };
        if facts::pods(set.size) == size {
            return;
        }
        let verb = if facts::pods(set.size) < size { "up" } else { "down" };
        let text = format!("Scaled {verb} ReplicaSet {} from {} to {size}", set.meta.name, set.size);
        self.notice(false, "ScalingReplicaSet", text);
        self.effects.push(super::edits::scale(set, size));
        self.scaled.insert(hash.to_owned(), size);
    }

    /// Pods of a revision that are there and were scaled away, by this pass or before it.
    pub(super) fn going(&self, hash: &str) -> u32 {
        let Some(set) = self.f.sets.get(hash) else { return 0 };
        let size = self.scaled.get(hash).copied().unwrap_or_else(|| facts::pods(set.size));
        facts::pods(set.created).saturating_sub(size)
    }

    /// Deletes the oldest ReplicaSets beyond the limit that have no pods (H4).
    pub(super) fn keep_history(&mut self) {
        let stable = self.stable();
        let mut old: Vec<_> = (self.f.sets.iter())
            .filter(|(hash, _)| **hash != stable && **hash != self.f.current())
            .map(|(_, set)| *set)
            .collect();
        old.sort_by_key(|set| facts::revision_of(set));
        let excess = old.len().saturating_sub(self.f.spec.history_limit);
        for set in old.into_iter().take(excess).filter(|s| s.size == 0 && s.created == 0) {
            let resource = crate::core::object::ResourceType::REPLICA_SET;
            self.effects.push(super::edits::delete(resource, &set.meta, Why::HistoryLimit));
        }
    }
}
