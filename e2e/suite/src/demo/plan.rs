//! What is played: fixed, or drawn from a seed.

use crate::dice::Dice;
use serde::Serialize;
use std::time::Duration;

/// In which way the bad version is bad.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failing {
    /// Answers a share of the requests 500.
    Errors { percent: u32 },
    /// Answers late.
    Slow { ms: u32 },
    /// Ends so many seconds after its start, again and again.
    Crash { after: u32 },
    /// Is never ready.
    NeverReady,
    /// Its image does not exist.
    BadImage,
    /// Not bad at all: to show that nothing is taken back.
    Nothing,
}

/// The play.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub seed: Option<u64>,
    /// Part of the namespace's name.
    pub name: String,
    /// Name of the app, its Rollout, its Ingress.
    pub app: String,
    pub replicas: u32,
    /// The two weights before the last step, in percent.
    pub weights: [u32; 2],
    pub failing: Failing,
    /// Before each kill of the leading controller, counted from the one before.
    pub kills: Vec<Duration>,
}

impl Plan {
    /// What `cargo demo` shows.
    pub fn plain() -> Self {
        Self {
            seed: None,
            name: "demo".to_owned(),
            app: "web".to_owned(),
            replicas: 3,
            weights: [20, 50],
            failing: Failing::Errors { percent: 30 },
            kills: Vec::new(),
        }
    }

    /// Drawn from a seed; with `harmless` the third version is good too.
    pub fn drawn(seed: u64, harmless: bool) -> Self {
        let mut dice = Dice::new(seed);
        let names = ["web", "shop", "cart", "a", "front-end", "x1-api", "long-name-of-an-app-that-users-like"];
        let app = names[dice.below(names.len())].to_owned();
        let first = 5 + dice.number(40);
        let second = first + 5 + dice.number(45);
        let failing = match dice.number(5) {
            0 => Failing::Errors { percent: 3 + dice.number(58) },
            1 => Failing::Slow { ms: 500 + dice.number(1500) },
            2 => Failing::Crash { after: 2 + dice.number(4) },
            3 => Failing::NeverReady,
            _ => Failing::BadImage,
        };
        Self {
            seed: Some(seed),
            name: format!("chaos-{seed}"),
            app,
            replicas: 2 + dice.number(3),
            weights: [first, second.min(95)],
            failing: if harmless { Failing::Nothing } else { failing },
            kills: (0..10).map(|_| Duration::from_millis(2_000 + u64::from(dice.number(10_000)))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_play_and_all_of_them_can_be_played() {
        assert_eq!(Plan::drawn(7, false), Plan::drawn(7, false));
        for seed in 0..500 {
            let plan = Plan::drawn(seed, false);
            assert!(0 < plan.weights[0] && plan.weights[0] < plan.weights[1] && plan.weights[1] < 100, "{plan:?}");
            assert_eq!(plan.kills.len(), 10);
            assert_eq!(Plan { failing: Failing::Nothing, ..plan }, Plan::drawn(seed, true));
        }
        let kinds: std::collections::HashSet<_> =
            (0..100).map(|s| std::mem::discriminant(&Plan::drawn(s, false).failing)).collect();
        assert_eq!(kinds.len(), 5);
    }
}
