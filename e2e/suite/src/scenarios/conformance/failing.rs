//! Versions that do not come up, or are late: deadlines, what stays, and the way out.

use super::super::Scenario;
use super::{
    begin, by_pods, crashing, create, edit, has_pods, keeps_pods, paused_at, phase, routed, slow, template, unhurried,
};
use crate::cluster::Kind;
use crate::objects::Revision;
use crate::stand::Stand;
use crate::timeline::Timeline;
use serde_json::json;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(&["argo#3", "C6"], scaling_with_a_large_surge_while_new_pods_crash),
    scenario!(&["argo#4", "C6"], scaling_while_new_pods_crash),
    scenario!(&["argo#5", "C6"], a_weight_that_falls_and_a_failure_take_the_canary_only_when_stable_is_up),
    scenario!(&["argo#7", "D3"], pods_that_are_late_are_forgiven_before_and_after_a_pause),
    scenario!(&["argo#8", "D2"], an_old_revision_in_its_delay_does_not_trip_the_deadline),
    scenario!(&["argo#32", "argo#34"], one_bad_version_after_another_leaves_stable_at_full_size),
    scenario!(&["argo#33"], a_good_version_follows_a_first_one_that_never_worked),
    scenario!(core & ["argo#35"], a_good_version_follows_through_steps),
    scenario!(&["argo#40"], a_missed_deadline_aborts_only_when_it_shall),
];

async fn scaling_with_a_large_surge_while_new_pods_crash(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({"maxSurge": "100%", "maxUnavailable": "25%"});
    begin(stand, 4, &by_pods(&json!([]), &more)).await?;
    edit(stand, &json!({"progressDeadlineAbort": false})).await?;
    stand.change(crashing("2")).await?;
    has_pods(stand, &[(1, 3), (2, 4)]).await?;
    edit(stand, &json!({"replicas": 8})).await?;
    has_pods(stand, &[(1, 3), (2, 8)]).await?;
    edit(stand, &json!({"replicas": 4})).await?;
    has_pods(stand, &[(1, 3), (2, 4)]).await
}

async fn scaling_while_new_pods_crash(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 4, &by_pods(&json!([]), &json!({"maxSurge": 2, "maxUnavailable": 0}))).await?;
    stand.change(crashing("2")).await?;
    has_pods(stand, &[(1, 4), (2, 2)]).await?;
    for (replicas, pods) in [(8, [(1, 4), (2, 6)]), (4, [(1, 4), (2, 2)])] {
        edit(stand, &json!({"replicas": replicas})).await?;
        has_pods(stand, &pods).await?;
    }
    Ok(())
}

async fn one_bad_version_after_another_leaves_stable_at_full_size(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 4, &by_pods(&json!([]), &json!({"maxSurge": 1, "maxUnavailable": 0}))).await?;
    edit(stand, &json!({"progressDeadlineSeconds": 5, "progressDeadlineAbort": false})).await?;
    stand.change(crashing("2")).await?;
    phase(stand, "Degraded").await?;
    keeps_pods(stand, &[(1, 4), (2, 1)]).await?;
    stand.change(crashing("3")).await?;
    phase(stand, "Degraded").await?;
    keeps_pods(stand, &[(1, 4), (3, 1)]).await
}

async fn a_good_version_follows_a_first_one_that_never_worked(stand: &Stand) -> anyhow::Result<()> {
    create(stand, crashing("1"), 4, &by_pods(&json!([]), &json!({"maxSurge": 1, "maxUnavailable": 0}))).await?;
    has_pods(stand, &[(1, 4)]).await?;
    stand.change(Revision::good("2")).await?;
    stand.healthy().await?;
    has_pods(stand, &[(2, 4)]).await
}

async fn a_good_version_follows_through_steps(stand: &Stand) -> anyhow::Result<()> {
    let steps = json!([{"setWeight": 50}, {"pause": {"duration": 2}}]);
    create(stand, crashing("1"), 2, &by_pods(&steps, &json!({"maxSurge": 1, "maxUnavailable": 0}))).await?;
    has_pods(stand, &[(1, 2)]).await?;
    stand.change(Revision::good("2")).await?;
    stand.healthy().await?;
    has_pods(stand, &[(2, 2)]).await
}

