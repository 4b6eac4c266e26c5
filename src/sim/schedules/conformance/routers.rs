//! What the suite tries with other routers and is as true of Traefik: shares, aborts, sizes.

use super::super::super::shop::{name, put};
use super::super::shop::Shop;
use super::{half, has_pods, is, is_paused_at, opened, routed, seen, selects, updated, with_deadline};
use crate::core::object::ResourceType;
use crate::sim::traefik::Answered;
use serde_json::{Value, json};

fn ten_percent() -> Value {
    json!([{"setWeight": 10}, {"pause": {}}])
}

#[test]
fn the_share_goes_up_and_all_of_it_goes_back_to_stable_at_the_end() {
    let mut shop = updated(1, routed(ten_percent(), json!({"scaleDownDelaySeconds": 60})));
    is_paused_at(&shop, 1);
    assert_eq!(shop.run.oracle.weights, [0, 10], "{}", shop.story());
    shop.annotate(0, "promote", "step");
    shop.play(30);
    is(&shop, "Healthy");
    assert_eq!(shop.run.oracle.weights, [0, 10, 100, 0], "{}", shop.story());
    has_pods(&shop, &[("web:1", 1), ("web:2", 1)]);
    assert_eq!(with_deadline(&shop), ["web:1"]);
    selects(&shop, "web-stable", "web:2");
}

#[test]
fn an_abort_of_a_complete_rollout_changes_nothing() {
    let mut shop = opened(1, routed(json!([{"setWeight": 50}]), json!({})));
    for image in ["web:2", "web:3"] {
        shop.annotate(0, "abort", "for nothing");
        shop.play(30);
        is(&shop, "Healthy");
        assert_ne!(shop.status()["abort"], true, "{}", shop.story());
        shop.deploy(0, image);
        shop.play(60);
        is(&shop, "Healthy");
        selects(&shop, "web-stable", image);
    }
}

#[test]
fn a_newer_revision_gets_the_pods_that_its_step_asks_for() {
    let steps = json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 0}, {"pause": {}}]);
    let mut shop = updated(2, routed(steps, json!({"scaleDownDelaySeconds": 1})));
    is_paused_at(&shop, 2);
    has_pods(&shop, &[("web:1", 2), ("web:2", 1)]);
    shop.deploy(0, "web:3");
    shop.play(30);
    is_paused_at(&shop, 2);
    has_pods(&shop, &[("web:1", 2), ("web:3", 1)]);
}

#[test]
fn an_abort_whose_canary_pods_are_gone_is_carried_out() {
    let mut shop = updated(5, routed(json!([{"setWeight": 80}, {"pause": {}}]), json!({})));
    has_pods(&shop, &[("web:1", 5), ("web:2", 4)]);
    shop.strike(0, "web:2", false);
    shop.annotate(0, "abort", "slow");
    shop.play(1);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    shop.play(9);
    is(&shop, "Degraded");
    has_pods(&shop, &[("web:1", 5), ("web:2", 4)]);
    assert_eq!(with_deadline(&shop), ["web:2"], "{}", shop.story());
}

#[test]
fn a_scale_in_after_an_abort_is_followed_and_the_canary_goes_at_its_deadline() {
    let mut shop = updated(4, routed(half(), json!({"abortScaleDownDelaySeconds": 30})));
    shop.annotate(0, "abort", "slow");
    shop.play(10);
    shop.edit(0, |o| o["spec"]["replicas"] = json!(1));
    let stable = seen(&mut shop, 10, |shop| shop.end().pods["web:1"]);
    assert_eq!(stable.last(), Some(&1), "{stable:?} {}", shop.story());
    assert!(shop.end().pods.contains_key("web:2"), "{}", shop.story());
    shop.play(60);
    has_pods(&shop, &[("web:1", 1)]);
}

/// The share of the canary that an instance of Traefik gives to requests of a method.
fn shares(shop: &Shop) -> Vec<i64> {
    let state = shop.run.shared.state();
    state.traefiks.iter().map(|traefik| traefik.weight("shop-web", "shop-web-canary-80")).collect()
}

#[test]
fn two_ways_in_give_the_canary_the_same_share() {
    let mut shop = Shop::of(2, &routed(half(), json!({})));
    let backend = json!({"kind": "TraefikService", "name": "web"});
    let route = json!({"match": "Host(`web.partner`)", "kind": "Rule", "priority": 1000, "services": [backend]});
    let target = name(ResourceType::INGRESS_ROUTE, "partner");
    let object = json!({"spec": {"entryPoints": ["web"], "routes": [route]}});
    put(&mut shop.run.shared.state(), &target, "traefik.io/v1alpha1", "IngressRoute", object);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!(shares(&shop), [50, 50], "{}", shop.story());
    let state = shop.run.shared.state();
    let weighted: Vec<&str> = state.traefiks[0]
        .loaded()
        .routers
        .values()
        .filter(|r| r.enabled && r.service == "shop-web")
        .map(|r| r.rule.as_str())
        .collect();
    assert!(weighted.contains(&"Host(`web.partner`)") && weighted.contains(&"Host(`web.shop`)"), "{weighted:?}");
}

#[test]
fn every_weight_of_the_steps_is_what_users_get() {
    let mut shop =
        opened(10, routed(json!([{"setWeight": 5}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]), json!({})));
    assert_eq!(shares(&shop), [0, 0], "{}", shop.story());
    shop.deploy(0, "web:2");
    for weight in [5, 50] {
        shop.play(30);
        assert_eq!(shares(&shop), [weight, weight], "{}", shop.story());
        let groups = match shop.run.shared.state().traefiks[0].request("GET") {
            Answered::By(groups) => groups,
            Answered::NotFound => vec![],
        };
        let shares: Vec<f64> = groups.iter().map(|(share, _)| *share).collect();
        #[expect(clippy::cast_precision_loss, reason = "a weight is small")]
        let weight = weight as f64;
        assert_eq!(shares, [100.0 - weight, weight]);
        shop.annotate(0, "promote", "step");
    }
    shop.play(60);
    is(&shop, "Healthy");
    assert_eq!(shares(&shop), [0, 0], "{}", shop.story());
}
