//! Analysis in a Rollout: inline, in the background, several at once, inconclusive.

use super::super::Scenario;
use super::{begin, by_pods, paused_at, phase, prometheus, run_phases, runs, template};
use crate::cluster::Kind;
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use serde_json::{Value, json};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(&["argo#57", "Y4"], a_background_analysis_runs_until_the_end),
    scenario!(&["argo#58", "Y6"], an_inconclusive_background_analysis_pauses),
    scenario!(&["argo#59", "argo#60", "Y3"], each_analysis_step_has_a_run_of_all_its_templates),
    scenario!(&["argo#61", "A2"], one_failed_metric_of_several_aborts),
    scenario!(&["argo#67"], background_and_steps_together),
    scenario!(core & ["argo#69", "argo#70", "E9"], arguments_come_from_text_and_from_fields),
];

fn of(templates: &[&str]) -> Value {
    let named: Vec<Value> = templates.iter().map(|name| json!({"templateName": name})).collect();
    json!({"templates": named})
}

/// A template without an end, as a background analysis may have it.
async fn endless(stand: &Stand, name: &str, metric: &Value) -> anyhow::Result<()> {
    let mut metric = metric.clone();
    metric["name"] = name.into();
    metric["interval"] = "1s".into();
    metric["provider"]["prometheus"]["address"] = prometheus(stand)?.into();
    let object = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"namespace": stand.namespace(), "name": name}, "spec": {"metrics": [metric]}
    });
    stand.cluster.apply(&object).await?;
    Ok(())
}

fn asks(query: &str) -> Value {
    json!({"prometheus": {"query": query}})
}

async fn a_background_analysis_runs_until_the_end(stand: &Stand) -> anyhow::Result<()> {
    endless(stand, "good", &json!({"successCondition": "result[0] > 0", "provider": asks("vector(1)")})).await?;
    let more = json!({"analysis": of(&["good"])});
    begin(stand, 2, &by_pods(&json!([{"setWeight": 50}, {"pause": {}}]), &more)).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    run_phases(stand, &["Running"]).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    run_phases(stand, &["Successful"]).await
}

async fn an_inconclusive_background_analysis_pauses(stand: &Stand) -> anyhow::Result<()> {
    let conditions = json!({
        "successCondition": "result[0] > 1", "failureCondition": "result[0] < 1", "inconclusiveLimit": 1,
        "provider": asks("vector(1)")
    });
    endless(stand, "undecided", &conditions).await?;
    let more = json!({"analysis": of(&["undecided"])});
    begin(stand, 2, &by_pods(&json!([{"setWeight": 50}, {"pause": {"duration": "1h"}}]), &more)).await?;
    stand.change(Revision::good("2")).await?;
    let paused = |r: &Value| {
        let reasons = r["status"]["pauseConditions"].as_array().into_iter().flatten();
        reasons.into_iter().any(|p| p["reason"] == "InconclusiveAnalysisRun").then_some(())
    };
    stand.until(Kind::ROLLOUT, &stand.app.name, SETTLE, "paused for an inconclusive run", paused).await?;
    run_phases(stand, &["Inconclusive"]).await
}

async fn each_analysis_step_has_a_run_of_all_its_templates(stand: &Stand) -> anyhow::Result<()> {
    template(stand, "one", "vector(1)").await?;
    template(stand, "two", "vector(2)").await?;
    let step = json!({"analysis": of(&["one", "two"])});
    let steps = json!([step, {"setWeight": 50}, step, {"pause": {}}, step]);
    begin(stand, 2, &by_pods(&steps, &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 3).await?;
    run_phases(stand, &["Successful", "Successful"]).await?;
    let found = stand.cluster.list(Kind::ANALYSIS_RUN, stand.namespace(), "").await?;
    for run in &found {
        let metrics = run["status"]["metricResults"].as_array().map_or(0, Vec::len);
        anyhow::ensure!(metrics == 2, "a run of two templates has {metrics} metrics");
    }
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    anyhow::ensure!(runs(stand).await? == 3, "three steps made {} runs", runs(stand).await?);
    Ok(())
}

async fn one_failed_metric_of_several_aborts(stand: &Stand) -> anyhow::Result<()> {
    template(stand, "good", "vector(1)").await?;
    template(stand, "bad", "vector(0)").await?;
    let steps = json!([{"setWeight": 50}, {"analysis": of(&["good", "bad"])}]);
    begin(stand, 2, &by_pods(&steps, &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    let degraded = phase(stand, "Degraded").await?;
    let message = degraded["status"]["message"].as_str().unwrap_or_default();
    anyhow::ensure!(message.contains("bad"), "the message does not name the metric: {message}");
    super::has_pods(stand, &[(1, 2)]).await
}

async fn background_and_steps_together(stand: &Stand) -> anyhow::Result<()> {
    endless(stand, "beside", &json!({"successCondition": "result[0] > 0", "provider": asks("vector(1)")})).await?;
    template(stand, "step", "vector(1)").await?;
    let more = json!({"analysis": of(&["beside"])});
    let steps = json!([{"setWeight": 50}, {"analysis": of(&["step"])}, {"pause": {}}]);
    begin(stand, 2, &by_pods(&steps, &more)).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 2).await?;
    run_phases(stand, &["Running", "Successful"]).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    run_phases(stand, &["Successful", "Successful"]).await
}

async fn arguments_come_from_text_and_from_fields(stand: &Stand) -> anyhow::Result<()> {
    let metric = |name: &str, query: &str| {
        json!({"name": name, "interval": "1s", "count": 1, "successCondition": "result[0] == 1",
               "provider": {"prometheus": {"address": "{{args.server}}", "query": query}}})
    };
    let object = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"namespace": stand.namespace(), "name": "given"},
        "spec": {
            "args": [{"name": "server"}, {"name": "app"}, {"name": "hash"}, {"name": "limit", "value": "1"}],
            "metrics": [
                metric("text", "vector({{args.limit}})"),
                metric("field", "label_replace(vector(1), \"app\", \"{{args.app}}\", \"\", \"\") and on() vector(1)"),
                metric("hash", "label_replace(vector(1), \"hash\", \"{{args.hash}}\", \"\", \"\")")
            ]
        }
    });
    stand.cluster.apply(&object).await?;
    let mut analysis = of(&["given"]);
    analysis["args"] = json!([
        {"name": "server", "value": prometheus(stand)?},
        {"name": "app", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}
    ]);
    begin(stand, 1, &by_pods(&json!([{"setWeight": 50}, {"analysis": analysis}]), &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    let healthy = stand.healthy().await?;
    run_phases(stand, &["Successful"]).await?;
    let run = stand.cluster.list(Kind::ANALYSIS_RUN, stand.namespace(), "").await?.remove(0);
    let args = run["spec"]["args"].as_array().into_iter().flatten();
    let given = |name: &str| args.clone().find(|a| a["name"] == name).map_or(Value::Null, |a| a["value"].clone());
    anyhow::ensure!(given("app") == stand.app.name.as_str(), "app is {}", given("app"));
    anyhow::ensure!(given("hash") == healthy["status"]["currentPodHash"], "hash is {}", given("hash"));
    Ok(())
}
