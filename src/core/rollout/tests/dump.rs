//! A dump is all that a decision is made from: deciding on it again gives the same.

use super::*;
use crate::core::plan::Plan;
use crate::core::rollout::{Dump, decide};

/// What the API server of a run has, as the command line would dump it.
fn dumped(run: &Run) -> Dump {
    Dump::of(&rollout(), run.now(), objects(run), Vec::new()).expect("stored objects")
}

fn objects(run: &Run) -> Vec<Value> {
    run.shared.state().server.iter().map(|(_, object)| object.clone()).collect()
}

/// From the file, as a test reads it.
fn decided(dump: &Dump) -> Plan {
    let text = serde_json::to_string_pretty(dump).expect("plain JSON");
    let read: Dump = serde_json::from_str(&text).expect("what was written");
    decide(&read.observed().expect("stored objects"), read.taken_at)
}

fn writes(plan: &Plan) -> Vec<String> {
    let status = plan.status.iter().map(|s| s.patch.to_string());
    status.chain(plan.safety.iter().chain(&plan.effects).map(|e| format!("{e:?}"))).collect()
}

fn paused() -> Run {
    let mut run = cluster(canary(json!([{"setWeight": 20}, {"pause": {}}])));
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(60);
    assert_eq!(status(&run)["phase"], "Paused", "{:#}", status(&run));
    run
}

#[test]
fn a_dump_at_rest_asks_for_no_write() {
    let dump = dumped(&paused());
    assert_eq!(writes(&decided(&dump)), Vec::<String>::new());
    assert_eq!(dump.missing.len(), 1, "a pause asks the controller nothing: {:?}", dump.missing);
}

#[test]
fn a_dump_names_the_answers_that_it_has_not() {
    let mut run = paused();
    run.shared.state().traefiks[1].stuck = true;
    annotate(&run, "abort", "slow");
    run.pass_time(5);
    let missing = dumped(&run).missing;
    assert!(missing[0].starts_with("what the controller was told about: routes shop-web@"), "{missing:?}");
}

#[test]
fn the_template_of_a_workload_is_part_of_a_dump() {
    let mut run = cluster(canary(json!([{"setWeight": 20}, {"pause": {}}])));
    put(
        &mut run.shared.state(),
        ResourceType::DEPLOYMENT,
        "web",
        &json!({"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template("app:1")}),
    );
    change(&run, |object| {
        let spec = object["spec"].as_object_mut().expect("a spec");
        spec.retain(|key, _| key != "template" && key != "selector");
        spec.insert("workloadRef".to_owned(), json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}));
    });
    run.pass_time(60);
    assert_eq!(status(&run)["phase"], "Healthy", "{:#}", status(&run));
    let dump = dumped(&run);
    assert_eq!((writes(&decided(&dump)), dump.missing.len()), (Vec::new(), 1), "{:?}", dump.missing);
    let without = dump.objects.iter().filter(|o| o["kind"] != "Deployment").cloned().collect();
    let without = Dump::of(&rollout(), dump.taken_at, without, Vec::new()).expect("stored objects");
    assert!(without.missing[0].ends_with("workload Deployment shop/web"), "{:?}", without.missing);
}

#[test]
fn a_dump_holds_what_is_read_and_nothing_else() {
    let run = paused();
    put(&mut run.shared.state(), ResourceType::DEPLOYMENT, "other", &json!({"replicas": 1}));
    put(&mut run.shared.state(), ResourceType::REPLICA_SET, "other", &json!({"replicas": 1}));
    put(&mut run.shared.state(), ResourceType::ROLLOUT, "other", &json!({"replicas": 1}));
    change(&run, |o| {
        o["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!("{}");
    });
    let dump = dumped(&run);
    let text = serde_json::to_string(&dump.objects).expect("plain JSON");
    assert!(!text.contains("last-applied"), "{text}");
    let others: Vec<&Value> = dump.objects.iter().filter(|o| o["metadata"]["name"] == "other").collect();
    assert_eq!(others.len(), 1, "the neighbour's name counts: {others:#?}");
    assert!(others[0].get("spec").is_none(), "{others:#?}");
    for set in dump.objects.iter().filter(|o| o["kind"] == "ReplicaSet") {
        assert_eq!(set["spec"]["template"]["spec"].as_object().map(serde_json::Map::len), Some(1), "{set:#}");
    }
}

/// A command in git is known by who wrote it.
#[test]
fn a_dump_keeps_who_wrote_an_annotation_of_the_rollout() {
    let run = paused();
    let mut objects = objects(&run);
    let by = |manager: &str, what: Value| json!({"manager": manager, "fieldsV1": {"f:metadata": what}});
    for object in &mut objects {
        let annotations = json!({"f:annotations": {"f:tidegate.dev/abort": {}}});
        object["metadata"]["managedFields"] =
            json!([by("argocd", annotations), by("kubectl", json!({"f:labels": {}}))]);
    }
    let dump = Dump::of(&rollout(), run.now(), objects, Vec::new()).expect("stored objects");
    let text = serde_json::to_string(&dump.objects).expect("plain JSON");
    assert_eq!((text.matches("argocd").count(), text.matches("kubectl").count()), (1, 0));
    let observed = dump.observed().expect("stored objects");
    let row = observed.rollout.expect("the Rollout");
    assert_eq!(row.annotation_managers.get("tidegate.dev/abort").map(String::as_str), Some("argocd"));
}

/// A file in the form that `tidegate explain web --dump` prints: a canary at 20 % in a pause without end.
const DUMPED: &str = include_str!("dumped.json");

#[test]
fn a_dump_is_a_fixture_a_command_on_top_of_it_is_decided() {
    let mut dump: Dump = serde_json::from_str(DUMPED).expect("a dump");
    assert_eq!(writes(&decided(&dump)), Vec::<String>::new());
    let object = dump.objects.iter_mut().find(|o| o["kind"] == "Rollout").expect("it");
    object["metadata"]["annotations"] = json!({"tidegate.dev/abort": "slow"});
    let plan = decided(&dump);
    let [lowered] = plan.safety.as_slice() else { panic!("one write: {:?}", plan.safety) };
    assert!(format!("{lowered:?}").contains("LowerWeight"), "{lowered:?}");
    assert_eq!(plan.status.expect("a record").patch["abort"], true);
}
