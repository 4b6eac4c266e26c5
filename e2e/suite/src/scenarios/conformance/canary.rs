//! Canaries: sizes, pauses, promotion, abort, newer revisions.

use super::super::Scenario;
use super::{
    begin, by_pods, create, deadlines, edit, has_deadlines, has_pods, keeps_pods, paused_at, phase, rollout, routed,
    runs, selects, template,
};
use crate::cluster::Kind;
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::wait;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(&["argo#1", "T3"], set_canary_scale_apart_from_the_weight),
    scenario!(&["argo#2"], scaling_while_paused_keeps_the_split),
    scenario!(&["argo#9", "S2"], the_old_revision_waits_with_a_deadline_and_is_used_again),
    scenario!(&["argo#10", "V3"], an_aborted_canary_goes_after_its_delay),
    scenario!(&["argo#11", "A3"], an_abort_without_a_router_goes_back_inside_the_limits),
    scenario!(&["argo#12", "N7"], a_newer_revision_replaces_one_that_is_paused),
    scenario!(&["argo#13", "A4"], an_abort_delay_of_zero_keeps_the_canary),
    scenario!(&["argo#17", "K2"], pausing_a_complete_rollout_changes_no_condition_of_progress),
    scenario!(core & ["argo#23", "A7"], abort_retry_promote),
    scenario!(&["argo#24", "K5"], promote_full_after_an_abort_runs_no_analysis),
    scenario!(&["argo#28"], a_template_with_a_list_named_items),
    scenario!(&["argo#31"], quantities_of_every_spelling_arrive_as_written),
    scenario!(&["argo#38"], a_missing_analysis_template_is_mended_by_creating_it),
    scenario!(&["argo#42", "argo#44"], conditions_can_be_waited_on),
    scenario!(&["argo#48", "D2"], a_pause_longer_than_the_deadline_is_no_failure),
    scenario!(&["argo#54"], template_and_replicas_in_one_change),
    scenario!(&["argo#121", "A9"], an_abort_of_a_complete_rollout_changes_nothing),
    scenario!(&["argo#122", "N7"], a_newer_revision_gets_the_pods_that_its_step_asks_for),
    scenario!(&["argo#123", "A4"], an_abort_whose_canary_pods_are_gone_is_carried_out),
    scenario!(&["argo#127"], a_scale_in_after_an_abort_is_followed),
    scenario!(&["N2"], a_return_to_stable_skips_all_steps),
    scenario!(&["N6"], an_edit_of_the_steps_starts_over),
];

