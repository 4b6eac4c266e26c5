//! Which revision is good: applied, and Healthy for its soak time without a break. One second of health proves nothing.

use super::commit_of;
use crate::api::{ApplicationStatus, RescueCommit};
use crate::core::scalar::Span;
use jiff::Timestamp;

/// Notes how the applied revision stands. Gives the time at which it will be good, if it stays as it is.
pub fn soak(status: &mut ApplicationStatus, stands: bool, soak: Span, now: Timestamp) -> Option<Timestamp> {
    if !stands {
        status.healthy_since = None;
        return None;
    }
    let applied = status.applied.clone()?;
    let since = *status.healthy_since.get_or_insert(now);
    if status.good.as_ref().is_some_and(|g| g.tree == applied.tree) {
        // A commit that leaves the tree as it is names the same good content.
        return None;
    }
    let ripe = soak.after(since);
    if ripe > now {
        return Some(ripe);
    }
    if let Some(entry) = status.history.iter_mut().rev().find(|h| h.tree == applied.tree) {
        entry.verdict = Some("Good".to_owned());
    }
    status.good = Some(crate::api::RevisionStatus { at: Some(now), ..applied });
    None
}

/// The newest good revision that is not `bad` and was not rejected itself.
pub fn before(status: &ApplicationStatus, bad: &str) -> Option<RescueCommit> {
    let fits = |tree: Option<&str>| tree.is_some_and(|t| t != bad && !super::hold::is_rejected(status, t));
    if let Some(good) = status.good.as_ref().filter(|g| fits(g.tree.as_deref())) {
        return Some(commit_of(good));
    }
    let past = status.history.iter().rev().filter(|h| h.verdict.as_deref() == Some("Good"));
    past.filter(|h| fits(h.tree.as_deref()))
        .map(|h| RescueCommit {
            commit: h.revision.clone(),
            tree: h.tree.clone(),
            subject: h.message.clone(),
            time: h.deployed_at,
        })
        .next()
}
