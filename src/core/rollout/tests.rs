//! The engine in the simulated cluster: whole rollouts, with the oracle looking at every moment.

use crate::core::object::{ObjectRef, ResourceType};
use crate::sim::api::State;
use crate::sim::oracle::Oracle;
use crate::sim::run::Run;
use serde_json::{Value, json};

mod dump;
mod former;
mod retire;
mod roles;
mod window;

const NAMESPACE: &str = "shop";

fn rollout() -> ObjectRef {
    ObjectRef::new(ResourceType::ROLLOUT, NAMESPACE, "web")
}

fn put(state: &mut State, resource: ResourceType, name: &str, spec: &Value) {
    let target = ObjectRef::new(resource, NAMESPACE, name);
    let object = json!({"apiVersion": target.resource.api_version(), "kind": target.resource.kind,
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec});
    let now = state.now;
    state.server.create(&target, &object, "user", now).expect("a free place");
}

fn service(state: &mut State, name: &str) {
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]});
    put(state, ResourceType::SERVICE, name, &spec);
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}})
}

fn spec(strategy: Value) -> Value {
    json!({"replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": template("app:1"), "strategy": strategy})
}

fn canary(steps: Value) -> Value {
    json!({"canary": {"stableService": "web-stable", "canaryService": "web-canary", "steps": steps,
        "trafficRouting": {"traefik": {"weightedTraefikServiceName": "web"}}}})
}

/// A cluster with the Services, the user's IngressRoute and the Rollout.
fn cluster(strategy: Value) -> Run {
    let run = Run::new(Oracle::new());
    {
        let mut state = run.shared.state();
        for name in ["web-stable", "web-canary"] {
            service(&mut state, name);
        }
        let route =
            json!({"kind": "Rule", "match": "Host(`web`)", "services": [{"kind": "TraefikService", "name": "web"}]});
        put(&mut state, ResourceType::INGRESS_ROUTE, "web", &json!({"routes": [route]}));
        put(&mut state, ResourceType::ROLLOUT, "web", &spec(strategy));
    }
    run
}

fn status(run: &Run) -> Value {
    run.get(&rollout()).expect("the Rollout")["status"].clone()
}

fn change(run: &Run, change: impl FnOnce(&mut Value)) {
    run.shared.state().server.change(&rollout(), "user", change).expect("the Rollout is there");
}

fn set_image(run: &Run, image: &str) {
    change(run, |object| object["spec"]["template"] = template(image));
}

fn annotate(run: &Run, key: &str, value: &str) {
    change(run, |object| object["metadata"]["annotations"][format!("tidegate.dev/{key}")] = json!(value));
}

