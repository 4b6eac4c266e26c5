//! Ways back, restarts, and roles of pods.

use super::super::Scenario;
use super::{begin, by_pods, create, edit, paused_at, runs, template};
use crate::cluster::Kind;
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::wait;
use serde_json::{Value, json};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(core & ["argo#6", "Q2"], roles_of_a_canary_are_seen_on_its_pods),
    scenario!(core & ["argo#26", "argo#43", "Q1"], a_restart_replaces_every_pod),
    scenario!(&["argo#27", "Q1"], a_budget_that_refuses_holds_a_restart_until_it_allows_it),
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

pub(super) async fn has_labels(stand: &Stand, key: &str, wanted: &[&str]) -> anyhow::Result<()> {
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

/// Names of the pods that are not on their way out.
async fn pods(stand: &Stand) -> anyhow::Result<Vec<String>> {
    let pods = stand.cluster.list(Kind::POD, stand.namespace(), "").await?;
    let living = pods.iter().filter(|p| p["metadata"]["deletionTimestamp"].is_null());
    Ok(living.filter_map(|p| p["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

/// Asks for a restart in a later second than that of the pods: they know no smaller unit of their age.
async fn ask_for_restart(stand: &Stand) -> anyhow::Result<()> {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    stand.command("restart", &jiff::Timestamp::now().to_string()).await?;
    Ok(())
}

/// Waits until there are as many pods as before, and none of those.
async fn are_replaced(stand: &Stand, before: &[String]) -> anyhow::Result<()> {
    wait::poll(SETTLE, "other pods than before", || async {
        let now = pods(stand).await.map_err(|e| e.to_string())?;
        let other = now.len() == before.len() && now.iter().all(|pod| !before.contains(pod));
        if other { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await
}

async fn a_restart_replaces_every_pod(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 3, &by_pods(&json!([]), &json!({"maxUnavailable": 1}))).await?;
    let before = pods(stand).await?;
    ask_for_restart(stand).await?;
    are_replaced(stand, &before).await?;
    let healthy = stand.healthy().await?;
    anyhow::ensure!(healthy["status"]["abort"] != true, "a restart aborted a complete Rollout");
    anyhow::ensure!(healthy["status"]["currentRevision"] == 1, "a restart made a revision");
    Ok(())
}

async fn a_budget_that_refuses_holds_a_restart_until_it_allows_it(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 2, &by_pods(&json!([]), &json!({"maxUnavailable": "100%"}))).await?;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"namespace": stand.namespace(), "name": "all"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": stand.app.name}}}
    });
    stand.cluster.apply(&budget).await?;
    let counted = |b: &Value| (b["status"]["expectedPods"] == 2).then_some(());
    stand.until(Kind::POD_DISRUPTION_BUDGET, "all", SETTLE, "a budget that counts the pods", counted).await?;
    let before = pods(stand).await?;
    ask_for_restart(stand).await?;
    let named =
        |r: &Value| r["status"]["message"].as_str().is_some_and(|m| m.contains("disruption budget")).then_some(());
    stand.until(Kind::ROLLOUT, &stand.app.name, SETTLE, "the refusal is named", named).await?;
    anyhow::ensure!(pods(stand).await? == before, "pods went against the budget");
    stand.cluster.delete(Kind::POD_DISRUPTION_BUDGET, stand.namespace(), "all").await?;
    are_replaced(stand, &before).await
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
