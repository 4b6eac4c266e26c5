//! What the explorer found, or was found while it was written, each as the shortest story that shows it. The seeds are those of
//! its first form: they draw other schedules now.

use super::super::api::State;
use super::super::run::{Act, Restart};
use super::super::shop::{delete_rollout, name, replica_sets, rollout};
use super::super::traefik::Answered;
use super::shop::{PODS, Shop, default_steps, lines};
use crate::core::object::ResourceType;
use crate::execute::faults::{Action, Fault};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A new process, and what it wrote.
fn written_by_a_new_process(shop: &mut Shop) -> String {
    let before = shop.run.shared.state().writes.len();
    shop.run.then(SignedDuration::ZERO, Act::End(Restart::default()));
    shop.play(60);
    let writes = shop.run.shared.state().writes[before..].to_vec();
    lines(&writes)
}

/// Somebody deletes stable's ReplicaSet, and its pods go with it.
fn lose_stable(state: &mut State) {
    let sets = replica_sets(state);
    let (set, ..) = sets.iter().find(|(_, image, _)| image == "web:1").expect("stable is there");
    state.node.strike(set, false);
    state.server.delete(set, None, state.now).expect("it was there a line ago");
}

/// Seed 8: the list of instances that are behind was empty until the first answer.
#[test]
fn a_new_process_keeps_the_instance_that_was_silent() {
    let mut shop = Shop::open(vec![]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.run.at(20, |state| state.traefiks[1].silent = true);
    shop.play(120);
    assert_eq!(written_by_a_new_process(&mut shop), "", "{}", shop.story());
}

/// The first pass of a new process took the bound, long over, for an answer: nobody can be heard.
#[test]
fn a_new_process_does_not_take_its_own_silence_for_that_of_traefik() {
    let mut shop = Shop::with(json!([{"setWeight": 20}, {"pause": {}}]), vec![], &[]);
    shop.play(60);
    // Both instances answer, and neither loads what is new: a weight that is written is not live.
    shop.run.at(0, |state| state.traefiks.iter_mut().for_each(|t| t.stuck = true));
    shop.deploy(1, "web:2");
    shop.play(120);
    assert_eq!(shop.status()["traffic"]["live"]["canary"], json!(0), "{}", shop.story());
    written_by_a_new_process(&mut shop);
    assert_eq!(shop.status()["traffic"]["live"]["canary"], json!(0), "{}", shop.story());
}

/// Seed 61: Degraded, then Progressing until the API server had refused it again, then Degraded.
#[test]
fn a_new_process_keeps_the_refusal_of_a_template() {
    let mut shop = Shop::open(vec![]);
    shop.play(60);
    shop.deploy(0, "web:refused");
    shop.play(60);
    assert_eq!(written_by_a_new_process(&mut shop), "", "{}", shop.story());
}

/// Seed 91: "the cluster is the cause" until the pods had been read.
#[test]
fn a_new_process_keeps_the_cause_of_an_exceeded_deadline() {
    let mut shop = Shop::open(vec![]);
    shop.edit(0, |o| o["spec"]["progressDeadlineAbort"] = json!(false));
    shop.play(60);
    shop.deploy(0, "web:bad");
    shop.play(900);
    assert_eq!(shop.phase(), "Degraded", "{}", shop.story());
    assert_eq!(written_by_a_new_process(&mut shop), "", "{}", shop.story());
}

/// Seed 65: the text of the refusal stayed in status, and the next abort would have pulled the second lever for it.
#[test]
fn the_refusal_of_a_weight_that_nobody_wants_any_more_is_forgotten() {
    let fault = |nth| Fault {
        kind: "Rollout".to_owned(),
        namespace: None,
        why: "raise-weight".to_owned(),
        nth,
        action: Action::Refuse,
    };
    let mut shop = Shop::open((1..=12).map(fault).collect());
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(20);
    assert!(shop.status()["traffic"]["message"].is_string(), "{}", shop.story());
    // Before a try succeeds the wish is another.
    shop.deploy(0, "web:1");
    shop.play(120);
    assert_eq!(shop.status()["traffic"]["message"], json!(null), "{}", shop.story());
}

/// Seed 124: the share of a stable without pods took the whole weighted service down, for everybody and for good.
#[test]
fn when_the_replica_set_of_stable_is_deleted_users_go_to_the_revision_that_is_there() {
    for second in [4, 15, 50] {
        let mut shop = Shop::with(default_steps(), vec![], &[]);
        shop.play(60);
        shop.deploy(0, "web:2");
        shop.run.at(second, lose_stable);
        shop.play(200);
        let end = shop.end();
        let pods = BTreeMap::from([("web:2".to_owned(), PODS)]);
        assert_eq!((end.phase.as_str(), &end.pods), ("Healthy", &pods), "{second}: {}", shop.story());
        let state = shop.run.shared.state();
        assert!(matches!(state.traefiks[0].request("GET"), Answered::By(_)), "{second}");
        assert!(state.server.get(&name(ResourceType::SERVICE, "web-stable")).is_some());
    }
}

/// Pair 11940: both Services, which are ours behind an Ingress, went to a revision without pods while the canary had half of the
/// users.
#[test]
fn a_new_template_at_the_moment_when_stable_is_deleted_leaves_the_canary_to_those_whom_it_serves() {
    let strategy = json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}],
                                     "trafficRouting": {"traefik": {"ingress": {"name": "web"}}}}});
    let mut shop = Shop::of(2, &strategy);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.run.at(20, lose_stable);
    shop.deploy(20, "web:3");
    shop.play(200);
    let end = shop.end();
    let pods = BTreeMap::from([("web:3".to_owned(), 2)]);
    assert_eq!((end.phase.as_str(), &end.pods), ("Healthy", &pods), "{}", shop.story());
}

