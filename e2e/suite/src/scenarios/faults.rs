//! The controller ends at a named point, at the worst moment: the end of the story is the same.
//!
//! The story is that of a bad version which is taken back. Each scenario says what the point has left behind, and that is
//! looked at before anybody goes on, so that a point which moved is noticed.

use super::rescue::Story;
use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::faults::{Armed, Heir, Kill};
use crate::stand::Stand;
use crate::wait;
use anyhow::Context;
use futures::FutureExt;
use serde_json::Value;
use std::time::Duration;

/// Above the sum of the story's own waits on a busy node.
const LIMIT: Duration = Duration::from_secs(900);
/// From the push of the bad version to the last of the points.
const STRIKES: Duration = Duration::from_secs(150);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "faults",
        name: "killed_while_the_canary_scales_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["L8", "T2"],
        limit: LIMIT,
        run: |stand| killed(stand, SCALING).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_when_a_weight_is_written_and_not_live_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["L8", "T5"],
        limit: LIMIT,
        run: |stand| killed(stand, WRITTEN).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_while_an_analysis_runs_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["L8", "A5", "A6"],
        limit: LIMIT,
        run: |stand| killed(stand, MEASURING).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_before_an_abort_is_recorded_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["L8", "T8"],
        limit: LIMIT,
        run: |stand| killed(stand, ABORTING).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_between_abort_and_hold_the_story_ends_the_same",
        tag: Tag::Wide,
        rules: &["R14", "L8"],
        limit: LIMIT,
        run: |stand| killed(stand, HOLDING).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_between_hold_and_push_the_revert_is_written_once",
        tag: Tag::Wide,
        rules: &["R14", "A8", "L8"],
        limit: LIMIT,
        run: |stand| killed(stand, PUSHING).boxed(),
    },
    Scenario {
        family: "faults",
        name: "killed_after_the_push_the_revert_is_written_once",
        tag: Tag::Wide,
        rules: &["R14", "A8", "L8"],
        limit: LIMIT,
        run: |stand| killed(stand, PUSHED).boxed(),
    },
];

/// Where the process ends, and how it is known to have ended there.
#[derive(Debug, Clone, Copy)]
struct Point {
    kill: Kill,
    /// In words, for the failure.
    leaves: &'static str,
    left: fn(&Left) -> bool,
}

// The ReplicaSet is made in its size: the writes of `scale` come after the abort.
const SCALING: Point = Point {
    kill: Kill { kind: "Rollout", why: "new-revision", nth: 1, after: true, heir: Heir::Kubelet },
    leaves: "a canary of some size without a share, and neither run nor abort yet",
    left: |l| l.canary_size > 0 && l.written == 0 && l.run.is_null() && l.status()["abort"] != true,
};
const WRITTEN: Point = Point {
    kill: Kill { kind: "Rollout", why: "raise-weight", nth: 1, after: true, heir: Heir::Replica },
    leaves: "20 percent written, and not known to be live",
    left: |l| l.written == 20 && l.status()["traffic"]["live"]["canary"] != 20,
};
const MEASURING: Point = Point {
    kill: Kill { kind: "AnalysisRun", why: "status", nth: 2, after: true, heir: Heir::Kubelet },
    leaves: "a run that is Running at 20 percent",
    left: |l| l.written == 20 && l.run["status"]["phase"] == "Running",
};
const ABORTING: Point = Point {
    kill: Kill { kind: "Rollout", why: "lower-weight", nth: 1, after: true, heir: Heir::Replica },
    leaves: "weight 0 written, and no abort in status",
    left: |l| l.written == 0 && l.status()["abort"] != true && l.run["status"]["phase"] == "Failed",
};
const HOLDING: Point = Point {
    kill: Kill { kind: "Application", why: "hold", nth: 1, after: false, heir: Heir::Replica },
    leaves: "an aborted version 2 that is rejected and still applied",
    left: |l| l.status()["abort"] == true && l.rescue()["phase"] == "Holding" && l.commits_after_bad == 0,
};
const PUSHING: Point = Point {
    kill: Kill { kind: "Application", why: "revert", nth: 1, after: false, heir: Heir::Replica },
    leaves: "a revert that is pending, and nothing pushed",
    left: |l| l.rescue()["phase"] == "RevertPending" && l.commits_after_bad == 0,
};
const PUSHED: Point = Point {
    kill: Kill { kind: "Application", why: "revert", nth: 1, after: true, heir: Heir::Kubelet },
    leaves: "a revert that is pushed, and pending as far as status knows",
    left: |l| l.rescue()["phase"] == "RevertPending" && l.commits_after_bad == 1,
};

