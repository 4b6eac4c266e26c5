//! Disturbances in the middle of a canary, under requests: what users may see of them, and nothing else.
//!
//! Others are elsewhere: promotion, abort and a canary whose pods die in `canary.rs`, the controller's end in `faults.rs` and
//! `leader.rs`.

use super::canary::{Way, first};
use super::checks::{self, share_is};
use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::faults::{Armed, Heir, Kill};
use crate::generator::{Broke, Broken, Generator, Load, failures, share, unexplained};
use crate::install::Install;
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::timeline::Timeline;
use crate::traefik::{self, AccessLog};
use crate::wait;
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(420);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "disturbed",
        name: "an_abort_with_no_canary_pod_left_costs_its_share_three_seconds_at_most",
        tag: Tag::Wide,
        rules: &["T2", "T3", "T8", "A4"],
        limit: LIMIT,
        run: |stand| async move { aborted_without_pods(&stand).await }.boxed(),
    },
    Scenario {
        family: "disturbed",
        name: "a_router_that_is_killed_costs_the_connections_to_it",
        tag: Tag::Wide,
        rules: &["T1", "T5", "T10"],
        limit: LIMIT,
        run: |stand| async move { router_killed(&stand).await }.boxed(),
    },
    Scenario {
        family: "disturbed",
        name: "a_rollout_that_is_deleted_with_orphans_costs_no_request",
        tag: Tag::Wide,
        rules: &["T10", "T15"],
        limit: LIMIT,
        run: |stand| async move { orphaned(&stand).await }.boxed(),
    },
    Scenario {
        family: "disturbed",
        name: "an_upgrade_of_the_controller_costs_no_request_and_no_step",
        tag: Tag::Wide,
        rules: &["L1", "L8", "A7"],
        limit: LIMIT,
        run: |stand| async move { upgraded(&stand).await }.boxed(),
    },
    Scenario {
        family: "disturbed",
        name: "killed_when_all_weight_is_new_a_promotion_costs_no_request",
        tag: Tag::Wide,
        rules: &["L8", "T10", "A11"],
        limit: LIMIT,
        run: |stand| async move { killed(&stand, ALL_WEIGHT).await }.boxed(),
    },
    Scenario {
        family: "disturbed",
        name: "killed_when_stables_service_moved_a_promotion_costs_no_request",
        tag: Tag::Wide,
        rules: &["L8", "T12", "A11"],
        limit: LIMIT,
        run: |stand| async move { killed(&stand, SERVICE_MOVED).await }.boxed(),
    },
    Scenario {
        family: "disturbed",
        name: "killed_when_the_weights_are_back_a_promotion_costs_no_request",
        tag: Tag::Wide,
        rules: &["L8", "T10", "A11"],
        limit: LIMIT,
        run: |stand| async move { killed(&stand, WEIGHTS_BACK).await }.boxed(),
    },
];

fn half() -> Value {
    json!([{"setWeight": 50}, {"pause": {}}])
}

/// Half of the traffic at version 2, which waits; and the requests.
pub(super) async fn at_half(stand: &Stand) -> anyhow::Result<Generator> {
    first(stand, Way::Route, &half()).await?;
    half_under_load(stand).await
}

async fn half_under_load(stand: &Stand) -> anyhow::Result<Generator> {
    let traffic = stand.traffic(Load::STANDARD).await?;
    stand.change(Revision::good("2")).await?;
    stand.live(50, SETTLE).await?;
    traffic.more(200).await;
    Ok(traffic)
}

/// From now on one version answers everybody.
pub(super) async fn all_get(traffic: &Generator, version: &str) -> anyhow::Result<()> {
    let from = Timestamp::now();
    traffic.more(300).await;
    let now = share(traffic.records().iter().filter(|r| r.sent >= from), version);
    anyhow::ensure!(now.requests > 0 && now.of_version == now.requests, "not all get version {version}: {now:?}");
    Ok(())
}

