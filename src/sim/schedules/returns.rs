//! Going back to a former revision: by template inside the rollback window, and by command while spec stays.

use super::super::shop::template;
use super::crashes::{Schedule, survives_from};
use super::shop::{PODS, Shop};
use crate::core::application::wanted::ANNOTATION_SOURCE;
use serde_json::json;
use std::collections::BTreeMap;

fn opened(window: i64) -> Shop {
    let mut shop = Shop::open(vec![]);
    shop.edit(0, move |o| o["spec"]["rollbackWindow"] = json!({"revisions": window}));
    shop.play(60);
    shop
}

fn completed(shop: &mut Shop, image: &'static str) {
    shop.deploy(0, image);
    shop.play(240);
    assert_eq!(shop.phase(), "Healthy", "{image}: {}", shop.story());
    shop.run.oracle.weights = vec![0];
}

fn pods(image: &str) -> BTreeMap<String, u64> {
    BTreeMap::from([(image.to_owned(), PODS)])
}

fn message(shop: &Shop) -> String {
    shop.status()["message"].as_str().unwrap_or_default().to_owned()
}

fn noticed(shop: &Shop, reason: &str) -> usize {
    shop.run.shared.state().notices.iter().filter(|(r, _)| *r == reason).count()
}

/// N3: the way back takes seconds; the way forward again takes its steps.
#[test]
fn a_return_inside_the_window_skips_steps_and_a_revision_newer_than_stable_does_not() {
    let mut shop = opened(1);
    completed(&mut shop, "web:2");
    shop.deploy(0, "web:1");
    shop.play(20);
    assert_eq!((shop.phase().as_str(), shop.end().pods["web:1"]), ("Healthy", PODS), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 100, 0], "{}", shop.story());
    assert_eq!(noticed(&shop, "SkipSteps"), 1);
    shop.deploy(0, "web:2");
    shop.play(240);
    assert_eq!(shop.run.oracle.weights, [0, 100, 0, 20, 60, 100, 0], "{}", shop.story());
}

/// N3: one revision lies between.
#[test]
fn the_window_counts_the_revisions_between() {
    for (window, weights) in [(0, vec![0, 20, 60, 100, 0]), (1, vec![0, 20, 60, 100, 0]), (2, vec![0, 100, 0])] {
        let mut shop = opened(window);
        completed(&mut shop, "web:2");
        completed(&mut shop, "web:3");
        shop.deploy(0, "web:1");
        shop.play(240);
        assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods("web:1")), "{}", shop.story());
        assert_eq!(shop.run.oracle.weights, weights, "window {window}: {}", shop.story());
    }
}

/// N5: half of the pods are there at once, and half of them is all that may be asked of them.
#[test]
fn a_return_inside_the_window_never_gets_more_than_its_pods_carry() {
    let mut shop = opened(1);
    shop.run.oracle.declared.insert(50);
    shop.edit(0, |o| o["spec"]["strategy"]["canary"]["scaleDownDelaySeconds"] = json!(3600));
    completed(&mut shop, "web:2");
    shop.edit(0, |o| {
        o["spec"]["strategy"]["canary"]["replicaProgressThreshold"] = json!({"type": "Percent", "value": 10});
        o["spec"]["replicas"] = json!(2 * PODS);
    });
    shop.play(60);
    shop.run.shared.state().node.start_up = jiff::SignedDuration::from_secs(60);
    shop.deploy(0, "web:1");
    shop.play(30);
    assert_eq!(shop.run.oracle.weights, [0, 50], "{}", shop.story());
    shop.play(120);
    assert_eq!(shop.run.oracle.weights, [0, 50, 100, 0], "{}", shop.story());
}

#[test]
fn a_return_inside_the_window_can_be_aborted_and_a_retry_of_it_takes_the_steps() {
    let mut shop = opened(1);
    completed(&mut shop, "web:2");
    shop.run.shared.state().node.start_up = jiff::SignedDuration::from_secs(60);
    shop.deploy(0, "web:1");
    shop.annotate(10, "abort", "the wrong one");
    shop.play(120);
    assert_eq!((shop.phase().as_str(), shop.run.oracle.weights.as_slice()), ("Degraded", &[0][..]), "{}", shop.story());
    shop.annotate(0, "retry", "true");
    shop.play(600);
    assert_eq!(shop.run.oracle.weights, [0, 20, 60, 100, 0], "{}", shop.story());
}

/// Design section 2: a scope names a revision by its commit, which is that of the last time that its template came.
#[test]
fn a_revision_is_named_by_the_commit_that_brought_it() {
    let mut shop = opened(0);
    let from_git = |image: &'static str, commit: &'static str| {
        move |o: &mut serde_json::Value| {
            o["spec"]["template"] = template(image);
            let source = json!({"repo": "https://git/shop", "revision": commit, "path": "web"});
            o["metadata"]["annotations"][ANNOTATION_SOURCE] = json!(source.to_string());
        }
    };
    let good = |shop: &Shop| shop.status()["lastGood"]["source"]["revision"].clone();
    shop.edit(0, from_git("web:1", "aaaaaaaaaa"));
    shop.play(10);
    assert_eq!(good(&shop), "aaaaaaaaaa", "{}", shop.story());
    shop.edit(0, from_git("web:2", "bbbbbbbbbb"));
    shop.annotate(20, "promote", "full@git:aaaaaaaaaa");
    shop.play(25);
    let refused = shop.status()["commands"][0].clone();
    assert_eq!(refused["message"], "revision git:aaaaaaaaaa is not the current one", "{}", shop.story());
    shop.annotate(0, "promote", "full@git:bbbbbbb");
    shop.play(240);
    assert_eq!((shop.phase().as_str(), good(&shop)), ("Healthy", json!("bbbbbbbbbb")), "{}", shop.story());
    // A revert brings the former template with a commit of its own.
    shop.edit(0, from_git("web:1", "cccccccccc"));
    shop.annotate(20, "promote", "full@git:ccccccc");
    shop.play(240);
    assert_eq!((shop.phase().as_str(), good(&shop)), ("Healthy", json!("cccccccccc")), "{}", shop.story());
}

