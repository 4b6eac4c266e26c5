//! The controller ends at a named point, at the worst moment: the end of the story is the same.

use super::rescue;
use super::{Scenario, Tag};
use crate::faults::{self, Kill};
use crate::stand::Stand;
use futures::FutureExt;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(600);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "faults",
        name: "killed_between_hold_and_push_the_revert_is_written_once",
        tag: Tag::Core,
        rules: &["R14", "A8", "L8"],
        limit: LIMIT,
        run: |stand| killed(stand, Kill { kind: "Application", why: "revert", nth: 1, after: false }).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_after_the_push_the_revert_is_written_once",
        tag: Tag::Wide,
        rules: &["R14", "A8", "L8"],
        limit: LIMIT,
        run: |stand| killed(stand, Kill { kind: "Application", why: "revert", nth: 1, after: true }).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_while_the_canary_scales_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["L8", "T2"],
        limit: LIMIT,
        run: |stand| killed(stand, Kill { kind: "Rollout", why: "new-revision", nth: 1, after: true }).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_when_a_weight_is_written_and_not_live_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["L8", "T5"],
        limit: LIMIT,
        run: |stand| killed(stand, Kill { kind: "Rollout", why: "raise-weight", nth: 1, after: true }).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_while_an_analysis_runs_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["L8", "A5", "A6"],
        limit: LIMIT,
        run: |stand| killed(stand, Kill { kind: "AnalysisRun", why: "status", nth: 2, after: true }).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_between_abort_and_hold_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["L8", "T8"],
        limit: LIMIT,
        run: |stand| killed(stand, Kill { kind: "Rollout", why: "lower-weight", nth: 1, after: true }).boxed(),
    },
];

/// A bad version is taken back, with one end of the controller on the way.
async fn killed(stand: Stand, kill: Kill) -> anyhow::Result<()> {
    let cluster = stand.cluster.clone();
    let story = rescue::held_and_reverted(&stand, async || faults::arm(&cluster, kill).await);
    let end = async {
        faults::struck(&cluster, LIMIT).await?;
        faults::disarm(&cluster).await
    };
    let outcome = tokio::try_join!(story, end);
    if outcome.is_err() {
        // The next scenario wants a controller without faults.
        faults::disarm(&cluster).await?;
    }
    outcome.map(drop)
}
