//! Blue/green: all at once, and back.

use super::checks;
use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::generator::{Load, failures, share};
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "bluegreen",
        name: "a_promotion_switches_all_requests_and_none_fails",
        tag: Tag::Wide,
        rules: &["T11", "T12", "T13", "A11"],
        limit: Duration::from_secs(240),
        run: |stand| async move { switched(&stand).await }.boxed(),
    },
    Scenario {
        family: "bluegreen",
        name: "an_abort_before_the_switch_leaves_users_where_they_are",
        tag: Tag::Core,
        rules: &["T8", "T13"],
        limit: Duration::from_secs(180),
        run: |stand| async move { aborted(&stand).await }.boxed(),
    },
];

/// Version 1 behind an Ingress to the active Service; promotion by hand.
pub async fn first(stand: &Stand) -> anyhow::Result<()> {
    let app = &stand.app;
    let strategy = json!({"blueGreen": {
        "activeService": app.name, "previewService": "preview", "autoPromotionEnabled": false, "scaleDownDelaySeconds": 10
    }});
    stand.cluster.apply_all(&[app.service(&app.name), app.service("preview"), app.ingress()]).await?;
    stand.cluster.create(&app.rollout(Revision::good("1"), &strategy)).await?;
    stand.healthy().await?;
    Ok(())
}

/// Rolls version 2 out and waits until it is ready to be switched to; gives its hash.
///
/// # Errors
/// When that does not come.
pub async fn preview(stand: &Stand) -> anyhow::Result<String> {
    stand.change(Revision::good("2")).await?;
    let hash = stand
        .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "Paused before the switch", |r| {
            let status = &r["status"];
            (crate::wait::observed(r) && status["phase"] == "Paused" && status["currentPodHash"] != status["stableRS"])
                .then(|| status["currentPodHash"].as_str().unwrap_or_default().to_owned())
        })
        .await?;
    Ok(hash)
}

async fn switched(stand: &Stand) -> anyhow::Result<()> {
    first(stand).await?;
    let traffic = stand.traffic(Load::STANDARD).await?;
    traffic.more(200).await;
    preview(stand).await?;
    let from = Timestamp::now();
    traffic.more(300).await;
    let before = share(traffic.records().iter().filter(|r| r.sent >= from), "2");
    anyhow::ensure!(before.of_version == 0, "not switched, but users get version 2: {before:?}");

    stand.command("promote", "step").await?;
    let rollout = stand.healthy().await?;
    anyhow::ensure!(rollout["status"]["stableRS"] == rollout["status"]["currentPodHash"], "Healthy without a switch");
    // Traefik takes a change over within its throttle of 2 s.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let from = Timestamp::now();
    traffic.more(300).await;
    // Past the scale-down of the old pods.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let records = traffic.stop().await;
    let after = share(records.iter().filter(|r| r.sent >= from), "2");
    anyhow::ensure!(after.of_version == after.requests, "switched, but not all users get version 2: {after:?}");
    checks::no_failures(&failures(&records, |_| false))
}

async fn aborted(stand: &Stand) -> anyhow::Result<()> {
    first(stand).await?;
    let traffic = stand.traffic(Load::STANDARD).await?;
    preview(stand).await?;
    stand.command("abort", "a test says so").await?;
    stand
        .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "Degraded after the abort", |r| {
            (r["status"]["abort"] == true && r["status"]["phase"] == "Degraded").then_some(())
        })
        .await?;
    traffic.more(300).await;
    let records = traffic.stop().await;
    anyhow::ensure!(records.iter().all(|r| &*r.version != "2"), "aborted before the switch, but users got version 2");
    checks::no_failures(&failures(&records, |_| false))
}