async fn aborted_without_pods(stand: &Stand) -> anyhow::Result<()> {
    // Given half of the traffic at a canary
    first(stand, Way::Route, &half()).await?;
    let log = AccessLog::follow(&stand.cluster, &stand.app.host).await?;
    let traffic = half_under_load(stand).await?;
    let hash = stand.live(50, SETTLE).await?["status"]["currentPodHash"].as_str().unwrap_or_default().to_owned();
    let pods = stand.pods_of(&hash).await?;
    anyhow::ensure!(!pods.is_empty(), "no pods of the canary's hash {hash}");

    // When all of its pods go, and it is aborted at that moment
    let from = Timestamp::now();
    for pod in &pods {
        stand.cluster.kill_pod(stand.namespace(), pod).await?;
    }
    let broken = Broken { what: Broke::CanaryPods, from, to: Timestamp::now() };
    stand.command("abort", "a test says so").await?;

    // Then everybody is at stable, and what failed was the canary's share, for a moment
    stand.live(0, SETTLE).await?;
    all_get(&traffic, "1").await?;
    let records = traffic.stop().await;
    log.settled(records.iter().filter(|r| r.status != 0).count()).await;
    let others: Vec<String> =
        log.failing().into_iter().filter(|service| !service.contains(&stand.app.canary())).collect();
    anyhow::ensure!(others.is_empty(), "requests failed at other services than the canary's: {others:?}");
    checks::no_failures(&unexplained(failures(&records, |_| false), &[broken]))
}

