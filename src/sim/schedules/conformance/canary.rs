//! Canaries: sizes, limits, deadlines, delays, roles of pods, and a stable that follows its share.

use super::super::shop::Shop;
use super::{
    analysis, by_pods, condition, half, has_pods, is, is_paused_at, opened, pairs, roles, routed, seen, selects,
    template, updated, with_deadline,
};
use crate::core::question::Verdict;
use jiff::SignedDuration;
use serde_json::{Value, json};

#[test]
fn set_canary_scale_sizes_the_canary_apart_from_its_weight() {
    let pause = json!({"pause": {}});
    let steps = json!([
        pause, {"setCanaryScale": {"weight": 25}}, pause, {"setWeight": 50}, pause,
        {"setCanaryScale": {"replicas": 3}}, pause, {"setCanaryScale": {"matchTrafficWeight": true}}, pause
    ]);
    let mut shop = updated(4, routed(steps, json!({"scaleDownDelaySeconds": 120})));
    for (step, pods) in [(0, 0), (2, 1), (4, 1), (6, 3), (8, 2)] {
        is_paused_at(&shop, step);
        let wanted = [("web:1", 4), ("web:2", pods)];
        has_pods(&shop, if pods == 0 { &wanted[..1] } else { &wanted });
        shop.annotate(0, "promote", "step");
        shop.play(30);
    }
    is(&shop, "Healthy");
    has_pods(&shop, &[("web:1", 4), ("web:2", 4)]);
}

#[test]
fn scaling_while_paused_keeps_the_split() {
    let mut shop = updated(1, by_pods(json!([{"setWeight": 25}, {"pause": {}}]), json!({})));
    has_pods(&shop, &[("web:1", 1), ("web:2", 1)]);
    for (replicas, stable, canary) in [(8, 6, 2), (4, 3, 1)] {
        shop.edit(0, move |o| o["spec"]["replicas"] = json!(replicas));
        shop.play(30);
        is_paused_at(&shop, 1);
        has_pods(&shop, &[("web:1", stable), ("web:2", canary)]);
    }
}

/// Without a router, on the way with pods that never get ready; then it is scaled to 8, and back to 4.
fn scaled_while_new_pods_crash(limits: Value, stable: u64, canary: [u64; 3]) {
    let mut shop = opened(4, by_pods(json!([]), limits));
    shop.deploy(0, "web:bad");
    for (replicas, canary) in [4, 8, 4].into_iter().zip(canary) {
        shop.edit(0, move |o| o["spec"]["replicas"] = json!(replicas));
        shop.play(30);
        has_pods(&shop, &[("web:1", stable), ("web:bad", canary)]);
    }
}

#[test]
fn scaling_with_a_large_surge_while_new_pods_crash_follows_in_the_new_revision() {
    scaled_while_new_pods_crash(json!({"maxSurge": "100%"}), 3, [4, 8, 4]);
}

#[test]
fn scaling_with_no_pod_to_spare_while_new_pods_crash_keeps_stable_whole() {
    scaled_while_new_pods_crash(json!({"maxSurge": 2, "maxUnavailable": 0}), 4, [2, 6, 2]);
}

/// Pods of stable and of the canary.
fn split(shop: &Shop) -> (u64, u64) {
    let pods = shop.end().pods;
    let of = |image: &str| pods.get(image).copied().unwrap_or(0);
    (of("web:1"), of("web:2"))
}

#[test]
fn a_weight_that_falls_and_a_failure_take_the_canary_only_when_stable_is_up() {
    let steps = json!([{"setWeight": 100}, {"pause": {}}, {"setWeight": 0}, {"pause": {}}, {"setWeight": 100},
                       {"analysis": analysis(&["bad"])}]);
    let mut shop = Shop::of(3, &by_pods(steps, json!({"maxSurge": 2, "maxUnavailable": 0})));
    template(&shop, "bad", json!({"initialDelay": "10s"}));
    shop.run.shared.state().metrics.insert("bad".to_owned(), Verdict::Failed);
    shop.play(60);
    shop.run.shared.state().node.start_up = SignedDuration::from_secs(5);
    shop.deploy(0, "web:2");
    shop.play(60);
    is_paused_at(&shop, 1);
    has_pods(&shop, &[("web:2", 3)]);
    shop.annotate(0, "promote", "step");
    let falling = seen(&mut shop, 60, split);
    assert!(falling.contains(&(2, 3)), "{falling:?}");
    assert_eq!(split(&shop), (3, 0), "{falling:?}");
    shop.annotate(0, "promote", "step");
    let failing = seen(&mut shop, 120, split);
    is(&shop, "Degraded");
    let whole =
        failing.iter().position(|pods| *pods == (0, 3)).unwrap_or_else(|| panic!("{failing:?} {}", shop.story()));
    assert!(failing[whole..].contains(&(2, 3)), "{failing:?}");
    assert_eq!(split(&shop), (3, 0), "{failing:?}");
}

