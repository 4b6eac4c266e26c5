//! A real autoscaler with real figures on the scale subresource: it writes the Rollout's size, both revisions follow, and the
//! weights stay.

use super::canary::{self, Way};
use super::{Scenario, Tag, checks};
use crate::cluster::Kind;
use crate::generator::{Load, failures};
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::timeline::Timeline;
use crate::wait;
use anyhow::Context;
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    family: "autoscaling",
    name: "an_autoscaler_sizes_both_revisions_and_the_share_stays",
    tag: Tag::Wide,
    rules: &["T6", "T7", "T10", "T16", "G6"],
    limit: Duration::from_secs(600),
    run: |stand| async move { both(&stand).await }.boxed(),
}];

/// Pods without load, and as the Rollout is created.
const LEAST: u32 = 2;
/// Pods under load, however much of it there is.
const MOST: u32 = 4;
/// metrics-server reads every ten seconds, the autoscaler every fifteen, and twice over for one decision.
const FIGURES: Duration = Duration::from_secs(120);
/// Until a change of the load is seen and followed, and the former revision's pods are gone, which takes 30 s.
const RESIZE: Duration = Duration::from_secs(180);

/// CPU in thousandths that a pod of the app may use before more are wanted: the load of a scenario takes several times that.
const WANTED: &str = "4m";

async fn both(stand: &Stand) -> anyhow::Result<()> {
    // Given a Rollout under an autoscaler, and nobody who asks
    served(stand).await?;
    let app = &stand.app;
    canary::first(stand, Way::Route, &json!([{"setWeight": 50}, {"pause": {}}])).await?;
    stand.cluster.create(&autoscaler(stand)).await?;
    stand
        .until(Kind::AUTOSCALER, &app.name, FIGURES, "the autoscaler has figures", |hpa| {
            hpa["status"]["currentMetrics"][0]["resource"]["current"]["averageValue"].is_string().then_some(())
        })
        .await?;
    sized(stand, (LEAST, LEAST), "Healthy").await.context("at rest")?;

    // When users come in the middle of a canary, then both revisions grow, and the share is what the step says all the time
    stand.change(Revision::good("2")).await?;
    stand.live(50, SETTLE).await?;
    let root = Timeline::record(&stand.cluster, Kind::TRAEFIK_SERVICE, stand.namespace(), &app.name);
    let traffic = stand.traffic(Load::STANDARD).await?;
    let rollout = sized(stand, (MOST, MOST + MOST / 2), "Paused").await.context("in mid-canary")?;
    for (hash, pods) in [("currentPodHash", MOST / 2), ("stableRS", MOST)] {
        ready(stand, &rollout["status"][hash], pods).await?;
    }
    let from = Timestamp::now();
    traffic.more(800).await;
    checks::share_is(&traffic.records(), (from, Timestamp::now()), "2", 50)?;
    let weights: Vec<i64> = root.states().iter().map(|(_, r)| checks::canary_weight(r, &app.canary())).collect();
    anyhow::ensure!(weights.iter().all(|w| *w == 50), "the weights moved with the size: {weights:?}");
    size_is_the_autoscalers(&rollout)?;

    // When it is promoted, then the new revision has all of them, and no request failed on the way
    stand.command("promote", "step").await?;
    sized(stand, (MOST, MOST), "Healthy").await.context("promoted")?;
    traffic.more(300).await;
    checks::no_failures(&failures(&traffic.stop().await, |_| false))?;

    // When nobody asks any more, then it is small again
    sized(stand, (LEAST, LEAST), "Healthy").await.context("without users")?;
    Ok(())
}

/// What gives figures is there, or the scenario says how it gets there.
async fn served(stand: &Stand) -> anyhow::Result<()> {
    let nodes =
        Kind { group: "metrics.k8s.io", version: "v1beta1", kind: "NodeMetrics", plural: "nodes", namespaced: false };
    let listed = stand.cluster.list(nodes, "", "").await;
    listed.map(|_| ()).context("the cluster has no metrics.k8s.io; `cargo bed metrics NAME` adds it to one of ours")
}

fn autoscaler(stand: &Stand) -> Value {
    let at_once =
        json!({"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 10, "periodSeconds": 15}]});
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": stand.namespace(), "name": stand.app.name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "name": stand.app.name},
            "minReplicas": LEAST, "maxReplicas": MOST,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "AverageValue", "averageValue": WANTED}
            }}],
            "behavior": {"scaleUp": at_once, "scaleDown": at_once}
        }
    })
}

/// Waits until the autoscaler has given the Rollout this size, and the scale subresource tells it of so many pods, those of a
/// canary included.
async fn sized(stand: &Stand, (size, pods): (u32, u32), phase: &str) -> anyhow::Result<Value> {
    let name = &stand.app.name;
    let what = format!("{size} pods wanted, {pods} there, and {phase}");
    let rollout = stand.until(Kind::ROLLOUT, name, RESIZE, &what, |r| {
        let told = r["spec"]["replicas"] == size && r["status"]["HPAReplicas"] == pods;
        (told && wait::observed(r) && r["status"]["phase"] == phase).then(|| r.clone())
    });
    let rollout = rollout.await?;
    // An autoscaler's current replicas are the size that it read, not the pods.
    let what = format!("the autoscaler wants {size} pods and finds that size");
    stand
        .until(Kind::AUTOSCALER, name, FIGURES, &what, |hpa| {
            let status = &hpa["status"];
            (status["desiredReplicas"] == size && status["currentReplicas"] == size).then_some(())
        })
        .await?;
    let scale = stand.cluster.get(Kind::ROLLOUT, stand.namespace(), &format!("{name}/scale")).await?;
    let told = scale.context("a Rollout has no scale subresource")?["status"].clone();
    let wanted = json!({"replicas": pods, "selector": format!("app={name}")});
    anyhow::ensure!(told == wanted, "the autoscaler is told {told}, not {wanted}");
    Ok(rollout)
}

/// The size has one writer, and that is not the controller.
fn size_is_the_autoscalers(rollout: &Value) -> anyhow::Result<()> {
    let entries = rollout["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owners: Vec<&Value> =
        entries.filter(|e| !e["fieldsV1"]["f:spec"]["f:replicas"].is_null()).map(|e| &e["manager"]).collect();
    anyhow::ensure!(owners == ["kube-controller-manager"], "spec.replicas is owned by {owners:?}");
    Ok(())
}

/// Waits until this revision has so many ready pods.
async fn ready(stand: &Stand, hash: &Value, pods: u32) -> anyhow::Result<()> {
    let name = format!("{}-{}", stand.app.name, hash.as_str().unwrap_or_default());
    let what = format!("{pods} ready pods of {name}");
    stand
        .until(Kind::REPLICA_SET, &name, SETTLE, &what, |set| (set["status"]["readyReplicas"] == pods).then_some(()))
        .await?;
    Ok(())
}
