//! Back again: hold, then revert.

use super::world::{Remote, World, aborted, rollout, service};
use crate::core::application::health::{Fault, Health, HealthStatus};
use crate::core::application::rescue::message::RevertTrailers;
use crate::core::question::{ApiRefusal, PodEvidence};
use proptest::prelude::*;
use serde_json::{Value, json};

fn auto() -> Value {
    json!({"automated": {"prune": true, "selfHeal": true}})
}

fn push() -> Value {
    json!({"mode": "Push", "soak": "60s", "push": {"secretRef": {"name": "writer"}}})
}

/// Version 1 is good; version 2 fails its analysis.
fn failing(rescue: &Value) -> World {
    let mut world = World::new(&auto(), rescue);
    world.run(120);
    assert_eq!(world.status()["good"]["revision"], world.commits[0].0.as_str(), "soaked");
    world.outcome.insert("v2".into(), aborted());
    world.commit("2", vec![rollout("v2"), service("web"), service("extra")]);
    world
}

fn rescue_phase(world: &World) -> &str {
    world.status()["rescue"]["phase"].as_str().unwrap_or_default()
}

#[test]
fn a_failed_revision_is_held_then_reverted_by_one_commit() {
    let mut world = failing(&push());
    world.run(120);
    assert_eq!(world.image(), "v1");
    assert!(!world.names().iter().any(|n| n.contains("extra")), "what only the bad one brought is gone");
    assert_eq!(world.pushes.len(), 1);
    assert_eq!(rescue_phase(&world), "Reverted");
    assert_eq!(world.status()["sync"]["status"], "Synced");
    assert_eq!(world.status()["rescue"]["revertCommit"], world.commits[0].0.as_str());
    let trailers = RevertTrailers::read(&world.commits[0].2).expect("our trailers");
    assert_eq!(trailers.restores, world.commits[2].0);
    let verdicts: Vec<_> =
        world.status()["history"].as_array().unwrap().iter().map(|h| h["verdict"].as_str()).collect();
    assert!(verdicts.contains(&Some("Good")), "{verdicts:?}");
}

#[test]
fn the_state_is_written_before_anything_is_done_about_it() {
    let mut world = failing(&push());
    for _ in 0..40 {
        let before = rescue_phase(&world).to_owned();
        let plan = world.pass();
        if before.is_empty() && rescue_phase(&world) == "Holding" {
            assert!(plan.effects.is_empty(), "{:?}", plan.effects);
            assert!(plan.urgent);
            return;
        }
    }
    panic!("never held");
}

#[test]
fn in_hold_mode_git_is_left_alone() {
    let mut world = failing(&json!({"soak": "60s"}));
    world.run(120);
    assert_eq!((world.image().as_str(), world.pushes.len(), rescue_phase(&world)), ("v1", 0, "Holding"));
    assert!(world.status()["message"].as_str().unwrap().contains("Hold"), "{}", world.status()["message"]);
}

#[test]
fn push_without_credential_holds_and_says_so() {
    let mut world = failing(&json!({"mode": "Push", "soak": "60s"}));
    world.run(120);
    assert_eq!((world.image().as_str(), world.pushes.len()), ("v1", 0));
    assert!(world.status()["message"].as_str().unwrap().contains("spec.rescue.push.secretRef"));
}

#[test]
fn a_protected_branch_needs_a_human_and_the_hold_stands() {
    let mut world = failing(&push());
    world.remote = Remote::Declines;
    world.run(120);
    assert_eq!((world.image().as_str(), rescue_phase(&world)), ("v1", "NeedsHuman"));
    assert!(world.status()["message"].as_str().unwrap().contains("hook declined"));
    world.remote = Remote::Takes;
    world.application["metadata"]["generation"] = json!(2);
    world.run(120);
    assert_eq!((world.pushes.len(), rescue_phase(&world)), (1, "Reverted"), "a changed spec tries again");
}

#[test]
fn a_branch_that_moved_beside_the_path_is_reverted_on_its_new_tip() {
    let mut world = failing(&push());
    world.remote = Remote::MovesFirst(3);
    world.run(300);
    assert_eq!((world.pushes.len(), rescue_phase(&world)), (1, "Reverted"));
    assert_eq!(world.status()["rescue"]["attempts"], 4);
}

#[test]
fn a_branch_that_always_moves_ends_with_a_human() {
    let mut world = failing(&push());
    world.remote = Remote::MovesFirst(100);
    world.run(900);
    assert_eq!((world.pushes.len(), rescue_phase(&world)), (0, "NeedsHuman"));
}

#[test]
fn a_fix_lifts_the_hold_and_no_revert_is_written() {
    let mut world = failing(&json!({"soak": "60s"}));
    world.run(120);
    world.commit("3", vec![rollout("v3"), service("web")]);
    world.run(120);
    assert_eq!((world.image().as_str(), rescue_phase(&world)), ("v3", ""));
    assert_eq!(world.status()["good"]["revision"], world.commits[0].0.as_str());
}