#[test]
fn pods_of_a_canary_carry_the_metadata_of_their_role() {
    let more =
        json!({"canaryMetadata": {"labels": {"role": "canary"}}, "stableMetadata": {"labels": {"role": "stable"}}});
    let mut shop = opened(2, by_pods(half(), more));
    assert_eq!(roles(&shop), pairs(&[("web:1", "stable")]), "{}", shop.story());
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!(roles(&shop), pairs(&[("web:1", "stable"), ("web:2", "canary")]), "{}", shop.story());
    shop.annotate(0, "promote", "step");
    shop.play(60);
    is(&shop, "Healthy");
    assert_eq!(roles(&shop), pairs(&[("web:2", "stable")]), "{}", shop.story());
}

#[test]
fn a_missed_deadline_is_forgiven_before_and_after_a_pause() {
    let mut shop = Shop::of(4, &by_pods(json!([{"setWeight": 25}, {"pause": {}}]), json!({})));
    shop.edit(0, |o| o["spec"]["progressDeadlineSeconds"] = json!(5));
    shop.run.shared.state().node.start_up = SignedDuration::from_secs(10);
    let first = seen(&mut shop, 30, Shop::phase);
    assert!(first.ends_with(&["Degraded".to_owned(), "Healthy".to_owned()]), "{first:?}");
    shop.deploy(0, "web:2");
    let update = seen(&mut shop, 30, Shop::phase);
    assert!(update.ends_with(&["Degraded".to_owned(), "Paused".to_owned()]), "{update:?}");
    has_pods(&shop, &[("web:1", 3), ("web:2", 1)]);
    shop.annotate(0, "promote", "step");
    let rest = seen(&mut shop, 60, Shop::phase);
    assert!(rest.ends_with(&["Degraded".to_owned(), "Healthy".to_owned()]), "{rest:?}");
}

#[test]
fn an_old_revision_in_its_delay_does_not_trip_the_deadline() {
    let mut shop = opened(2, routed(json!([]), json!({"scaleDownDelaySeconds": 30})));
    shop.edit(0, |o| o["spec"]["progressDeadlineSeconds"] = json!(10));
    shop.deploy(0, "web:2");
    shop.play(15);
    is(&shop, "Healthy");
    has_pods(&shop, &[("web:1", 2), ("web:2", 2)]);
    let phases = seen(&mut shop, 60, Shop::phase);
    assert_eq!(phases, ["Healthy"]);
    has_pods(&shop, &[("web:2", 2)]);
}

#[test]
fn the_old_revision_waits_with_a_deadline_and_is_used_again() {
    let more = json!({"scaleDownDelaySeconds": 600, "scaleDownDelayRevisionLimit": 1});
    let mut shop = updated(1, routed(json!([]), more));
    is(&shop, "Healthy");
    assert_eq!(with_deadline(&shop), ["web:1"], "{}", shop.story());
    shop.deploy(0, "web:3");
    shop.play(30);
    assert_eq!(with_deadline(&shop), ["web:2"], "one may wait: {}", shop.story());
    has_pods(&shop, &[("web:2", 1), ("web:3", 1)]);
    shop.deploy(0, "web:2");
    shop.play(30);
    is(&shop, "Healthy");
    assert_eq!(with_deadline(&shop), ["web:3"], "{}", shop.story());
    has_pods(&shop, &[("web:2", 1), ("web:3", 1)]);
}

/// Version 2 is aborted in its pause; gives the shop a second later.
fn aborted(strategy: Value) -> Shop {
    let mut shop = updated(2, strategy);
    is_paused_at(&shop, 1);
    selects(&shop, "web-canary", "web:2");
    shop.annotate(0, "abort", "slow");
    shop.play(1);
    is(&shop, "Degraded");
    shop
}

#[test]
fn an_aborted_canary_goes_after_its_delay_and_its_service_is_stables() {
    let mut shop = aborted(routed(half(), json!({"abortScaleDownDelaySeconds": 1})));
    shop.play(20);
    selects(&shop, "web-canary", "web:1");
    has_pods(&shop, &[("web:1", 2)]);
}

#[test]
fn an_abort_without_a_router_gives_the_service_back_and_takes_the_pods() {
    let mut shop = aborted(by_pods(half(), json!({"canaryService": "web-canary"})));
    shop.play(20);
    selects(&shop, "web-canary", "web:1");
    has_pods(&shop, &[("web:1", 2)]);
}

