//! The schedules.

use super::super::shop::rollout;
use super::shop::{PODS, Shop, default_steps, lines};
use crate::core::object::ResourceType;
use serde_json::json;
use std::collections::BTreeMap;

fn pods<const N: usize>(pairs: [(&str, u64); N]) -> BTreeMap<String, u64> {
    pairs.into_iter().map(|(image, count)| (image.to_owned(), count)).collect()
}

/// A shop in which the first revision is served.
fn opened() -> Shop {
    let mut shop = Shop::open(vec![]);
    shop.play(60);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
    shop
}

#[test]
fn the_first_revision_is_served_without_steps() {
    let shop = opened();
    let end = shop.end();
    assert_eq!(end.pods, pods([("web:1", PODS)]));
    assert!(end.services.values().all(|image| image == "web:1"), "{end:?}");
    assert_eq!(shop.run.oracle.weights, [0]);
}

#[test]
fn a_good_revision_takes_its_steps_and_becomes_stable() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.play(240);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Healthy", &pods([("web:2", PODS)])), "{}", shop.story());
    assert!(end.services.values().all(|image| image == "web:2"), "{end:?}");
    assert_eq!(shop.run.oracle.weights, [0, 20, 60, 100, 0], "{}", shop.story());
}

/// K3, A7: the pause is neither skipped nor repeated.
#[test]
fn a_pause_lasts_its_time_from_when_its_weight_is_live() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.play(25);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", 20), "{}", shop.story());
    shop.play(20);
    assert_eq!(shop.weight(), 60, "{}", shop.story());
}

#[test]
fn a_pause_without_end_lasts_until_promoted() {
    let mut shop = Shop::with(json!([{"setWeight": 20}, {"pause": {}}]), vec![], &[]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(3600);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", 20), "{}", shop.story());
    shop.annotate(0, "promote", "step");
    shop.play(120);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
    assert_eq!(shop.end().pods, pods([("web:2", PODS)]));
}

#[test]
fn a_full_promotion_skips_what_is_left_and_never_sends_more_than_pods_can_carry() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.annotate(20, "promote", "full");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods([("web:2", PODS)])), "{}", shop.story());
}

/// Promise 3: one write, at once.
#[test]
fn an_abort_in_a_pause_sends_everybody_to_stable_at_once() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.play(20);
    assert_eq!(shop.weight(), 20, "{}", shop.story());
    shop.annotate(0, "abort", "checkout is slow");
    shop.play(1);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    shop.play(120);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Degraded", &pods([("web:1", PODS)])), "{}", shop.story());
    assert!(end.services.values().all(|image| image == "web:1"), "{end:?}");
}

/// A9: an aborted revision stays aborted until somebody asks for it.
#[test]
fn an_aborted_revision_runs_again_only_when_asked() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.annotate(20, "abort", "no");
    shop.play(120);
    shop.edit(0, |o| o["metadata"]["labels"] = json!({"re": "applied"}));
    shop.play(120);
    assert_eq!(shop.phase(), "Degraded", "{}", shop.story());
    shop.annotate(0, "retry", "true");
    shop.play(240);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods([("web:2", PODS)])), "{}", shop.story());
}

#[test]
fn a_revision_that_never_gets_ready_gets_no_request_and_is_aborted_at_the_deadline() {
    let mut shop = opened();
    shop.deploy(0, "web:bad");
    shop.play(900);
    assert_eq!(shop.run.oracle.weights, [0], "{}", shop.story());
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Degraded", &pods([("web:1", PODS)])), "{}", shop.story());
}

#[test]
fn a_template_that_the_api_server_refuses_moves_nothing() {
    let mut shop = opened();
    shop.deploy(0, "web:refused");
    shop.play(300);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Degraded", &pods([("web:1", PODS)])), "{}", shop.story());
    assert!(end.message.contains("InvalidSpec"), "{}", end.message);
    assert_eq!(shop.run.oracle.weights, [0]);
}

/// B6, O2: an invalid spec freezes steps and nothing else.
#[test]
fn an_abort_works_while_the_spec_is_invalid() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.edit(20, |o| o["spec"]["strategy"]["canary"]["steps"] = json!([{"setWeight": 300}]));
    shop.play(60);
    assert_eq!(shop.weight(), 20, "frozen: {}", shop.story());
    shop.annotate(0, "abort", "now");
    shop.play(5);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
}

