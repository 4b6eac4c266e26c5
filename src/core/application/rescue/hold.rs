//! Level 1: the last good revision is kept applied while git names one that was rejected.

use super::verdict::Failure;
use super::{commit_of, good, phase, remember, rescue};
use crate::api::{ApplicationStatus, RescueCommit, RescueStatus, RevisionStatus};
use jiff::Timestamp;

/// What the cluster is held at, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub good: RescueCommit,
    pub bad: RescueCommit,
}

pub fn is_rejected(status: &ApplicationStatus, tree: &str) -> bool {
    let rejected = status.rescue.as_ref().map_or(&[][..], |r| &r.rejected);
    rejected.iter().any(|r| r.tree.as_deref() == Some(tree))
}

/// Rejects the tip's tree. Nothing else may happen before this is written.
///
/// Without an earlier good revision there is nothing to go back to: a person is told, once.
pub fn reject(status: &mut ApplicationStatus, tip: &RevisionStatus, failure: &Failure, now: Timestamp) -> Option<Held> {
    let bad = RescueCommit { time: Some(now), ..commit_of(tip) };
    let tree = bad.tree.clone()?;
    let good = good::before(status, &tree);
    let already = status.rescue.as_ref().is_some_and(|r| {
        r.phase.as_deref() == Some(phase::NEEDS_HUMAN)
            && r.bad.as_ref().is_some_and(|b| b.tree.as_deref() == Some(&tree))
    });
    if good.is_none() && already {
        return None;
    }
    if let Some(entry) = status.history.iter_mut().rev().find(|h| h.tree.as_deref() == Some(&tree)) {
        entry.verdict = Some("Rejected".to_owned());
    }
    if status.good.as_ref().is_some_and(|g| g.tree.as_deref() == Some(&tree)) {
        status.good = None;
    }
    let state = rescue(status);
    *state = RescueStatus {
        phase: Some(if good.is_some() { phase::HOLDING } else { phase::NEEDS_HUMAN }.to_owned()),
        bad: Some(bad.clone()),
        good: good.clone(),
        reason: Some(failure.reason.clone()),
        class: Some(failure.class.to_owned()),
        since: Some(now),
        message: good
            .is_none()
            .then(|| "no revision was good before this one: there is nothing to go back to".to_owned()),
        rejected: std::mem::take(&mut state.rejected),
        reverts: std::mem::take(&mut state.reverts),
        ..RescueStatus::default()
    };
    let good = good?;
    remember(&mut state.rejected, bad.clone());
    Some(Held { good, bad })
}

/// Brings the state in line with where the branch is now, and says what is held.
pub fn follow(status: &mut ApplicationStatus, tip: &RevisionStatus, now: Timestamp) -> Option<Held> {
    let tree = tip.tree.clone()?;
    let state = status.rescue.as_ref()?;
    let current = state.phase.clone();
    let of_tip = state.bad.as_ref().is_some_and(|b| b.tree.as_deref() == Some(&tree));
    if current.is_some() && !of_tip {
        lift(status, tip, &tree);
    }
    if !is_rejected(status, &tree) {
        return None;
    }
    let bad = RescueCommit { time: Some(now), ..commit_of(tip) };
    let good = good::before(status, &tree);
    let state = rescue(status);
    if state.phase.is_none() || state.phase.as_deref() == Some(phase::REVERTED) {
        *state = RescueStatus {
            phase: Some(phase::HOLDING.to_owned()),
            bad: Some(bad.clone()),
            good: good.clone(),
            reason: Some("the same content was rejected before".to_owned()),
            class: state.class.clone(),
            since: Some(now),
            rejected: std::mem::take(&mut state.rejected),
            reverts: std::mem::take(&mut state.reverts),
            ..RescueStatus::default()
        };
    }
    // What is held is what was decided when it was rejected, so that a later change of the history does not move it.
    let good = state.good.clone().filter(|g| g.tree.is_some()).or(good)?;
    Some(Held { good, bad: state.bad.clone().unwrap_or(bad) })
}

/// The branch no longer has what was rejected.
fn lift(status: &mut ApplicationStatus, tip: &RevisionStatus, tree: &str) {
    let state = rescue(status);
    let restored = state.good.as_ref().is_some_and(|g| g.tree.as_deref() == Some(tree));
    if restored && state.phase.as_deref() == Some(phase::REVERTED) {
        return;
    }
    if restored {
        state.phase = Some(phase::REVERTED.to_owned());
        state.revert_commit.clone_from(&tip.revision);
        state.message = None;
        return;
    }
    *state = RescueStatus {
        rejected: std::mem::take(&mut state.rejected),
        reverts: std::mem::take(&mut state.reverts),
        ..RescueStatus::default()
    };
}

/// A person wants the rejected content to be tried again.
pub fn retry(status: &mut ApplicationStatus, tree: &str) -> bool {
    let Some(state) = status.rescue.as_mut() else { return false };
    let before = state.rejected.len();
    state.rejected.retain(|r| r.tree.as_deref() != Some(tree));
    let known = state.rejected.len() < before || state.bad.as_ref().is_some_and(|b| b.tree.as_deref() == Some(tree));
    if known {
        *state = RescueStatus {
            rejected: std::mem::take(&mut state.rejected),
            reverts: std::mem::take(&mut state.reverts),
            ..RescueStatus::default()
        };
    }
    known
}
