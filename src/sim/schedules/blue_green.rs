//! Blue/green through Traefik: the switch is one write of the weights, and one takes it back.

use super::super::shop::{name, put, replica_sets};
use super::crashes::{Schedule, survives_from};
use super::shop::{PODS, Shop};
use crate::core::object::ResourceType;
use crate::core::question::Verdict;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Puts the strategy in the place of the shop's canary, and a template for its analysis beside it.
fn rebuild(shop: &mut Shop, more: Value) {
    shop.edit(0, move |o| {
        let mut strategy = json!({"activeService": "web-stable", "previewService": "web-canary",
            "trafficRouting": {"traefik": {"weightedTraefikServiceName": "web"}}});
        json_patch::merge(&mut strategy, &more);
        o["spec"]["strategy"] = json!({"blueGreen": strategy});
    });
    let metric = json!({"name": "good", "interval": "20s", "count": 3, "successCondition": "result == 1",
        "provider": {"prometheus": {"address": "http://p", "query": "q"}}});
    let target = name(ResourceType::ANALYSIS_TEMPLATE, "good");
    let object = json!({"spec": {"metrics": [metric]}});
    put(&mut shop.run.shared.state(), &target, "tidegate.dev/v1alpha1", "AnalysisTemplate", object);
}

/// A shop in which the first revision is served.
fn opened(more: Value) -> Shop {
    let mut shop = Shop::open(vec![]);
    rebuild(&mut shop, more);
    shop.play(60);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Healthy", 0), "{}", shop.story());
    shop
}

fn analysed() -> Value {
    json!({"postPromotionAnalysis": {"templates": [{"templateName": "good"}]}})
}

fn pods<const N: usize>(images: [&str; N]) -> BTreeMap<String, u64> {
    images.into_iter().map(|image| (image.to_owned(), PODS)).collect()
}

fn selected(shop: &Shop) -> (String, String) {
    let services = shop.end().services;
    (services["web-stable"].clone(), services["web-canary"].clone())
}

fn both(active: &str, preview: &str) -> (String, String) {
    (active.to_owned(), preview.to_owned())
}

/// One instance of Traefik goes on with what it has loaded, for as long as it is said to.
fn stick(shop: &mut Shop, second: i64, stuck: bool) {
    shop.run.at(second, move |state| state.traefiks[1].stuck = stuck);
}

/// Until when the pods of an image are held, as it is written on their ReplicaSet.
fn held_until(shop: &Shop, image: &str) -> Option<Timestamp> {
    let state = shop.run.shared.state();
    let set = replica_sets(&state).into_iter().find(|(_, i, _)| i == image)?.2;
    set["metadata"]["annotations"]["scale-down-deadline"].as_str()?.parse().ok()
}

#[test]
fn a_switch_by_weights_ends_with_everybody_at_the_new_revision() {
    let mut shop = opened(json!({}));
    shop.deploy(0, "web:2");
    shop.play(120);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Healthy", &pods(["web:2"])), "{}", shop.story());
    assert_eq!(selected(&shop), both("web:2", "web:2"), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 100, 0], "{}", shop.story());
}

/// The Service that is in git moves only when nobody comes through it.
#[test]
fn until_it_is_promoted_users_stay_and_the_preview_shows_the_new_revision() {
    let mut shop = opened(json!({"autoPromotionEnabled": false, "previewReplicaCount": 1}));
    shop.deploy(0, "web:2");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", 0), "{}", shop.story());
    assert_eq!(selected(&shop), both("web:1", "web:2"));
    assert_eq!(shop.end().pods["web:2"], 1, "{}", shop.story());
    shop.run.at(0, |state| state.traefiks[1].silent = true);
    shop.annotate(0, "promote", "step");
    shop.play(20);
    assert_eq!((shop.weight(), shop.end().pods), (0, pods(["web:1", "web:2"])), "one is not heard: {}", shop.story());
    shop.run.at(0, |state| state.traefiks[1].silent = false);
    shop.play(20);
    assert_eq!((shop.phase().as_str(), selected(&shop)), ("Healthy", both("web:2", "web:2")), "{}", shop.story());
}

