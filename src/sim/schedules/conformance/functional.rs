//! Commands and their events, restarts, templates, conditions, metrics.

use super::super::super::shop;
use super::super::shop::Shop;
use super::{
    analysis, blue_green, by_pods, condition, half, has_counts, has_pods, has_runs, is, is_paused_at, opened, routed,
    seen, template, updated,
};
use serde_json::{Value, json};

fn reasons(shop: &Shop) -> Vec<&'static str> {
    shop.run.shared.state().notices.iter().map(|(reason, _)| *reason).collect()
}

#[test]
fn abort_retry_and_promote_are_told_in_their_order() {
    let mut shop = opened(1, by_pods(half(), json!({})));
    assert!(reasons(&shop).contains(&"RolloutCompleted"), "{:?}", reasons(&shop));
    shop.run.shared.state().notices.clear();
    shop.deploy(0, "web:2");
    shop.play(30);
    is_paused_at(&shop, 1);
    has_pods(&shop, &[("web:1", 1), ("web:2", 1)]);
    shop.annotate(0, "abort", "slow");
    shop.play(60);
    is(&shop, "Degraded");
    shop.annotate(0, "retry", "true");
    shop.play(30);
    is_paused_at(&shop, 1);
    shop.annotate(0, "promote", "step");
    shop.play(60);
    is(&shop, "Healthy");
    let told = reasons(&shop);
    let steps = told.iter().filter(|r| **r == "RolloutStepCompleted").count();
    assert_eq!(steps, 3, "setWeight twice, and the pause: {told:?}");
    let chapters = ["RolloutUpdated", "RolloutPaused", "RolloutAborted", "RolloutRetry", "RolloutCompleted"];
    let mut order: Vec<&str> = told.iter().copied().filter(|r| chapters.contains(r)).collect();
    order.dedup();
    let wanted =
        ["RolloutUpdated", "RolloutPaused", "RolloutAborted", "RolloutRetry", "RolloutPaused", "RolloutCompleted"];
    assert_eq!(order, wanted);
}

#[test]
fn promote_full_after_an_abort_and_a_retry_runs_no_analysis() {
    let steps = json!([{"setWeight": 50}, {"pause": {}}, {"analysis": analysis(&["good"])}]);
    let mut shop = Shop::of(1, &by_pods(steps, json!({})));
    template(&shop, "good", json!({}));
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.annotate(30, "abort", "slow");
    shop.annotate(60, "promote", "full");
    shop.play(90);
    is(&shop, "Degraded");
    assert_eq!(shop.status()["commands"][1]["outcome"], "Refused", "an abort stays until a retry: {}", shop.story());
    shop.annotate(0, "retry", "true");
    shop.annotate(30, "promote", "full");
    shop.play(60);
    is(&shop, "Healthy");
    has_runs(&shop, &[]);
    has_pods(&shop, &[("web:2", 1)]);
}

#[test]
fn promote_full_ends_an_analysis_before_the_switch_and_starts_none_after_it() {
    let more = json!({"autoPromotionEnabled": true, "prePromotionAnalysis": analysis(&["long"]),
                      "postPromotionAnalysis": analysis(&["long"])});
    let mut shop = Shop::of(1, &blue_green(more));
    template(&shop, "long", json!({"count": 500}));
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(30);
    has_runs(&shop, &[("PrePromotion", "Running")]);
    shop.annotate(0, "promote", "full");
    shop.play(30);
    is(&shop, "Healthy");
    has_runs(&shop, &[("PrePromotion", "Successful")]);
}

/// Ready pods of all revisions.
fn ready(shop: &Shop) -> usize {
    shop.run.shared.state().node.ready_by_set().map(|(_, ready)| ready).sum()
}

