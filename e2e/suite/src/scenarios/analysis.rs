//! Analysis: a bad version takes itself back.

use super::checks;
use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::generator::{Load, failures, share};
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use anyhow::Context;
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "analysis",
        name: "a_version_that_fails_is_aborted_by_its_metrics",
        tag: Tag::Core,
        rules: &["A1", "A2", "A9", "T8"],
        limit: Duration::from_secs(240),
        run: |stand| async move { aborted(&stand).await }.boxed(),
    },
    Scenario {
        family: "analysis",
        name: "a_good_version_is_promoted_by_its_metrics",
        tag: Tag::Wide,
        rules: &["A1", "A3"],
        limit: Duration::from_secs(240),
        run: |stand| async move { promoted(&stand).await }.boxed(),
    },
];

async fn first(stand: &Stand) -> anyhow::Result<()> {
    let prometheus =
        stand.cluster.access.prometheus.as_ref().context("this cluster has no Prometheus that is known here")?;
    stand.cluster.apply(&stand.app.analysis(&prometheus.cluster_url)).await?;
    let steps = json!([
        {"setWeight": 20}, {"analysis": {"templates": [{"templateName": "requests"}]}}, {"setWeight": 60}, {"pause": {"duration": 3}}
    ]);
    super::canary::first(stand, super::canary::Way::Route, &steps).await
}

async fn aborted(stand: &Stand) -> anyhow::Result<()> {
    first(stand).await?;
    let traffic = stand.traffic(Load::STANDARD).await?;

    // When a version is rolled out that fails every third request
    stand.change(Revision::failing("2", 0.3)).await?;

    // Then its run fails, it is aborted, and never got more than the first step's share
    let rollout = stand
        .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "aborted by analysis", |r| {
            (r["status"]["abort"] == true && r["status"]["traffic"]["live"]["canary"] == 0).then(|| r.clone())
        })
        .await?;
    anyhow::ensure!(
        rollout["status"]["aborted"].as_array().and_then(|a| a.last()).is_some_and(|a| a["class"] == "Analysis"),
        "the cause is not the analysis: {}",
        rollout["status"]["aborted"]
    );
    let runs = stand.cluster.list(Kind::ANALYSIS_RUN, stand.namespace(), "").await?;
    anyhow::ensure!(runs.iter().any(|r| r["status"]["phase"] == "Failed"), "no AnalysisRun is Failed");
    let from = Timestamp::now();
    traffic.more(300).await;
    let records = traffic.stop().await;
    let after = share(records.iter().filter(|r| r.sent >= from), "2");
    anyhow::ensure!(after.of_version == 0, "aborted, but version 2 still answers: {after:?}");
    let bad = share(records.iter(), "2");
    anyhow::ensure!(bad.of_version > 0 && bad.percent() < 25.0, "version 2 got {bad:?}");
    checks::no_failures(&failures(&records, |version| version == "2"))
}

async fn promoted(stand: &Stand) -> anyhow::Result<()> {
    first(stand).await?;
    let traffic = stand.traffic(Load::STANDARD).await?;
    stand.change(Revision::good("2")).await?;
    let rollout = stand.healthy().await?;
    anyhow::ensure!(rollout["status"]["stableRS"] == rollout["status"]["currentPodHash"], "Healthy without promotion");
    let runs = stand.cluster.list(Kind::ANALYSIS_RUN, stand.namespace(), "").await?;
    let run = runs.first().context("there is no AnalysisRun")?;
    anyhow::ensure!(run["status"]["phase"] == "Successful", "the run is {}", run["status"]["phase"]);
    checks::no_failures(&failures(&traffic.stop().await, |_| false))
}
