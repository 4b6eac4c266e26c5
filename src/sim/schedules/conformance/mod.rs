//! Every entry of Argo Rollouts' own end-to-end suite that concerns Tidegate, in virtual time: what a user who comes from there
//! relies on. One test for each; which one is for which is the table in `sim/conformance.rs`.
//!
//! Sizes are those that were asked for, by image: `("web:1", 3)` is three pods of stable.

#![expect(clippy::needless_pass_by_value, reason = "a strategy is written where it is used")]

mod analysis;
mod blue_green;
mod canary;
mod durations;
mod failing;
mod functional;
mod returns;
mod routers;

use super::super::shop::{name, put, replica_sets};
use super::shop::Shop;
use crate::core::object::ResourceType;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A canary behind Traefik with these steps and more fields of the strategy.
fn routed(steps: Value, more: Value) -> Value {
    let traefik = json!({"traefik": {"weightedTraefikServiceName": "web"}});
    canary(steps, json!({"canaryService": "web-canary", "trafficRouting": traefik}), more)
}

/// A canary by numbers of pods.
fn by_pods(steps: Value, more: Value) -> Value {
    canary(steps, json!({}), more)
}

fn canary(steps: Value, of: Value, more: Value) -> Value {
    let mut canary = json!({"stableService": "web-stable", "steps": steps});
    json_patch::merge(&mut canary, &of);
    json_patch::merge(&mut canary, &more);
    json!({"canary": canary})
}

/// A pair that waits for a person; the former revision stays for two minutes.
fn blue_green(more: Value) -> Value {
    let mut pair = json!({"activeService": "web-stable", "previewService": "web-canary",
                          "autoPromotionEnabled": false, "scaleDownDelaySeconds": 120});
    json_patch::merge(&mut pair, &more);
    json!({"blueGreen": pair})
}

/// Half of it, and then a person is waited for.
fn half() -> Value {
    json!([{"setWeight": 50}, {"pause": {}}])
}

/// A shop in which the first revision is served.
fn opened(replicas: u64, strategy: Value) -> Shop {
    let mut shop = Shop::of(replicas, &strategy);
    shop.play(60);
    is(&shop, "Healthy");
    shop
}

/// The same, and the second revision is on its way for half a minute.
fn updated(replicas: u64, strategy: Value) -> Shop {
    let mut shop = opened(replicas, strategy);
    shop.deploy(0, "web:2");
    shop.play(30);
    shop
}

#[track_caller]
fn is(shop: &Shop, phase: &str) {
    assert_eq!(shop.phase(), phase, "{}", shop.story());
}

#[track_caller]
fn is_paused_at(shop: &Shop, step: u64) {
    is(shop, "Paused");
    assert_eq!(shop.status()["currentStepIndex"], step, "{}", shop.story());
}

#[track_caller]
fn has_pods(shop: &Shop, wanted: &[(&str, u64)]) {
    let wanted: BTreeMap<String, u64> = wanted.iter().map(|(image, size)| ((*image).to_owned(), *size)).collect();
    assert_eq!(shop.end().pods, wanted, "{}", shop.story());
}

/// The numbers that users read: desired, current, updated, ready, available.
#[track_caller]
fn has_counts(shop: &Shop, wanted: [u64; 5]) {
    let spec = shop.run.get(&super::super::shop::rollout()).expect("the Rollout")["spec"].clone();
    let status = shop.status();
    let of = |field: &str| status[field].as_u64().unwrap_or(0);
    let counts = [
        spec["replicas"].as_u64().unwrap_or(1),
        of("replicas"),
        of("updatedReplicas"),
        of("readyReplicas"),
        of("availableReplicas"),
    ];
    assert_eq!(counts, wanted, "{}", shop.story());
}

/// The image that a Service selects.
#[track_caller]
fn selects(shop: &Shop, service: &str, image: &str) {
    assert_eq!(shop.end().services.get(service).map(String::as_str), Some(image), "{service}: {}", shop.story());
}

/// The images whose pods wait for their end at a time.
fn with_deadline(shop: &Shop) -> Vec<String> {
    let sets = replica_sets(&shop.run.shared.state());
    let waits =
        |o: &Value| !o["metadata"]["annotations"]["scale-down-deadline"].is_null() && o["spec"]["replicas"] != 0;
    let waiting = sets.into_iter().filter(|(_, _, o)| waits(o));
    let mut images: Vec<String> = waiting.map(|(_, image, _)| image).collect();
    images.sort();
    images
}

fn condition(shop: &Shop, kind: &str) -> Value {
    let conditions = shop.status()["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|c| c["type"] == kind).unwrap_or_default()
}

/// An AnalysisTemplate with one metric of its name, measured twice, 5 s apart, unless `more` says otherwise.
fn template(shop: &Shop, metric: &str, more: Value) {
    let mut one = json!({"name": metric, "interval": "5s", "count": 2, "successCondition": "result == 1",
                         "provider": {"prometheus": {"address": "http://p", "query": "q"}}});
    json_patch::merge(&mut one, &more);
    let target = name(ResourceType::ANALYSIS_TEMPLATE, metric);
    let object = json!({"spec": {"metrics": [one]}});
    put(&mut shop.run.shared.state(), &target, "tidegate.dev/v1alpha1", "AnalysisTemplate", object);
}

/// What a Rollout says of the templates that it wants measured.
fn analysis(templates: &[&str]) -> Value {
    let named: Vec<Value> = templates.iter().map(|name| json!({"templateName": name})).collect();
    json!({"templates": named})
}

/// The AnalysisRuns: the kind and the phase of each, oldest first.
fn runs(shop: &Shop) -> Vec<(String, String)> {
    let state = shop.run.shared.state();
    let all = state.server.iter().filter(|(target, _)| target.resource == ResourceType::ANALYSIS_RUN);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut runs: Vec<(String, String, String)> = all
        .map(|(_, o)| {
            let metadata = &o["metadata"];
            (
                text(&metadata["creationTimestamp"]),
                text(&metadata["labels"]["rollout-type"]),
                text(&o["status"]["phase"]),
            )
        })
        .collect();
    runs.sort();
    runs.into_iter().map(|(_, kind, phase)| (kind, phase)).collect()
}

#[track_caller]
fn has_runs(shop: &Shop, wanted: &[(&str, &str)]) {
    let found = runs(shop);
    let found: Vec<(&str, &str)> = found.iter().map(|(kind, phase)| (kind.as_str(), phase.as_str())).collect();
    assert_eq!(found, wanted, "{}", shop.story());
}

/// Plays second by second and gives what was seen each time, without repetitions.
fn seen<T: PartialEq>(shop: &mut Shop, seconds: i64, look: impl Fn(&Shop) -> T) -> Vec<T> {
    let mut all = vec![look(shop)];
    for _ in 0..seconds {
        shop.play(1);
        all.push(look(shop));
    }
    all.dedup();
    all
}

/// The label `role` of each pod, by image.
fn roles(shop: &Shop) -> Vec<(String, String)> {
    let state = shop.run.shared.state();
    let image = |set| state.server.get(set).expect("it")["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let pods = state.node.pods().map(|(set, pod)| (text(&image(set)), text(&pod.metadata["labels"]["role"])));
    let mut pods: Vec<_> = pods.collect();
    pods.sort();
    pods.dedup();
    pods
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(image, role)| ((*image).to_owned(), (*role).to_owned())).collect()
}
