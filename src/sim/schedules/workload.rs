//! Rollouts whose template is another object's: what a change of it does, and how its pods are handed over.

use super::super::shop::{NAMESPACE, name, replica_sets, rollout};
use super::shop::{PODS, Shop, default_steps, lines};
use crate::core::object::{ObjectRef, ResourceType};
use serde_json::{Value, json};

fn deployment() -> ObjectRef {
    name(ResourceType::DEPLOYMENT, "web")
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}})
}

/// A shop whose Rollout names `workload`, which is not there yet.
fn shop(workload: Value) -> Shop {
    let shop = Shop::with(default_steps(), vec![], &[]);
    let name_it = |o: &mut Value| {
        let spec = o["spec"].as_object_mut().expect("a spec");
        spec.remove("template");
        if workload["kind"] != "PodTemplate" {
            spec.remove("selector");
        }
        spec.insert("workloadRef".to_owned(), workload);
    };
    shop.run.shared.state().server.change(&rollout(), "git", name_it).expect("it is there");
    shop
}

fn of_deployment(scale_down: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": scale_down})
}

fn put_deployment(shop: &Shop, image: &str) {
    let spec = json!({"replicas": PODS, "selector": {"matchLabels": {"app": "web"}}, "template": template(image)});
    put(shop, &deployment(), json!({"spec": spec}));
}

fn put(shop: &Shop, target: &ObjectRef, mut object: Value) {
    object["metadata"] = json!({"name": target.name});
    let mut state = shop.run.shared.state();
    let now = state.now;
    state.server.create(target, &object, "git", now).expect("a free place");
}

fn edit(shop: &Shop, target: &ObjectRef, change: impl FnOnce(&mut Value)) {
    shop.run.shared.state().server.change(target, "git", change).expect("it is there");
}

fn set_image(shop: &Shop, image: &str) {
    edit(shop, &deployment(), |o| o["spec"]["template"] = template(image));
}

fn deployment_size(shop: &Shop) -> u64 {
    shop.run.get(&deployment()).expect("the Deployment")["spec"]["replicas"].as_u64().expect("a number")
}

/// Images and sizes of the Rollout's own ReplicaSets that have pods.
fn own_pods(shop: &Shop) -> Vec<(String, u64)> {
    let state = shop.run.shared.state();
    let own =
        replica_sets(&state).into_iter().filter(|(_, _, o)| o["metadata"]["ownerReferences"][0]["kind"] == "Rollout");
    let sizes = own.map(|(_, image, o)| (image, o["spec"]["replicas"].as_u64().unwrap_or(0)));
    sizes.filter(|(_, size)| *size > 0).collect()
}

fn web(image: &str) -> Vec<(String, u64)> {
    vec![(image.to_owned(), PODS)]
}

/// Scenario 46, Q4.
#[test]
fn a_change_of_the_deployment_goes_through_the_steps_and_never_into_the_rollout() {
    let mut shop = shop(of_deployment("never"));
    put_deployment(&shop, "web:1");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), own_pods(&shop)), ("Healthy", web("web:1")), "{}", shop.story());
    set_image(&shop, "web:2");
    shop.play(20);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", 20), "{}", shop.story());
    shop.play(240);
    assert_eq!((shop.phase().as_str(), own_pods(&shop)), ("Healthy", web("web:2")), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 20, 60, 100, 0]);
    let spec = shop.run.get(&rollout()).expect("it")["spec"].clone();
    assert!(spec.get("template").is_none() && spec.get("selector").is_none(), "{spec}");
    let status = shop.status();
    assert_eq!((&status["workloadObservedGeneration"], &status["selector"]), (&json!(2), &json!("app=web")));
    assert_eq!(deployment_size(&shop), PODS, "never means never");
}

/// Scenario 45.
#[test]
fn a_pod_template_and_a_replica_set_are_followed_too() {
    let mut bare = shop(json!({"apiVersion": "v1", "kind": "PodTemplate", "name": "web"}));
    let target = name(ResourceType::POD_TEMPLATE, "web");
    put(&bare, &target, json!({"template": template("web:1")}));
    bare.play(60);
    edit(&bare, &target, |o| o["template"] = template("web:2"));
    bare.play(240);
    assert_eq!((bare.phase().as_str(), own_pods(&bare)), ("Healthy", web("web:2")), "{}", bare.story());

    let mut set = shop(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "origin"}));
    let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template("web:1")});
    put(&set, &name(ResourceType::REPLICA_SET, "origin"), json!({"spec": spec}));
    set.play(60);
    assert_eq!((set.phase().as_str(), own_pods(&set)), ("Healthy", web("web:1")), "{}", set.story());
}