async fn a_missed_deadline_aborts_only_when_it_shall(stand: &Stand) -> anyhow::Result<()> {
    let strategy = json!({"blueGreen": {"activeService": "active", "abortScaleDownDelaySeconds": 2}});
    begin(stand, 1, &strategy).await?;
    edit(stand, &json!({"progressDeadlineSeconds": 5, "progressDeadlineAbort": false})).await?;
    stand.change(crashing("2")).await?;
    let late = phase(stand, "Degraded").await?;
    anyhow::ensure!(late["status"]["abort"] != true, "aborted although it was not to be");
    keeps_pods(stand, &[(1, 1), (2, 1)]).await?;
    edit(stand, &json!({"progressDeadlineAbort": true})).await?;
    stand.change(crashing("3")).await?;
    let aborted = |r: &serde_json::Value| (r["status"]["abort"] == true).then_some(());
    stand.until(Kind::ROLLOUT, &stand.app.name, crate::stand::SETTLE, "aborted", aborted).await?;
    has_pods(stand, &[(1, 1)]).await
}

async fn a_weight_that_falls_and_a_failure_take_the_canary_only_when_stable_is_up(stand: &Stand) -> anyhow::Result<()> {
    template(stand, "bad", "vector(0)").await?;
    let steps = json!([
        {"setWeight": 100}, {"pause": {}}, {"setWeight": 0}, {"pause": {}}, {"setWeight": 100},
        {"analysis": {"templates": [{"templateName": "bad"}]}}
    ]);
    create(stand, unhurried("1"), 3, &by_pods(&steps, &json!({"maxSurge": 2, "maxUnavailable": 0}))).await?;
    stand.healthy().await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    has_pods(stand, &[(2, 3)]).await?;
    stand.command("promote", "step").await?;
    has_pods(stand, &[(1, 2), (2, 3)]).await?;
    paused_at(stand, 3).await?;
    has_pods(stand, &[(1, 3)]).await?;
    stand.command("promote", "step").await?;
    phase(stand, "Degraded").await?;
    has_pods(stand, &[(1, 2), (2, 3)]).await?;
    has_pods(stand, &[(1, 3)]).await
}

async fn pods_that_are_late_are_forgiven_before_and_after_a_pause(stand: &Stand) -> anyhow::Result<()> {
    create(stand, slow("1"), 4, &by_pods(&json!([{"setWeight": 25}, {"pause": {}}]), &json!({}))).await?;
    edit(stand, &json!({"progressDeadlineSeconds": 5, "progressDeadlineAbort": false})).await?;
    phase(stand, "Degraded").await?;
    stand.healthy().await?;
    stand.change(slow("2")).await?;
    phase(stand, "Degraded").await?;
    paused_at(stand, 1).await?;
    has_pods(stand, &[(1, 3), (2, 1)]).await?;
    stand.command("promote", "step").await?;
    phase(stand, "Degraded").await?;
    stand.healthy().await?;
    has_pods(stand, &[(2, 4)]).await
}

async fn an_old_revision_in_its_delay_does_not_trip_the_deadline(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 1, &routed(stand, &json!([]), &json!({"scaleDownDelaySeconds": 45}))).await?;
    edit(stand, &json!({"progressDeadlineSeconds": 35})).await?;
    stand.change(Revision::good("2")).await?;
    stand.healthy().await?;
    let from = jiff::Timestamp::now();
    let states = Timeline::record(&stand.cluster, Kind::ROLLOUT, stand.namespace(), &stand.app.name);
    has_pods(stand, &[(1, 1), (2, 1)]).await?;
    has_pods(stand, &[(2, 1)]).await?;
    let other = states.first(from, |r| r["status"]["phase"] != "Healthy");
    anyhow::ensure!(other.is_none(), "not Healthy at {other:?}: {:?}", states.states().last());
    Ok(())
}
