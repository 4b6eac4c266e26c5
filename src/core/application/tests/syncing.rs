//! From git to the cluster.

use super::world::{World, rollout, service, tree};
use crate::core::application::wanted::ANNOTATION_SOURCE;
use crate::core::question::ApiRefusal;
use serde_json::{Value, json};

fn auto() -> Value {
    json!({"automated": {"prune": true, "selfHeal": true}})
}

fn config(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

#[test]
fn a_commit_is_applied_and_status_names_it() {
    let mut world = World::new(&auto(), &Value::Null);
    let plan = world.settle();
    assert_eq!(world.image(), "v1");
    let status = world.status();
    assert_eq!(status["sync"]["status"], "Synced");
    assert_eq!(status["health"]["status"], "Healthy");
    assert_eq!(status["applied"]["revision"], world.commits[0].0.as_str());
    assert_eq!(status["applied"]["author"], "Dev <dev@x>");
    assert_eq!(status["operationState"]["phase"], "Succeeded");
    assert_eq!(status["observedGeneration"], 1);
    let ready = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!(ready["status"], "True");
    assert_eq!(world.applied.len(), 2, "each object once: {:?}", world.applied);
    assert!(plan.effects.is_empty());
}

/// Commands name a revision by it (`@git:`), so a commit that changes something else is none of a Rollout's, and costs no write.
#[test]
fn a_rollout_carries_the_commit_that_changed_it_last() {
    let mut world = World::new(&auto(), &Value::Null);
    world.settle();
    let source = |world: &World| -> Value {
        let (_, stored) = world.cluster.iter().find(|(t, _)| t.resource.kind == "Rollout").expect("it is there");
        let text = stored.object["metadata"]["annotations"][ANNOTATION_SOURCE].as_str().expect("a note");
        serde_json::from_str(text).expect("JSON")
    };
    let of = |commit: &str| json!({"repo": "https://git/shop", "path": "apps/web", "revision": commit});
    assert_eq!(source(&world), of(&world.commits[0].0));
    let first = world.commits[0].0.clone();
    world.applied.clear();
    world.commit("2", vec![rollout("v1"), service("web"), config("c")]);
    world.settle();
    assert_eq!((world.applied.len(), source(&world)), (1, of(&first)), "{:?}", world.applied);
    world.applied.clear();
    world.commit("3", vec![rollout("v2"), service("web"), config("c")]);
    world.settle();
    assert_eq!((world.applied.len(), source(&world)), (1, of(&world.commits[0].0)), "{:?}", world.applied);
}

#[test]
fn deciding_on_its_own_result_gives_nothing() {
    let mut world = World::new(&auto(), &json!({"mode": "Push", "push": {"secretRef": {"name": "w"}}}));
    world.settle();
    let plan = world.pass();
    assert!(plan.status.is_none() && plan.effects.is_empty() && plan.notices.is_empty(), "{plan:?}");
}

#[test]
fn one_refused_object_applies_nothing_of_its_revision() {
    let mut world = World::new(&auto(), &Value::Null);
    world.settle();
    world.applied.clear();
    let causes = vec![("spec.replicas".to_owned(), "must be positive".to_owned())];
    world
        .refusals
        .insert("bad".into(), ApiRefusal { code: 422, reason: "Invalid".into(), message: "invalid".into(), causes });
    world.commit("2", vec![rollout("v2"), service("web"), service("bad"), service("new")]);
    world.run(60);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.image(), "v1");
    let error = &world.status()["operationState"]["errors"][0];
    assert_eq!((error["file"].as_str(), error["field"].as_str()), (Some("apps/web/2.yaml"), Some("spec.replicas")));
    assert_eq!(error["object"], "Service shop/bad");
    assert!(world.status()["message"].as_str().unwrap().contains("2.yaml"), "{}", world.status()["message"]);

    world.refusals.clear();
    world.commit("3", vec![rollout("v3"), service("web")]);
    world.settle();
    assert_eq!(world.image(), "v3", "a newer commit always wins");
}

#[test]
fn manual_mode_applies_only_when_asked_and_once() {
    let mut world = World::new(&json!({}), &Value::Null);
    world.settle();
    assert_eq!((world.names().len(), world.status()["sync"]["status"].as_str()), (0, Some("OutOfSync")));
    assert_eq!(world.status()["health"]["status"], "Missing");
    world.annotate("sync", "true");
    world.settle();
    assert_eq!(world.image(), "v1");
    assert_eq!(world.application["metadata"]["annotations"], json!({}), "the request is taken off");
    assert_eq!(world.status()["commands"][0]["outcome"], "Accepted");
    world.commit("2", vec![rollout("v2"), service("web")]);
    world.run(60);
    assert_eq!(world.image(), "v1");
    world.annotate("sync", "true");
    world.settle();
    assert_eq!(world.image(), "v2", "the same words are a new request");
}

#[test]
fn what_git_dropped_is_pruned_last_and_only_with_leave() {
    for prune in [true, false] {
        let mut world = World::new(&json!({"automated": {"prune": prune}}), &Value::Null);
        world.commit("2", vec![rollout("v1"), service("web"), config("old")]);
        world.settle();
        world.commit("3", vec![rollout("v1"), service("web")]);
        world.settle();
        assert_eq!(world.deleted.len(), usize::from(prune));
        assert_eq!(world.names().iter().any(|n| n.contains("old")), !prune);
    }
}

