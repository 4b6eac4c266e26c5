//! Somebody scales the Rollout, a person or an autoscaler, at any moment of an update.

use super::super::shop::{NAMESPACE, replica_sets};
use super::shop::Shop;
use crate::core::object::{ObjectRef, ResourceType};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn opened(steps: Value) -> Shop {
    let mut shop = Shop::with(steps, vec![], &[]);
    shop.play(60);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
    shop
}

fn half() -> Value {
    json!([{"setWeight": 50}, {"pause": {}}])
}

fn scale(shop: &mut Shop, pods: u32) {
    shop.edit(0, move |o| o["spec"]["replicas"] = json!(pods));
}

fn pods(shop: &Shop) -> BTreeMap<String, u64> {
    shop.end().pods
}

fn both(stable: u64, canary: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([("web:1".to_owned(), stable), ("web:2".to_owned(), canary)])
}

fn only(image: &str, size: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(image.to_owned(), size)])
}

/// Sizes that the ReplicaSets of an image ever had, in order.
fn sizes_of(shop: &Shop, image: &str) -> Vec<u64> {
    let state = shop.run.shared.state();
    let mine: Vec<ObjectRef> =
        replica_sets(&state).into_iter().filter(|(_, i, _)| i == image).map(|(target, ..)| target).collect();
    let events = state.server.events.iter().filter(|e| mine.contains(&e.target));
    let mut sizes: Vec<u64> = events.filter_map(|e| e.object["spec"]["replicas"].as_u64()).collect();
    sizes.dedup();
    sizes
}

/// Design, section 4: scale-out is followed at once in both roles.
#[test]
fn more_pods_are_followed_at_once_in_both_roles() {
    let mut shop = opened(half());
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!(pods(&shop), both(4, 2), "{}", shop.story());
    scale(&mut shop, 8);
    shop.play(5);
    assert_eq!((pods(&shop), shop.weight()), (both(8, 4), 50), "{}", shop.story());
    assert_eq!(shop.phase(), "Paused", "scaling is no step: {}", shop.story());
}

/// Design, section 4: stable is not scaled below what it had when the update began, until that is settled.
#[test]
fn fewer_pods_are_followed_by_the_canary_and_by_stable_when_the_update_is_over() {
    let mut shop = opened(half());
    shop.deploy(0, "web:2");
    shop.play(30);
    scale(&mut shop, 2);
    shop.play(60);
    assert_eq!(pods(&shop), both(4, 1), "{}", shop.story());
    shop.annotate(0, "promote", "step");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), pods(&shop)), ("Healthy", only("web:2", 2)), "{}", shop.story());
    assert_eq!(sizes_of(&shop, "web:1"), [4, 0], "whole, then gone: {}", shop.story());
    assert!(shop.status().get("updateReplicas").is_none(), "{}", shop.status());
}

/// The abort sends everybody to the pods that stable had, and only then do they become fewer.
#[test]
fn an_abort_after_a_scale_in_finds_stable_whole_and_then_it_is_scaled_in() {
    let mut shop = opened(half());
    shop.deploy(0, "web:2");
    shop.play(30);
    scale(&mut shop, 1);
    shop.play(60);
    assert_eq!(pods(&shop).get("web:1"), Some(&4), "{}", shop.story());
    shop.annotate(0, "abort", "slow");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), pods(&shop)), ("Degraded", only("web:1", 1)), "{}", shop.story());
    let state = shop.run.shared.state();
    let writes: Vec<String> = state.writes.iter().map(ToString::to_string).collect();
    let at = |part: &str| writes.iter().position(|w| w.contains(part)).unwrap_or(usize::MAX);
    let last_scale = writes.iter().rposition(|w| w.contains("ReplicaSet") && w.ends_with(" scale"));
    assert!(last_scale > Some(at("lower-weight")), "{}", writes.join("\n"));
    drop(state);
    assert_eq!(sizes_of(&shop, "web:1"), [4, 1]);
}

#[test]
fn a_retry_after_a_scale_in_keeps_what_stable_has_then() {
    let mut shop = opened(half());
    shop.deploy(0, "web:2");
    shop.annotate(20, "abort", "no");
    shop.play(120);
    scale(&mut shop, 2);
    shop.play(10);
    assert_eq!(pods(&shop), only("web:1", 2), "{}", shop.story());
    shop.annotate(0, "retry", "true");
    shop.play(30);
    assert_eq!(pods(&shop), both(2, 1), "{}", shop.story());
}

#[test]
fn going_back_to_stable_after_a_scale_in_waits_until_it_has_all_requests() {
    let mut shop = opened(half());
    shop.deploy(0, "web:2");
    shop.play(30);
    scale(&mut shop, 2);
    shop.play(10);
    shop.deploy(0, "web:1");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), pods(&shop)), ("Healthy", only("web:1", 2)), "{}", shop.story());
    assert_eq!(sizes_of(&shop, "web:1"), [4, 2], "{}", shop.story());
}