/// Promotion and delay are counted from what Traefik serves, not from what was written.
#[test]
fn a_switch_is_over_when_every_instance_serves_it_and_the_delay_runs_from_then() {
    let mut shop = opened(json!({"autoPromotionEnabled": false}));
    shop.deploy(0, "web:2");
    shop.play(30);
    stick(&mut shop, 0, true);
    shop.annotate(0, "promote", "step");
    shop.play(120);
    assert_eq!(shop.weight(), 100, "{}", shop.story());
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Progressing", &pods(["web:1", "web:2"])), "{}", shop.story());
    assert_eq!((selected(&shop), held_until(&shop, "web:1")), (both("web:1", "web:2"), None), "{}", shop.story());
    let seen = shop.run.now();
    stick(&mut shop, 0, false);
    shop.play(20);
    assert_eq!((shop.phase().as_str(), selected(&shop)), ("Healthy", both("web:2", "web:2")), "{}", shop.story());
    assert_eq!(shop.end().pods, pods(["web:1", "web:2"]), "{}", shop.story());
    let until = held_until(&shop, "web:1").expect("a time");
    assert!(until >= seen + SignedDuration::from_secs(30), "{until} for {seen}: {}", shop.story());
    shop.play(30);
    assert_eq!(shop.end().pods, pods(["web:2"]), "{}", shop.story());
}

/// Promise 3: one write, at once, with an instance that does not listen.
#[test]
fn an_abort_after_the_switch_sends_everybody_back_in_one_write() {
    let mut shop = opened(analysed());
    shop.deploy(0, "web:2");
    shop.play(25);
    assert_eq!((shop.weight(), selected(&shop)), (100, both("web:1", "web:2")), "{}", shop.story());
    stick(&mut shop, 0, true);
    let before = shop.run.shared.state().writes.len();
    shop.annotate(0, "abort", "checkout is slow");
    shop.play(1);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    let first = shop.run.shared.state().writes[before].clone();
    assert_eq!((first.why, first.target.name.as_str()), ("lower-weight", "web"), "{first}");
    shop.play(60);
    assert_eq!(shop.end().pods, pods(["web:1", "web:2"]), "users may still be there: {}", shop.story());
    stick(&mut shop, 0, false);
    shop.play(60);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Degraded", &pods(["web:1"])), "{}", shop.story());
    assert_eq!(selected(&shop), both("web:1", "web:1"));
}

#[test]
fn a_failed_analysis_after_the_switch_takes_the_weights_back() {
    let mut shop = opened(analysed());
    shop.deploy(0, "web:2");
    shop.play(15);
    assert_eq!(shop.weight(), 100, "{}", shop.story());
    shop.run.at(0, |state| state.metric = Verdict::Failed);
    shop.play(120);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Degraded", &pods(["web:1"])), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 100, 0], "{}", shop.story());
}

#[test]
fn a_failed_analysis_before_the_switch_moves_nobody() {
    let mut shop = opened(json!({"prePromotionAnalysis": {"templates": [{"templateName": "good"}]}}));
    shop.run.at(0, |state| state.metric = Verdict::Failed);
    shop.deploy(0, "web:2");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Degraded", pods(["web:1"])), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0], "{}", shop.story());
}

/// Section 4: a live weight falls to 0 when no endpoint is ready, and returns when all are back.
#[test]
fn a_new_revision_that_dies_after_the_switch_serves_nobody_until_it_is_back() {
    let mut shop = opened(analysed());
    shop.deploy(0, "web:2");
    shop.strike(20, "web:2", false);
    shop.play(180);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods(["web:2"])), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 100, 0, 100, 0], "{}", shop.story());
}

/// The analysis is not cut short by the way back: its verdict still counts.
#[test]
fn an_analysis_that_fails_while_users_are_back_aborts() {
    let mut shop = opened(analysed());
    shop.deploy(0, "web:2");
    shop.strike(15, "web:2", true);
    shop.run.at(16, |state| state.metric = Verdict::Failed);
    shop.play(120);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Degraded", pods(["web:1"])), "{}", shop.story());
    assert!(shop.end().message.contains("analysis after the promotion Failed"), "{}", shop.story());
}

/// N7, N2: a third revision, and the return to the first, while the second has everybody.
#[test]
fn a_newer_template_after_the_switch_takes_the_weights_back_first() {
    let mut shop = opened(analysed());
    shop.deploy(0, "web:2");
    shop.deploy(20, "web:3");
    shop.play(180);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods(["web:3"])), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 100, 0, 100, 0], "{}", shop.story());
    shop.deploy(0, "web:4");
    shop.deploy(20, "web:3");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods(["web:3"])), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 100, 0, 100, 0, 100, 0], "{}", shop.story());
}

/// N4: the former revision is up in its delay.
#[test]
fn a_quick_return_switches_at_once() {
    let mut shop = opened(json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 600}));
    shop.deploy(0, "web:2");
    shop.annotate(30, "promote", "step");
    shop.play(90);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
    shop.deploy(0, "web:1");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), selected(&shop)), ("Healthy", both("web:1", "web:1")), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 100, 0, 100, 0], "{}", shop.story());
}

/// A stable that is broken for good can be replaced, once it has been gone for long enough.
#[test]
fn an_update_of_a_stable_without_pods_ends_with_everybody_at_the_new_revision() {
    let mut shop = opened(json!({}));
    shop.strike(0, "web:1", true);
    shop.deploy(5, "web:2");
    shop.play(600);
    assert_eq!((shop.phase().as_str(), selected(&shop)), ("Healthy", both("web:2", "web:2")), "{}", shop.story());
}