fn sizes(run: &Run) -> Vec<(String, i64)> {
    let state = run.shared.state();
    let sets = state.server.iter().filter(|(t, _)| t.resource == ResourceType::REPLICA_SET);
    let mut sizes: Vec<_> = sets
        .map(|(_, o)| {
            let image = o["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            (image.to_owned(), o["spec"]["replicas"].as_i64().unwrap_or(-1))
        })
        .collect();
    sizes.sort();
    sizes
}

fn selected(run: &Run, service: &str) -> String {
    let target = ObjectRef::new(ResourceType::SERVICE, NAMESPACE, service);
    let service = run.get(&target).expect("the Service");
    service["spec"]["selector"]["rollouts-pod-template-hash"].as_str().unwrap_or_default().to_owned()
}

/// No rule broken, and at rest: nothing more is written.
fn at_rest(run: &mut Run) {
    let before = run.shared.state().server.version();
    run.pass_time(120);
    let writes = run.shared.state().writes.clone();
    assert_eq!(
        run.shared.state().server.version(),
        before,
        "it goes on writing: {:?}",
        &writes[writes.len().saturating_sub(5)..]
    );
    assert_eq!(run.oracle.broken(), Vec::<String>::new());
}

#[test]
fn the_first_revision_becomes_stable_and_then_nothing_is_written() {
    let mut run = cluster(canary(json!([{"setWeight": 20}, {"pause": {}}])));
    run.pass_time(60);
    let status = status(&run);
    assert_eq!(status["phase"], "Healthy", "{status:#}");
    assert_eq!(status["stableRS"], status["currentPodHash"]);
    assert_eq!(sizes(&run), [("app:1".to_owned(), 4)]);
    assert_eq!(run.oracle.weights, [0]);
    at_rest(&mut run);
}

#[test]
fn a_canary_goes_from_step_to_step_and_is_promoted() {
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": "10s"}}]);
    let mut run = cluster(canary(steps));
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(60);
    let paused = status(&run);
    assert_eq!(paused["phase"], "Paused", "{paused:#}");
    assert_eq!(paused["traffic"]["live"]["canary"], 20);
    assert_eq!(sizes(&run), [("app:1".to_owned(), 4), ("app:2".to_owned(), 1)]);
    annotate(&run, "promote", "step");
    run.pass_time(30);
    assert_eq!(run.get(&rollout()).expect("it")["metadata"]["annotations"].get("tidegate.dev/promote"), None);
    run.pass_time(90);
    let done = status(&run);
    assert_eq!(done["phase"], "Healthy", "{done:#}");
    assert_eq!(run.oracle.weights, [0, 20, 60, 100, 0]);
    assert_eq!(sizes(&run), [("app:1".to_owned(), 0), ("app:2".to_owned(), 4)]);
    assert_eq!(selected(&run, "web-stable"), done["stableRS"].as_str().unwrap_or_default());
    assert_eq!(selected(&run, "web-canary"), done["stableRS"].as_str().unwrap_or_default());
    at_rest(&mut run);
}

#[test]
fn an_update_writes_its_status_for_what_is_decided_and_not_for_what_is_only_told() {
    let mut run = cluster(canary(json!([{"setWeight": 50}, {"pause": {"duration": "10s"}}])));
    run.pass_time(30);
    run.shared.state().writes.clear();
    set_image(&run, "app:2");
    run.pass_time(60);
    assert_eq!(status(&run)["phase"], "Healthy");
    let writes = run.shared.state().writes.clone();
    let patches: Vec<&Value> = writes.iter().filter_map(|w| w.status.as_ref()).collect();
    let of_step = patches.iter().find(|patch| patch["currentStepIndex"] == 1).expect("the first step ends");
    assert_eq!(of_step["pauseConditions"][0]["reason"], "CanaryPauseStep", "the pause begins with it: {of_step:#}");
    // Begin, two shares asked for and seen, the pause's end, stable's change, the way to 0, and pods that come late.
    assert!(patches.len() <= 11, "{} writes: {patches:#?}", patches.len());
}

#[test]
fn abort_takes_the_share_back_and_the_revision_is_not_started_again() {
    let mut run = cluster(canary(json!([{"setWeight": 50}, {"pause": {}}])));
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(60);
    annotate(&run, "abort", "checkout is slow");
    run.pass_time(90);
    let aborted = status(&run);
    assert_eq!(aborted["phase"], "Degraded", "{aborted:#}");
    assert!(aborted["message"].as_str().unwrap_or_default().contains("checkout is slow"));
    assert_eq!(run.oracle.weights, [0, 50, 0]);
    assert_eq!(sizes(&run), [("app:1".to_owned(), 4), ("app:2".to_owned(), 0)]);
    assert_eq!(selected(&run, "web-canary"), aborted["stableRS"].as_str().unwrap_or_default());
    set_image(&run, "app:1");
    run.pass_time(60);
    assert_eq!(status(&run)["phase"], "Healthy");
    set_image(&run, "app:2");
    run.pass_time(60);
    assert_eq!(status(&run)["phase"], "Degraded");
    assert_eq!(run.oracle.weights, [0, 50, 0]);
    annotate(&run, "retry", "true");
    run.pass_time(60);
    assert_eq!(run.oracle.weights, [0, 50, 0, 50]);
    assert_eq!(run.oracle.broken(), Vec::<String>::new());
}

#[test]
fn e4_a_metric_without_end_is_refused_where_its_end_is_waited_for() {
    let endless = json!({"metrics": [{"name": "errors", "interval": "10s", "successCondition": "result < 1",
        "provider": {"prometheus": {"address": "http://prometheus.test", "query": "up"}}}]});
    let reference = json!({"templates": [{"templateName": "errors"}]});
    let mut inline = canary(json!([{"setWeight": 50}, {"analysis": reference}]));
    let mut run = cluster(inline.clone());
    put(&mut run.shared.state(), ResourceType::ANALYSIS_TEMPLATE, "errors", &endless);
    run.pass_time(30);
    let refused = status(&run);
    assert_eq!(refused["phase"], "Degraded", "{refused:#}");
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("metric \"errors\" of the analysis of step 1"), "{message}");
    assert!(message.contains("set count"), "{message}");
    inline["canary"]["steps"] = json!([{"setWeight": 50}]);
    inline["canary"]["analysis"] = reference;
    let mut run = cluster(inline);
    put(&mut run.shared.state(), ResourceType::ANALYSIS_TEMPLATE, "errors", &endless);
    run.pass_time(30);
    assert_eq!(status(&run)["phase"], "Healthy");
}

