//! Blue/green: preview sizes, promotion, delays, analysis before and after the switch.

use super::super::Scenario;
use super::returns::has_labels;
use super::{begin, has_counts, has_pods, keeps_pods, phase, rollout, runs, selected, selects, template};
use crate::objects::Revision;
use crate::stand::Stand;
use serde_json::{Value, json};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(&["argo#18", "Q2"], roles_of_a_pair_are_seen_on_its_pods_and_change_at_the_switch),
    scenario!(&["argo#39", "S2"], as_many_old_revisions_wait_as_the_limit_allows),
    scenario!(&["argo#19", "argo#20", "D3"], a_missed_deadline_is_forgiven_when_the_pods_come_up),
    scenario!(&["argo#25", "Y1"], promote_full_ends_a_running_analysis),
    scenario!(&["argo#66"], preview_timed_promotion_and_a_failure_after_it),
    scenario!(&["argo#21", "B1"], a_preview_of_fewer_pods_grows_when_it_is_promoted),
    scenario!(&["argo#22", "K5"], promote_full_does_not_wait_for_the_preview),
    scenario!(&["argo#36"], the_old_revision_stays_up_after_the_switch),
    scenario!(&["argo#37", "V2"], a_change_to_canary_gives_the_active_service_back),
    scenario!(core & ["argo#41", "A5"], an_aborted_preview_goes_after_its_delay),
    scenario!(&["argo#62", "N4"], a_quick_return_runs_no_analysis),
    scenario!(&["argo#63"], a_failed_analysis_before_the_switch_leaves_users_where_they_are),
    scenario!(&["argo#64", "B7"], a_failed_analysis_after_the_switch_takes_users_back),
    scenario!(&["argo#65", "A8"], a_new_version_after_an_abort_goes_its_way),
];

fn blue_green(more: &Value) -> Value {
    let mut strategy = json!({"blueGreen": {
        "activeService": "active", "previewService": "preview", "autoPromotionEnabled": false, "scaleDownDelaySeconds": 120
    }});
    super::merge(&mut strategy["blueGreen"], more);
    strategy
}

async fn a_preview_of_fewer_pods_grows_when_it_is_promoted(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 2, &blue_green(&json!({"previewReplicaCount": 1}))).await?;
    stand.change(Revision::good("2")).await?;
    phase(stand, "Paused").await?;
    has_counts(stand, [2, 3, 1, 2, 2]).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    has_counts(stand, [2, 4, 2, 2, 2]).await
}

async fn promote_full_does_not_wait_for_the_preview(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 2, &blue_green(&json!({"previewReplicaCount": 1}))).await?;
    stand.change(Revision::good("2")).await?;
    phase(stand, "Paused").await?;
    stand.command("promote", "full").await?;
    stand.healthy().await?;
    selects(stand, "active", 2).await?;
    has_counts(stand, [2, 4, 2, 2, 2]).await
}

async fn the_old_revision_stays_up_after_the_switch(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 3, &blue_green(&json!({"autoPromotionEnabled": true}))).await?;
    has_counts(stand, [3, 3, 3, 3, 3]).await?;
    stand.change(Revision::good("2")).await?;
    stand.healthy().await?;
    selects(stand, "active", 2).await?;
    has_counts(stand, [3, 6, 3, 3, 3]).await
}