/// Design section 2: spec stays, and what runs is another revision until spec changes.
#[test]
fn a_rollback_by_command_takes_its_steps_and_lasts_until_the_next_template() {
    let mut shop = opened(0);
    completed(&mut shop, "web:2");
    shop.annotate(0, "rollback", "1");
    shop.play(240);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Paused", &pods("web:1")), "{}", shop.story());
    assert!(end.message.starts_with("rolled back to revision 3 ("), "{}", end.message);
    assert!(end.services.values().all(|image| image == "web:1"), "{end:?}");
    assert_eq!(shop.run.oracle.weights, [0, 20, 60, 100, 0], "{}", shop.story());
    assert_eq!(shop.status()["lastGood"]["images"], json!(["web:1"]));
    // A change of anything else starts nothing.
    shop.edit(0, |o| o["spec"]["replicas"] = json!(PODS + 1));
    shop.play(120);
    assert_eq!(shop.end().pods, BTreeMap::from([("web:1".to_owned(), PODS + 1)]), "{}", shop.story());
    shop.edit(0, |o| o["spec"]["replicas"] = json!(PODS));
    shop.deploy(0, "web:3");
    shop.play(300);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods("web:3")), "{}", shop.story());
    assert_eq!(shop.status()["rollback"], json!(null));
    assert!(!shop.status()["conditions"].to_string().contains("RolledBack"));
}

#[test]
fn a_rollback_to_stable_in_the_middle_takes_the_share_back_at_once_and_blames_nobody() {
    let mut shop = opened(0);
    shop.deploy(0, "web:2");
    shop.play(25);
    assert_eq!(shop.weight(), 20, "{}", shop.story());
    shop.annotate(0, "rollback", "1");
    shop.play(1);
    assert_eq!(shop.weight(), 0, "{}", shop.story());
    shop.play(120);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), &end.pods), ("Paused", &pods("web:1")), "{}", shop.story());
    assert_eq!(shop.status()["aborted"], json!(null));
}

#[test]
fn the_window_holds_for_a_rollback_by_command_too() {
    let mut shop = opened(1);
    completed(&mut shop, "web:2");
    shop.annotate(0, "rollback", "1");
    shop.play(20);
    assert_eq!(shop.run.oracle.weights, [0, 100, 0], "{}", shop.story());
}

#[test]
fn a_rollback_ends_when_the_template_in_spec_is_named() {
    let mut shop = opened(2);
    completed(&mut shop, "web:2");
    shop.annotate(0, "rollback", "1");
    shop.play(60);
    assert!(message(&shop).starts_with("rolled back"), "{}", shop.story());
    let template = shop.status()["rollback"]["template"].as_str().unwrap_or_default().to_owned();
    shop.edit(0, move |o| o["metadata"]["annotations"] = json!({"tidegate.dev/rollback": template}));
    shop.play(240);
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods("web:2")), "{}", shop.story());
}

/// The template in spec was refused by the API server: what runs stays, and is what was rolled back to.
#[test]
fn a_template_that_is_refused_does_not_end_a_rollback() {
    let mut shop = opened(1);
    completed(&mut shop, "web:2");
    shop.annotate(0, "rollback", "1");
    shop.play(60);
    shop.deploy(0, "web:refused");
    shop.play(120);
    assert!(message(&shop).starts_with("InvalidSpec"), "{}", message(&shop));
    assert_eq!(shop.end().pods, pods("web:1"), "{}", shop.story());
    shop.deploy(0, "web:2");
    shop.play(120);
    assert!(message(&shop).starts_with("rolled back"), "{}", message(&shop));
}

#[test]
fn a_rollback_to_what_is_not_there_says_what_is() {
    let mut shop = opened(0);
    completed(&mut shop, "web:2");
    shop.annotate(0, "rollback", "7");
    shop.play(30);
    let record = shop.status()["commands"][0].clone();
    assert_eq!(record["outcome"], "Refused", "{record}");
    assert!(record["message"].as_str().is_some_and(|m| m.contains("there are: 1 (")), "{record}");
    assert_eq!((shop.phase().as_str(), shop.end().pods), ("Healthy", pods("web:2")), "{}", shop.story());
}

const ROLLBACK: Schedule = (
    |shop| {
        shop.deploy(60, "web:2");
        shop.annotate(240, "rollback", "1");
    },
    600,
);

#[test]
fn a_process_may_die_at_any_write_of_a_rollback() {
    // The update before it has a schedule of its own.
    survives_from(ROLLBACK, 235);
}