#[test]
fn a_third_revision_starts_only_when_the_second_has_no_share() {
    let mut run = cluster(canary(json!([{"setWeight": 50}, {"pause": {}}])));
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(60);
    set_image(&run, "app:3");
    run.pass_time(120);
    let status = status(&run);
    assert_eq!(status["phase"], "Paused", "{status:#}");
    assert_eq!(run.oracle.weights, [0, 50, 0, 50]);
    assert_eq!(sizes(&run), [("app:1".to_owned(), 4), ("app:2".to_owned(), 0), ("app:3".to_owned(), 2)]);
    at_rest(&mut run);
}

#[test]
fn going_back_to_stable_in_the_middle_takes_the_share_back_and_is_healthy() {
    let mut run = cluster(canary(json!([{"setWeight": 50}, {"pause": {}}])));
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(60);
    set_image(&run, "app:1");
    run.pass_time(90);
    assert_eq!(status(&run)["phase"], "Healthy");
    assert_eq!(run.oracle.weights, [0, 50, 0]);
    at_rest(&mut run);
}

#[test]
fn a_template_that_the_api_server_refuses_changes_nothing_but_the_condition() {
    let mut run = cluster(canary(json!([{"setWeight": 50}])));
    run.pass_time(30);
    set_image(&run, "refused");
    run.pass_time(60);
    let status = status(&run);
    assert_eq!(status["phase"], "Degraded");
    assert!(status["message"].as_str().unwrap_or_default().starts_with("InvalidSpec: spec.template"), "{status:#}");
    assert_eq!(sizes(&run), [("app:1".to_owned(), 4)]);
    at_rest(&mut run);
}

#[test]
fn abort_works_while_the_spec_cannot_be_read() {
    let mut run = cluster(canary(json!([{"setWeight": 50}, {"pause": {}}])));
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(60);
    change(&run, |object| object["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 500}]));
    run.pass_time(10);
    assert!(status(&run)["message"].as_str().unwrap_or_default().starts_with("InvalidSpec"), "{:#}", status(&run));
    assert_eq!(run.oracle.weights, [0, 50]);
    annotate(&run, "abort", "now");
    run.pass_time(10);
    assert_eq!(run.oracle.weights, [0, 50, 0]);
    assert_eq!(run.oracle.broken(), Vec::<String>::new());
}

#[test]
fn a_canary_that_loses_its_pods_has_no_share() {
    let mut run = cluster(canary(json!([{"setWeight": 50}, {"pause": {}}])));
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(60);
    let canary = {
        let state = run.shared.state();
        let hash = state.server.get(&rollout()).expect("it")["status"]["currentPodHash"].clone();
        ObjectRef::new(ResourceType::REPLICA_SET, NAMESPACE, format!("web-{}", hash.as_str().unwrap_or_default()))
    };
    run.shared.state().node.strike(&canary, true);
    run.pass_time(60);
    assert_eq!(run.oracle.weights.last(), Some(&0));
    assert_eq!(run.oracle.broken(), Vec::<String>::new());
}

#[test]
fn pods_that_crash_past_the_deadline_abort_by_themselves() {
    let mut run = cluster(canary(json!([{"setWeight": 50}])));
    run.pass_time(30);
    change(&run, |object| object["spec"]["progressDeadlineSeconds"] = json!(30));
    set_image(&run, "bad:2");
    run.pass_time(120);
    let status = status(&run);
    assert_eq!(status["phase"], "Degraded", "{status:#}");
    assert_eq!(run.oracle.weights, [0]);
    at_rest(&mut run);
}

#[test]
fn blue_green_switches_when_promoted_and_back_on_abort() {
    let strategy = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary",
        "autoPromotionEnabled": false}});
    let mut run = cluster(strategy);
    run.pass_time(30);
    let first = selected(&run, "web-stable");
    assert_eq!(status(&run)["phase"], "Healthy", "{:#}", status(&run));
    set_image(&run, "app:2");
    run.pass_time(30);
    assert_eq!(status(&run)["phase"], "Paused", "{:#}", status(&run));
    assert_eq!(selected(&run, "web-stable"), first);
    assert_ne!(selected(&run, "web-canary"), first);
    annotate(&run, "promote", "true");
    run.pass_time(90);
    let done = status(&run);
    assert_eq!(done["phase"], "Healthy", "{done:#}");
    assert_eq!(selected(&run, "web-stable"), done["currentPodHash"].as_str().unwrap_or_default());
    assert_eq!(sizes(&run), [("app:1".to_owned(), 0), ("app:2".to_owned(), 4)]);
    set_image(&run, "app:3");
    run.pass_time(30);
    annotate(&run, "abort", "ugly");
    run.pass_time(90);
    assert_eq!(selected(&run, "web-stable"), done["currentPodHash"].as_str().unwrap_or_default());
    assert_eq!(sizes(&run)[2], ("app:3".to_owned(), 0));
    at_rest(&mut run);
}

