//! Templates of other objects, and how their pods are handed over.

use super::super::Scenario;
use super::{by_pods, paused_at, rollout};
use crate::cluster::Kind;
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::timeline::Timeline;
use crate::wait;
use serde_json::{Value, json};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(&["argo#45", "Q4"], a_pod_template_is_rolled_out),
    scenario!(&["argo#46", "argo#53", "Q4"], the_template_of_a_deployment_is_rolled_out),
    scenario!(core & ["argo#49", "Q4"], the_deployment_goes_when_its_pods_are_taken_over),
    scenario!(&["argo#50", "argo#52", "Q4"], the_deployment_shrinks_beside_a_canary_and_stays_empty),
    scenario!(&["argo#51", "Q4"], the_deployment_shrinks_beside_a_pair_and_stays_empty),
];

fn half() -> Value {
    by_pods(&json!([{"setWeight": 50}, {"pause": {}}]), &json!({}))
}

/// Changes the object of the app's name.
async fn change(stand: &Stand, kind: Kind, patch: &Value) -> anyhow::Result<()> {
    stand.cluster.merge(kind, stand.namespace(), &stand.app.name, patch).await?;
    Ok(())
}

/// The app as a Deployment, and a Rollout that takes its template from there; gives what the Deployment was like since.
async fn with_deployment(stand: &Stand, scale_down: &str, strategy: &Value) -> anyhow::Result<Timeline> {
    let app = &stand.app;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": app.namespace, "name": app.name},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": app.name}}, "template": app.template(Revision::good("1"))}
    });
    stand.cluster.apply(&deployment).await?;
    stand.until(Kind::DEPLOYMENT, &app.name, SETTLE, "available", |d| wait::condition(d, "Available", "True")).await?;
    let states = Timeline::record(&stand.cluster, Kind::DEPLOYMENT, stand.namespace(), &app.name);
    let mut object = app.rollout(Revision::good("1"), strategy);
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("template");
        spec.remove("selector");
    }
    object["spec"]["replicas"] = 2.into();
    object["spec"]["workloadRef"] =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name, "scaleDown": scale_down});
    stand.cluster.create(&object).await?;
    stand.healthy().await?;
    Ok(states)
}

async fn size(stand: &Stand) -> anyhow::Result<Value> {
    let deployment = stand.cluster.get(Kind::DEPLOYMENT, stand.namespace(), &stand.app.name).await?.unwrap_or_default();
    Ok(deployment["spec"]["replicas"].clone())
}

async fn the_template_of_a_deployment_is_rolled_out(stand: &Stand) -> anyhow::Result<()> {
    with_deployment(stand, "never", &half()).await?;
    anyhow::ensure!(size(stand).await? == 2, "the Deployment was scaled although it shall never be");
    change(stand, Kind::DEPLOYMENT, &json!({"spec": {"template": stand.app.template(Revision::good("2"))}})).await?;
    paused_at(stand, 1).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    let done = rollout(stand).await?;
    anyhow::ensure!(done["status"]["currentRevision"] == 2, "{}", wait::glance(&done));
    anyhow::ensure!(done["spec"]["template"].is_null(), "the template was copied into the Rollout");
    Ok(())
}

async fn the_deployment_goes_when_its_pods_are_taken_over(stand: &Stand) -> anyhow::Result<()> {
    with_deployment(stand, "onsuccess", &half()).await?;
    is_empty(stand).await
}

async fn is_empty(stand: &Stand) -> anyhow::Result<()> {
    wait::poll(SETTLE, "the Deployment has no pods", || async {
        match size(stand).await {
            Ok(size) if size == 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn a_pod_template_is_rolled_out(stand: &Stand) -> anyhow::Result<()> {
    let app = &stand.app;
    let object = json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"namespace": app.namespace, "name": app.name},
        "template": app.template(Revision::good("1"))
    });
    stand.cluster.apply(&object).await?;
    let mut object = app.rollout(Revision::good("1"), &half());
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("template");
    }
    object["spec"]["workloadRef"] = json!({"apiVersion": "v1", "kind": "PodTemplate", "name": app.name});
    stand.cluster.create(&object).await?;
    stand.healthy().await?;
    change(stand, Kind::POD_TEMPLATE, &json!({"template": app.template(Revision::good("2"))})).await?;
    paused_at(stand, 1).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    super::has_pods(stand, &[(2, 2)]).await
}

/// The Deployment gets smaller and never larger, and has nothing at the end, also of the next version.
async fn shrinks(stand: &Stand, strategy: &Value, paused: bool) -> anyhow::Result<()> {
    let states = with_deployment(stand, "progressively", strategy).await?;
    is_empty(stand).await?;
    change(stand, Kind::DEPLOYMENT, &json!({"spec": {"template": stand.app.template(Revision::good("2"))}})).await?;
    if paused {
        paused_at(stand, 1).await?;
        stand.command("promote", "step").await?;
    }
    super::has_pods(stand, &[(2, 2)]).await?;
    stand.healthy().await?;
    let states = states.states();
    let sizes: Vec<u64> = states.iter().filter_map(|(_, d)| d["spec"]["replicas"].as_u64()).collect();
    let falls = sizes.windows(2).all(|pair| pair[0] >= pair[1]);
    anyhow::ensure!(falls && sizes.last() == Some(&0), "the Deployment was of {sizes:?}");
    Ok(())
}

async fn the_deployment_shrinks_beside_a_canary_and_stays_empty(stand: &Stand) -> anyhow::Result<()> {
    shrinks(stand, &half(), true).await
}

async fn the_deployment_shrinks_beside_a_pair_and_stays_empty(stand: &Stand) -> anyhow::Result<()> {
    stand.cluster.apply(&stand.app.service("active")).await?;
    shrinks(stand, &json!({"blueGreen": {"activeService": "active", "scaleDownDelaySeconds": 1}}), false).await
}
