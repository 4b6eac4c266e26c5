//! The ServersTransport by which a canary's pods are connected to: named in time, and never missing where it is named.

use super::super::shop::name;
use super::super::traefik::Answered;
use super::shop::Shop;
use crate::core::object::{ObjectRef, ResourceType};
use serde_json::{Value, json};

fn transport() -> ObjectRef {
    name(ResourceType::SERVERS_TRANSPORT, "web-shield")
}

fn root() -> ObjectRef {
    name(ResourceType::TRAEFIK_SERVICE, "web")
}

/// The canary's entry in the root.
fn entry(shop: &Shop) -> Value {
    let root = shop.run.get(&root()).expect("the root");
    root["spec"]["weighted"]["services"][1].clone()
}

/// A canary at 20 percent that waits.
fn paused() -> Shop {
    let mut shop = Shop::with(json!([{"setWeight": 20}, {"pause": {}}]), vec![], &[]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", 20), "{}", shop.story());
    shop
}

/// Writes of the root since `before` of all writes.
fn root_writes(shop: &Shop, before: usize) -> usize {
    let writes = &shop.run.shared.state().writes[before..];
    writes.iter().filter(|w| w.target == root()).count()
}

fn writes(shop: &Shop) -> usize {
    shop.run.shared.state().writes.len()
}

#[test]
fn the_first_weight_names_it_in_the_same_write() {
    let mut shop = Shop::with(json!([{"setWeight": 20}, {"pause": {}}]), vec![], &[]);
    shop.play(60);
    let before = writes(&shop);
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!(entry(&shop)["serversTransport"], "web-shield", "{}", shop.story());
    assert_eq!(root_writes(&shop, before), 1, "{}", shop.story());
}

/// Somebody takes it away: the weighted service falls to its net until it is back, and nobody gets a 404.
#[test]
fn one_that_is_deleted_is_made_again_while_the_net_serves() {
    let mut shop = paused();
    shop.run.at(0, |state| {
        state.server.delete(&transport(), None, state.now).expect("it is there");
    });
    shop.play(10);
    assert!(shop.run.get(&transport()).is_some(), "{}", shop.story());
    assert_eq!(entry(&shop)["serversTransport"], "web-shield", "{}", shop.story());
    let answered = shop.run.shared.state().traefiks[0].request("GET");
    assert!(matches!(&answered, Answered::By(groups) if groups.len() == 2), "{answered:?}\n{}", shop.story());
}

/// A controller that knew of none left the canary's entry without: it is made first, and named when Traefik had time to load it.
#[test]
fn in_the_middle_of_a_canary_it_is_there_for_five_seconds_before_it_is_named() {
    let mut shop = paused();
    shop.run.at(0, |state| {
        let without = |o: &mut Value| {
            let entry = o["spec"]["weighted"]["services"][1].as_object_mut().expect("the canary's entry");
            entry.remove("serversTransport");
        };
        state.server.change(&root(), "former", without).expect("the root");
        state.server.delete(&transport(), None, state.now).expect("it is there");
    });
    shop.play(4);
    assert!(shop.run.get(&transport()).is_some(), "{}", shop.story());
    assert_eq!(entry(&shop)["serversTransport"], Value::Null, "{}", shop.story());
    shop.play(4);
    assert_eq!(entry(&shop)["serversTransport"], "web-shield", "{}", shop.story());
}

#[test]
fn a_shield_that_is_turned_off_takes_it_away_when_nobody_names_it_any_more() {
    let mut shop = paused();
    shop.edit(0, |o| o["spec"]["strategy"]["canary"]["trafficRouting"]["traefik"]["shield"] = json!("none"));
    shop.play(20);
    assert_eq!(entry(&shop)["serversTransport"], Value::Null, "{}", shop.story());
    shop.annotate(0, "promote", "full");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), shop.run.get(&transport())), ("Healthy", None), "{}", shop.story());
}