#[test]
fn without_a_router_pods_are_replaced_inside_surge_and_missing() {
    let strategy = json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}], "maxSurge": 1, "maxUnavailable": 0}});
    let mut run = cluster(strategy);
    run.pass_time(30);
    assert_eq!(status(&run)["phase"], "Healthy", "{:#}", status(&run));
    set_image(&run, "app:2");
    run.pass_time(60);
    assert_eq!(sizes(&run), [("app:1".to_owned(), 2), ("app:2".to_owned(), 2)]);
    annotate(&run, "promote", "step");
    run.pass_time(60);
    assert_eq!(status(&run)["phase"], "Healthy", "{:#}", status(&run));
    assert_eq!(sizes(&run), [("app:1".to_owned(), 0), ("app:2".to_owned(), 4)]);
    at_rest(&mut run);
}

/// F1 put right: nothing selects a revision that is gone.
#[test]
fn services_of_the_user_are_given_back_when_the_rollout_is_deleted() {
    let mut run = cluster(canary(json!([{"setWeight": 50}])));
    run.pass_time(30);
    assert_ne!(selected(&run, "web-stable"), "");
    let now = run.now();
    run.shared.state().server.delete(&rollout(), None, now).expect("it is there");
    run.pass_time(30);
    for name in ["web-stable", "web-canary"] {
        let service = run.get(&ObjectRef::new(ResourceType::SERVICE, NAMESPACE, name)).expect("the user's Service");
        assert_eq!(service["spec"]["selector"], json!({"app": "web"}));
        assert_eq!(service["metadata"]["labels"].get("tidegate.dev/rollout"), None);
    }
    let before = run.shared.state().server.version();
    run.pass_time(60);
    assert_eq!(run.shared.state().server.version(), before);
}

/// Where an Application leaves the selector to the Rollout, git's labels come by annotation.
#[test]
fn a_selector_that_changes_in_git_reaches_the_service_with_the_hash() {
    let mut run = cluster(canary(json!([{"setWeight": 50}])));
    change(&run, |o| o["spec"]["template"]["metadata"]["labels"] = json!({"app": "web", "tier": "front"}));
    run.pass_time(30);
    let stable = ObjectRef::new(ResourceType::SERVICE, NAMESPACE, "web-stable");
    let wish = json!({"app": "web", "tier": "front"}).to_string();
    let write = |o: &mut Value| o["metadata"]["annotations"]["tidegate.dev/selector"] = json!(wish);
    run.shared.state().server.change(&stable, "tidegate-sync", write).expect("it is there");
    run.pass_time(30);
    let hash = status(&run)["stableRS"].clone();
    let expected = json!({"app": "web", "tier": "front", "rollouts-pod-template-hash": hash});
    assert_eq!(run.get(&stable).expect("it")["spec"]["selector"], expected);
}