/// Found by the explorer. Both forms of the switch.
#[test]
fn an_update_that_is_scaled_to_nothing_ends_without_a_switch_and_is_there_when_scaled_out() {
    for more in [json!({}), json!({"trafficRouting": null})] {
        let mut shop = opened(more);
        shop.deploy(0, "web:bad");
        shop.edit(20, |o| o["spec"]["replicas"] = json!(0));
        shop.play(120);
        let end = shop.end();
        assert_eq!((end.phase.as_str(), end.pods.len()), ("Healthy", 0), "{}", shop.story());
        shop.deploy(0, "web:2");
        shop.edit(30, |o| o["spec"]["replicas"] = json!(PODS));
        shop.play(120);
        assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods(["web:2"])), "{}", shop.story());
    }
}

/// A person's word is waited for with no pods too.
#[test]
fn an_update_that_is_scaled_to_nothing_waits_for_its_promotion() {
    let mut shop = opened(json!({"autoPromotionEnabled": false}));
    shop.deploy(0, "web:2");
    shop.edit(20, |o| o["spec"]["replicas"] = json!(0));
    shop.edit(60, |o| o["spec"]["replicas"] = json!(PODS));
    shop.play(120);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", 0), "{}", shop.story());
    assert_eq!(selected(&shop), both("web:1", "web:2"), "{}", shop.story());
}

/// T12, found by the explorer.
#[test]
fn the_preview_service_stays_with_pods_that_answer_while_stable_has_none() {
    let mut shop = opened(json!({"autoPromotionEnabled": false}));
    shop.strike(0, "web:1", true);
    shop.deploy(5, "web:2");
    shop.deploy(25, "web:bad");
    shop.play(20);
    assert_eq!(selected(&shop).1, "web:2", "{}", shop.story());
    shop.play(100);
}

/// B6, O2: an invalid spec freezes the switch and nothing else.
#[test]
fn an_abort_after_the_switch_works_while_the_spec_is_invalid() {
    let mut shop = opened(analysed());
    shop.deploy(0, "web:2");
    shop.edit(20, |o| o["spec"]["strategy"]["blueGreen"]["previewService"] = json!("web-stable"));
    shop.play(60);
    assert_eq!(shop.weight(), 100, "frozen: {}", shop.story());
    shop.annotate(0, "abort", "now");
    shop.play(5);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
}

/// The seed's case: a plain Ingress, and no Service of the Rollout in git.
#[test]
fn behind_a_plain_ingress_the_services_are_ours_and_those_of_git_stay_as_they_are() {
    let mut shop = Shop::open(vec![]);
    rebuild(
        &mut shop,
        json!({"activeService": null, "previewService": null,
            "trafficRouting": {"traefik": {"weightedTraefikServiceName": null, "ingress": {"name": "shop"}}}}),
    );
    {
        let mut state = shop.run.shared.state();
        let now = state.now;
        for (resource, of) in [
            (ResourceType::INGRESS_ROUTE, "web"),
            (ResourceType::SERVICE, "web-stable"),
            (ResourceType::SERVICE, "web-canary"),
        ] {
            state.server.delete(&name(resource, of), None, now).expect("it is there");
        }
        let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]});
        put(&mut state, &name(ResourceType::SERVICE, "web"), "v1", "Service", json!({"spec": spec}));
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        let rule =
            json!({"host": "web.shop", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
        let target = name(ResourceType::INGRESS, "shop");
        put(&mut state, &target, "networking.k8s.io/v1", "Ingress", json!({"spec": {"rules": [rule]}}));
    }
    shop.play(60);
    assert_eq!((shop.phase().as_str(), selected(&shop)), ("Healthy", both("web:1", "web:1")), "{}", shop.story());
    shop.deploy(0, "web:2");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), selected(&shop)), ("Healthy", both("web:2", "web:2")), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 100, 0], "{}", shop.story());
    assert_eq!(shop.end().services["web"], "every revision", "{}", shop.story());
}

const SWITCH: Schedule = (
    |shop| {
        rebuild(shop, analysed());
        shop.deploy(60, "web:2");
    },
    360,
);

const ABORT: Schedule = (
    |shop| {
        rebuild(shop, analysed());
        shop.deploy(60, "web:2");
        shop.annotate(85, "abort", "slow");
    },
    300,
);

#[test]
fn a_process_may_die_at_any_write_of_a_switch_by_weights() {
    survives_from(SWITCH, 60);
}

#[test]
fn a_process_may_die_at_any_write_of_an_abort_after_a_switch() {
    survives_from(ABORT, 60);
}