#[test]
fn onsuccess_takes_the_pods_of_the_deployment_when_users_are_served_by_the_rollout() {
    let mut shop = shop(of_deployment("onsuccess"));
    put_deployment(&shop, "web:1");
    shop.run.shared.state().node.start_up = jiff::SignedDuration::from_secs(10);
    shop.play(9);
    assert_ne!(shop.phase(), "Healthy", "{}", shop.story());
    assert_eq!(deployment_size(&shop), PODS);
    shop.play(60);
    assert_eq!((shop.phase().as_str(), own_pods(&shop)), ("Healthy", web("web:1")), "{}", shop.story());
    assert_eq!(deployment_size(&shop), 0, "{}", shop.story());
}

/// What git or a person wants of the Deployment afterwards is theirs: it is said, and not fought.
#[test]
fn a_deployment_that_is_scaled_up_again_is_left_alone_and_named() {
    let mut shop = shop(of_deployment("onsuccess"));
    put_deployment(&shop, "web:1");
    shop.play(60);
    assert_eq!(deployment_size(&shop), 0, "{}", shop.story());
    edit(&shop, &deployment(), |o| o["spec"]["replicas"] = json!(3));
    shop.play(600);
    assert_eq!(deployment_size(&shop), 3);
    let named = |shop: &Shop| {
        let conditions = shop.status()["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().find(|c| c["type"] == "WorkloadScaledUp").map(|c| c["message"].clone())
    };
    assert!(named(&shop).expect("it is said").as_str().expect("text").starts_with("Deployment web was scaled up to 3"));
    edit(&shop, &deployment(), |o| o["spec"]["replicas"] = json!(0));
    shop.play(5);
    assert_eq!(named(&shop), None);
}

#[test]
fn progressively_takes_one_pod_for_each_that_is_available() {
    let mut shop = shop(of_deployment("progressively"));
    put_deployment(&shop, "web:1");
    shop.play(60);
    let sizes: Vec<u64> = sizes_of_deployment(&shop);
    assert!(sizes.windows(2).all(|pair| pair[0] >= pair[1]), "{sizes:?}");
    assert_eq!((shop.phase().as_str(), deployment_size(&shop)), ("Healthy", 0), "{}", shop.story());
}

fn sizes_of_deployment(shop: &Shop) -> Vec<u64> {
    let state = shop.run.shared.state();
    let of = state.server.events.iter().filter(|e| e.target == deployment());
    of.filter_map(|e| e.object["spec"]["replicas"].as_u64()).collect()
}

/// argo-rollouts#4935, #4681: revision 1 never gets ready, revision 2 is good.
#[test]
fn a_revision_that_never_gets_ready_takes_nothing_and_the_next_takes_all() {
    for scale_down in ["onsuccess", "progressively"] {
        let mut shop =
            shop(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "later", "scaleDown": scale_down}));
        put_deployment(&shop, "web:1");
        shop.play(10);
        set_image(&shop, "web:bad");
        edit(&shop, &rollout(), |o| o["spec"]["workloadRef"]["name"] = json!("web"));
        edit(&shop, &rollout(), |o| o["spec"]["progressDeadlineSeconds"] = json!(30));
        shop.play(60);
        assert_eq!(
            (shop.phase().as_str(), deployment_size(&shop)),
            ("Degraded", PODS),
            "{scale_down}: {}",
            shop.story()
        );
        set_image(&shop, "web:2");
        shop.play(120);
        assert_eq!((shop.phase().as_str(), deployment_size(&shop)), ("Healthy", 0), "{scale_down}: {}", shop.story());
        assert_eq!(own_pods(&shop), web("web:2"), "{scale_down}");
    }
}

#[test]
fn a_workload_that_is_not_there_is_refused_by_name_until_it_comes() {
    let mut shop = shop(of_deployment("never"));
    shop.play(10);
    let message = shop.end().message;
    assert!(message.contains("spec.workloadRef.name") && message.contains("no such Deployment"), "{message}");
    put_deployment(&shop, "web:1");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), own_pods(&shop)), ("Healthy", web("web:1")), "{}", shop.story());
}