/// argo-rollouts#2857, #3849, #4369, #4380, #4607: no moment of an update may lose a change of the size, or be stuck by it.
#[test]
fn a_size_that_changes_at_any_moment_ends_in_that_size() {
    for moment in [0, 1, 3, 20, 36, 50, 72, 78] {
        for size in [1_u32, 9] {
            let mut shop = Shop::open(vec![]);
            shop.play(60);
            shop.deploy(0, "web:2");
            shop.edit(moment, move |o| o["spec"]["replicas"] = json!(size));
            shop.play(400);
            let end = (shop.phase(), pods(&shop));
            assert_eq!(end, ("Healthy".to_owned(), only("web:2", size.into())), "{moment} s, {size}: {}", shop.story());
            assert_eq!(shop.run.oracle.weights, [0, 20, 60, 100, 0], "{moment} s, {size}: {}", shop.story());
        }
    }
}

#[test]
fn a_size_that_changes_at_any_moment_of_an_abort_ends_in_that_size() {
    for moment in [0, 2, 3, 4, 5, 8] {
        for size in [1_u32, 9] {
            let mut shop = Shop::open(vec![]);
            shop.play(60);
            shop.deploy(0, "web:2");
            shop.play(20);
            shop.annotate(3, "abort", "no");
            shop.edit(moment, move |o| o["spec"]["replicas"] = json!(size));
            shop.play(200);
            let end = (shop.phase(), pods(&shop));
            assert_eq!(
                end,
                ("Degraded".to_owned(), only("web:1", size.into())),
                "{moment} s, {size}: {}",
                shop.story()
            );
        }
    }
}

/// An autoscaler reads these: every pod of a canary, those that serve users of a blue/green pair (B9).
#[test]
fn the_scale_subresource_counts_what_serves_users() {
    let mut shop = opened(half());
    shop.deploy(0, "web:2");
    shop.play(30);
    let status = shop.status();
    assert_eq!((&status["HPAReplicas"], &status["selector"]), (&json!(6), &json!("app=web")), "{status}");
}

#[test]
fn of_blue_green_the_active_pods_alone_are_counted() {
    let mut shop = Shop::with(half(), vec![], &[]);
    let strategy = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary",
        "previewReplicaCount": 1, "autoPromotionEnabled": false}});
    shop.edit(0, move |o| {
        o["spec"]["strategy"] = strategy;
        o["spec"]["replicas"] = json!(2);
        o["spec"]["selector"]["matchExpressions"] = json!([{"key": "tier", "operator": "DoesNotExist"}]);
    });
    shop.run.pass_time(60);
    shop.deploy(0, "web:2");
    shop.run.pass_time(30);
    let status = shop.status();
    let stable = status["stableRS"].as_str().expect("a hash").to_owned();
    // B9, the reference's example.
    let counts =
        ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "HPAReplicas"].map(|f| status[f].clone());
    assert_eq!(counts, [3, 1, 2, 2, 2].map(|n| json!(n)), "{status}");
    assert_eq!(status["selector"], json!(format!("!tier,app=web,rollouts-pod-template-hash={stable}")));
    scale(&mut shop, 1);
    shop.run.pass_time(20);
    assert_eq!(sizes_of(&shop, "web:1"), [2], "not before the switch");
    shop.annotate(0, "promote", "step");
    shop.run.pass_time(120);
    assert_eq!((shop.phase().as_str(), pods(&shop)), ("Healthy", only("web:2", 1)), "{}", shop.story());
    assert_eq!(shop.run.oracle.broken(), Vec::<String>::new());
    let active = ObjectRef::new(ResourceType::SERVICE, NAMESPACE, "web-stable");
    let hash = shop.run.get(&active).expect("it")["spec"]["selector"]["rollouts-pod-template-hash"].clone();
    assert!(shop.status()["selector"].as_str().expect("text").contains(hash.as_str().expect("a hash")));
}

/// Without a router the nearest split counts (C2), which may be a pod less than the weight rounded up: the step ends with it.
#[test]
fn a_step_by_numbers_of_pods_ends_with_the_nearest_split() {
    for (replicas, weight, canary) in [(10, 14, 1), (3, 49, 1), (2, 99, 1)] {
        let steps = json!([{"setWeight": weight}, {"pause": {}}]);
        let more = json!({"stableService": "web-stable", "steps": steps, "maxSurge": 0, "maxUnavailable": 1});
        let mut shop = Shop::of(replicas, &json!({"canary": more}));
        shop.play(60);
        shop.deploy(0, "web:2");
        shop.play(900);
        assert_eq!(
            (shop.phase().as_str(), pods(&shop)),
            ("Paused", both(replicas - canary, canary)),
            "{}",
            shop.story()
        );
    }
}

/// T7: the pods that were too many are gone before the next step begins.
#[test]
fn a_weight_that_falls_is_reached_before_the_next_step() {
    let steps = json!([{"setWeight": 100}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]);
    let strategy = json!({"stableService": "web-stable", "steps": steps, "maxSurge": 0, "maxUnavailable": 1});
    let mut shop = Shop::of(4, &json!({"canary": strategy}));
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), pods(&shop)), ("Paused", only("web:2", 4)), "{}", shop.story());
    shop.run.shared.state().node.start_up = jiff::SignedDuration::from_secs(10);
    shop.annotate(0, "promote", "step");
    for _ in 0..60 {
        shop.play(1);
        let there = pods(&shop) == both(2, 2);
        assert!(there || shop.status()["currentStepIndex"] != 3, "the pause began at {:?}", pods(&shop));
    }
    assert_eq!((shop.phase().as_str(), pods(&shop)), ("Paused", both(2, 2)), "{}", shop.story());
}
