//! Former revisions that wait in their delay (S2, S4).

use super::*;

/// Revisions app:1 to app:4, one after the other, within a delay that does not end.
fn four_revisions(mut strategy: Value, kind: &str, limit: &Value) -> Run {
    strategy[kind]["scaleDownDelaySeconds"] = json!(36000);
    strategy[kind]["scaleDownDelayRevisionLimit"] = limit.clone();
    let mut run = cluster(strategy);
    run.pass_time(30);
    for image in ["app:2", "app:3", "app:4"] {
        set_image(&run, image);
        run.pass_time(60);
        assert_eq!(status(&run)["phase"], "Healthy", "{image}: {:#}", status(&run));
    }
    run
}

fn expect(run: &Run, counts: [i64; 4]) {
    let images = ["app:1", "app:2", "app:3", "app:4"];
    let wanted: Vec<_> = images.iter().map(|i| (*i).to_owned()).zip(counts).collect();
    assert_eq!(sizes(run), wanted);
}

#[test]
fn s2_beyond_the_limit_of_waiting_revisions_the_oldest_go_at_once() {
    let blue_green = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary"}});
    for (limit, counts) in
        [(json!(null), [4, 4, 4, 4]), (json!(2), [0, 4, 4, 4]), (json!(1), [0, 0, 4, 4]), (json!(0), [0, 0, 0, 4])]
    {
        let mut run = four_revisions(canary(json!([])), "canary", &limit);
        expect(&run, counts);
        at_rest(&mut run);
        let mut run = four_revisions(blue_green.clone(), "blueGreen", &limit);
        expect(&run, counts);
        at_rest(&mut run);
    }
}

/// S5: and the newest are counted by the number of their revision, which going back renews.
#[test]
fn a_waiting_revision_that_is_wanted_again_waits_no_longer_and_is_the_newest_when_it_waits_again() {
    let mut run = four_revisions(canary(json!([])), "canary", &json!(1));
    set_image(&run, "app:1");
    run.pass_time(60);
    expect(&run, [4, 0, 0, 4]);
    set_image(&run, "app:2");
    run.pass_time(60);
    expect(&run, [4, 4, 0, 0]);
    at_rest(&mut run);
}

/// N is 4, and one pod may be missing.
#[test]
fn s4_former_pods_are_the_reserve_while_stable_misses_pods() {
    let mut strategy = canary(json!([]));
    strategy["canary"]["scaleDownDelaySeconds"] = json!(60);
    let mut run = cluster(strategy);
    run.pass_time(30);
    set_image(&run, "app:2");
    run.pass_time(30);
    let stable = status(&run)["stableRS"].as_str().unwrap_or_default().to_owned();
    assert_eq!(sizes(&run), [("app:1".to_owned(), 4), ("app:2".to_owned(), 4)]);
    let stable = ObjectRef::new(ResourceType::REPLICA_SET, NAMESPACE, format!("web-{stable}"));
    run.shared.state().node.strike(&stable, true);
    run.pass_time(120);
    assert_eq!(sizes(&run), [("app:1".to_owned(), 3), ("app:2".to_owned(), 4)]);
    run.shared.state().node.strike(&stable, false);
    run.pass_time(60);
    assert_eq!(sizes(&run), [("app:1".to_owned(), 0), ("app:2".to_owned(), 4)]);
}