#[test]
fn a_restart_takes_as_many_pods_at_once_as_may_be_missing() {
    let steps = json!([{"setWeight": 25}, {"pause": {}}]);
    let mut shop = updated(4, by_pods(steps, json!({"maxUnavailable": "75%"})));
    has_pods(&shop, &[("web:1", 3), ("web:2", 1)]);
    shop.run.shared.state().node.start_up = jiff::SignedDuration::from_secs(5);
    shop.annotate(0, "restart", "2026-01-01T00:01:30Z");
    let ready = seen(&mut shop, 120, ready);
    assert_eq!(ready.iter().min(), Some(&1), "{ready:?} {}", shop.story());
    is_paused_at(&shop, 1);
    has_counts(&shop, [4, 4, 1, 4, 4]);
}

#[test]
fn a_budget_that_refuses_holds_a_restart_until_it_allows_it() {
    let steps = json!([{"setWeight": 25}, {"pause": {}}]);
    let mut shop = updated(4, by_pods(steps, json!({"maxUnavailable": "100%"})));
    let born = |shop: &Shop| shop.run.shared.state().node.pods().map(|(_, pod)| pod.born).min();
    let before = born(&shop);
    shop.run.shared.state().node.budget = true;
    shop.annotate(0, "restart", "2026-01-01T00:01:30Z");
    shop.play(60);
    has_counts(&shop, [4, 4, 1, 4, 4]);
    assert_eq!(born(&shop), before);
    shop.run.shared.state().node.budget = false;
    shop.play(180);
    assert!(born(&shop) >= "2026-01-01T00:01:30Z".parse().ok(), "{}", shop.story());
    is_paused_at(&shop, 1);
    has_counts(&shop, [4, 4, 1, 4, 4]);
}

/// A first version with this pod spec.
fn with_pod(change: impl FnOnce(&mut Value) + 'static) -> Shop {
    let mut shop = Shop::of(1, &by_pods(json!([]), json!({})));
    shop.edit(0, move |o| change(&mut o["spec"]["template"]["spec"]));
    shop.play(60);
    shop
}

/// The pod spec of the only ReplicaSet.
fn pod(shop: &Shop) -> Value {
    let sets = shop::replica_sets(&shop.run.shared.state());
    assert_eq!(sets.len(), 1, "{}", shop.story());
    sets[0].2["spec"]["template"]["spec"].clone()
}

#[test]
fn a_template_with_a_list_named_items_is_rolled_out() {
    let volume = json!({"name": "v", "configMap": {"name": "map", "items": [{"key": "a", "path": "file"}]}});
    let volumes = json!([volume]);
    let wanted = volumes.clone();
    let shop = with_pod(move |pod| pod["volumes"] = volumes);
    is(&shop, "Healthy");
    assert_eq!(pod(&shop)["volumes"], wanted);
}

#[track_caller]
fn is_refused_for(shop: &Shop, field: &str) {
    is(shop, "Degraded");
    let message = shop.status()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains(field), "{message}");
    assert!(shop::replica_sets(&shop.run.shared.state()).is_empty(), "{}", shop.story());
}

#[test]
fn a_quantity_that_cannot_be_read_is_refused_with_its_field() {
    let shop = with_pod(|pod| pod["containers"][0]["resources"] = json!({"requests": {"memory": "10MiB"}}));
    is_refused_for(&shop, "spec.template.spec.containers[0].resources.requests.memory");
}

#[test]
fn an_ephemeral_container_is_refused_with_its_field() {
    let shop = with_pod(|pod| pod["ephemeralContainers"] = json!([{"name": "debug", "resources": "none"}]));
    is_refused_for(&shop, "spec.template.spec.ephemeralContainers");
}

#[test]
fn quantities_of_every_spelling_arrive_as_written() {
    for cpu in [json!(0.01), json!(1), json!("0.02"), json!("30m")] {
        let requests = json!({"requests": {"cpu": cpu}});
        let wanted = requests.clone();
        let shop = with_pod(move |pod| pod["containers"][0]["resources"] = requests);
        is(&shop, "Healthy");
        assert_eq!(pod(&shop)["containers"][0]["resources"], wanted);
    }
}

