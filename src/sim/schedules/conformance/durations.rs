//! How long an update took, how long of it a person let it wait, and how it ended: `status.duration`, first of canaries, then
//! of pairs.

use super::super::shop::Shop;
use super::{blue_green, by_pods, half, is, opened, updated};
use serde_json::{Value, json};

fn duration(shop: &Shop) -> Value {
    shop.status()["duration"].clone()
}

/// It ended in this way, after a person had let it wait for so many seconds.
#[track_caller]
fn ended(shop: &Shop, ending: &str, waited: i64) {
    let duration = duration(shop);
    assert_eq!(duration["completionStatus"], ending, "{}", shop.story());
    assert!(duration["finishedAt"].is_string(), "{duration}");
    assert!(duration["manualPauseStartedAt"].is_null(), "{duration}");
    let found = duration["totalManualPauseDurationSeconds"].as_i64().unwrap_or(0);
    assert!((found - waited).abs() <= 3, "a person let it wait for {waited} s: {duration}");
}

/// It is under way: nothing of an end is there.
#[track_caller]
fn runs_on(shop: &Shop) {
    let duration = duration(shop);
    assert!(duration["rolloutStartedAt"].is_string(), "{duration}");
    assert!(duration["finishedAt"].is_null() && duration["completionStatus"].is_null(), "{duration}");
}

/// `spec.paused` for 40 s after a new template, which then goes its way.
fn paused_by_spec(strategy: Value) {
    let mut shop = opened(1, strategy);
    shop.edit(0, |o| o["spec"]["paused"] = json!(true));
    shop.deploy(0, "web:2");
    shop.play(40);
    runs_on(&shop);
    shop.edit(0, |o| o["spec"]["paused"] = json!(false));
    shop.play(60);
    ended(&shop, "Promoted", 40);
}

/// Aborted while it waits for a person, then retried.
fn aborted(strategy: Value) -> Shop {
    let mut shop = updated(1, strategy);
    is(&shop, "Paused");
    runs_on(&shop);
    shop.annotate(0, "abort", "slow");
    shop.play(60);
    assert_eq!(duration(&shop)["completionStatus"], "Aborted", "{}", shop.story());
    assert!(duration(&shop)["finishedAt"].is_string(), "{}", shop.story());
    shop
}

fn retried(strategy: Value) {
    let mut shop = aborted(strategy);
    let before = duration(&shop);
    shop.annotate(0, "retry", "true");
    shop.play(30);
    runs_on(&shop);
    assert_ne!(duration(&shop)["rolloutStartedAt"], before["rolloutStartedAt"]);
    assert!(duration(&shop)["totalManualPauseDurationSeconds"].is_null(), "{}", shop.story());
}

/// The second revision waits for a person when the third one comes; the time is that of the third.
fn superseded(strategy: Value) {
    let mut shop = updated(1, strategy);
    let before = duration(&shop);
    shop.deploy(0, "web:3");
    shop.play(30);
    runs_on(&shop);
    assert!(duration(&shop)["rolloutStartedAt"].as_str() > before["rolloutStartedAt"].as_str());
    shop.annotate(10, "promote", "step");
    shop.play(60);
    is(&shop, "Healthy");
    let waited = duration(&shop)["totalManualPauseDurationSeconds"].as_i64().unwrap_or(0);
    assert!((20..=42).contains(&waited), "without the 30 s of the second: {}", shop.story());
    ended(&shop, "Promoted", waited);
}

/// Back to stable while the second revision waits.
fn back_to_stable(strategy: Value) {
    let mut shop = updated(1, strategy);
    is(&shop, "Paused");
    shop.deploy(0, "web:1");
    shop.play(60);
    is(&shop, "Healthy");
    assert_eq!(duration(&shop)["completionStatus"], "FastRolledBack", "{}", shop.story());
}

/// Two updates, then back to the first revision, with a window of so many revisions.
fn back_to_the_first(window: u32, strategy: Value) -> Shop {
    let mut shop = opened(1, strategy);
    shop.edit(0, move |o| o["spec"]["rollbackWindow"] = json!({"revisions": window}));
    for image in ["web:2", "web:3", "web:1"] {
        shop.deploy(0, image);
        shop.play(60);
        is(&shop, "Healthy");
    }
    shop
}

fn scaled(strategy: Value) {
    let mut shop = opened(1, strategy);
    let before = duration(&shop);
    ended(&shop, "Promoted", 0);
    shop.edit(0, |o| o["spec"]["replicas"] = json!(3));
    shop.play(60);
    assert_eq!(duration(&shop), before);
}

fn quick() -> Value {
    by_pods(json!([{"setWeight": 50}]), json!({}))
}

fn waiting() -> Value {
    by_pods(half(), json!({}))
}