/// Seed 87408: the share from before was seen once more, and taken for the one that was asked for last; so the pods went while Traefik
/// was about to load what had been asked for in between.
#[test]
fn a_share_that_was_taken_back_before_anybody_saw_it_may_still_come_up() {
    for after in [1_000, 1_500, 2_000, 2_500, 3_000] {
        let strategy = json!({"canary": {
            "stableService": "web-stable", "canaryService": "web-canary", "abortScaleDownDelaySeconds": 1,
            "trafficRouting": {"traefik": {"weightedTraefikServiceName": "web"}},
            "steps": [{"setWeight": 50}, {"pause": {}}]}});
        let mut shop = Shop::of(2, &strategy);
        shop.play(60);
        shop.deploy(0, "web:2");
        let abort = |state: &mut State| {
            let asked = |o: &mut Value| o["metadata"]["annotations"] = json!({"tidegate.dev/abort": "at once"});
            state.server.change(&rollout(), "kubectl-annotate", asked).expect("the Rollout is there");
        };
        shop.run.then(SignedDuration::from_millis(after), Act::World(Box::new(abort)));
        shop.play(60);
        assert_eq!((shop.phase().as_str(), shop.weight()), ("Degraded", 0), "{after}: {}", shop.story());
    }
}

/// Traefik does not load a weighted service with an empty child, and steps waited for weights to be seen live: for good.
#[test]
fn a_stable_that_is_gone_for_good_is_replaced() {
    let mut shop = Shop::open(vec![]);
    shop.play(60);
    shop.strike(0, "web:1", true);
    shop.deploy(1, "web:2");
    shop.play(1_200);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
    let state = shop.run.shared.state();
    assert!(matches!(state.traefiks[0].request("GET"), Answered::By(_)));
}