/// Section 4: a live weight falls to 0 when no endpoint is ready, and returns when they are back.
#[test]
fn a_canary_that_loses_its_pods_gets_no_requests_until_they_are_back() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.strike(20, "web:2", false);
    shop.play(300);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods([("web:2", PODS)])), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights[..4], [0, 20, 0, 20], "{}", shop.story());
}

/// Section 4: nobody knows why, so it is not blamed on the revision; users are at stable, and the pause's time does not count.
#[test]
fn a_canary_that_is_dead_for_good_gets_no_requests_and_takes_no_step() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.strike(20, "web:2", true);
    shop.play(1200);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), shop.weight()), ("Degraded", 0), "{}", shop.story());
    assert_eq!(end.pods, pods([("web:1", PODS), ("web:2", 1)]), "{}", shop.story());
    shop.annotate(0, "abort", "give it up");
    shop.play(120);
    assert_eq!(shop.end().pods, pods([("web:1", PODS)]), "{}", shop.story());
}

/// A10, N7.
#[test]
fn a_newer_revision_in_the_middle_starts_from_nothing() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.deploy(20, "web:3");
    shop.play(400);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Healthy", &pods([("web:3", PODS)])), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 20, 0, 20, 60, 100, 0], "{}", shop.story());
}

/// N2.
#[test]
fn going_back_to_stable_in_the_middle_needs_no_steps() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.deploy(20, "web:1");
    shop.play(120);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Healthy", &pods([("web:1", PODS)])), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 20, 0], "{}", shop.story());
}

#[test]
fn scaling_in_the_middle_is_followed_and_no_step_is_lost() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.edit(20, |o| o["spec"]["replicas"] = json!(8));
    shop.play(300);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods([("web:2", 8)])), "{}", shop.story());
}

/// Section 6: a silent instance blocks raising above 50 %, never an abort.
#[test]
fn a_silent_instance_of_traefik_blocks_no_abort() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.run.at(20, |state| state.traefiks[1].silent = true);
    shop.play(120);
    assert_eq!(shop.weight(), 20, "{}", shop.story());
    shop.annotate(0, "abort", "enough");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Degraded", 0), "{}", shop.story());
}

/// 8: late watches may slow an update down and must not confuse it.
#[test]
fn late_watches_end_in_the_same_place() {
    let kinds = ["Rollout", "ReplicaSet", "Service", "EndpointSlice", "TraefikService"];
    for kind in kinds {
        let mut shop = Shop::with(default_steps(), vec![], &[(kind, 3000)]);
        shop.play(90);
        shop.deploy(0, "web:2");
        shop.play(400);
        let end = shop.end();
        assert_eq!((end.phase.as_str(), &end.pods), ("Healthy", &pods([("web:2", PODS)])), "{kind}: {}", shop.story());
    }
}

#[test]
fn a_deleted_rollout_takes_what_is_its_own_and_leaves_what_is_in_git() {
    let mut shop = opened();
    shop.run.at(0, |state| {
        state.server.delete(&rollout(), None, state.now).expect("it is there");
    });
    // Its pods go with it, as a Deployment's do: nobody is served, and no oracle asks for it.
    shop.run.pass_time(60);
    let state = shop.run.shared.state();
    let left: Vec<_> = state.server.iter().map(|(t, _)| t.clone()).collect();
    assert!(
        left.iter().all(|t| t.resource != ResourceType::REPLICA_SET && t.resource != ResourceType::ROLLOUT),
        "{left:?}"
    );
    assert!(left.iter().any(|t| t.resource == ResourceType::INGRESS_ROUTE && t.name == "web"), "{left:?}");
}

/// The law of laws: at rest nothing is written.
#[test]
fn nothing_is_written_at_rest() {
    let mut shop = opened();
    shop.deploy(0, "web:2");
    shop.play(300);
    let before = shop.run.shared.state().writes.len();
    shop.play(3600);
    let writes = shop.run.shared.state().writes[before..].to_vec();
    assert!(writes.is_empty(), "{}", lines(&writes));
}
