//! A Rollout in one line, and whether it is good, bad or under way.

use super::facts::{progress, strategy, unseen};
use super::text::{Line, Piece, Tone, plain, toned, word};
use crate::api::Rollout;
use kube::ResourceExt;
use serde::Serialize;

/// What a script wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Verdict {
    /// Healthy for what the spec says now.
    Healthy,
    /// Degraded: aborted, late, or invalid.
    Degraded,
    /// Neither yet.
    UnderWay,
}

/// The state of a Rollout in few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) strategy: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) phase: String,
    /// Why the phase is what it is; may be empty.
    pub(crate) message: String,
    /// Done and all steps, as `2/6`; empty without steps.
    pub(crate) step: String,
    pub(crate) weight: Weights,
    /// Pods wanted.
    pub(crate) desired: i32,
    pub(crate) available: i32,
}

/// Percent of the requests for the new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Weights {
    /// What was asked of the router last.
    pub(crate) set: Option<i32>,
    /// What every instance of it was seen to serve last.
    pub(crate) live: Option<i32>,
}

impl Status {
    pub(crate) fn of(rollout: &Rollout) -> Self {
        let status = rollout.status.clone().unwrap_or_default();
        let behind = unseen(rollout, &status);
        // A phase of an older spec would call a fresh change Healthy.
        let (phase, message) = if behind {
            let generation = rollout.metadata.generation.unwrap_or_default();
            ("Progressing".to_owned(), format!("the controller has not seen generation {generation} of the spec yet"))
        } else {
            (
                status.phase.clone().unwrap_or_else(|| "Progressing".to_owned()),
                status.message.clone().unwrap_or_default(),
            )
        };
        let verdict = match phase.as_str() {
            "Healthy" => Verdict::Healthy,
            "Degraded" => Verdict::Degraded,
            _ => Verdict::UnderWay,
        };
        Self {
            namespace: rollout.namespace().unwrap_or_default(),
            name: rollout.name_any(),
            strategy: strategy(rollout),
            verdict,
            phase,
            message,
            step: progress(rollout, &status),
            weight: Weights::of(rollout),
            desired: rollout.spec.replicas.unwrap_or(1),
            available: status.available_replicas.unwrap_or_default(),
        }
    }

    /// `shop/web  Paused  step 1/4  weight 20 set, 20 live  available 5/5  CanaryPauseStep`
    pub(crate) fn line(&self) -> Line {
        let mut pieces = vec![toned(format!("{}/{}", self.namespace, self.name), Tone::Strong)];
        let mut add = |piece: Piece| pieces.extend([plain("  "), piece]);
        add(word(self.phase.clone()));
        if !self.step.is_empty() {
            add(plain(format!("step {}", self.step)));
        }
        if let Some(text) = self.weight.text() {
            add(plain(format!("weight {text}")));
        }
        add(plain(format!("available {}/{}", self.available, self.desired)));
        if !self.message.is_empty() {
            add(plain(self.message.clone()));
        }
        Line(pieces)
    }
}

impl Weights {
    pub(crate) fn of(rollout: &Rollout) -> Self {
        let traffic = rollout.status.as_ref().and_then(|s| s.traffic.as_ref());
        let canary = |share: Option<&crate::api::TrafficShare>| share.and_then(|s| s.canary);
        Self { set: canary(traffic.and_then(|t| t.want.as_ref())), live: canary(traffic.and_then(|t| t.live.as_ref())) }
    }

    /// `20 set, 0 live`; none when the requests are not split.
    pub(crate) fn text(self) -> Option<String> {
        let shown = |share: Option<i32>| share.map_or_else(|| "not known".to_owned(), |s| s.to_string());
        let set = self.set?;
        Some(match self.live {
            Some(live) => format!("{set} set, {live} live"),
            None => format!("{set} set, live {}", shown(None)),
        })
    }
}
