//! Analysis in a Rollout: inline, in the background, before and after a switch.

use super::super::super::shop::{name, put};
use super::super::shop::Shop;
use super::{
    analysis, blue_green, by_pods, half, has_counts, has_pods, has_runs, is, is_paused_at, runs, seen, selects,
    template,
};
use crate::core::object::ResourceType;
use crate::core::question::Verdict;
use serde_json::{Value, json};

/// A shop with the templates `good` and `more-good`, a `bad` one that is seen after 3 s, an `endless` good one, and the first
/// revision served.
fn opened(replicas: u64, strategy: Value) -> Shop {
    let mut shop = Shop::of(replicas, &strategy);
    for metric in ["good", "more-good"] {
        template(&shop, metric, json!({}));
    }
    template(&shop, "bad", json!({"initialDelay": "3s"}));
    template(&shop, "endless", json!({"count": null}));
    shop.run.shared.state().metrics.insert("bad".to_owned(), Verdict::Failed);
    shop.play(60);
    is(&shop, "Healthy");
    shop
}

/// The same, and the second revision is on its way for so long.
fn updated(replicas: u64, strategy: Value, seconds: i64) -> Shop {
    let mut shop = opened(replicas, strategy);
    shop.deploy(0, "web:2");
    shop.play(seconds);
    shop
}

#[test]
fn a_background_analysis_runs_until_the_end() {
    let mut shop = updated(2, by_pods(half(), json!({"analysis": analysis(&["endless"])})), 300);
    is_paused_at(&shop, 1);
    has_runs(&shop, &[("Background", "Running")]);
    shop.annotate(0, "promote", "step");
    shop.play(60);
    is(&shop, "Healthy");
    has_runs(&shop, &[("Background", "Successful")]);
}

#[test]
fn an_inconclusive_background_analysis_pauses_after_its_limit() {
    let steps = json!([{"setWeight": 50}, {"pause": {"duration": "1h"}}]);
    let mut shop = Shop::of(2, &by_pods(steps, json!({"analysis": analysis(&["undecided"])})));
    let more = json!({"count": null, "inconclusiveLimit": 3, "failureCondition": "result == 0"});
    template(&shop, "undecided", more);
    shop.run.shared.state().metric = Verdict::Inconclusive;
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(12);
    has_runs(&shop, &[("Background", "Running")]);
    shop.play(60);
    has_runs(&shop, &[("Background", "Inconclusive")]);
    is_paused_at(&shop, 1);
    let reasons = shop.status()["pauseConditions"].to_string();
    assert!(reasons.contains("InconclusiveAnalysisRun"), "{reasons}");
    has_pods(&shop, &[("web:1", 1), ("web:2", 1)]);
}

#[test]
fn each_analysis_step_has_a_run_of_its_own() {
    let step = json!({"analysis": analysis(&["good"])});
    let steps = json!([step, {"setWeight": 50}, {"pause": {}}, step, {"pause": {}}, step]);
    let mut shop = updated(2, by_pods(steps, json!({})), 60);
    for (step, runs) in [(2, 1), (4, 2)] {
        is_paused_at(&shop, step);
        has_runs(&shop, &vec![("Step", "Successful"); runs]);
        shop.annotate(0, "promote", "step");
        shop.play(60);
    }
    is(&shop, "Healthy");
    has_runs(&shop, &[("Step", "Successful"); 3]);
}

/// The metrics of the only run, each with its phase.
fn measured(shop: &Shop) -> Vec<(Value, Value)> {
    let state = shop.run.shared.state();
    let mut all = state.server.iter().filter(|(target, _)| target.resource == ResourceType::ANALYSIS_RUN);
    let run = all.next().expect("a run").1["status"].clone();
    let results = run["metricResults"].as_array().cloned().unwrap_or_default();
    results.into_iter().map(|r| (r["name"].clone(), r["phase"].clone())).collect()
}