#[test]
fn g2_a_tree_that_became_empty_prunes_nothing() {
    let mut world = World::new(&auto(), &Value::Null);
    world.settle();
    world.commit("2", vec![]);
    world.run(60);
    assert_eq!(world.deleted, Vec::<String>::new());
    assert!(world.status()["resources"][0]["message"].as_str().unwrap().contains("allowEmpty"));
}

#[test]
fn g2_files_that_cannot_be_read_prune_nothing() {
    let mut world = World::new(&auto(), &Value::Null);
    world.settle();
    world.trees.insert(tree("2"), Err("no YAML".into()));
    world.commit_tree("2");
    world.run(60);
    assert_eq!((world.deleted.len(), world.image().as_str()), (0, "v1"));
    assert_eq!(world.status()["operationState"]["errors"][0]["file"], "apps/web/web.yaml:3");
}

#[test]
fn drift_is_healed_at_once_and_then_less_often() {
    let mut world = World::new(&auto(), &Value::Null);
    world.settle();
    let drift = |world: &mut World| {
        let web = world.cluster.values_mut().find(|s| s.object["kind"] == "Rollout").unwrap();
        web.object["spec"]["replicas"] = json!(9);
        web.generation += 1;
    };
    drift(&mut world);
    world.settle();
    let healed = |world: &World| world.cluster.values().all(|s| s.object["spec"].get("replicas").is_none());
    assert!(healed(&world), "at once");
    drift(&mut world);
    let plan = world.settle();
    assert!(!healed(&world), "two seconds later");
    world.now = plan.wake.expect("it waits for a time");
    world.settle();
    assert!(healed(&world));
}

#[test]
fn drift_stays_when_self_heal_is_off() {
    let mut world = World::new(&json!({"automated": {}}), &Value::Null);
    world.settle();
    world.applied.clear();
    let web = world.cluster.values_mut().find(|s| s.object["kind"] == "Rollout").unwrap();
    (web.object["spec"]["replicas"], web.generation) = (json!(9), 2);
    world.run(600);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.status()["sync"]["status"], "OutOfSync");
    assert!(world.status()["resources"][0]["message"].as_str().unwrap().contains("spec.replicas: 9"));
}

#[test]
fn waves_wait_for_the_health_of_the_wave_before() {
    let wave = |name: &str, wave: &str| {
        let mut object = config(name);
        object["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-wave": wave});
        object
    };
    let mut world = World::new(&auto(), &Value::Null);
    world.outcome.insert(
        "slow".into(),
        crate::core::application::health::Health::new(
            crate::core::application::health::HealthStatus::Progressing,
            "starting",
        ),
    );
    world.commit("2", vec![wave("last", "1"), rollout("slow")]);
    world.settle();
    assert!(!world.names().iter().any(|n| n.contains("last")));
    let web = world.cluster.values_mut().find(|s| s.object["kind"] == "Rollout").unwrap();
    web.health = crate::core::application::health::Health::healthy();
    world.settle();
    assert!(world.names().iter().any(|n| n.contains("last")));
}

#[test]
fn g5_an_object_of_another_application_is_refused_and_not_fought() {
    let mut world = World::new(&auto(), &Value::Null);
    world.settle();
    let web = world.cluster.values_mut().find(|s| s.object["kind"] == "Service").unwrap();
    web.object["metadata"]["labels"]["tidegate.dev/application"] = json!("other_app");
    world.applied.clear();
    world.run(60);
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(world.status()["message"].as_str().unwrap().contains("other/app"), "{}", world.status()["message"]);
}

#[test]
fn a_repository_that_is_away_keeps_the_cluster_as_it_was_applied() {
    let mut world = World::new(&auto(), &Value::Null);
    world.settle();
    world.commits.clear();
    world.application["spec"]["rescue"] = json!({});
    let web = world.cluster.values_mut().find(|s| s.object["kind"] == "Rollout").unwrap();
    (web.object["spec"]["replicas"], web.generation) = (json!(9), 2);
    world.run(60);
    assert!(world.cluster.values().all(|s| s.object["spec"].get("replicas").is_none()), "healed from what is known");
}

#[test]
fn what_may_not_be_watched_holds_nothing_up_and_is_named() {
    let mut world = World::new(&auto(), &Value::Null);
    world.hidden = vec!["Service"];
    world.settle();
    let status = world.status();
    assert_eq!(
        (status["sync"]["status"].as_str(), status["health"]["status"].as_str()),
        (Some("Synced"), Some("Healthy"))
    );
    let named = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "ObjectsUnreadable").unwrap();
    assert!(named["message"].as_str().unwrap().contains("no right"));
    world.commit("2", vec![rollout("v2")]);
    world.settle();
    assert_eq!(world.deleted, Vec::<String>::new(), "what cannot be seen is not pruned");
    assert_eq!(world.status()["inventory"]["entries"].as_array().unwrap().len(), 2);
}