#[test]
fn the_same_content_that_comes_back_is_held_and_not_reverted_again() {
    let mut world = failing(&push());
    world.run(120);
    world.commit_tree("2");
    world.run(600);
    assert_eq!((world.image().as_str(), world.pushes.len(), rescue_phase(&world)), ("v1", 1, "NeedsHuman"));
    assert!(world.status()["message"].as_str().unwrap().contains("came back"));
}

#[test]
fn a_revert_is_never_reverted() {
    let mut world = failing(&push());
    world.run(120);
    for stored in world.cluster.values_mut().filter(|s| s.object["kind"] == "Rollout") {
        stored.health = aborted();
    }
    world.run(600);
    assert_eq!((world.pushes.len(), rescue_phase(&world)), (1, "NeedsHuman"));
}

#[test]
fn a_first_revision_that_fails_has_nothing_to_go_back_to() {
    let mut world = World::new(&auto(), &push());
    world.outcome.insert("v1".into(), aborted());
    world.run(120);
    assert_eq!((world.image().as_str(), world.pushes.len(), rescue_phase(&world)), ("v1", 0, "NeedsHuman"));
    world.commit("2", vec![rollout("v2"), service("web")]);
    world.run(120);
    assert_eq!((world.image().as_str(), rescue_phase(&world)), ("v2", ""));
}

#[test]
fn only_what_the_revision_caused_is_taken_back() {
    let mut world = failing(&push());
    let infrastructure = Health { fault: Fault::None, ..aborted() };
    world.outcome.insert("v2".into(), infrastructure);
    world.run(600);
    assert_eq!((world.image().as_str(), world.pushes.len(), rescue_phase(&world)), ("v2", 0, ""));
}

#[test]
fn a_failure_long_after_a_revision_was_good_is_not_its_fault() {
    let mut world = failing(&push());
    world.outcome.clear();
    world.run(3600);
    for stored in world.cluster.values_mut().filter(|s| s.object["kind"] == "Rollout") {
        stored.health = aborted();
    }
    world.run(600);
    assert_eq!((world.image().as_str(), world.pushes.len()), ("v2", 0));
}

#[test]
fn the_pods_of_a_deployment_tell_whose_fault_it_is() {
    for (message, reverts) in [("not found", 1), ("connection refused", 0)] {
        let mut world = failing(&push());
        world.outcome.insert(
            "v2".into(),
            Health { status: HealthStatus::Degraded, message: "deadline".into(), fault: Fault::AskPods },
        );
        let created = Some("2026-01-02T00:00:00Z".parse().unwrap());
        world.pods = vec![PodEvidence {
            name: "web-1".into(),
            created,
            reason: "ImagePullBackOff".into(),
            message: message.into(),
            ..PodEvidence::default()
        }];
        world.run(300);
        assert_eq!(world.pushes.len(), reverts, "{message}");
    }
}

#[test]
fn a_revision_that_cannot_be_applied_is_reverted_and_nothing_of_it_was_applied() {
    let mut world = failing(&push());
    world.refusals.insert(
        "extra".into(),
        ApiRefusal { code: 422, reason: "Invalid".into(), message: "no".into(), causes: vec![] },
    );
    world.applied.clear();
    world.run(120);
    assert_eq!((world.applied.len(), world.pushes.len(), world.image().as_str()), (0, 1, "v1"));
    assert_eq!(world.status()["rescue"]["class"], "Manifest");
}

#[test]
fn missing_rights_are_not_the_revisions_fault() {
    let mut world = failing(&push());
    world.refusals.insert(
        "extra".into(),
        ApiRefusal { code: 403, reason: "Forbidden".into(), message: "no".into(), causes: vec![] },
    );
    world.run(600);
    assert_eq!((world.pushes.len(), rescue_phase(&world), world.image().as_str()), (0, "", "v1"));
}

#[test]
fn retry_applies_the_rejected_content_again() {
    let mut world = failing(&json!({"soak": "60s"}));
    world.run(120);
    world.outcome.clear();
    world.annotate("retry", "true");
    world.run(120);
    assert_eq!((world.image().as_str(), rescue_phase(&world)), ("v2", ""));
    assert_eq!(world.status()["good"]["revision"], world.commits[0].0.as_str());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Killed after any write, the next process comes to the same end, with one revert.
    #[test]
    fn a_process_that_dies_between_any_two_writes_changes_nothing_of_the_end(dies in 1_u32..30, moves in 0_u32..3) {
        let mut world = failing(&push());
        if moves > 0 {
            world.remote = Remote::MovesFirst(moves);
        }
        world.dies_after = Some(world.written() + dies);
        world.run(400);
        prop_assert_eq!(world.pushes.len(), 1);
        prop_assert_eq!(world.image(), "v1");
        prop_assert_eq!(rescue_phase(&world), "Reverted");
        let plan = world.pass();
        prop_assert!(plan.effects.is_empty() && plan.status.is_none());
    }
}
