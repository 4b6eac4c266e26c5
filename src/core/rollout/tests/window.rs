//! The rollback window of blueGreen (N3).

use super::*;

#[test]
fn n3_a_blue_green_return_inside_the_window_is_switched_without_a_person() {
    for (window, switched) in [(0, "app:2"), (1, "app:1")] {
        let strategy = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary",
            "autoPromotionEnabled": false, "previewReplicaCount": 1, "scaleDownDelaySeconds": 0}});
        let mut run = cluster(strategy);
        change(&run, |object| object["spec"]["rollbackWindow"] = json!({"revisions": window}));
        run.pass_time(30);
        set_image(&run, "app:2");
        run.pass_time(30);
        annotate(&run, "promote", "true");
        run.pass_time(60);
        assert_eq!(sizes(&run), [("app:1".to_owned(), 0), ("app:2".to_owned(), 4)], "{:#}", status(&run));
        set_image(&run, "app:1");
        run.pass_time(60);
        let stable = status(&run)["stableRS"].as_str().unwrap_or_default().to_owned();
        assert_eq!(selected(&run, "web-stable"), stable);
        let set = ObjectRef::new(ResourceType::REPLICA_SET, NAMESPACE, format!("web-{stable}"));
        let image = run.get(&set).expect("it")["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        assert_eq!(image, switched, "window {window}: {:#}", status(&run));
        at_rest(&mut run);
    }
}
