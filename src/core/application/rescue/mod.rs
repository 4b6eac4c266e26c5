//! Rescue: a revision that failed is taken back, in the cluster first and then in git.
//!
//! The cluster never waits for git: the hold stands before anything is pushed, and stays when the push cannot be made.
//! Each step is in status before it is acted on, so a process that dies between any two of them is followed by one that
//! goes on at the same step. What was rejected stays rejected until its content changes or a person says retry.

pub mod good;
pub mod hold;
pub mod message;
pub mod revert;
pub mod verdict;

use crate::api::{ApplicationStatus, RescueCommit, RescueStatus, RevisionStatus};

/// `status.rescue.phase`.
pub mod phase {
    pub const HOLDING: &str = "Holding";
    pub const REVERT_PENDING: &str = "RevertPending";
    pub const REVERTED: &str = "Reverted";
    pub const NEEDS_HUMAN: &str = "NeedsHuman";
}

/// Rejected trees and written reverts that are remembered.
const KEPT: usize = 20;

fn commit_of(revision: &RevisionStatus) -> RescueCommit {
    RescueCommit {
        commit: revision.revision.clone(),
        tree: revision.tree.clone(),
        subject: revision.message.clone(),
        time: revision.at.or(revision.committed_at),
    }
}

fn rescue(status: &mut ApplicationStatus) -> &mut RescueStatus {
    status.rescue.get_or_insert_default()
}

fn remember(list: &mut Vec<RescueCommit>, entry: RescueCommit) {
    list.push(entry);
    let surplus = list.len().saturating_sub(KEPT);
    list.drain(..surplus);
}
