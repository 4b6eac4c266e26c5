//! The end of a Rollout: by itself, with its pods left behind, in a namespace that ends, while nobody is there to see it.

use super::super::shop::{NAMESPACE, delete_rollout, name, replica_sets, rollout};
use super::shop::{Shop, lines};
use crate::core::object::{ObjectRef, ResourceType};
use crate::sim::api::State;
use jiff::SignedDuration;
use serde_json::{Value, json};

const FINALIZER: &str = "tidegate.dev/canary-weight";

/// A canary at 20 %, in its pause.
fn at_twenty() -> Shop {
    let mut shop = Shop::with(json!([{"setWeight": 20}, {"pause": {}}]), vec![], &[]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!(shop.weight(), 20, "{}", shop.story());
    shop
}

fn finalizers(shop: &Shop) -> Value {
    shop.run.get(&rollout()).expect("the Rollout")["metadata"]["finalizers"].clone()
}

fn delete(state: &mut State) {
    delete_rollout(state, false);
}

fn delete_and_orphan(state: &mut State) {
    delete_rollout(state, true);
}

fn images_of(shop: &Shop) -> Vec<String> {
    replica_sets(&shop.run.shared.state()).into_iter().map(|(_, image, _)| image).collect()
}

#[test]
fn the_finalizer_is_there_only_while_the_canary_has_a_share() {
    let mut shop = at_twenty();
    assert_eq!(finalizers(&shop), json!([FINALIZER]));
    shop.annotate(0, "promote", "full");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), finalizers(&shop)), ("Healthy", Value::Null), "{}", shop.story());
    shop.deploy(0, "web:3");
    shop.play(30);
    assert_eq!(finalizers(&shop), json!([FINALIZER]));
    shop.annotate(0, "abort", "no");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), finalizers(&shop)), ("Degraded", Value::Null), "{}", shop.story());
}

/// A finalizer of somebody else's stays.
#[test]
fn other_finalizers_are_left_alone() {
    let mut shop = Shop::with(json!([{"setWeight": 20}, {"pause": {}}]), vec![], &[]);
    shop.edit(0, |o| o["metadata"]["finalizers"] = json!(["example.com/backup"]));
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!(finalizers(&shop), json!(["example.com/backup", FINALIZER]));
    shop.annotate(0, "abort", "no");
    shop.play(60);
    assert_eq!(finalizers(&shop), json!(["example.com/backup"]));
}

#[test]
fn a_rollout_that_is_deleted_in_mid_canary_goes_within_seconds_with_all_its_own() {
    let mut shop = at_twenty();
    shop.run.at(0, delete);
    shop.run.pass_time(10);
    assert_eq!(shop.run.get(&rollout()), None, "{}", shop.story());
    assert_eq!(images_of(&shop), Vec::<String>::new());
    let service = shop.run.get(&name(ResourceType::SERVICE, "web-stable")).expect("it is the user's");
    assert_eq!(service["spec"]["selector"], json!({"app": "web"}));
}

/// Design, section 4: `--cascade=orphan` leaves stable serving, and the canary without requests.
#[test]
fn orphans_go_on_to_serve_and_the_canary_has_no_share() {
    let mut shop = at_twenty();
    shop.run.at(0, delete_and_orphan);
    shop.play(60);
    assert_eq!(shop.run.get(&rollout()), None, "{}", shop.story());
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    let end = shop.end();
    assert_eq!(end.services.get("web-stable").map(String::as_str), Some("web:1"), "{end:?}");
    let canary: Vec<ObjectRef> = {
        let state = shop.run.shared.state();
        replica_sets(&state).into_iter().filter(|(_, image, _)| image == "web:2").map(|(target, ..)| target).collect()
    };
    shop.run.at(0, move |state| {
        for target in canary {
            let now = state.now;
            state.server.delete(&target, None, now).expect("it was left");
        }
    });
    // No oracle may miss anybody: stable's pods, its Service and its routes are all still there.
    shop.play(600);
}

/// H3, and what everybody does next: the same manifest again.
#[test]
fn a_rollout_that_comes_back_adopts_what_it_left() {
    let mut shop = at_twenty();
    shop.annotate(0, "abort", "no");
    shop.play(90);
    let manifest = shop.run.get(&rollout()).expect("it")["spec"].clone();
    let before = images_of(&shop);
    shop.run.at(0, delete_and_orphan);
    shop.play(30);
    shop.run.at(0, move |state| {
        let object = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
            "spec": manifest});
        let now = state.now;
        state.server.create(&rollout(), &object, "kubectl", now).expect("the place is free");
    });
    shop.play(90);
    let uid = shop.run.get(&rollout()).expect("it")["metadata"]["uid"].clone();
    assert_eq!((shop.phase().as_str(), images_of(&shop)), ("Healthy", before), "{}", shop.story());
    let state = shop.run.shared.state();
    let owned = |t: &ObjectRef| state.server.get(t).expect("it")["metadata"]["ownerReferences"][0]["uid"] == uid;
    assert!(replica_sets(&state).iter().all(|(target, ..)| owned(target)), "{}", lines(&state.writes));
    assert!(owned(&name(ResourceType::TRAEFIK_SERVICE, "web")));
}

#[test]
fn a_traefik_that_says_nothing_holds_a_deletion_no_longer_than_the_bound() {
    let mut shop = at_twenty();
    shop.run.at(0, |state| {
        state.traefiks.iter_mut().for_each(|t| t.silent = true);
        delete(state);
    });
    shop.run.pass_time(10);
    assert_ne!(shop.run.get(&rollout()), None, "not before the bound");
    shop.run.pass_time(10);
    assert_eq!(shop.run.get(&rollout()), None, "{}", shop.story());
}

/// An instance that answers and does not load is no reason to hold a namespace either.
#[test]
fn a_weight_that_never_gets_live_holds_a_deletion_no_longer_than_the_bound() {
    let mut shop = at_twenty();
    shop.run.at(0, |state| {
        state.traefiks[1].silent = true;
        delete(state);
    });
    shop.run.pass_time(20);
    assert_eq!(shop.run.get(&rollout()), None, "{}", shop.story());
}

#[test]
fn a_namespace_that_ends_is_not_held() {
    let mut shop = at_twenty();
    shop.run.at(0, |state| {
        let all: Vec<ObjectRef> =
            state.server.iter().filter(|(t, _)| t.namespace == NAMESPACE).map(|(t, _)| t.clone()).collect();
        let now = state.now;
        for target in all {
            // Some went with their owner a moment ago.
            let _ = state.server.delete(&target, None, now);
        }
    });
    shop.run.pass_time(1);
    assert_eq!(shop.run.get(&rollout()), None, "{}", shop.story());
}

#[test]
fn a_rollout_without_pods_to_go_back_to_is_not_held() {
    let mut shop = at_twenty();
    shop.strike(0, "web:1", true);
    shop.run.pass_time(5);
    shop.run.at(0, delete);
    shop.run.pass_time(2);
    assert_eq!(shop.run.get(&rollout()), None, "{}", shop.story());
}

#[test]
fn a_deletion_that_nobody_saw_is_carried_out_by_the_next_process() {
    let mut shop = at_twenty();
    shop.run.stop(SignedDuration::from_mins(10));
    shop.run.at(0, delete_and_orphan);
    shop.run.pass_time(300);
    assert_eq!(finalizers(&shop), json!([FINALIZER]), "it waits for somebody");
    shop.play(330);
    assert_eq!((shop.run.get(&rollout()), shop.weight()), (None, 0), "{}", shop.story());
}