/// Steps stand still; size and abort go on.
#[test]
fn a_workload_that_goes_in_mid_canary_freezes_steps_and_nothing_else() {
    let mut shop = shop(of_deployment("never"));
    put_deployment(&shop, "web:1");
    shop.play(60);
    set_image(&shop, "web:2");
    shop.play(20);
    assert_eq!(shop.weight(), 20, "{}", shop.story());
    let now = shop.run.now();
    shop.run.shared.state().server.delete(&deployment(), None, now).expect("it is there");
    shop.play(300);
    assert_eq!(shop.weight(), 20, "{}", shop.story());
    edit(&shop, &rollout(), |o| o["spec"]["replicas"] = json!(6));
    shop.play(20);
    assert!(own_pods(&shop).contains(&("web:1".to_owned(), 6)), "{}", shop.story());
    shop.annotate(0, "abort", "no");
    shop.play(5);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
}

/// The next process knows nothing of the workload at first, and says nothing before it does.
#[test]
fn a_process_that_starts_anew_writes_nothing_where_all_is_well() {
    let mut shop = shop(of_deployment("onsuccess"));
    put_deployment(&shop, "web:1");
    shop.play(120);
    let before = shop.run.shared.state().writes.len();
    shop.run.restart();
    shop.play(600);
    let writes = shop.run.shared.state().writes[before..].to_vec();
    assert!(writes.is_empty(), "{}", lines(&writes));
}

/// Promise 3, in the moment in which nothing is known of the workload.
#[test]
fn an_abort_that_finds_a_new_process_is_carried_out_at_once() {
    let mut shop = shop(of_deployment("never"));
    put_deployment(&shop, "web:1");
    shop.play(60);
    set_image(&shop, "web:2");
    shop.play(20);
    assert_eq!(shop.weight(), 20, "{}", shop.story());
    shop.run.restart();
    shop.annotate(1, "abort", "no");
    shop.play(3);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    shop.play(60);
    assert_eq!((shop.phase().as_str(), own_pods(&shop)), ("Degraded", web("web:1")), "{}", shop.story());
}

/// What was changed in others' objects is put back when the owner is gone.
#[test]
fn a_deployment_has_its_pods_back_when_the_rollout_is_gone() {
    let mut shop = shop(of_deployment("progressively"));
    put_deployment(&shop, "web:1");
    shop.play(60);
    assert_eq!(deployment_size(&shop), 0, "{}", shop.story());
    let now = shop.run.now();
    shop.run.shared.state().server.delete(&rollout(), None, now).expect("it is there");
    shop.run.pass_time(30);
    let left = shop.run.get(&deployment()).expect("it is the user's");
    assert_eq!(left["spec"]["replicas"], json!(PODS), "{}", shop.story());
    assert_eq!((left["metadata"].get("annotations"), left["metadata"].get("labels")), (None, None), "{left}");
    assert_eq!(NAMESPACE, left["metadata"]["namespace"]);
}

/// Scenario 51: nothing of the Deployment is left at the end of a pair, and users were served all the time.
#[test]
fn progressively_leaves_nothing_of_the_deployment_beside_a_pair() {
    let mut shop = shop(of_deployment("progressively"));
    let pair = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary"}});
    edit(&shop, &rollout(), |o| o["spec"]["strategy"] = pair);
    put_deployment(&shop, "web:1");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), deployment_size(&shop)), ("Healthy", 0), "{}", shop.story());
    set_image(&shop, "web:2");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), own_pods(&shop)), ("Healthy", web("web:2")), "{}", shop.story());
    assert_eq!(deployment_size(&shop), 0, "{}", shop.story());
}

/// Scenario 52.
#[test]
fn progressively_leaves_nothing_of_the_deployment_beside_a_canary() {
    let mut shop = shop(of_deployment("progressively"));
    put_deployment(&shop, "web:1");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), deployment_size(&shop)), ("Healthy", 0), "{}", shop.story());
    set_image(&shop, "web:2");
    shop.play(240);
    assert_eq!((shop.phase().as_str(), own_pods(&shop)), ("Healthy", web("web:2")), "{}", shop.story());
    assert_eq!(deployment_size(&shop), 0, "{}", shop.story());
}
