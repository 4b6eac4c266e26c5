//! Versions that do not come up: what stays, and the way out.

use super::super::shop::Shop;
use super::{by_pods, has_pods, is, opened, seen};
use serde_json::{Value, json};

/// One more pod at a time, and none may be missing; a deadline of 5 s that aborts nothing.
fn careful(steps: Value) -> Value {
    by_pods(steps, json!({"maxSurge": 1, "maxUnavailable": 0}))
}

fn late(shop: &mut Shop) {
    shop.edit(0, |o| {
        o["spec"]["progressDeadlineSeconds"] = json!(5);
        o["spec"]["progressDeadlineAbort"] = json!(false);
    });
}

/// A first version that never worked, and a good one a minute later.
fn good_after_bad(replicas: u64, steps: Value) -> Shop {
    let mut shop = Shop::of(replicas, &careful(steps));
    shop.deploy(0, "web:bad");
    shop.play(60);
    has_pods(&shop, &[("web:bad", replicas)]);
    shop.deploy(0, "web:2");
    shop.play(120);
    is(&shop, "Healthy");
    has_pods(&shop, &[("web:2", replicas)]);
    shop
}

#[test]
fn one_bad_version_after_another_leaves_stable_at_full_size() {
    let mut shop = opened(4, careful(json!([])));
    late(&mut shop);
    shop.deploy(0, "web:bad2");
    let first = seen(&mut shop, 60, Shop::phase);
    assert_eq!(first.last().map(String::as_str), Some("Degraded"), "{first:?}");
    has_pods(&shop, &[("web:1", 4), ("web:bad2", 1)]);
    shop.deploy(0, "web:bad3");
    let second = seen(&mut shop, 60, Shop::phase);
    assert_eq!(second, ["Degraded", "Progressing", "Degraded"]);
    has_pods(&shop, &[("web:1", 4), ("web:bad3", 1)]);
}

#[test]
fn a_good_version_follows_a_first_one_that_never_worked() {
    good_after_bad(4, json!([]));
}

#[test]
fn a_bad_version_after_a_bad_one_keeps_the_pods_of_stable() {
    let mut shop = Shop::of(4, &careful(json!([])));
    late(&mut shop);
    shop.deploy(0, "web:bad1");
    shop.play(60);
    is(&shop, "Degraded");
    shop.deploy(0, "web:bad2");
    let phases = seen(&mut shop, 60, Shop::phase);
    assert_eq!(phases, ["Degraded", "Progressing", "Degraded"]);
    has_pods(&shop, &[("web:bad1", 4), ("web:bad2", 1)]);
}

#[test]
fn a_good_version_follows_through_its_steps() {
    good_after_bad(2, json!([{"setWeight": 50}, {"pause": {"duration": 5}}]));
}
