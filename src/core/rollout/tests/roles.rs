//! Metadata of roles, and pods kept apart (Q2, Q3).

use super::*;
use std::collections::BTreeSet;

/// What the pods of each image carry under a key: labels first, then annotations.
fn carried(run: &Run, key: &str) -> BTreeSet<(String, String)> {
    let state = run.shared.state();
    let mut found = BTreeSet::new();
    for (set, pod) in state.node.pods() {
        let template = &state.server.get(set).expect("its ReplicaSet")["spec"]["template"];
        let image = template["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        let value =
            [&pod.metadata["labels"][key], &pod.metadata["annotations"][key]].into_iter().find_map(Value::as_str);
        found.insert((image.to_owned(), value.unwrap_or_default().to_owned()));
    }
    found
}

fn expect(run: &Run, key: &str, pairs: &[(&str, &str)]) {
    let wanted: BTreeSet<_> = pairs.iter().map(|(i, v)| ((*i).to_owned(), (*v).to_owned())).collect();
    assert_eq!(carried(run, key), wanted, "{key}: {:#}", status(run));
}

fn replica_sets(run: &Run) -> Vec<Value> {
    let state = run.shared.state();
    state.server.iter().filter(|(t, _)| t.resource == ResourceType::REPLICA_SET).map(|(_, o)| o.clone()).collect()
}

#[test]
fn q2_pods_carry_what_their_revision_is_and_none_is_restarted_for_it() {
    let mut strategy = canary(json!([{"setWeight": 50}, {"pause": {}}]));
    strategy["canary"]["canaryMetadata"] = json!({"labels": {"role": "canary"}, "annotations": {"try": "yes"}});
    strategy["canary"]["stableMetadata"] = json!({"labels": {"role": "stable"}});
    strategy["canary"]["scaleDownDelaySeconds"] = json!(600);
    let mut run = cluster(strategy);
    run.pass_time(30);
    expect(&run, "role", &[("app:1", "stable")]);
    let hash = status(&run)["currentPodHash"].clone();
    set_image(&run, "app:2");
    run.pass_time(60);
    expect(&run, "role", &[("app:1", "stable"), ("app:2", "canary")]);
    expect(&run, "try", &[("app:1", ""), ("app:2", "yes")]);
    annotate(&run, "promote", "step");
    run.pass_time(60);
    assert_eq!(status(&run)["phase"], "Healthy", "{:#}", status(&run));
    expect(&run, "role", &[("app:1", ""), ("app:2", "stable")]);
    expect(&run, "try", &[("app:1", ""), ("app:2", "")]);
    let started = run.shared.state().node.pods().count();
    assert_eq!(started, 8, "each pod was made once");
    at_rest(&mut run);
    // Nothing of it is in the hash, and a change of it reaches pods that run.
    change(&run, |o| o["spec"]["strategy"]["canary"]["stableMetadata"] = json!({"labels": {"role": "live"}}));
    run.pass_time(30);
    expect(&run, "role", &[("app:1", ""), ("app:2", "live")]);
    set_image(&run, "app:1");
    run.pass_time(60);
    assert_eq!(status(&run)["currentPodHash"], hash);
    expect(&run, "role", &[("app:1", "canary"), ("app:2", "live")]);
}

#[test]
fn q2_preview_and_active_pods_of_blue_green_carry_their_roles() {
    let strategy = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary",
        "autoPromotionEnabled": false, "previewMetadata": {"labels": {"role": "preview"}},
        "activeMetadata": {"labels": {"role": "active"}}}});
    let mut run = cluster(strategy);
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(30);
    expect(&run, "role", &[("app:1", "active"), ("app:2", "preview")]);
    annotate(&run, "promote", "true");
    run.pass_time(90);
    expect(&run, "role", &[("app:2", "active")]);
    let marks: Vec<_> = replica_sets(&run)
        .into_iter()
        .map(|o| o["metadata"]["annotations"]["tidegate.dev/role-metadata"].clone())
        .collect();
    assert_eq!(marks.iter().filter(|m| m.is_string()).count(), 1, "the former revision is as it was made: {marks:?}");
    at_rest(&mut run);
}

/// A label of the user's own template comes back when the role ends.
#[test]
fn q2_what_a_role_covers_comes_back() {
    let mut strategy = canary(json!([{"setWeight": 50}]));
    strategy["canary"]["stableMetadata"] = json!({"labels": {"tier": "served"}});
    strategy["canary"]["scaleDownDelaySeconds"] = json!(600);
    let mut run = cluster(strategy);
    change(&run, |o| o["spec"]["template"]["metadata"]["labels"]["tier"] = json!("front"));
    run.pass_time(30);
    expect(&run, "tier", &[("app:1", "served")]);
    set_image(&run, "app:2");
    run.pass_time(120);
    expect(&run, "tier", &[("app:1", "front"), ("app:2", "served")]);
}

/// At creation only, and not part of the hash.
#[test]
fn q3_a_new_revision_is_kept_off_the_nodes_of_stable() {
    let rule = json!({"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 7}});
    let mut strategy = canary(json!([{"setWeight": 50}, {"pause": {}}]));
    strategy["canary"]["antiAffinity"] = rule;
    let mut run = cluster(strategy);
    run.pass_time(30);
    let first = status(&run)["stableRS"].clone();
    set_image(&run, "app:2");
    run.pass_time(30);
    let affinity = |image: &str| {
        let sets = replica_sets(&run);
        let pod = |o: &&Value| o["spec"]["template"]["spec"]["containers"][0]["image"] == image;
        sets.iter().find(pod).expect("it")["spec"]["template"]["spec"]["affinity"].clone()
    };
    assert_eq!(affinity("app:1"), json!(null));
    let terms = &affinity("app:2")["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(terms[0]["weight"], 7);
    assert_eq!(terms[0]["podAffinityTerm"]["labelSelector"]["matchExpressions"][0]["values"], json!([first]));
    at_rest(&mut run);
}