async fn set_canary_scale_apart_from_the_weight(stand: &Stand) -> anyhow::Result<()> {
    let pause = json!({"pause": {}});
    let steps = json!([
        pause, {"setCanaryScale": {"weight": 25}}, pause, {"setWeight": 50}, pause,
        {"setCanaryScale": {"replicas": 3}}, pause, {"setCanaryScale": {"matchTrafficWeight": true}}, pause
    ]);
    begin(stand, 4, &routed(stand, &steps, &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    for (step, canary) in [(0, 0), (2, 1), (4, 1), (6, 3), (8, 2)] {
        paused_at(stand, step).await?;
        let pods = [(1, 4), (2, canary)];
        has_pods(stand, if canary == 0 { &pods[..1] } else { &pods }).await?;
        stand.command("promote", "step").await?;
    }
    stand.healthy().await?;
    // The former revision waits in its delay.
    has_pods(stand, &[(1, 4), (2, 4)]).await
}

async fn scaling_while_paused_keeps_the_split(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &by_pods(&json!([{"setWeight": 25}, {"pause": {}}]), &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    has_pods(stand, &[(1, 1), (2, 1)]).await?;
    for (replicas, pods) in [(8, [(1, 6), (2, 2)]), (4, [(1, 3), (2, 1)])] {
        edit(stand, &json!({"replicas": replicas})).await?;
        has_pods(stand, &pods).await?;
        paused_at(stand, 1).await?;
    }
    Ok(())
}

async fn the_old_revision_waits_with_a_deadline_and_is_used_again(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &routed(stand, &json!([{"setWeight": 50}]), &json!({"scaleDownDelaySeconds": 120}))).await?;
    stand.change(Revision::good("2")).await?;
    stand.healthy().await?;
    has_deadlines(stand, 1).await?;
    has_pods(stand, &[(1, 1), (2, 1)]).await?;
    stand.change(Revision::good("1")).await?;
    stand.healthy().await?;
    // The same ReplicaSet under a new number; the other one waits now.
    has_pods(stand, &[(2, 1), (3, 1)]).await?;
    has_deadlines(stand, 1).await
}

/// Version 2 is aborted at its first pause: its Service goes back to stable, and its pods go.
async fn abort_at_half(stand: &Stand) -> anyhow::Result<()> {
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    selects(stand, &stand.app.canary(), 2).await?;
    stand.command("abort", "a test says so").await?;
    phase(stand, "Degraded").await?;
    selects(stand, &stand.app.canary(), 1).await?;
    has_pods(stand, &[(1, 2)]).await
}

async fn an_aborted_canary_goes_after_its_delay(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({"abortScaleDownDelaySeconds": 1});
    begin(stand, 2, &routed(stand, &json!([{"setWeight": 50}, {"pause": {}}]), &more)).await?;
    abort_at_half(stand).await
}

async fn an_abort_without_a_router_goes_back_inside_the_limits(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({"canaryService": stand.app.canary(), "stableService": stand.app.stable()});
    begin(stand, 2, &by_pods(&json!([{"setWeight": 50}, {"pause": {}}]), &more)).await?;
    abort_at_half(stand).await
}

async fn a_newer_revision_replaces_one_that_is_paused(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 4, &by_pods(&json!([{"setWeight": 25}, {"pause": {}}]), &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    has_pods(stand, &[(1, 3), (2, 1)]).await?;
    stand.change(Revision::good("3")).await?;
    has_pods(stand, &[(1, 3), (3, 1)]).await?;
    paused_at(stand, 1).await?;
    Ok(())
}

async fn an_abort_delay_of_zero_keeps_the_canary(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({"abortScaleDownDelaySeconds": 0});
    begin(stand, 2, &routed(stand, &json!([{"setWeight": 50}, {"pause": {}}]), &more)).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    stand.command("abort", "a test says so").await?;
    phase(stand, "Degraded").await?;
    keeps_pods(stand, &[(1, 2), (2, 1)]).await?;
    anyhow::ensure!(deadlines(stand).await? == 0, "a canary that is kept has a deadline");
    Ok(())
}

fn condition<'a>(rollout: &'a Value, kind: &str) -> &'a Value {
    let conditions = rollout["status"]["conditions"].as_array();
    conditions.and_then(|c| c.iter().find(|c| c["type"] == kind)).unwrap_or(&Value::Null)
}

async fn pausing_a_complete_rollout_changes_no_condition_of_progress(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &by_pods(&json!([{"setWeight": 50}]), &json!({}))).await?;
    edit(stand, &json!({"paused": true})).await?;
    let paused = phase(stand, "Paused").await?;
    let progressing = condition(&paused, "Progressing");
    anyhow::ensure!(progressing["status"] != "Unknown", "a complete Rollout that is paused has {progressing}");
    edit(stand, &json!({"paused": false})).await?;
    stand.healthy().await?;
    Ok(())
}

