//! Ways back, restarts, roles of pods, and templates of other objects.

use super::super::Scenario;
use super::{begin, by_pods, create, edit, has_pods, paused_at, phase, rollout, routed, runs, template};
use crate::cluster::Kind;
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::wait;
use serde_json::{Value, json};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(&["argo#6", "Q2"], roles_of_a_canary_are_seen_on_its_pods),
    scenario!(&["argo#14", "T4"], stable_has_the_pods_of_its_share),
    scenario!(&["argo#26", "argo#43", "Q1"], a_restart_replaces_every_pod),
    scenario!(&["argo#46", "argo#53", "Q4"], the_template_of_a_deployment_is_rolled_out),
    scenario!(&["argo#49", "Q4"], the_deployment_goes_when_its_pods_are_taken_over),
    scenario!(&["argo#55", "N3"], a_return_within_the_window_runs_no_analysis),
    scenario!(&["argo#56", "N3"], a_return_beyond_the_window_runs_it),
];

/// Values of a label on the pods of the app, sorted.
async fn labels(stand: &Stand, key: &str) -> anyhow::Result<Vec<String>> {
    let pods = stand.cluster.list(Kind::POD, stand.namespace(), "").await?;
    let living = pods.iter().filter(|p| p["metadata"]["deletionTimestamp"].is_null());
    let mut found: Vec<String> =
        living.map(|p| p["metadata"]["labels"][key].as_str().unwrap_or("-").to_owned()).collect();
    found.sort();
    Ok(found)
}

async fn has_labels(stand: &Stand, key: &str, wanted: &[&str]) -> anyhow::Result<()> {
    wait::poll(SETTLE, &format!("pods whose label {key} is {wanted:?}"), || async {
        let found = labels(stand, key).await.map_err(|e| e.to_string())?;
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
}

async fn roles_of_a_canary_are_seen_on_its_pods(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({
        "canaryMetadata": {"labels": {"role": "canary"}}, "stableMetadata": {"labels": {"role": "stable"}}
    });
    begin(stand, 2, &by_pods(&json!([{"setWeight": 50}, {"pause": {}}]), &more)).await?;
    has_labels(stand, "role", &["stable", "stable"]).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    has_labels(stand, "role", &["canary", "stable"]).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    has_labels(stand, "role", &["stable", "stable"]).await
}

async fn stable_has_the_pods_of_its_share(stand: &Stand) -> anyhow::Result<()> {
    let steps = json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]);
    begin(stand, 4, &routed(stand, &steps, &json!({"dynamicStableScale": true}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    has_pods(stand, &[(1, 3), (2, 1)]).await?;
    stand.command("promote", "step").await?;
    paused_at(stand, 3).await?;
    has_pods(stand, &[(1, 1), (2, 3)]).await?;
    stand.command("abort", "a test says so").await?;
    phase(stand, "Degraded").await?;
    stand.live(0, SETTLE).await?;
    has_pods(stand, &[(1, 4)]).await
}

/// Names of the pods that are not on their way out.
async fn pods(stand: &Stand) -> anyhow::Result<Vec<String>> {
    let pods = stand.cluster.list(Kind::POD, stand.namespace(), "").await?;
    let living = pods.iter().filter(|p| p["metadata"]["deletionTimestamp"].is_null());
    Ok(living.filter_map(|p| p["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

async fn a_restart_replaces_every_pod(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 3, &by_pods(&json!([]), &json!({"maxUnavailable": 1}))).await?;
    let before = pods(stand).await?;
    let at = jiff::Timestamp::now().to_string();
    stand.command("restart", &at).await?;
    wait::poll(SETTLE, "other pods than before", || async {
        let now = pods(stand).await.map_err(|e| e.to_string())?;
        if now.len() == 3 && now.iter().all(|pod| !before.contains(pod)) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await?;
    let healthy = stand.healthy().await?;
    anyhow::ensure!(healthy["status"]["abort"] != true, "a restart aborted a complete Rollout");
    anyhow::ensure!(healthy["status"]["currentRevision"] == 1, "a restart made a revision");
    Ok(())
}

/// The app as a Deployment, and a Rollout that takes its template from there.
async fn with_deployment(stand: &Stand, scale_down: &str) -> anyhow::Result<()> {
    let app = &stand.app;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": app.namespace, "name": app.name},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": app.name}}, "template": app.template(Revision::good("1"))}
    });
    stand.cluster.apply(&deployment).await?;
    stand.until(Kind::DEPLOYMENT, &app.name, SETTLE, "available", |d| wait::condition(d, "Available", "True")).await?;
    let mut object = app.rollout(Revision::good("1"), &by_pods(&json!([{"setWeight": 50}, {"pause": {}}]), &json!({})));
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("template");
        spec.remove("selector");
    }
    object["spec"]["replicas"] = 2.into();
    object["spec"]["workloadRef"] =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name, "scaleDown": scale_down});
    stand.cluster.create(&object).await?;
    stand.healthy().await?;
    Ok(())
}

async fn size(stand: &Stand) -> anyhow::Result<Value> {
    let deployment = stand.cluster.get(Kind::DEPLOYMENT, stand.namespace(), &stand.app.name).await?.unwrap_or_default();
    Ok(deployment["spec"]["replicas"].clone())
}

async fn the_template_of_a_deployment_is_rolled_out(stand: &Stand) -> anyhow::Result<()> {
    with_deployment(stand, "never").await?;
    anyhow::ensure!(size(stand).await? == 2, "the Deployment was scaled although it shall never be");
    let patch = json!({"spec": {"template": stand.app.template(Revision::good("2"))}});
    stand.cluster.merge(Kind::DEPLOYMENT, stand.namespace(), &stand.app.name, &patch).await?;
    paused_at(stand, 1).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    let done = rollout(stand).await?;
    anyhow::ensure!(done["status"]["currentRevision"] == 2, "{}", wait::glance(&done));
    anyhow::ensure!(done["spec"]["template"].is_null(), "the template was copied into the Rollout");
    Ok(())
}

async fn the_deployment_goes_when_its_pods_are_taken_over(stand: &Stand) -> anyhow::Result<()> {
    with_deployment(stand, "onsuccess").await?;
    wait::poll(SETTLE, "the Deployment has no pods", || async {
        match size(stand).await {
            Ok(size) if size == 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Revisions 1 to 3 with an analysis each, then back to 1.
async fn there_and_back(stand: &Stand, window: u32) -> anyhow::Result<()> {
    template(stand, "good", "vector(1)").await?;
    let step = json!({"analysis": {"templates": [{"templateName": "good"}]}});
    create(stand, Revision::good("1"), 1, &by_pods(&json!([{"setWeight": 50}, step]), &json!({}))).await?;
    stand.healthy().await?;
    edit(stand, &json!({"rollbackWindow": {"revisions": window}})).await?;
    for version in ["2", "3", "1"] {
        // Creation times, by which revisions are told apart, are whole seconds.
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        stand.change(Revision::good(version)).await?;
        stand.healthy().await?;
    }
    Ok(())
}

async fn a_return_within_the_window_runs_no_analysis(stand: &Stand) -> anyhow::Result<()> {
    there_and_back(stand, 3).await?;
    anyhow::ensure!(runs(stand).await? == 2, "two updates and a quick return made {} runs", runs(stand).await?);
    Ok(())
}

async fn a_return_beyond_the_window_runs_it(stand: &Stand) -> anyhow::Result<()> {
    there_and_back(stand, 1).await?;
    anyhow::ensure!(runs(stand).await? == 3, "three updates made {} runs", runs(stand).await?);
    Ok(())
}
