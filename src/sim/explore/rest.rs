//! What must hold when nothing more happens, whatever happened before.

use super::super::run::Run;
use super::super::shop::{End, replica_sets, rollout, text};
use super::schedule::look_again;
use super::world::{Strategy, World};
use crate::core::object::ResourceType;
use crate::core::rollout::revisions::template_hash;
use crate::core::rollout::{ANNOTATION_MANAGED_BY, LABEL_HASH};
use serde_json::Value;

/// Judges a run that came to rest.
pub(super) fn judge(run: &mut Run, world: &World) {
    let before = run.shared.state().writes.len();
    look_again(run);
    let state = run.shared.state();
    let more: Vec<String> = state.writes[before..].iter().map(ToString::to_string).collect();
    let end = End::of(&state);
    let object = state.server.get(&rollout()).cloned().unwrap_or_default();
    let settled_service = state.traefiks.iter().any(|t| t.silent);
    drop(state);
    // Without a router a broken pod of stable's may use up all that maxSurge and maxUnavailable allow.
    let stuck = world.strategy == Strategy::Basic
        && image_of(run, &end.stable).is_some_and(|image| is_short(run, &end, &image));
    let oracle = &mut run.oracle;
    oracle.check("L8", more.is_empty(), || format!("a fresh process at rest writes {more:?}"));
    if object.is_null() {
        gone(run, world);
        return;
    }
    let known = matches!(end.phase.as_str(), "Healthy" | "Paused" | "Degraded" | "Progressing");
    oracle.check("A12", known, || format!("the phase is {:?}", end.phase));
    // A silent instance of Traefik may keep an update waiting, and says so.
    let waits = end.phase == "Progressing" && !settled_service && !stuck;
    oracle.check("A13", !waits, || format!("at rest and Progressing: {:?}", end.message));
    let status = &object["status"];
    let generation = &object["metadata"]["generation"];
    oracle.check("A12", status["observedGeneration"] == *generation, || {
        format!("generation {generation} is not observed: {}", status["observedGeneration"])
    });
    let commands = end.annotations.iter().any(|a| a.starts_with("tidegate.dev/") && a != "tidegate.dev/pause");
    oracle.check("A7", !commands, || format!("a command was not answered: {:?}", end.annotations));
    match end.phase.as_str() {
        _ if object["status"]["rollback"].is_object() => rolled_back(run, world, &end, &object),
        "Healthy" => healthy(run, world, &end, &object),
        "Degraded" if status["abort"] == true => aborted(run, world, &end, &object),
        _ => {}
    }
}

fn healthy(run: &mut Run, world: &World, end: &End, object: &Value) {
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let hash = template_hash(&object["spec"]["template"]);
    let image = text(&object["spec"]["template"]["spec"]["containers"][0]["image"]);
    let oracle = &mut run.oracle;
    oracle.check("A11", end.stable == hash.as_str() && end.current == hash.as_str(), || {
        format!("Healthy, and stable is {} for the wanted {hash}", end.stable)
    });
    let sizes = if replicas == 0 { vec![] } else { vec![(image.clone(), replicas)] };
    let pods: Vec<(String, u64)> = end.pods.clone().into_iter().collect();
    let kept = world.spec["strategy"]["canary"]["abortScaleDownDelaySeconds"] == 0
        || world.spec["strategy"]["blueGreen"]["abortScaleDownDelaySeconds"] == 0;
    let all_there = pods.iter().find(|(i, _)| *i == image).map(|(_, n)| *n).unwrap_or(0) == replicas;
    oracle.check("T10", if kept { all_there } else { pods == sizes }, || {
        format!("Healthy with {replicas} of {image} wanted, and pods {pods:?}")
    });
    at_stable(run, world, end, &image, replicas);
}

/// A former revision runs in the place of the one in spec.
fn rolled_back(run: &mut Run, world: &World, end: &End, object: &Value) {
    let meant = &object["status"]["rollback"]["hash"];
    if end.stable != *meant || end.current != *meant {
        return;
    }
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let Some(image) = image_of(run, meant) else { return };
    let there = end.pods.get(&image).copied().unwrap_or(0);
    let short = world.strategy == Strategy::Basic && is_short(run, end, &image);
    run.oracle.check("T10", there == replicas || short, || {
        format!("rolled back to {image}, with {there} of {replicas} pods")
    });
    at_stable(run, world, end, &image, replicas);
}

/// The image of a revision; `None` when somebody deleted its ReplicaSet.
fn image_of(run: &Run, hash: &Value) -> Option<String> {
    let sets = replica_sets(&run.shared.state());
    sets.into_iter().find(|(_, _, o)| o["metadata"]["labels"][LABEL_HASH] == *hash).map(|(_, image, _)| image)
}