#[test]
fn the_first_canary_is_promoted() {
    ended(&opened(1, waiting()), "Promoted", 0);
}

#[test]
fn a_canary_that_spec_pauses_waits_for_a_person() {
    paused_by_spec(quick());
}

#[test]
fn a_timed_pause_of_a_canary_is_nobodys_wait() {
    let mut shop = updated(1, by_pods(json!([{"setWeight": 50}, {"pause": {"duration": 60}}]), json!({})));
    is(&shop, "Paused");
    runs_on(&shop);
    shop.play(90);
    ended(&shop, "Promoted", 0);
}

#[test]
fn a_pause_without_end_waits_for_a_person() {
    let mut shop = updated(1, waiting());
    shop.annotate(33, "promote", "step");
    shop.play(90);
    ended(&shop, "Promoted", 61);
}

#[test]
fn a_canary_that_is_promoted_in_full_is_promoted_fast() {
    let mut shop = updated(1, waiting());
    shop.annotate(0, "promote", "full");
    shop.play(60);
    ended(&shop, "FastPromoted", 29);
}

#[test]
fn an_aborted_canary_ends_then() {
    aborted(waiting());
}

#[test]
fn a_retried_canary_counts_anew() {
    retried(waiting());
}

#[test]
fn a_canary_that_is_superseded_is_not_counted() {
    superseded(waiting());
}

#[test]
fn a_canary_that_gives_way_to_stable_is_rolled_back_fast() {
    back_to_stable(waiting());
}

#[test]
fn a_canary_of_a_revision_beyond_the_window_is_rolled_back() {
    ended(&back_to_the_first(1, quick()), "RolledBack", 0);
}

#[test]
fn a_canary_of_a_revision_inside_the_window_is_rolled_back_fast() {
    ended(&back_to_the_first(3, quick()), "FastRolledBack", 0);
}

#[test]
fn scaling_a_canary_is_no_update() {
    scaled(waiting());
}

/// A pair that switches by itself; the former revision goes after 5 s.
fn by_itself() -> Value {
    blue_green(json!({"autoPromotionEnabled": true, "scaleDownDelaySeconds": 5}))
}

fn by_hand() -> Value {
    blue_green(json!({"scaleDownDelaySeconds": 5}))
}

#[test]
fn the_first_pair_is_promoted() {
    ended(&opened(1, by_hand()), "Promoted", 0);
}

#[test]
fn a_pair_that_spec_pauses_waits_for_a_person() {
    paused_by_spec(by_itself());
}

#[test]
fn a_timed_promotion_is_nobodys_wait() {
    let mut shop = updated(1, blue_green(json!({"autoPromotionEnabled": true, "autoPromotionSeconds": 60})));
    is(&shop, "Paused");
    shop.play(90);
    ended(&shop, "Promoted", 0);
}

#[test]
fn a_promotion_by_hand_is_waited_for() {
    let mut shop = updated(1, by_hand());
    shop.annotate(30, "promote", "step");
    shop.play(90);
    ended(&shop, "Promoted", 59);
}

#[test]
fn a_pair_that_is_promoted_in_full_is_promoted_fast() {
    let mut shop = updated(1, by_hand());
    shop.annotate(0, "promote", "full");
    shop.play(60);
    ended(&shop, "FastPromoted", 29);
}

#[test]
fn an_aborted_pair_ends_then() {
    aborted(by_hand());
}

#[test]
fn a_retried_pair_counts_anew() {
    retried(by_hand());
}

#[test]
fn a_preview_that_is_superseded_is_not_counted() {
    superseded(by_hand());
}

#[test]
fn a_preview_that_gives_way_to_stable_is_rolled_back_fast() {
    back_to_stable(by_hand());
}

#[test]
fn a_preview_that_gives_way_to_an_older_revision_is_rolled_back() {
    let mut shop = opened(1, by_hand());
    shop.deploy(0, "web:2");
    shop.annotate(10, "promote", "step");
    shop.play(60);
    is(&shop, "Healthy");
    shop.deploy(0, "web:3");
    shop.play(30);
    shop.deploy(0, "web:1");
    shop.annotate(30, "promote", "step");
    shop.play(90);
    ended(&shop, "RolledBack", 29);
}

#[test]
fn a_pair_of_a_revision_beyond_the_window_is_rolled_back() {
    ended(&back_to_the_first(1, by_itself()), "RolledBack", 0);
}

#[test]
fn a_pair_of_a_revision_inside_the_window_is_rolled_back_fast() {
    ended(&back_to_the_first(3, by_itself()), "FastRolledBack", 0);
}

#[test]
fn scaling_a_pair_is_no_update() {
    scaled(by_hand());
}