/// What is there between the end of one process and the first write of the next.
#[derive(Debug)]
struct Left {
    rollout: Value,
    application: Value,
    /// The only AnalysisRun; null when there is none.
    run: Value,
    /// Pods that the newer ReplicaSet shall have.
    canary_size: u64,
    /// The canary's share as it is written for the router.
    written: i64,
    commits_after_bad: usize,
}

impl Left {
    fn status(&self) -> &Value {
        &self.rollout["status"]
    }

    fn rescue(&self) -> &Value {
        &self.application["status"]["rescue"]
    }

    async fn behind(stand: &Stand, story: &Story, bad: &str) -> anyhow::Result<Self> {
        let (cluster, space, name) = (&stand.cluster, stand.namespace(), stand.app.name.as_str());
        let rollout = cluster.get(Kind::ROLLOUT, space, name).await?.context("there is no Rollout")?;
        let application = cluster.get(Kind::APPLICATION, space, name).await?.context("there is no Application")?;
        let runs = cluster.list(Kind::ANALYSIS_RUN, space, "").await?;
        anyhow::ensure!(runs.len() < 2, "there are {} AnalysisRuns of one step", runs.len());
        let stable = &rollout["status"]["stableRS"];
        let sets = cluster.list(Kind::REPLICA_SET, space, "").await?;
        let canaries = sets.iter().filter(|s| s["metadata"]["labels"]["rollouts-pod-template-hash"] != *stable);
        let roots = cluster.list(Kind::TRAEFIK_SERVICE, space, "").await?;
        story.origin.copy.pull().await?;
        Ok(Self {
            canary_size: canaries.filter_map(|s| s["spec"]["replicas"].as_u64()).sum(),
            written: roots.iter().map(|root| super::checks::canary_weight(root, &stand.app.canary())).sum(),
            commits_after_bad: story.origin.copy.subjects_since(bad).await?.len(),
            run: runs.into_iter().next().unwrap_or_default(),
            rollout,
            application,
        })
    }
}

/// A bad version is taken back, with one end of the controller on the way.
async fn killed(stand: Stand, point: Point) -> anyhow::Result<()> {
    let story = Story::begin(&stand).await?;
    let armed = Armed::new(&stand.cluster, stand.namespace(), point.kill).await?;
    let outcome = ends_the_same(&stand, &story, &armed, point).await;
    if outcome.is_err() {
        stand.note("killed.log", armed.log().await);
    }
    // The next scenario wants the controller as it was installed, whatever came of this one.
    let disarmed = armed.disarm().await;
    outcome.and(disarmed)
}

async fn ends_the_same(stand: &Stand, story: &Story, armed: &Armed, point: Point) -> anyhow::Result<()> {
    let pushed = story.push_bad(stand).await?;
    armed.struck(STRIKES).await?;
    let left = Left::behind(stand, story, &pushed.bad).await?;
    anyhow::ensure!(
        (point.left)(&left),
        "ended elsewhere: wanted {}; canary of {} pods, weight {} written, {} commits after the bad one\n{}\n{}\n{}",
        point.leaves,
        left.canary_size,
        left.written,
        left.commits_after_bad,
        wait::glance(&left.rollout),
        wait::glance(&left.run),
        wait::glance(&left.application)
    );
    story.ends_well(stand, pushed).await
}
