//! Canaries behind an IngressRoute and behind a plain Ingress: shares, promotion, abort, a canary that dies.

use super::checks::{self, share_is};
use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::generator::{Load, failures, share};
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::timeline::Timeline;
use crate::traefik::AccessLog;
use crate::wait;
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "canary",
        name: "shares_follow_the_weights_behind_an_ingress_route",
        tag: Tag::Wide,
        rules: &["argo#133", "T1", "T2", "T5", "T10", "A7", "A11"],
        limit: Duration::from_secs(300),
        run: |stand| async move { shares(&stand, Way::Route).await }.boxed(),
    },
    Scenario {
        family: "canary",
        name: "shares_follow_the_weights_behind_a_plain_ingress",
        tag: Tag::Wide,
        rules: &["T1", "T2", "T5", "T10", "A7", "A11"],
        limit: Duration::from_secs(300),
        run: |stand| async move { shares(&stand, Way::Ingress).await }.boxed(),
    },
    Scenario {
        family: "canary",
        name: "abort_by_annotation_puts_traffic_back_and_stays",
        tag: Tag::Core,
        rules: &["T8", "A9", "A12"],
        limit: Duration::from_secs(180),
        run: |stand| async move { abort(&stand).await }.boxed(),
    },
    Scenario {
        family: "canary",
        name: "a_canary_that_dies_at_20_percent_costs_no_request",
        tag: Tag::Wide,
        rules: &["T2", "T3"],
        limit: Duration::from_secs(180),
        run: |stand| async move { dies(&stand).await }.boxed(),
    },
];

/// How users come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Route,
    Ingress,
}

/// Version 1, Healthy, behind its way in.
pub(super) async fn first(stand: &Stand, way: Way, steps: &Value) -> anyhow::Result<()> {
    let app = &stand.app;
    let (objects, strategy) = match way {
        Way::Route => {
            (vec![app.service(&app.stable()), app.service(&app.canary()), app.ingress_route()], app.by_route(steps))
        }
        Way::Ingress => (vec![app.service(&app.name), app.ingress()], app.by_ingress(steps)),
    };
    stand.cluster.apply_all(&objects).await?;
    stand.cluster.create(&app.rollout(Revision::good("1"), &strategy)).await?;
    stand.healthy().await?;
    Ok(())
}

async fn shares(stand: &Stand, way: Way) -> anyhow::Result<()> {
    // Given version 1 under load of eight keep-alive clients and paced ones
    first(stand, way, &json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}])).await?;
    stand.answering().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let log = AccessLog::follow(&stand.cluster, &stand.app.host).await?;
    let traffic = stand.requests(Load::STANDARD);
    traffic.more(200).await;

    // When version 2 is rolled out, then each step's share is what its weight says
    stand.change(Revision::good("2")).await?;
    for weight in [20, 50] {
        stand.live(weight, SETTLE).await?;
        let from = Timestamp::now();
        traffic.more(800).await;
        share_is(&traffic.records(), (from, Timestamp::now()), "2", weight)?;
        stand.command("promote", "step").await?;
    }

    // Then it is complete, and no request failed on the way
    let rollout = stand.healthy().await?;
    anyhow::ensure!(
        rollout["status"]["stableRS"] == rollout["status"]["currentPodHash"],
        "Healthy, but stable is not the new revision: {}",
        wait::glance(&rollout)
    );
    let from = Timestamp::now();
    traffic.more(300).await;
    let records = traffic.stop().await;
    let after = share(records.iter().filter(|r| r.sent >= from), "2");
    anyhow::ensure!(after.of_version == after.requests, "complete, but not all requests go to version 2: {after:?}");
    checks::no_failures(&failures(&records, |_| false))?;
    checks::agrees(log, &records).await
}

async fn abort(stand: &Stand) -> anyhow::Result<()> {
    // Given a canary at 20 percent
    first(stand, Way::Route, &json!([{"setWeight": 20}, {"pause": {}}])).await?;
    let traffic = stand.traffic(Load::STANDARD).await?;
    stand.change(Revision::good("2")).await?;
    stand.live(20, SETTLE).await?;
    traffic.more(300).await;
    let root = Timeline::record(&stand.cluster, Kind::TRAEFIK_SERVICE, stand.namespace(), &stand.app.name);

    // When it is aborted
    let asked = Timestamp::now();
    stand.command("abort", "a test says so").await?;
    let rollout = stand.until(Kind::ROLLOUT, &stand.app.name, SETTLE, "Degraded with all traffic at stable", |r| {
        (r["status"]["abort"] == true
            && r["status"]["phase"] == "Degraded"
            && r["status"]["traffic"]["live"]["canary"] == 0)
            .then(|| r.clone())
    });
    let rollout = rollout.await?;

    // Then the weight was written at once, nobody gets version 2 any more, and the command is on record, not on the object
    let written = root.first(asked, |root| checks::canary_weight(root, &stand.app.canary()) == 0);
    let took = written.map(|at| at.duration_since(asked).as_secs_f64());
    anyhow::ensure!(took.is_some_and(|s| s < 2.0), "weight 0 was written after {took:?} s");
    anyhow::ensure!(
        rollout["status"]["aborted"][0]["hash"] == rollout["status"]["currentPodHash"],
        "status.aborted does not list the revision: {}",
        rollout["status"]["aborted"]
    );
    let from = Timestamp::now();
    traffic.more(300).await;
    stand
        .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "the command taken off the object", |r| {
            r["metadata"]["annotations"]["tidegate.dev/abort"].is_null().then_some(())
        })
        .await?;
    let records = traffic.stop().await;
    let after = share(records.iter().filter(|r| r.sent >= from), "2");
    anyhow::ensure!(after.of_version == 0 && after.requests > 0, "aborted, but version 2 still answers: {after:?}");
    checks::no_failures(&failures(&records, |_| false))
}

async fn dies(stand: &Stand) -> anyhow::Result<()> {
    // Given a canary at 20 percent under load
    first(stand, Way::Route, &json!([{"setWeight": 20}, {"pause": {}}])).await?;
    let traffic = stand.traffic(Load::STANDARD).await?;
    stand.change(Revision::good("2")).await?;
    let rollout = stand.live(20, SETTLE).await?;
    let canary = stand.app.canary();
    let connected =
        |root: &Value| checks::entries(root, &canary).any(|e| e["serversTransport"].is_string()).then_some(());
    let app = &stand.app.name;
    stand.until(Kind::TRAEFIK_SERVICE, app, SETTLE, "the canary's entry names a ServersTransport", connected).await?;
    traffic.more(300).await;

    // When all of its pods are gone at once
    let hash = rollout["status"]["currentPodHash"].as_str().unwrap_or_default();
    let pods = stand.pods_of(hash).await?;
    anyhow::ensure!(!pods.is_empty(), "no pods of the canary's hash {hash}");
    for pod in &pods {
        stand.cluster.kill_pod(stand.namespace(), pod).await?;
    }

    // Then stable answers for it: no request fails
    traffic.more(1_200).await;
    checks::no_failures(&failures(&traffic.stop().await, |_| false))
}