async fn abort_retry_promote(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &by_pods(&json!([{"setWeight": 50}, {"pause": {}}]), &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    has_pods(stand, &[(1, 1), (2, 1)]).await?;
    stand.command("abort", "a test says so").await?;
    phase(stand, "Degraded").await?;
    has_pods(stand, &[(1, 1)]).await?;
    stand.command("retry", "true").await?;
    paused_at(stand, 1).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    has_pods(stand, &[(2, 1)]).await?;
    let events = stand.cluster.list(Kind::EVENT, stand.namespace(), "").await?;
    let mut reasons: Vec<(&str, &str)> = events
        .iter()
        .filter(|e| e["regarding"]["kind"] == "Rollout")
        .filter_map(|e| Some((e["eventTime"].as_str()?, e["reason"].as_str()?)))
        .collect();
    reasons.sort_unstable();
    let reasons: Vec<&str> = reasons.into_iter().map(|(_, reason)| reason).collect();
    for wanted in [
        "RolloutUpdated",
        "RolloutStepCompleted",
        "RolloutPaused",
        "RolloutAborted",
        "RolloutRetry",
        "RolloutCompleted",
    ] {
        anyhow::ensure!(reasons.contains(&wanted), "no event {wanted} among {reasons:?}");
    }
    let of = |reason: &str| reasons.iter().position(|r| *r == reason);
    anyhow::ensure!(of("RolloutAborted") < of("RolloutRetry"), "retried before it was aborted: {reasons:?}");
    Ok(())
}

async fn promote_full_after_an_abort_runs_no_analysis(stand: &Stand) -> anyhow::Result<()> {
    template(stand, "good", "vector(1)").await?;
    let analysis = json!({"templates": [{"templateName": "good"}]});
    let steps = json!([{"setWeight": 50}, {"pause": {}}, {"analysis": analysis}]);
    begin(stand, 1, &by_pods(&steps, &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    stand.command("abort", "a test says so").await?;
    phase(stand, "Degraded").await?;
    stand.command("retry", "true").await?;
    paused_at(stand, 1).await?;
    stand.command("promote", "full").await?;
    stand.healthy().await?;
    anyhow::ensure!(runs(stand).await? == 0, "an analysis ran although everything was promoted");
    Ok(())
}

async fn a_template_with_a_list_named_items(stand: &Stand) -> anyhow::Result<()> {
    let app = &stand.app;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
                     "metadata": {"namespace": app.namespace, "name": "map"}});
    stand.cluster.apply(&map).await?;
    let mut object = app.rollout(Revision::good("1"), &by_pods(&json!([]), &json!({})));
    let volume = json!({"name": "v", "configMap": {"name": "map", "items": [{"key": "a", "path": "file"}]}});
    object["spec"]["template"]["spec"]["volumes"] = json!([volume]);
    object["spec"]["replicas"] = 1.into();
    stand.cluster.create(&object).await?;
    stand.healthy().await?;
    Ok(())
}

async fn quantities_of_every_spelling_arrive_as_written(stand: &Stand) -> anyhow::Result<()> {
    for (cpu, arrives) in [(json!(0.01), "10m"), (json!("0.02"), "20m"), (json!("30m"), "30m")] {
        let name = format!("web-{arrives}");
        let mut object = stand.app.rollout(Revision::good("1"), &by_pods(&json!([]), &json!({})));
        object["metadata"]["name"] = name.clone().into();
        object["spec"]["replicas"] = 1.into();
        for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
            if let Some(labels) = object.pointer_mut(labels) {
                *labels = json!({"app": name});
            }
        }
        object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        stand.cluster.create(&object).await?;
        let healthy = |r: &Value| (wait::observed(r) && r["status"]["phase"] == "Healthy").then_some(());
        stand.until(Kind::ROLLOUT, &name, SETTLE, "Healthy", healthy).await?;
        let pods = stand.cluster.list(Kind::POD, stand.namespace(), &format!("app={name}")).await?;
        let found = &pods[0]["spec"]["containers"][0]["resources"]["requests"]["cpu"];
        anyhow::ensure!(*found == arrives, "{cpu} arrived as {found}");
    }
    Ok(())
}

async fn a_missing_analysis_template_is_mended_by_creating_it(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({"analysis": {"templates": [{"templateName": "late"}]}});
    create(stand, Revision::good("1"), 0, &by_pods(&json!([{"setWeight": 50}]), &more)).await?;
    let refused = phase(stand, "Degraded").await?;
    let message = refused["status"]["message"].as_str().unwrap_or_default();
    anyhow::ensure!(message.contains("late"), "the message does not name the template: {message}");
    template(stand, "late", "vector(1)").await?;
    stand.healthy().await?;
    Ok(())
}

async fn conditions_can_be_waited_on(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &by_pods(&json!([{"setWeight": 50}, {"pause": {}}]), &json!({}))).await?;
    let is = |rollout: &Value, kind: &str, status: &str| condition(rollout, kind)["status"] == status;
    let complete = rollout(stand).await?;
    anyhow::ensure!(is(&complete, "Completed", "True") && is(&complete, "Paused", "False"), "{}", complete["status"]);
    stand.change(Revision::good("2")).await?;
    let paused = paused_at(stand, 1).await?;
    anyhow::ensure!(is(&paused, "Completed", "False") && is(&paused, "Paused", "True"), "{}", paused["status"]);
    stand.command("promote", "step").await?;
    let complete = stand.healthy().await?;
    anyhow::ensure!(is(&complete, "Completed", "True") && is(&complete, "Healthy", "True"), "{}", complete["status"]);
    Ok(())
}

