//! Blue/green: sizes of the preview, deadlines, delays, roles of pods, and a change to canary.

use super::super::shop::Shop;
use super::{blue_green, half, has_counts, has_pods, is, opened, pairs, roles, seen, selects, updated, with_deadline};
use jiff::SignedDuration;
use serde_json::{Value, json};

#[test]
fn pods_of_a_pair_carry_the_metadata_of_their_role_and_swap_it() {
    let more =
        json!({"previewMetadata": {"labels": {"role": "preview"}}, "activeMetadata": {"labels": {"role": "active"}}});
    let mut shop = updated(2, blue_green(more));
    assert_eq!(roles(&shop), pairs(&[("web:1", "active"), ("web:2", "preview")]), "{}", shop.story());
    shop.annotate(0, "promote", "step");
    shop.play(30);
    is(&shop, "Healthy");
    let found = roles(&shop);
    assert!(found.contains(&("web:2".to_owned(), "active".to_owned())), "{found:?} {}", shop.story());
    assert!(!found.contains(&("web:1".to_owned(), "active".to_owned())), "{found:?} {}", shop.story());
}

/// Pods that need 10 s, and a deadline of 5 s; phases from the update on.
fn late(more: Value) -> (Shop, Vec<String>) {
    let mut shop = opened(1, blue_green(more));
    shop.edit(0, |o| o["spec"]["progressDeadlineSeconds"] = json!(5));
    shop.run.shared.state().node.start_up = SignedDuration::from_secs(10);
    shop.deploy(0, "web:2");
    let phases = seen(&mut shop, 30, Shop::phase);
    (shop, phases)
}

#[test]
fn a_preview_that_is_late_is_degraded_and_then_waits_for_a_person() {
    let (mut shop, phases) = late(json!({}));
    assert!(phases.ends_with(&["Degraded".to_owned(), "Paused".to_owned()]), "{phases:?}");
    shop.annotate(0, "promote", "step");
    shop.play(30);
    is(&shop, "Healthy");
    selects(&shop, "web-stable", "web:2");
}

#[test]
fn a_new_revision_that_is_late_is_degraded_and_then_healthy() {
    let (shop, phases) = late(json!({"autoPromotionEnabled": true}));
    assert!(phases.ends_with(&["Degraded".to_owned(), "Healthy".to_owned()]), "{phases:?}");
    selects(&shop, "web-stable", "web:2");
}

#[test]
fn a_preview_of_fewer_pods_grows_when_it_is_promoted() {
    let mut shop = updated(2, blue_green(json!({"previewReplicaCount": 1})));
    is(&shop, "Paused");
    has_counts(&shop, [2, 3, 1, 2, 2]);
    shop.annotate(0, "promote", "step");
    shop.play(30);
    is(&shop, "Healthy");
    has_counts(&shop, [2, 4, 2, 2, 2]);
}

#[test]
fn promote_full_does_not_wait_for_the_preview() {
    let mut shop = updated(2, blue_green(json!({"previewReplicaCount": 1})));
    shop.annotate(0, "promote", "full");
    shop.play(30);
    is(&shop, "Healthy");
    selects(&shop, "web-stable", "web:2");
    has_counts(&shop, [2, 4, 2, 2, 2]);
}

#[test]
fn the_old_revision_stays_up_after_the_switch_which_comes_before_the_end() {
    let mut shop = opened(3, blue_green(json!({"autoPromotionEnabled": true})));
    has_counts(&shop, [3, 3, 3, 3, 3]);
    shop.run.shared.state().notices.clear();
    shop.deploy(0, "web:2");
    shop.play(30);
    is(&shop, "Healthy");
    has_counts(&shop, [3, 6, 3, 3, 3]);
    let reasons: Vec<&str> = shop.run.shared.state().notices.iter().map(|(reason, _)| *reason).collect();
    let at = |reason: &str| reasons.iter().rposition(|r| *r == reason).expect(reason);
    assert!(at("SwitchService") < at("RolloutCompleted"), "{reasons:?}");
}

#[test]
fn a_change_to_canary_gives_the_active_service_back() {
    let mut shop = opened(1, blue_green(json!({})));
    selects(&shop, "web-stable", "web:1");
    shop.edit(0, |o| o["spec"]["strategy"] = json!({"canary": {"steps": half()}}));
    shop.play(30);
    is(&shop, "Healthy");
    selects(&shop, "web-stable", "every revision");
}

#[test]
fn as_many_old_revisions_wait_as_the_limit_allows() {
    let mut shop = opened(
        1,
        blue_green(json!({"autoPromotionEnabled": true, "scaleDownDelaySeconds": 600,
                                               "scaleDownDelayRevisionLimit": 2})),
    );
    for image in ["web:2", "web:3", "web:4"] {
        shop.deploy(0, image);
        shop.play(30);
        is(&shop, "Healthy");
    }
    has_pods(&shop, &[("web:2", 1), ("web:3", 1), ("web:4", 1)]);
    has_counts(&shop, [1, 3, 1, 1, 1]);
    shop.edit(0, |o| o["spec"]["strategy"]["blueGreen"]["scaleDownDelayRevisionLimit"] = json!(1));
    shop.play(30);
    has_pods(&shop, &[("web:3", 1), ("web:4", 1)]);
    has_counts(&shop, [1, 2, 1, 1, 1]);
    assert_eq!(with_deadline(&shop), ["web:3"]);
}

#[test]
fn a_missed_deadline_aborts_only_when_it_shall() {
    let mut shop = opened(1, blue_green(json!({"abortScaleDownDelaySeconds": 2})));
    shop.edit(0, |o| {
        o["spec"]["progressDeadlineSeconds"] = json!(5);
        o["spec"]["progressDeadlineAbort"] = json!(false);
    });
    shop.deploy(0, "web:bad2");
    shop.play(60);
    is(&shop, "Degraded");
    assert_ne!(shop.status()["abort"], true, "{}", shop.story());
    has_pods(&shop, &[("web:1", 1), ("web:bad2", 1)]);
    shop.edit(0, |o| o["spec"]["progressDeadlineAbort"] = json!(true));
    shop.deploy(0, "web:bad3");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), &shop.status()["abort"]), ("Degraded", &json!(true)), "{}", shop.story());
    has_pods(&shop, &[("web:1", 1)]);
}

#[test]
fn an_aborted_preview_goes_after_its_delay() {
    let mut shop = updated(1, blue_green(json!({"abortScaleDownDelaySeconds": 1})));
    has_pods(&shop, &[("web:1", 1), ("web:2", 1)]);
    shop.annotate(0, "abort", "no");
    shop.play(10);
    is(&shop, "Degraded");
    has_pods(&shop, &[("web:1", 1)]);
    selects(&shop, "web-stable", "web:1");
}
