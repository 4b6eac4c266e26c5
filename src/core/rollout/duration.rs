//! How long an update took, how long of it a person let it wait, and how it ended (U1).

use super::commands;
use super::pass::{Pass, Phase};
use super::spec::{Promotion, Step, Strategy};
use super::steps::PAUSE_STEP;
use crate::api::DurationStatus;

/// How an update ended. The words are those that users query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Through its steps.
    Promoted,
    /// Its steps were skipped by command.
    FastPromoted,
    Aborted,
    /// Through its steps, to a revision that is older than the one it replaces.
    RolledBack,
    /// To such a revision without steps.
    FastRolledBack,
}

impl Ending {
    const fn word(self) -> &'static str {
        match self {
            Self::Promoted => "Promoted",
            Self::FastPromoted => "FastPromoted",
            Self::Aborted => "Aborted",
            Self::RolledBack => "RolledBack",
            Self::FastRolledBack => "FastRolledBack",
        }
    }
}

impl Pass<'_> {
    /// The time runs anew, for another template or another attempt.
    pub(super) fn begin_duration(&mut self) {
        self.next.duration = Some(DurationStatus { rollout_started_at: Some(self.f.now), ..DurationStatus::default() });
    }

    /// How the update ends; when, is seen by [`Self::note_duration`], and at once for an abort.
    pub(super) fn end_duration(&mut self, ending: Ending) {
        let now = self.f.now;
        let Some(duration) = self.next.duration.as_mut().filter(|d| d.finished_at.is_none()) else { return };
        duration.completion_status = Some(ending.word().to_owned());
        if ending == Ending::Aborted {
            duration.finished_at = Some(now);
        }
    }

    /// Counts what a person lets it wait, and notes the end when the phase is Healthy.
    pub(super) fn note_duration(&mut self, healthy: bool) {
        let (now, waits) = (self.f.now, self.waits_for_a_person());
        let Some(duration) = &mut self.next.duration else { return };
        let running = duration.finished_at.is_none();
        match duration.manual_pause_started_at {
            None if waits && running => duration.manual_pause_started_at = Some(now),
            Some(since) if !(waits && running) => {
                let spent = now.duration_since(since).as_secs();
                let total = duration.total_manual_pause_duration_seconds.unwrap_or(0);
                duration.total_manual_pause_duration_seconds = Some(total + spent);
                duration.manual_pause_started_at = None;
            }
            _ => {}
        }
        if healthy && running {
            duration.finished_at = Some(now);
            duration.completion_status.get_or_insert_with(|| Ending::Promoted.word().to_owned());
        }
    }

    /// An update stands still until somebody says go on: a timed pause is none.
    fn waits_for_a_person(&self) -> bool {
        if self.phase() != Phase::Updating {
            return false;
        }
        let f = self.f;
        let is = |reason: &str| self.next.pause_conditions.iter().any(|p| p.reason == reason);
        let inconclusive = self.next.pause_conditions.iter().any(|p| p.reason.starts_with("Inconclusive"));
        let endless = match &f.spec.strategy {
            Strategy::Canary(canary) => {
                let step = self.next.current_step_index.and_then(|i| canary.steps.get(usize::try_from(i).ok()?));
                is(PAUSE_STEP) && matches!(step, Some(Step::Pause(None)))
            }
            Strategy::BlueGreen(strategy) => is("BlueGreenPause") && strategy.promotion == Promotion::Manual,
        };
        endless || inconclusive || f.spec.paused || commands::pause_reason(f.rollout).is_some()
    }
}