async fn a_change_to_canary_gives_the_active_service_back(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &blue_green(&json!({}))).await?;
    selects(stand, "active", 1).await?;
    let canary = json!({"strategy": {"blueGreen": null, "canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}});
    super::edit(stand, &canary).await?;
    stand.healthy().await?;
    crate::wait::poll(crate::stand::SETTLE, "the Service selects no revision", || async {
        match selected(stand, "active").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn an_aborted_preview_goes_after_its_delay(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &blue_green(&json!({"abortScaleDownDelaySeconds": 1}))).await?;
    stand.change(Revision::good("2")).await?;
    phase(stand, "Paused").await?;
    has_pods(stand, &[(1, 1), (2, 1)]).await?;
    stand.command("abort", "a test says so").await?;
    phase(stand, "Degraded").await?;
    has_pods(stand, &[(1, 1)]).await?;
    selects(stand, "active", 1).await
}

async fn a_quick_return_runs_no_analysis(stand: &Stand) -> anyhow::Result<()> {
    template(stand, "good", "vector(1)").await?;
    let analysis = json!({"templates": [{"templateName": "good"}]});
    let more =
        json!({"autoPromotionEnabled": true, "prePromotionAnalysis": analysis, "postPromotionAnalysis": analysis});
    begin(stand, 1, &blue_green(&more)).await?;
    stand.change(Revision::good("2")).await?;
    stand.healthy().await?;
    anyhow::ensure!(runs(stand).await? == 2, "one run before and one after the switch, not {}", runs(stand).await?);
    stand.change(Revision::good("1")).await?;
    let healthy = stand.healthy().await?;
    anyhow::ensure!(healthy["status"]["currentRevision"] == 3, "the way back is a revision of its own");
    anyhow::ensure!(runs(stand).await? == 2, "a quick return ran an analysis");
    selects(stand, "active", 3).await
}

async fn a_failed_analysis_before_the_switch_leaves_users_where_they_are(stand: &Stand) -> anyhow::Result<()> {
    template(stand, "bad", "vector(0)").await?;
    let more = json!({"prePromotionAnalysis": {"templates": [{"templateName": "bad"}]}});
    begin(stand, 1, &blue_green(&more)).await?;
    stand.change(Revision::good("2")).await?;
    phase(stand, "Degraded").await?;
    selects(stand, "active", 1).await?;
    stand.command("retry", "true").await?;
    crate::wait::poll(crate::stand::SETTLE, "a second run", || async {
        match runs(stand).await {
            Ok(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn a_failed_analysis_after_the_switch_takes_users_back(stand: &Stand) -> anyhow::Result<()> {
    template(stand, "bad", "vector(0)").await?;
    let more = json!({"autoPromotionEnabled": true, "postPromotionAnalysis": {"templates": [{"templateName": "bad"}]}});
    begin(stand, 1, &blue_green(&more)).await?;
    stand.change(Revision::good("2")).await?;
    selects(stand, "active", 2).await?;
    phase(stand, "Degraded").await?;
    selects(stand, "active", 1).await?;
    keeps_pods(stand, &[(1, 1), (2, 1)]).await
}

async fn a_new_version_after_an_abort_goes_its_way(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &blue_green(&json!({}))).await?;
    stand.change(Revision::good("2")).await?;
    phase(stand, "Paused").await?;
    stand.command("abort", "a test says so").await?;
    phase(stand, "Degraded").await?;
    stand.change(Revision::good("3")).await?;
    phase(stand, "Paused").await?;
    let paused = rollout(stand).await?;
    anyhow::ensure!(paused["status"]["abort"] != true, "the abort of version 2 is still in force");
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    selects(stand, "active", 3).await
}

async fn a_missed_deadline_is_forgiven_when_the_pods_come_up(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &blue_green(&json!({}))).await?;
    super::edit(stand, &json!({"progressDeadlineSeconds": 5, "progressDeadlineAbort": false})).await?;
    stand.change(super::slow("2")).await?;
    phase(stand, "Degraded").await?;
    phase(stand, "Paused").await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    super::edit(stand, &json!({"strategy": {"blueGreen": {"autoPromotionEnabled": true}}})).await?;
    stand.change(super::slow("3")).await?;
    phase(stand, "Degraded").await?;
    stand.healthy().await?;
    selects(stand, "active", 3).await
}

async fn promote_full_ends_a_running_analysis(stand: &Stand) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"namespace": stand.namespace(), "name": "long"},
        "spec": {"metrics": [{
            "name": "long", "interval": "2s", "count": 500, "successCondition": "result[0] > 0",
            "provider": {"prometheus": {"address": super::prometheus(stand)?, "query": "vector(1)"}}
        }]}
    });
    stand.cluster.apply(&object).await?;
    let analysis = json!({"templates": [{"templateName": "long"}]});
    let more =
        json!({"autoPromotionEnabled": true, "prePromotionAnalysis": analysis, "postPromotionAnalysis": analysis});
    begin(stand, 1, &blue_green(&more)).await?;
    stand.change(Revision::good("2")).await?;
    super::run_phases(stand, &["Running"]).await?;
    stand.command("promote", "full").await?;
    stand.healthy().await?;
    selects(stand, "active", 2).await?;
    anyhow::ensure!(runs(stand).await? == 1, "an analysis was started although everything was promoted");
    super::run_phases(stand, &["Successful"]).await
}

async fn preview_timed_promotion_and_a_failure_after_it(stand: &Stand) -> anyhow::Result<()> {
    template(stand, "good", "vector(1)").await?;
    template(stand, "bad", "vector(0)").await?;
    let more = json!({
        "previewReplicaCount": 1, "autoPromotionEnabled": true, "autoPromotionSeconds": 6,
        "prePromotionAnalysis": {"templates": [{"templateName": "good"}]},
        "postPromotionAnalysis": {"templates": [{"templateName": "bad"}]}
    });
    begin(stand, 2, &blue_green(&more)).await?;
    stand.change(Revision::good("2")).await?;
    phase(stand, "Paused").await?;
    has_counts(stand, [2, 3, 1, 2, 2]).await?;
    anyhow::ensure!(selected(stand, "active").await? == Some(1), "switched before its time");
    has_counts(stand, [2, 4, 2, 2, 2]).await?;
    phase(stand, "Degraded").await?;
    selects(stand, "active", 1).await?;
    let aborted = rollout(stand).await?;
    anyhow::ensure!(aborted["status"]["stableRS"] != aborted["status"]["currentPodHash"], "version 2 became stable");
    Ok(())
}

async fn roles_of_a_pair_are_seen_on_its_pods_and_change_at_the_switch(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({
        "scaleDownDelaySeconds": 1,
        "activeMetadata": {"labels": {"role": "active"}}, "previewMetadata": {"labels": {"role": "preview"}}
    });
    begin(stand, 1, &blue_green(&more)).await?;
    has_labels(stand, "role", &["active"]).await?;
    stand.change(Revision::good("2")).await?;
    phase(stand, "Paused").await?;
    has_labels(stand, "role", &["active", "preview"]).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    has_pods(stand, &[(2, 1)]).await?;
    has_labels(stand, "role", &["active"]).await
}

async fn as_many_old_revisions_wait_as_the_limit_allows(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({"autoPromotionEnabled": true, "scaleDownDelaySeconds": 600, "scaleDownDelayRevisionLimit": 2});
    begin(stand, 1, &blue_green(&more)).await?;
    for version in ["2", "3", "4"] {
        stand.change(Revision::good(version)).await?;
        stand.healthy().await?;
    }
    has_pods(stand, &[(2, 1), (3, 1), (4, 1)]).await?;
    has_counts(stand, [1, 3, 1, 1, 1]).await?;
    super::edit(stand, &json!({"strategy": {"blueGreen": {"scaleDownDelayRevisionLimit": 1}}})).await?;
    has_pods(stand, &[(3, 1), (4, 1)]).await?;
    has_counts(stand, [1, 2, 1, 1, 1]).await
}
