//! Pods older than a moment are replaced (Q1), and users notice nothing.

use super::super::shop::{name, replica_sets};
use super::crashes::{Schedule, survives};
use super::shop::{PODS, Shop, default_steps};
use crate::core::object::ResourceType;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The schedules start at this time.
const START: &str = "2026-01-01T00:00:00Z";

fn opened(unavailable: Value) -> Shop {
    let mut shop = Shop::open(vec![]);
    shop.edit(0, move |o| o["spec"]["strategy"]["canary"]["maxUnavailable"] = unavailable);
    shop.play(60);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
    shop
}

/// A canary is paused at this share.
fn paused_at(weight: i64) -> Shop {
    let mut shop = Shop::with(json!([{"setWeight": weight}, {"pause": {}}]), vec![], &[]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(60);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", weight), "{}", shop.story());
    shop
}

fn time(second: i64) -> String {
    (START.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(second)).to_string()
}

/// Plays second by second; fewest ready pods, and most pods, that stable had.
fn extremes(shop: &mut Shop, seconds: i64) -> (usize, usize) {
    let (mut fewest, mut most) = (usize::MAX, 0);
    for _ in 0..seconds {
        shop.play(1);
        let stable = format!("web-{}", shop.status()["stableRS"].as_str().unwrap_or_default());
        let state = shop.run.shared.state();
        let pods: Vec<_> = state.node.pods().filter(|(set, _)| set.name == stable).map(|(_, pod)| pod).collect();
        fewest = fewest.min(pods.iter().filter(|pod| pod.ready_since.is_some()).count());
        most = most.max(pods.len());
    }
    (fewest, most)
}

fn oldest(shop: &Shop) -> Timestamp {
    shop.run.shared.state().node.pods().map(|(_, pod)| pod.born).min().expect("pods")
}

fn evictions(shop: &Shop) -> usize {
    shop.run.shared.state().writes.iter().filter(|wrote| wrote.why == "restart").count()
}

/// Design section 4: never below N - floor(maxUnavailable), and one more where that is nothing.
#[test]
fn a_restart_replaces_each_pod_once_inside_what_may_be_missing() {
    for (unavailable, fewest, most) in [(json!(0), 4, 5), (json!(1), 3, 4), (json!(2), 2, 4), (json!("100%"), 1, 4)] {
        let mut shop = opened(unavailable.clone());
        shop.annotate(0, "restart", "2026-01-01T00:01:00Z");
        let first = extremes(&mut shop, 2);
        assert_eq!(shop.status()["message"], "rollout is restarting", "{unavailable}: {}", shop.story());
        assert_eq!(shop.phase(), "Progressing");
        let rest = extremes(&mut shop, 120);
        let seen = (first.0.min(rest.0), first.1.max(rest.1));
        assert_eq!(seen, (fewest, most), "{unavailable}: {}", shop.story());
        assert_eq!(shop.status()["restartedAt"], time(60), "{unavailable}: {}", shop.story());
        assert!(oldest(&shop) >= time(60).parse().expect("a time"), "{unavailable}");
        assert_eq!(
            (evictions(&shop) as u64, shop.end().pods["web:1"]),
            (PODS, PODS),
            "{unavailable}: {}",
            shop.story()
        );
        assert_eq!((shop.phase().as_str(), shop.status()["restartAt"].clone()), ("Healthy", json!(null)));
        assert_eq!(shop.run.oracle.weights, [0]);
    }
}

/// In the middle of an update both revisions are restarted, and the update goes on where it was.
#[test]
fn a_restart_in_the_middle_restarts_stable_and_canary_and_keeps_the_share() {
    let mut shop = paused_at(20);
    shop.annotate(0, "restart", "2026-01-01T00:02:00Z");
    assert_eq!(extremes(&mut shop, 180), (3, 4), "{}", shop.story());
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", 20), "{}", shop.story());
    assert!(oldest(&shop) >= time(120).parse().expect("a time"), "{}", shop.story());
    assert_eq!(shop.run.oracle.weights, [0, 20], "the canary's only pod was replaced by surge: {}", shop.story());
    assert_eq!(shop.end().pods.into_iter().collect::<Vec<_>>(), [("web:1".to_owned(), 4), ("web:2".to_owned(), 1)]);
}

/// While it is not known what Traefik serves a canary keeps what it has: with one pod more of the restart, that was one more with
/// each pass.
#[test]
fn a_restart_of_a_canary_whose_share_is_not_known_adds_one_pod_and_no_more() {
    let mut shop = paused_at(40);
    shop.run.at(0, |state| {
        state.traefiks[1].silent = true;
        let sets = replica_sets(state);
        let (set, ..) = sets.iter().find(|(_, image, _)| image == "web:2").expect("the canary's");
        state.node.cripple(set);
    });
    shop.annotate(1, "restart", "2026-01-01T00:02:00Z");
    let mut most = 0;
    for _ in 0..120 {
        shop.play(1);
        most = most.max(shop.end().pods.get("web:2").copied().unwrap_or(0));
    }
    assert!(most <= 3, "two are wanted, and there were {most}: {}", shop.story());
}

/// Of spec it may lie ahead; of a command not.
#[test]
fn a_time_of_spec_is_waited_for_and_one_of_a_command_must_have_passed() {
    let mut shop = opened(json!(1));
    shop.annotate(0, "restart", "2026-01-01T01:00:00Z");
    shop.edit(0, |o| o["spec"]["restartAt"] = json!("2026-01-01T00:10:00Z"));
    shop.play(500);
    assert_eq!((evictions(&shop), shop.phase().as_str()), (0, "Healthy"), "{}", shop.story());
    assert_eq!(shop.status()["commands"][0]["outcome"], "Refused");
    shop.play(200);
    assert_eq!(shop.status()["restartedAt"], time(600), "{}", shop.story());
    assert_eq!(evictions(&shop), 4, "{}", shop.story());
    let writes = shop.run.shared.state().writes.len();
    shop.play(600);
    assert_eq!(shop.run.shared.state().writes.len(), writes, "{}", shop.story());
}

#[test]
fn a_budget_that_refuses_is_asked_again_and_named_meanwhile() {
    let mut shop = opened(json!(1));
    shop.run.shared.state().node.budget = true;
    shop.annotate(0, "restart", "2026-01-01T00:01:00Z");
    shop.play(100);
    let message = shop.status()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("would violate its disruption budget"), "{message}");
    let asked = evictions(&shop);
    assert!((2..=6).contains(&asked), "{asked}: {}", shop.story());
    shop.run.shared.state().node.budget = false;
    shop.play(120);
    assert_eq!(shop.status()["restartedAt"], time(60), "{}", shop.story());
}