async fn a_pause_longer_than_the_deadline_is_no_failure(stand: &Stand) -> anyhow::Result<()> {
    // A deadline in which a pod of a busy node is there, and a pause that is longer.
    begin(stand, 1, &by_pods(&json!([{"setWeight": 50}, {"pause": {"duration": "45s"}}]), &json!({}))).await?;
    edit(stand, &json!({"progressDeadlineSeconds": 35})).await?;
    stand.healthy().await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    tokio::time::sleep(Duration::from_secs(38)).await;
    let still = rollout(stand).await?;
    anyhow::ensure!(still["status"]["phase"] == "Paused", "{}", wait::glance(&still));
    stand.healthy().await?;
    Ok(())
}

async fn template_and_replicas_in_one_change(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &by_pods(&json!([]), &json!({}))).await?;
    for (version, replicas) in [("2", 3), ("3", 4)] {
        let template = stand.app.template(Revision::good(version));
        edit(stand, &json!({"replicas": replicas, "template": template})).await?;
        stand.healthy().await?;
    }
    super::has_counts(stand, [4, 4, 4, 4, 4]).await
}

async fn a_return_to_stable_skips_all_steps(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 2, &routed(stand, &json!([{"setWeight": 50}, {"pause": {}}]), &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    stand.change(Revision::good("1")).await?;
    let healthy = stand.healthy().await?;
    anyhow::ensure!(healthy["status"]["currentStepIndex"] == 2, "{}", wait::glance(&healthy));
    selects(stand, &stand.app.canary(), 3).await
}

async fn an_edit_of_the_steps_starts_over(stand: &Stand) -> anyhow::Result<()> {
    let pause = json!({"pause": {}});
    begin(stand, 4, &by_pods(&json!([{"setWeight": 25}, pause, {"setWeight": 50}, pause]), &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    stand.command("promote", "step").await?;
    paused_at(stand, 3).await?;
    let steps = json!([{"setWeight": 75}, {"pause": {}}]);
    edit(stand, &json!({"strategy": {"canary": {"steps": steps}}})).await?;
    paused_at(stand, 1).await?;
    has_pods(stand, &[(1, 1), (2, 3)]).await
}

async fn an_abort_of_a_complete_rollout_changes_nothing(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &routed(stand, &json!([{"setWeight": 50}]), &json!({}))).await?;
    for version in ["2", "3"] {
        stand.command("abort", "a test says so").await?;
        stand
            .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "the command taken off the object", |r| {
                r["metadata"]["annotations"]["tidegate.dev/abort"].is_null().then_some(())
            })
            .await?;
        let calm = stand.healthy().await?;
        anyhow::ensure!(calm["status"]["abort"] != true, "{}", wait::glance(&calm));
        stand.change(Revision::good(version)).await?;
        stand.healthy().await?;
    }
    Ok(())
}

async fn a_newer_revision_gets_the_pods_that_its_step_asks_for(stand: &Stand) -> anyhow::Result<()> {
    let steps = json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 0}, {"pause": {}}]);
    begin(stand, 2, &routed(stand, &steps, &json!({"scaleDownDelaySeconds": 1}))).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 2).await?;
    has_pods(stand, &[(1, 2), (2, 1)]).await?;
    stand.change(Revision::good("3")).await?;
    has_pods(stand, &[(1, 2), (3, 1)]).await?;
    paused_at(stand, 2).await?;
    Ok(())
}

async fn an_abort_whose_canary_pods_are_gone_is_carried_out(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 2, &routed(stand, &json!([{"setWeight": 50}, {"pause": {}}]), &json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    let paused = paused_at(stand, 1).await?;
    stand.command("abort", "a test says so").await?;
    let hash = paused["status"]["currentPodHash"].as_str().unwrap_or_default();
    for pod in stand.pods_of(hash).await? {
        stand.cluster.kill_pod(stand.namespace(), &pod).await?;
    }
    phase(stand, "Degraded").await?;
    stand.live(0, SETTLE).await?;
    has_deadlines(stand, 1).await?;
    has_pods(stand, &[(1, 2), (2, 1)]).await
}

async fn a_scale_in_after_an_abort_is_followed(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({"abortScaleDownDelaySeconds": 4});
    begin(stand, 4, &routed(stand, &json!([{"setWeight": 50}, {"pause": {}}]), &more)).await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    stand.command("abort", "a test says so").await?;
    phase(stand, "Degraded").await?;
    edit(stand, &json!({"replicas": 1})).await?;
    has_pods(stand, &[(1, 1)]).await
}