fn aborted(run: &mut Run, world: &World, end: &End, object: &Value) {
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    // Somebody deleted it: there is nothing to go back to.
    let Some(image) = image_of(run, &end.stable) else { return };
    let there = end.pods.get(&image).copied().unwrap_or(0);
    // Without a router the way back stays inside maxSurge and maxUnavailable, which a broken pod of stable's may use up.
    let short = world.strategy == Strategy::Basic && is_short(run, end, &image);
    run.oracle
        .check("T6", there == replicas || short, || format!("aborted, and stable has {there} of {replicas} pods"));
    let listed = object["status"]["aborted"].as_array().into_iter().flatten().any(|a| a["hash"] == end.current);
    run.oracle.check("A9", listed, || format!("{} is aborted and not listed", end.current));
    at_stable(run, world, end, &image, replicas);
}

/// Some pod of the image is not ready.
fn is_short(run: &Run, end: &End, image: &str) -> bool {
    ready_of(run, image) < end.pods.get(image).copied().unwrap_or(0)
}

/// The Rollout is gone: what belonged to others is as it was, unless its pods were left to serve.
fn gone(run: &mut Run, world: &World) {
    let state = run.shared.state();
    let sets = replica_sets(&state);
    let orphans: Vec<&Value> =
        sets.iter().map(|(_, _, o)| o).filter(|o| o["spec"]["replicas"].as_u64().unwrap_or(1) > 0).collect();
    let left = |hash: &Value| orphans.iter().any(|o| o["metadata"]["labels"][LABEL_HASH] == *hash);
    let services = state.server.iter().filter(|(t, _)| t.resource == ResourceType::SERVICE);
    let steered: Vec<String> = (services.filter(|(t, _)| world.strategy.is_in_git(&t.name)))
        .map(|(t, o)| (t.name.clone(), &o["spec"]["selector"][LABEL_HASH], &o["metadata"]["annotations"]))
        .filter(|(_, hash, marks)| !left(hash) && !(hash.is_null() && marks[ANNOTATION_MANAGED_BY].is_null()))
        .map(|(name, ..)| name)
        .collect();
    let share: Vec<i64> = state.traefiks.iter().map(|t| t.weight("shop-web", "shop-web-canary-80")).collect();
    drop(state);
    let oracle = &mut run.oracle;
    oracle.check("V2", steered.is_empty(), || format!("the Rollout is gone, and still steers {steered:?}"));
    oracle.check("T3", share.iter().all(|share| *share == 0), || {
        format!("the Rollout is gone, and its canary has {share:?} %")
    });
}

/// Ready pods of an image.
fn ready_of(run: &Run, image: &str) -> u64 {
    let state = run.shared.state();
    let sets = replica_sets(&state);
    let ready: usize = sets.iter().filter(|(_, of, _)| of == image).map(|(set, ..)| state.node.ready(set)).sum();
    u64::try_from(ready).unwrap_or(u64::MAX)
}

/// Users are at this image alone.
fn at_stable(run: &mut Run, world: &World, end: &End, image: &str, replicas: u64) {
    if replicas == 0 {
        return;
    }
    // With nobody of this image to answer, those who answer now go on to.
    if ready_of(run, image) == 0 {
        return;
    }
    let strategy = &world.spec["strategy"];
    let named = |name: &str| {
        if world.strategy == Strategy::Ingress {
            return matches!(name, "web-stable" | "web-canary");
        }
        let bodies = [&strategy["canary"], &strategy["blueGreen"]];
        let fields = ["stableService", "canaryService", "activeService", "previewService"];
        bodies.iter().any(|body| fields.iter().any(|field| body[field] == name))
    };
    let elsewhere = end.services.iter().find(|(name, selected)| named(name) && *selected != image);
    run.oracle.check("T11", elsewhere.is_none(), || format!("at rest on {image}, and a Service selects {elsewhere:?}"));
    if world.strategy.is_routed() {
        let alone = end.weights == [("web-stable".to_owned(), 100)];
        run.oracle.check("T3", alone, || format!("at rest on {image}, and the weights are {:?}", end.weights));
    }
}

/// The end is that of the run without faults.
pub(super) fn compare(run: &mut Run, world: &World, wanted: &End) {
    // A spec that is refused for good stops the update wherever it is.
    if wanted.message.starts_with("InvalidSpec") {
        return;
    }
    let mut got = End::of(&run.shared.state());
    if world.strategy == Strategy::Basic
        && image_of(run, &got.stable).is_some_and(|image| !got.pods.contains_key(&image))
    {
        // To a stable that has no pods by its share, no Service is sent back that git sent elsewhere.
        got.services.clone_from(&wanted.services);
    }
    run.oracle.check("L8", wanted.same_wishes(&got), || format!("another end: {got:?}, and without faults {wanted:?}"));
}