#[test]
fn a_new_template_cancels_a_restart() {
    let mut shop = opened(json!(1));
    shop.run.shared.state().node.budget = true;
    shop.annotate(0, "restart", "2026-01-01T00:01:00Z");
    shop.play(10);
    shop.deploy(0, "web:2");
    shop.play(1);
    shop.run.shared.state().node.budget = false;
    let asked = evictions(&shop);
    shop.play(300);
    assert_eq!((shop.phase().as_str(), evictions(&shop)), ("Healthy", asked), "{}", shop.story());
    assert_eq!(shop.status()["restartedAt"], time(60));
}

/// A pod that does not get ready is no reason to keep the others old.
#[test]
fn old_pods_that_are_not_ready_go_first_and_cost_nothing() {
    let mut shop = opened(json!(1));
    shop.strike(0, "web:1", true);
    // Nobody serves meanwhile, so no oracle is asked.
    shop.run.pass_time(2);
    shop.annotate(0, "restart", "2026-01-01T00:01:02Z");
    shop.run.pass_time(60);
    assert_eq!((evictions(&shop), shop.phase().as_str()), (4, "Healthy"), "{}", shop.story());
}

const RESTART: Schedule = (
    |shop| {
        shop.edit(0, |o| o["spec"]["strategy"]["canary"]["maxUnavailable"] = json!(0));
        shop.annotate(60, "restart", "2026-01-01T00:01:00Z");
    },
    300,
);

#[test]
fn a_process_may_die_at_any_write_of_a_restart() {
    survives(RESTART);
}

#[test]
fn a_blue_green_rollout_restarts_the_pods_that_users_are_served_by() {
    let mut shop = Shop::with(default_steps(), vec![], &[]);
    shop.edit(0, |o| {
        let strategy = json!({"activeService": "web-stable", "previewService": "web-canary", "maxUnavailable": 1});
        o["spec"]["strategy"] = json!({"blueGreen": strategy});
    });
    shop.play(60);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
    assert!(shop.run.get(&name(ResourceType::ROLLOUT, "web")).is_some());
    shop.annotate(0, "restart", "2026-01-01T00:01:00Z");
    assert_eq!(extremes(&mut shop, 120), (3, 4), "{}", shop.story());
    assert_eq!(shop.status()["restartedAt"], time(60), "{}", shop.story());
    assert_eq!(evictions(&shop), 4, "{}", shop.story());
}
