//! Shares: what the weights are on the way, and a stable that has the pods of its own.

use super::super::{Scenario, checks};
use super::{
    begin, create, deadlines, has_deadlines, has_pods, paused_at, phase, rollout, routed, selected, selects, unhurried,
};
use crate::cluster::Kind;
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::timeline::Timeline;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(&["argo#14", "T4"], stable_has_the_pods_of_its_share),
    scenario!(&["argo#15", "T4", "A4"], a_given_abort_delay_holds_the_canary_from_when_it_has_no_share),
    scenario!(&["argo#16", "T4", "W1"], going_back_to_stable_keeps_the_share_until_stable_carries_everybody),
    scenario!(core & ["argo#117", "W10", "S2"], the_share_goes_up_and_all_of_it_goes_back_to_stable_at_the_end),
];

fn following(stand: &Stand, more: &Value) -> Value {
    let steps = json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]);
    let mut strategy = routed(stand, &steps, more);
    strategy["canary"]["dynamicStableScale"] = true.into();
    strategy
}

async fn stable_has_the_pods_of_its_share(stand: &Stand) -> anyhow::Result<()> {
    begin(stand, 4, &following(stand, &json!({}))).await?;
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

async fn a_given_abort_delay_holds_the_canary_from_when_it_has_no_share(stand: &Stand) -> anyhow::Result<()> {
    create(stand, unhurried("1"), 4, &following(stand, &json!({"abortScaleDownDelaySeconds": 10}))).await?;
    stand.healthy().await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    stand.command("promote", "step").await?;
    paused_at(stand, 3).await?;
    has_pods(stand, &[(1, 1), (2, 3)]).await?;
    stand.command("abort", "a test says so").await?;
    has_pods(stand, &[(1, 3), (2, 3)]).await?;
    anyhow::ensure!(deadlines(stand).await? == 0, "the canary has a share and a deadline");
    stand.live(25, SETTLE).await?;
    stand.live(0, SETTLE).await?;
    has_pods(stand, &[(1, 4), (2, 3)]).await?;
    has_deadlines(stand, 1).await?;
    has_pods(stand, &[(1, 4)]).await?;
    selects(stand, &stand.app.stable(), 1).await?;
    selects(stand, &stand.app.canary(), 1).await
}

async fn going_back_to_stable_keeps_the_share_until_stable_carries_everybody(stand: &Stand) -> anyhow::Result<()> {
    create(stand, unhurried("1"), 4, &following(stand, &json!({}))).await?;
    stand.healthy().await?;
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    has_pods(stand, &[(1, 3), (2, 1)]).await?;
    stand.change(unhurried("1")).await?;
    has_pods(stand, &[(2, 1), (3, 4)]).await?;
    let live = rollout(stand).await?["status"]["traffic"]["live"]["canary"].clone();
    anyhow::ensure!(live == 25, "the share is {live} before stable has its pods");
    anyhow::ensure!(selected(stand, &stand.app.canary()).await? == Some(2), "the canary's Service left its pods");
    stand.healthy().await?;
    stand.live(0, SETTLE).await?;
    selects(stand, &stand.app.stable(), 3).await?;
    selects(stand, &stand.app.canary(), 3).await?;
    has_pods(stand, &[(3, 4)]).await
}

async fn the_share_goes_up_and_all_of_it_goes_back_to_stable_at_the_end(stand: &Stand) -> anyhow::Result<()> {
    let more = json!({"scaleDownDelaySeconds": 120});
    begin(stand, 1, &routed(stand, &json!([{"setWeight": 10}, {"pause": {}}]), &more)).await?;
    let (from, name) = (Timestamp::now(), &stand.app.name);
    let root = Timeline::record(&stand.cluster, Kind::TRAEFIK_SERVICE, stand.namespace(), name);
    stand.change(Revision::good("2")).await?;
    paused_at(stand, 1).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    stand.live(0, SETTLE).await?;
    has_pods(stand, &[(1, 1), (2, 1)]).await?;
    has_deadlines(stand, 1).await?;
    selects(stand, &stand.app.stable(), 2).await?;
    let states = root.states();
    let mut weights: Vec<i64> = states.iter().map(|(_, r)| checks::canary_weight(r, &stand.app.canary())).collect();
    weights.dedup();
    anyhow::ensure!(weights == [0, 10, 100, 0], "the canary's weights since {from} were {weights:?}");
    Ok(())
}