/// The first mend of that took a moment without pods for the end of stable, and went to 100 % in one go.
#[test]
fn a_stable_that_is_away_for_a_moment_promotes_nobody() {
    let mut shop = Shop::open(vec![]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.strike(1, "web:1", false);
    shop.play(20);
    assert!(!shop.run.oracle.weights.contains(&100), "{:?}\n{}", shop.run.oracle.weights, shop.story());
}

/// Somebody's forced apply took the revision off the canary's Service while it had a share: it was not put back before the share
/// was gone, which at full weight and without stable was never.
#[test]
fn a_service_whose_revision_was_taken_off_gets_it_back_with_its_share() {
    let mut shop = Shop::with(json!([{"setWeight": 20}, {"pause": {}}]), vec![], &[]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(60);
    let canary = name(ResourceType::SERVICE, "web-canary");
    let before = shop.run.get(&canary).expect("it is there")["spec"]["selector"].clone();
    let reset = canary.clone();
    shop.run.at(0, move |state| {
        let git = json!({"app": "web"});
        state.server.change(&reset, "git", |o| o["spec"]["selector"] = git).expect("it is there");
    });
    shop.play(60);
    assert_eq!(shop.run.get(&canary).expect("it is there")["spec"]["selector"], before, "{}", shop.story());
    assert_eq!(shop.phase(), "Paused", "{}", shop.story());
}

/// With stable dead a canary keeps the share that it has. Its Service stayed with it when the next revision came, for good.
#[test]
fn a_stable_that_is_gone_is_replaced_by_a_revision_that_comes_later() {
    let mut shop = Shop::open(vec![]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(20);
    assert_eq!(shop.weight(), 20, "{}", shop.story());
    shop.strike(0, "web:1", true);
    shop.deploy(80, "web:3");
    shop.play(1_200);
    let end = shop.end();
    assert_eq!((end.phase.as_str(), end.pods.get("web:3")), ("Healthy", Some(&PODS)), "{}", shop.story());
    let state = shop.run.shared.state();
    assert!(matches!(state.traefiks[0].request("GET"), Answered::By(_)));
}

/// The root was deleted while Traefik still served its last weight but one: the canary's Service moved under that share.
#[test]
fn a_root_that_is_deleted_moves_no_service_before_its_share_is_gone() {
    let mut shop = Shop::with(json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]), vec![], &[]);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(30);
    shop.annotate(0, "promote", "step");
    shop.play(6);
    assert_eq!(shop.weight(), 60, "{}", shop.story());
    // Some load of Traefik's just before, so that the lowering has to wait.
    shop.run.at(0, |state| {
        let target = name(ResourceType::INGRESS_ROUTE, "web");
        state.server.change(&target, "user", |o| o["spec"]["routes"][0]["priority"] = json!(40)).expect("it is there");
    });
    shop.deploy(0, "web:3");
    let gone = |state: &mut State| {
        let now = state.now;
        state.server.delete(&name(ResourceType::TRAEFIK_SERVICE, "web"), None, now).expect("it is there");
    };
    shop.run.then(SignedDuration::from_millis(300), Act::World(Box::new(gone)));
    shop.play(60);
    assert_eq!((shop.phase().as_str(), shop.weight()), ("Paused", 20), "{}", shop.story());
}

/// Users were at the new pods already, for want of anybody else, and its status said until a promote that it waits for one.
#[test]
fn a_blue_green_whose_stable_is_gone_waits_for_nobody() {
    let strategy = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary",
        "autoPromotionEnabled": false, "previewReplicaCount": 1}});
    let mut shop = Shop::of(PODS, &strategy);
    shop.play(60);
    shop.deploy(0, "web:2");
    shop.play(30);
    shop.run.at(0, |state| {
        state.node.start_up = SignedDuration::from_secs(20);
        lose_stable(state);
    });
    assert_eq!(shop.phase(), "Paused", "{}", shop.story());
    shop.play(2);
    assert_eq!((shop.phase().as_str(), &shop.status()["pauseConditions"]), ("Progressing", &json!(null)));
    shop.play(120);
    assert_eq!(shop.phase(), "Healthy", "{}", shop.story());
}

/// The Rollout's watch was late: the process took the orphans in again, for an owner that was gone, and the garbage collector took
/// the pods that were to go on to serve.
#[test]
fn orphans_are_not_taken_in_before_the_rollout_is_known_to_stay() {
    for kind in ["Rollout", "Service"] {
        let mut shop = Shop::with(default_steps(), vec![], &[(kind, 2_000)]);
        shop.play(60);
        shop.run.at(0, |state| delete_rollout(state, true));
        shop.play(120);
        let pods = BTreeMap::from([("web:1".to_owned(), PODS)]);
        assert_eq!((shop.run.get(&rollout()), shop.end().pods), (None, pods), "{kind}: {}", shop.story());
        let state = shop.run.shared.state();
        assert!(matches!(state.traefiks[0].request("GET"), Answered::By(_)), "{kind}: {}", shop.story());
    }
}
