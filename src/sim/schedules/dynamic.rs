//! `dynamicStableScale`: pods follow the shares in both roles, and the way back waits for stable.

use super::super::shop::replica_sets;
use super::shop::{Shop, lines};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn shop(steps: Value) -> Shop {
    let mut shop = Shop::with(steps, vec![], &[]);
    shop.run.oracle.back_within = Some(SignedDuration::from_secs(65));
    shop.edit(0, |o| o["spec"]["strategy"]["canary"]["dynamicStableScale"] = json!(true));
    shop.play(60);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
    shop
}

fn steps() -> Value {
    json!([{"setWeight": 25}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}])
}

fn both(stable: u64, canary: u64) -> BTreeMap<String, u64> {
    let all = [("web:1", stable), ("web:2", canary)];
    all.into_iter().filter(|(_, n)| *n > 0).map(|(image, n)| (image.to_owned(), n)).collect()
}

/// A canary at 75 % with three of four pods.
fn at_75() -> Shop {
    let mut shop = shop(steps());
    shop.deploy(0, "web:2");
    shop.play(30);
    assert_eq!((shop.weight(), shop.end().pods), (25, both(3, 1)), "{}", shop.story());
    shop.annotate(0, "promote", "step");
    shop.play(30);
    assert_eq!((shop.weight(), shop.end().pods), (75, both(1, 3)), "{}", shop.story());
    shop
}

#[test]
fn a_promotion_ends_with_all_pods_new_and_none_old() {
    let mut shop = at_75();
    shop.annotate(0, "promote", "step");
    shop.play(60);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Healthy", &both(0, 4)), "no delay: {}", shop.story());
    assert!(end.services.values().all(|image| image == "web:2"), "{end:?}");
}

/// Stable keeps a pod while its Service is in the route, or Traefik could not build the route at all.
#[test]
fn stable_keeps_a_pod_as_long_as_the_canary_may_go_back() {
    let mut shop = shop(json!([{"setWeight": 100}, {"pause": {}}]));
    shop.deploy(0, "web:2");
    shop.play(120);
    assert_eq!((shop.weight(), shop.end().pods), (100, both(1, 4)), "{}", shop.story());
    shop.annotate(0, "abort", "no");
    shop.play(120);
    assert_eq!((shop.weight(), shop.end().pods), (0, both(4, 0)), "{}", shop.story());
}

/// Design, section 4: 0 at once when the canary has no endpoint.
#[test]
fn a_canary_that_died_is_left_at_once() {
    let mut shop = at_75();
    shop.strike(0, "web:2", true);
    shop.play(2);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    shop.play(60);
    let state = shop.run.shared.state();
    let stable = replica_sets(&state).into_iter().find(|(_, image, _)| image == "web:1").expect("it");
    assert_eq!(stable.2["spec"]["replicas"], json!(4), "stable has everybody: {}", lines(&state.writes));
}

/// Stable never gets its pods: the share goes back all the same when the time is over.
#[test]
fn a_stable_that_cannot_grow_has_everybody_after_a_minute() {
    let mut shop = at_75();
    shop.run.shared.state().node.start_up = SignedDuration::from_hours(1);
    shop.annotate(0, "abort", "slow");
    shop.play(50);
    assert_eq!(shop.weight(), 75, "{}", shop.story());
    shop.play(20);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
}

/// N7: a third revision waits as the way back does.
#[test]
fn a_newer_revision_in_the_middle_waits_for_stable() {
    let mut shop = at_75();
    shop.deploy(0, "web:3");
    shop.play(60);
    assert_eq!(shop.run.oracle.weights, [0, 25, 75, 25, 0, 25], "{}", shop.story());
    shop.annotate(0, "promote", "full");
    shop.play(120);
    let pods = BTreeMap::from([("web:3".to_owned(), 4)]);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods), "{}", shop.story());
}
