//! ReplicaSets that are no longer in use: how long they stay up, and how many of them.
//!
//! A former revision waits with its pods, so that going back to it is quick. The time is written on it when it is first seen
//! to be out of use (S2); of several that wait only the newest stay, as far as the limit goes.

use super::Mutant;
use super::edits::{self, SCALE_DOWN_DEADLINE};
use super::facts;
use super::pass::{Pass, Phase};
use super::spec::AfterAbort;
use crate::core::plan::Why;
use crate::core::scalar::Span;
use jiff::Timestamp;
use std::cmp::Reverse;

/// On what terms ReplicaSets go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The current revision, when it was aborted.
    pub after_abort: AfterAbort,
    /// How long former revisions wait.
    pub delay: Span,
    /// So many of them may wait; all without it.
    pub limit: Option<usize>,
    /// Pods that stay available in all: while stable misses pods, theirs are the reserve (S4).
    pub fewest: u32,
}

impl Pass<'_> {
    /// Lets those go that have no role: `unused` are the revisions that users do not reach.
    pub(super) fn let_go(&mut self, unused: Vec<String>, terms: Terms) {
        let (stable, current) = (self.stable(), self.f.current().to_owned());
        let after_abort = match terms.after_abort {
            AfterAbort::Keep if self.f.breaks(Mutant::ZeroAbortDelayLetsGo) => AfterAbort::ScaleDownAfter(Span::ZERO),
            as_it_says => as_it_says,
        };
        if self.phase() == Phase::Aborted
            && let AfterAbort::ScaleDownAfter(delay) = after_abort
            && unused.contains(&current)
        {
            self.retire(&current, delay);
        }
        let former = unused.into_iter().filter(|hash| *hash != stable && *hash != current).collect();
        self.retire_former(former, terms);
    }

    /// The newest ones wait, as many as may; the others go at once (S2).
    fn retire_former(&mut self, mut former: Vec<String>, terms: Terms) {
        let f = self.f;
        former.retain(|hash| f.size(hash) > 0);
        former.sort_by_key(|hash| Reverse(f.revision(hash)));
        let limit = terms.limit.unwrap_or(usize::MAX);
        let mut available: u32 = f.sets.values().map(|set| facts::pods(set.available)).sum();
        for (newer, hash) in former.iter().enumerate() {
            let own = f.available(hash);
            let keep = terms.fewest.saturating_sub(available - own).min(own);
            if self.is_due(hash, if newer < limit { terms.delay } else { Span::ZERO }) {
                self.scale(hash, keep);
                available -= own - keep;
            }
        }
    }

    /// Lets a ReplicaSet that is no longer in use go to 0, `delay` after this was seen first.
    pub(super) fn retire(&mut self, hash: &str, delay: Span) {
        if self.f.size(hash) > 0 && self.is_due(hash, delay) {
            self.scale(hash, 0);
        }
    }

    /// Whether its time has come; when it is first seen to be out of use, its time is written on it.
    fn is_due(&mut self, hash: &str, delay: Span) -> bool {
        let Some(set) = self.f.sets.get(hash).copied() else { return false };
        if delay == Span::ZERO {
            return !self.f.breaks(Mutant::ZeroDelayKeeps);
        }
        let seen = set.meta.annotations.get(SCALE_DOWN_DEADLINE);
        let deadline = seen.and_then(|t| t.parse::<Timestamp>().ok()).unwrap_or_else(|| {
            let deadline = delay.after(self.f.now);
            let text = Some(deadline.to_string());
            self.effects.push(edits::annotate_set(set, SCALE_DOWN_DEADLINE, text, Why::Scale));
            deadline
        });
        self.wake_at(deadline);
        deadline <= self.f.now
    }
}