#[test]
fn a_newer_revision_takes_the_place_of_one_that_is_paused() {
    let mut shop = updated(4, by_pods(json!([{"setWeight": 25}, {"pause": {}}]), json!({})));
    has_pods(&shop, &[("web:1", 3), ("web:2", 1)]);
    shop.deploy(0, "web:3");
    shop.play(30);
    is_paused_at(&shop, 1);
    has_pods(&shop, &[("web:1", 3), ("web:3", 1)]);
}

#[test]
fn an_abort_delay_of_zero_keeps_the_canary_without_a_deadline() {
    let mut shop = aborted(routed(half(), json!({"abortScaleDownDelaySeconds": 0})));
    shop.play(600);
    has_pods(&shop, &[("web:1", 2), ("web:2", 1)]);
    assert_eq!(with_deadline(&shop), Vec::<String>::new(), "{}", shop.story());
}

/// A stable that follows its share, and a canary that is at the last of these weights.
fn following(weights: &[i64], more: Value) -> Shop {
    let steps: Vec<Value> = weights.iter().flat_map(|w| [json!({"setWeight": w}), json!({"pause": {}})]).collect();
    let mut more = more;
    more["dynamicStableScale"] = json!(true);
    let mut shop = Shop::of(4, &routed(json!(steps), more));
    shop.run.oracle.back_within = Some(SignedDuration::from_secs(65));
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(30);
    for _ in &weights[1..] {
        shop.annotate(0, "promote", "step");
        shop.play(30);
    }
    shop
}

#[test]
fn stable_has_the_pods_of_its_share_and_the_way_back_follows_it() {
    let shop = following(&[25], json!({}));
    has_pods(&shop, &[("web:1", 3), ("web:2", 1)]);
    let mut shop = following(&[25, 75], json!({}));
    has_pods(&shop, &[("web:1", 1), ("web:2", 3)]);
    shop.run.shared.state().node.gate("web:1", 3);
    shop.annotate(0, "abort", "slow");
    shop.play(20);
    assert_eq!(shop.weight(), 25, "stable carries three quarters: {}", shop.story());
    has_pods(&shop, &[("web:1", 4), ("web:2", 1)]);
    selects(&shop, "web-canary", "web:2");
    shop.run.shared.state().node.gate("web:1", 4);
    shop.play(20);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    selects(&shop, "web-canary", "web:1");
    has_pods(&shop, &[("web:1", 4)]);
}

#[test]
fn a_given_abort_delay_holds_the_canary_from_when_it_has_no_share() {
    let mut shop = following(&[25, 75], json!({"abortScaleDownDelaySeconds": 30}));
    shop.run.shared.state().node.gate("web:1", 1);
    shop.annotate(0, "abort", "slow");
    shop.play(10);
    assert_eq!((shop.weight(), with_deadline(&shop)), (75, vec![]), "{}", shop.story());
    has_pods(&shop, &[("web:1", 3), ("web:2", 3)]);
    shop.run.shared.state().node.gate("web:1", 3);
    shop.play(10);
    assert_eq!(shop.weight(), 25, "{}", shop.story());
    has_pods(&shop, &[("web:1", 4), ("web:2", 3)]);
    shop.run.shared.state().node.gate("web:1", 4);
    shop.play(10);
    assert_eq!((shop.weight(), with_deadline(&shop)), (0, vec!["web:2".to_owned()]), "{}", shop.story());
    has_pods(&shop, &[("web:1", 4), ("web:2", 3)]);
    shop.play(40);
    has_pods(&shop, &[("web:1", 4)]);
    selects(&shop, "web-stable", "web:1");
    selects(&shop, "web-canary", "web:1");
}

#[test]
fn going_back_to_stable_keeps_the_share_until_stable_carries_everybody() {
    let mut shop = following(&[25], json!({}));
    shop.run.shared.state().node.gate("web:1", 3);
    shop.deploy(0, "web:1");
    shop.play(20);
    assert_eq!(shop.weight(), 25, "{}", shop.story());
    has_pods(&shop, &[("web:1", 4), ("web:2", 1)]);
    selects(&shop, "web-canary", "web:2");
    shop.run.shared.state().node.gate("web:1", 4);
    shop.play(60);
    is(&shop, "Healthy");
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    has_pods(&shop, &[("web:1", 4)]);
    selects(&shop, "web-canary", "web:1");
    assert_eq!(shop.status()["currentRevision"], 3, "{}", shop.story());
}

#[test]
fn pausing_a_complete_rollout_changes_no_condition_of_progress() {
    let mut shop = opened(1, by_pods(half(), json!({})));
    let before = condition(&shop, "Progressing");
    shop.edit(0, |o| o["spec"]["paused"] = json!(true));
    shop.play(30);
    is(&shop, "Paused");
    let after = condition(&shop, "Progressing");
    assert_eq!((&after["status"], &after["reason"]), (&before["status"], &before["reason"]), "{}", shop.story());
}