async fn router_killed(stand: &Stand) -> anyhow::Result<()> {
    // Given a canary at 20 percent
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]);
    first(stand, Way::Route, &steps).await?;
    let traffic = stand.traffic(Load::STANDARD).await?;
    stand.change(Revision::good("2")).await?;
    stand.live(20, SETTLE).await?;
    traffic.more(200).await;

    // When an instance of the router is gone, and the next step comes
    let before = traefik::instances(&stand.cluster).await?;
    let killed = before.first().ok_or_else(|| anyhow::anyhow!("no instance of the router"))?;
    let from = Timestamp::now();
    stand.cluster.kill_pod(&stand.cluster.access.traefik_namespace, killed).await?;
    let broken = Broken { what: Broke::Router, from, to: Timestamp::now() };
    stand.command("promote", "step").await?;

    // Then every instance gives half to version 2 once the new one is there, and connections to the old one are all that was lost
    stand.live(50, SETTLE).await?;
    wait::poll(SETTLE, "another instance of the router", || async {
        let now = traefik::instances(&stand.cluster).await.map_err(|e| e.to_string())?;
        if now.len() == before.len() && !now.contains(killed) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await?;
    stand.answering().await?;
    let from = Timestamp::now();
    traffic.more(800).await;
    share_is(&traffic.records(), (from, Timestamp::now()), "2", 50)?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    all_get(&traffic, "2").await?;
    let records = traffic.stop().await;
    checks::no_failures(&unexplained(failures(&records, |_| false), &[broken]))
}

async fn orphaned(stand: &Stand) -> anyhow::Result<()> {
    let traffic = at_half(stand).await?;
    let rollout = stand.live(50, SETTLE).await?;

    // When the Rollout is deleted and its pods are left
    let (space, name) = (stand.namespace(), stand.app.name.as_str());
    stand.cluster.orphan(Kind::ROLLOUT, space, name).await?;
    stand.until(Kind::ROLLOUT, name, SETTLE, "the Rollout gone", |r| r.is_null().then_some(())).await?;

    // Then stable goes on to serve everybody, also without the canary's pods
    all_get(&traffic, "1").await?;
    let hash = rollout["status"]["currentPodHash"].as_str().unwrap_or_default();
    stand.cluster.delete(Kind::REPLICA_SET, space, &format!("{name}-{hash}")).await?;
    wait::poll(SETTLE, "the canary's pods gone", || async {
        let left = stand.pods_of(hash).await.map_err(|e| e.to_string())?;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await?;
    all_get(&traffic, "1").await?;
    checks::no_failures(&failures(&traffic.stop().await, |_| false))
}

async fn upgraded(stand: &Stand) -> anyhow::Result<()> {
    let traffic = at_half(stand).await?;
    let before = stand.live(50, SETTLE).await?;
    let (space, name) = (stand.namespace(), stand.app.name.as_str());
    let root = Timeline::record(&stand.cluster, Kind::TRAEFIK_SERVICE, space, name);

    // When every pod of the controller is replaced
    Install::replace_pods(&stand.cluster).await?;
    traffic.more(500).await;

    // Then nothing moved: neither share nor step nor revision
    let after = stand.live(50, SETTLE).await?;
    let moved = |weight: i64| weight != 50;
    let weights: Vec<i64> = root.states().iter().map(|(_, r)| checks::canary_weight(r, &stand.app.canary())).collect();
    anyhow::ensure!(!weights.iter().copied().any(moved), "the weights were {weights:?} in an upgrade");
    for field in ["currentStepIndex", "currentPodHash", "stableRS", "currentRevision", "attempt"] {
        let of = |rollout: &Value| rollout["status"][field].clone();
        anyhow::ensure!(of(&before) == of(&after), "{field} was {} and became {}", of(&before), of(&after));
    }
    let sets = stand.cluster.list(Kind::REPLICA_SET, space, "").await?;
    anyhow::ensure!(sets.len() == 2, "an upgrade made a revision: there are {} ReplicaSets", sets.len());

    // ... and the new one goes on from there
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    all_get(&traffic, "2").await?;
    checks::no_failures(&failures(&traffic.stop().await, |_| false))
}

/// Where the controller ends in a promotion, and what is there then.
#[derive(Debug, Clone, Copy)]
struct Point {
    why: &'static str,
    nth: u32,
    leaves: &'static str,
    left: fn(&Left) -> bool,
}

// The first weight is that of the step, and the first selector that of the canary's Service.
const ALL_WEIGHT: Point = Point {
    why: "raise-weight",
    nth: 2,
    leaves: "100 percent written, and stable's Service at version 1",
    left: |l| l.written == 100 && !l.moved,
};
const SERVICE_MOVED: Point = Point {
    why: "select-pods",
    nth: 2,
    leaves: "stable's Service at version 2, and 100 percent at the canary's",
    left: |l| l.written == 100 && l.moved,
};
const WEIGHTS_BACK: Point = Point {
    why: "lower-weight",
    nth: 1,
    leaves: "stable's Service at version 2, and nothing at the canary's",
    left: |l| l.written == 0 && l.moved,
};

#[derive(Debug)]
struct Left {
    /// The canary's share as it is written.
    written: i64,
    /// Stable's Service selects the new revision.
    moved: bool,
}

impl Left {
    async fn behind(stand: &Stand, hash: &Value) -> anyhow::Result<Self> {
        let (space, app) = (stand.namespace(), &stand.app);
        let service = stand.cluster.get(Kind::SERVICE, space, &app.stable()).await?.unwrap_or_default();
        Ok(Self {
            written: checks::written_weight(stand).await?,
            moved: service["spec"]["selector"]["rollouts-pod-template-hash"] == *hash,
        })
    }
}

async fn killed(stand: &Stand, point: Point) -> anyhow::Result<()> {
    first(stand, Way::Route, &half()).await?;
    let Point { why, nth, .. } = point;
    let kill = Kill { kind: "Rollout", why, nth, after: true, heir: Heir::Replica };
    let armed = Armed::new(&stand.cluster, stand.namespace(), kill).await?;
    let outcome = promoted(stand, &armed, point).await;
    if outcome.is_err() {
        stand.note("killed.log", armed.log().await);
    }
    // The next scenario wants the controller as it was installed, whatever came of this one.
    let disarmed = armed.disarm().await;
    outcome.and(disarmed)
}

async fn promoted(stand: &Stand, armed: &Armed, point: Point) -> anyhow::Result<()> {
    let traffic = half_under_load(stand).await?;
    let hash = stand.live(50, SETTLE).await?["status"]["currentPodHash"].clone();
    stand.command("promote", "step").await?;
    armed.struck(SETTLE).await?;
    let left = Left::behind(stand, &hash).await?;
    anyhow::ensure!((point.left)(&left), "ended elsewhere: wanted {}; got {left:?}", point.leaves);
    stand.healthy().await?;
    all_get(&traffic, "2").await?;
    checks::no_failures(&failures(&traffic.stop().await, |_| false))
}
