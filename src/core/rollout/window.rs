//! The rollback window: a return to a revision that ran not long before stable takes no steps (N3).
//!
//! Such a return is a full promotion from its first moment on, so that all that holds for one holds for it: nothing is measured
//! or waited for but pods, and the share is never above what they carry (N5).

use super::facts::Facts;
use super::pass::{Pass, Phase};

impl Pass<'_> {
    /// Skips what would be done step by step, when the revision that was just taken up lies within the window.
    pub(super) fn skip_in_window(&mut self) {
        if self.phase() != Phase::Updating || !is_within(self.f, &self.stable()) {
            return;
        }
        self.next.promote_full = Some(true);
        let (window, revision) = (self.f.spec.rollback_window, self.next.current_revision.unwrap_or(0));
        let text = format!(
            "Revision {revision} ran before stable, within the rollback window of {window}: no steps and no analysis"
        );
        self.notice(false, "SkipSteps", text);
    }
}

/// The current revision is older than stable, with fewer revisions than the window between them.
fn is_within(f: &Facts<'_>, stable: &str) -> bool {
    let born = |hash: &str| f.sets.get(hash).and_then(|set| set.meta.created);
    let (Some(current), Some(stable)) = (born(f.current()), born(stable)) else { return false };
    let between = f.sets.values().filter_map(|set| set.meta.created).filter(|at| current < *at && *at < stable).count();
    current < stable && between < f.spec.rollback_window
}