#[test]
fn several_templates_of_a_step_are_measured_in_one_run() {
    let steps = json!([{"setWeight": 50}, {"analysis": analysis(&["good", "more-good"])}]);
    let shop = updated(2, by_pods(steps, json!({})), 60);
    is(&shop, "Healthy");
    has_runs(&shop, &[("Step", "Successful")]);
    let good = json!("Successful");
    assert_eq!(measured(&shop), [(json!("good"), good.clone()), (json!("more-good"), good)]);
}

#[test]
fn one_failed_metric_of_several_aborts() {
    let steps = json!([{"setWeight": 50}, {"analysis": analysis(&["good", "bad"])}]);
    let shop = updated(2, by_pods(steps, json!({})), 60);
    is(&shop, "Degraded");
    assert!(shop.end().message.contains("bad"), "{}", shop.story());
    has_runs(&shop, &[("Step", "Failed")]);
    has_pods(&shop, &[("web:1", 2)]);
}

fn before(templates: &[&str]) -> Value {
    json!({"prePromotionAnalysis": analysis(templates)})
}

fn after(templates: &[&str]) -> Value {
    json!({"autoPromotionEnabled": true, "postPromotionAnalysis": analysis(templates)})
}

#[test]
fn a_quick_return_of_a_pair_runs_no_analysis_and_is_a_revision() {
    let mut more = before(&["good"]);
    json_patch::merge(&mut more, &after(&["good"]));
    let mut shop = updated(1, blue_green(more), 60);
    is(&shop, "Healthy");
    has_runs(&shop, &[("PrePromotion", "Successful"), ("PostPromotion", "Successful")]);
    shop.deploy(0, "web:1");
    shop.play(30);
    is(&shop, "Healthy");
    selects(&shop, "web-stable", "web:1");
    assert_eq!(runs(&shop).len(), 2, "{}", shop.story());
    assert_eq!(shop.status()["currentRevision"], 3);
}

#[test]
fn a_failed_analysis_before_the_switch_leaves_users_where_they_are() {
    let mut shop = updated(1, blue_green(before(&["bad"])), 20);
    is(&shop, "Degraded");
    selects(&shop, "web-stable", "web:1");
    has_pods(&shop, &[("web:1", 1), ("web:2", 1)]);
    shop.annotate(0, "retry", "true");
    shop.play(60);
    has_runs(&shop, &[("PrePromotion", "Failed"), ("PrePromotion", "Failed")]);
}

#[test]
fn a_failed_analysis_after_the_switch_takes_users_back() {
    let mut shop = opened(1, blue_green(after(&["bad"])));
    shop.deploy(0, "web:2");
    let active = seen(&mut shop, 60, |shop| shop.end().services["web-stable"].clone());
    assert_eq!(active, ["web:1", "web:2", "web:1"]);
    is(&shop, "Degraded");
    has_runs(&shop, &[("PostPromotion", "Failed")]);
}

#[test]
fn a_new_version_after_an_abort_goes_its_way() {
    let mut shop = updated(1, blue_green(json!({})), 30);
    shop.annotate(0, "abort", "no");
    shop.play(30);
    is(&shop, "Degraded");
    shop.deploy(0, "web:3");
    shop.play(30);
    is(&shop, "Paused");
    assert_ne!(shop.status()["abort"], true, "{}", shop.story());
    shop.annotate(0, "promote", "step");
    shop.play(30);
    is(&shop, "Healthy");
    selects(&shop, "web-stable", "web:3");
}

#[test]
fn a_preview_a_timed_promotion_and_a_failure_after_it() {
    let mut more = before(&["good"]);
    json_patch::merge(&mut more, &after(&["bad"]));
    json_patch::merge(&mut more, &json!({"previewReplicaCount": 1, "autoPromotionSeconds": 10}));
    let mut shop = updated(2, blue_green(more), 14);
    is(&shop, "Paused");
    has_counts(&shop, [2, 3, 1, 2, 2]);
    selects(&shop, "web-stable", "web:1");
    let active =
        seen(&mut shop, 60, |shop| (shop.end().services["web-stable"].clone(), shop.end().pods.values().sum()));
    let at = |image: &str, pods: u64| (image.to_owned(), pods);
    assert_eq!(active[..3], [at("web:1", 3), at("web:1", 4), at("web:2", 4)], "{}", shop.story());
    is(&shop, "Degraded");
    selects(&shop, "web-stable", "web:1");
    has_runs(&shop, &[("PrePromotion", "Successful"), ("PostPromotion", "Failed")]);
    let status = shop.status();
    assert_ne!(status["stableRS"], status["currentPodHash"]);
}

