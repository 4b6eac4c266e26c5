//! Rules that the explorer breaks on purpose, to see that its oracles would notice.
//!
//! A mutant is part of the settings of a decision, so decisions stay pure; the shipped binary has no such setting, and what
//! is asked of it there is a constant. Most are bugs that Argo Rollouts has or had (reference section 8.10), by their rule ids.

/// One rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mutant {
    /// N5: the weight is raised before the pods that shall carry it are there.
    RaisesUncapped,
    /// The weight is lowered after the status was written, not before.
    LowersLate,
    /// N7, A4: pods that still carry a share are scaled down.
    ScalesDownWhatCarries,
    /// K6: a full promotion beats an abort.
    PromotionBeatsAbort,
    /// A9: a revision that was aborted before is started again.
    StartsAbortedAgain,
    /// T11: the canary's Service changes revision while it has a share.
    MovesServiceWithShare,
    /// K2: `spec.paused` stops an abort.
    PauseStopsAbort,
    /// O2: a spec that cannot be read stops an abort.
    InvalidSpecStopsAbort,
    /// W6: the weight goes to 0 only when all of stable's pods are there.
    AbortWaitsForAllOfStable,
    /// A promote counts for a template that was not seen when it was asked.
    PromotesUnseen,
    /// V3: after an abort the canary's Service goes on to select the canary.
    ServiceStaysOnCanary,
    /// P1: a first revision is stable before it is available.
    StableUnseen,
    /// S2: a delay of zero keeps the old pods.
    ZeroDelayKeeps,
    /// K3: a pause ends after half of its time.
    HalvesPauses,
    /// W10: an update is complete before its full weight is live.
    CompletesUnseen,
    /// W4: a canary that lost its pods keeps its share.
    KeepsLostShare,
    /// B4: a promote starts the pause of a blue-green anew.
    PromoteRestartsPause,
    /// D1: pods that come and go put the deadline off.
    DeadlineRestarts,
    /// TR8: a weight that was asked for once is not looked at again.
    TrustsItsRecord,
    /// A4: after an abort a delay of zero lets the canary go.
    ZeroAbortDelayLetsGo,
    /// V1, V4: a Service moves to a revision before one of its pods is ready.
    SelectsUnready,
    /// A12: a new template forgets which revision is stable.
    ForgetsStable,
    /// A12: a generation counts as observed before it was seen.
    AheadOfItself,
    /// L7: a decision breaks off.
    BreaksOff,
    /// L8: status has something new in every pass.
    NeverRests,
    /// T5: one percent more than the step says.
    RaisesTooFar,
    /// T6: stable gives the canary room.
    StableGivesWay,
    /// Q1: a restart takes all old pods at once.
    RestartsAllAtOnce,
    /// V2: a Rollout that is gone leaves the Services of others as it steered them.
    KeepsServices,
}

impl Mutant {
    /// What the panic of [`Mutant::BreaksOff`] says.
    pub const PANIC: &str = "broken on purpose";
    /// Every one.
    pub const ALL: [Self; 29] = [
        Self::RaisesUncapped,
        Self::LowersLate,
        Self::ScalesDownWhatCarries,
        Self::PromotionBeatsAbort,
        Self::StartsAbortedAgain,
        Self::MovesServiceWithShare,
        Self::PauseStopsAbort,
        Self::InvalidSpecStopsAbort,
        Self::AbortWaitsForAllOfStable,
        Self::PromotesUnseen,
        Self::ServiceStaysOnCanary,
        Self::StableUnseen,
        Self::ZeroDelayKeeps,
        Self::HalvesPauses,
        Self::CompletesUnseen,
        Self::KeepsLostShare,
        Self::PromoteRestartsPause,
        Self::DeadlineRestarts,
        Self::TrustsItsRecord,
        Self::ZeroAbortDelayLetsGo,
        Self::SelectsUnready,
        Self::ForgetsStable,
        Self::AheadOfItself,
        Self::BreaksOff,
        Self::NeverRests,
        Self::RaisesTooFar,
        Self::StableGivesWay,
        Self::RestartsAllAtOnce,
        Self::KeepsServices,
    ];
}
