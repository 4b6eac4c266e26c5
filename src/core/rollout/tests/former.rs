//! Services that a strategy no longer names (V2).

use super::*;

#[test]
fn v2_services_of_a_former_strategy_are_given_back() {
    let blue_green = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary"}});
    let mut run = cluster(blue_green);
    run.pass_time(60);
    assert_ne!(selected(&run, "web-stable"), "");
    change(&run, |object| {
        object["spec"]["strategy"] = json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})
    });
    run.pass_time(60);
    for service in ["web-stable", "web-canary"] {
        assert_eq!(selected(&run, service), "", "{service}");
    }
    assert_eq!(status(&run)["phase"], "Healthy", "{:#}", status(&run));
    assert!(status(&run)["traffic"].is_null());
    at_rest(&mut run);
}

#[test]
fn v2_a_service_that_is_still_named_is_kept() {
    let mut run = cluster(json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary"}}));
    run.pass_time(60);
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    change(&run, |object| {
        object["spec"]["strategy"] = json!({"canary": {"stableService": "web-stable", "steps": steps}})
    });
    run.pass_time(60);
    assert_ne!(selected(&run, "web-stable"), "");
    assert_eq!(selected(&run, "web-canary"), "");
    at_rest(&mut run);
}