#[test]
fn background_and_steps_run_together() {
    let steps = json!([{"setWeight": 50}, {"analysis": analysis(&["good"])}, {"pause": {}}]);
    let mut shop = updated(2, by_pods(steps, json!({"analysis": analysis(&["endless"])})), 60);
    is_paused_at(&shop, 2);
    let mut found = runs(&shop);
    found.sort();
    let both = |background: &str| {
        [("Background", background), ("Step", "Successful")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    assert_eq!(found, both("Running"), "{}", shop.story());
    shop.annotate(0, "promote", "step");
    shop.play(60);
    is(&shop, "Healthy");
    let mut found = runs(&shop);
    found.sort();
    assert_eq!(found, both("Successful"), "{}", shop.story());
}

/// A template that needs arguments, and what a run of it was given.
fn given(strategy: impl Fn(Value) -> Value) {
    let mut of = analysis(&["given"]);
    of["args"] = json!([
        {"name": "app", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "new", "valueFrom": {"podTemplateHashValue": "Latest"}},
        {"name": "old", "valueFrom": {"podTemplateHashValue": "Stable"}},
        {"name": "region", "value": "north"}
    ]);
    let mut shop = Shop::of(1, &strategy(of));
    let query = "up{app=\"{{args.app}}\", new=\"{{args.new}}\", old=\"{{args.old}}\", region=\"{{args.region}}\"} > {{args.limit}}";
    let metric = json!({"name": "given", "interval": "5s", "count": 2, "successCondition": "result == 1",
                        "provider": {"prometheus": {"address": "http://p", "query": query}}});
    let args =
        json!([{"name": "app"}, {"name": "new"}, {"name": "old"}, {"name": "region"}, {"name": "limit", "value": "1"}]);
    let target = name(ResourceType::ANALYSIS_TEMPLATE, "given");
    let object = json!({"spec": {"args": args, "metrics": [metric]}});
    put(&mut shop.run.shared.state(), &target, "tidegate.dev/v1alpha1", "AnalysisTemplate", object);
    shop.play(60);
    let old = shop.status()["stableRS"].as_str().expect("a hash").to_owned();
    shop.deploy(0, "web:2");
    shop.play(60);
    is(&shop, "Healthy");
    let new = shop.status()["stableRS"].as_str().expect("a hash").to_owned();
    assert_eq!(runs(&shop).len(), 1, "{}", shop.story());
    let state = shop.run.shared.state();
    let run = state.server.iter().find(|(target, _)| target.resource == ResourceType::ANALYSIS_RUN).expect("a run").1;
    let args = run["spec"]["args"].as_array().cloned().unwrap_or_default();
    let value = |name: &str| args.iter().find(|a| a["name"] == name).map(|a| a["value"].clone()).unwrap_or_default();
    let found = ["app", "new", "old", "region", "limit"].map(value);
    assert_eq!(found, [json!("web"), json!(new), json!(old), json!("north"), json!("1")]);
    assert_eq!(run["status"]["phase"], "Successful");
}

#[test]
fn arguments_of_a_step_come_from_text_and_from_fields() {
    given(|of| by_pods(json!([{"setWeight": 50}, {"analysis": of}]), json!({})));
}

#[test]
fn arguments_of_a_background_analysis_come_from_text_and_from_fields() {
    given(|of| by_pods(json!([{"setWeight": 50}, {"pause": {"duration": 20}}]), json!({"analysis": of})));
}