#[test]
fn a_missing_analysis_template_is_mended_by_creating_it() {
    let mut shop = Shop::of(0, &by_pods(half(), json!({"analysis": analysis(&["late"])})));
    shop.play(30);
    is(&shop, "Degraded");
    assert!(shop.end().message.contains("late"), "{}", shop.story());
    template(&shop, "late", json!({}));
    shop.play(30);
    is(&shop, "Healthy");
}

#[track_caller]
fn has_conditions(shop: &Shop, wanted: [(&str, &str); 3]) {
    let found = wanted.map(|(kind, _)| condition(shop, kind)["status"].clone());
    assert_eq!(found, wanted.map(|(_, status)| json!(status)), "{}", shop.story());
}

#[test]
fn the_condition_paused_can_be_waited_on() {
    let mut shop = opened(1, by_pods(half(), json!({})));
    assert_eq!(condition(&shop, "Paused")["status"], "False", "{}", shop.story());
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!(condition(&shop, "Paused")["status"], "True", "{}", shop.story());
}

#[test]
fn a_restart_of_a_complete_rollout_past_its_deadline_aborts_nothing() {
    let mut shop = opened(2, by_pods(json!([]), json!({"maxUnavailable": 1})));
    shop.edit(0, |o| {
        o["spec"]["progressDeadlineSeconds"] = json!(5);
        o["spec"]["progressDeadlineAbort"] = json!(true);
    });
    shop.play(60);
    shop.run.shared.state().node.start_up = jiff::SignedDuration::from_secs(20);
    shop.annotate(0, "restart", "2026-01-01T00:02:00Z");
    shop.play(180);
    is(&shop, "Healthy");
    assert_ne!(shop.status()["abort"], true, "{}", shop.story());
    assert_eq!(shop.status()["restartedAt"], "2026-01-01T00:02:00Z");
    has_pods(&shop, &[("web:1", 2)]);
}

#[test]
fn the_condition_completed_is_true_at_the_end_and_false_meanwhile() {
    let mut shop = opened(1, by_pods(half(), json!({})));
    has_conditions(&shop, [("Completed", "True"), ("Paused", "False"), ("Healthy", "True")]);
    shop.deploy(0, "web:2");
    shop.play(30);
    has_conditions(&shop, [("Completed", "False"), ("Paused", "True"), ("Healthy", "False")]);
    shop.annotate(0, "promote", "step");
    shop.play(60);
    has_conditions(&shop, [("Completed", "True"), ("Paused", "False"), ("Healthy", "True")]);
}

#[test]
fn what_was_written_is_in_the_metrics() {
    let shop = updated(1, by_pods(half(), json!({})));
    let metrics = shop.run.metrics();
    for kind in ["Rollout", "ReplicaSet", "Service"] {
        let wanted = format!("tidegate_writes_total{{kind=\"{kind}\"");
        assert!(metrics.contains(&wanted), "no {wanted} in\n{metrics}");
    }
}

#[test]
fn a_pause_longer_than_the_deadline_is_no_failure() {
    let mut shop = opened(1, routed(json!([{"setWeight": 50}, {"pause": {"duration": 60}}]), json!({})));
    shop.edit(0, |o| o["spec"]["progressDeadlineSeconds"] = json!(15));
    shop.deploy(0, "web:2");
    let phases = seen(&mut shop, 150, Shop::phase);
    assert!(!phases.contains(&"Degraded".to_owned()), "{phases:?}");
    is(&shop, "Healthy");
}

#[test]
fn template_and_replicas_in_one_change_are_both_followed() {
    let mut shop = opened(1, by_pods(json!([]), json!({})));
    for (image, replicas) in [("web:2", 3), ("web:3", 4)] {
        shop.edit(0, move |o| {
            o["spec"]["template"] = shop::template(image);
            o["spec"]["replicas"] = json!(replicas);
        });
        shop.play(60);
        is(&shop, "Healthy");
    }
    has_counts(&shop, [4, 4, 4, 4, 4]);
}
