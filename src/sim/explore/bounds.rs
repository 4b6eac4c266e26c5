//! Everything within bounds: in a few small stories each fault at each write, each pair of ends of the process, and each wish and
//! each disturbance after each event.
//!
//! Bounds: two pods, one instance of Traefik, two steps, watches that are never late; one thing at a time, but for the pairs.

use super::super::run::Restart;
use super::action::{Action, Which};
use super::schedule::{Name, Openings, Schedule, at_write};
use super::script::Line;
use super::world::{Strategy, World};
use crate::execute::faults::Action as FaultAction;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::time::Duration;

/// The second end of a pair comes at one of the first writes of the next process: the rest of its life is like the first one's.
const SECOND_END: u32 = 8;
/// Numbers of worlds that nobody draws.
const FIRST_NUMBER: u64 = 1 << 60;

/// A small world, and what people do in it.
#[derive(Debug, Clone)]
struct Story {
    name: String,
    world: World,
    lines: Vec<Line>,
}

/// All stories, each with everything that may go wrong in it.
pub(super) fn cases() -> Vec<Schedule> {
    let mut all = Vec::new();
    let mut openings = Openings::default();
    for (number, story) in (FIRST_NUMBER..).zip(stories()) {
        let plain = Schedule::within_bounds(story.name.clone(), number, story.world.clone(), story.lines.clone());
        let calm = plain.play(&mut openings, None, false);
        let events = calm.order.events;
        let writes = u32::try_from(calm.shared.state().writes.len()).unwrap_or(u32::MAX);
        let named = |what: &str| Name::Case(format!("{}: {what}", story.name));
        all.extend(faults(writes).into_iter().map(|faults| {
            let words: Vec<String> = faults.iter().map(|(fault, nth)| format!("{fault:?} {nth}")).collect();
            let plans = faults.into_iter().map(|(action, nth)| vec![at_write(action, nth)]).collect();
            Schedule { name: named(&words.join(", then ")), plans, ..plain.clone() }
        }));
        let after = (0..events).flat_map(|event| actions(&story.world).into_iter().map(move |action| (event, action)));
        all.extend(after.map(|(event, action)| Schedule {
            name: named(&format!("{action:?} after {event}")),
            after: Some((event, action)),
            ..plain.clone()
        }));
    }
    all
}

/// Each fault at each write, and each pair of ends.
fn faults(writes: u32) -> Vec<Vec<(FaultAction, u32)>> {
    const ENDS: [FaultAction; 2] = [FaultAction::KillBefore, FaultAction::KillAfter];
    const OTHERS: [FaultAction; 5] = [
        FaultAction::LoseAnswer,
        FaultAction::Refuse,
        FaultAction::Conflict,
        FaultAction::Unavailable,
        FaultAction::Delay(Duration::from_secs(2)),
    ];
    let mut all = Vec::new();
    for nth in 1..=writes {
        all.extend(OTHERS.iter().chain(&ENDS).map(|fault| vec![(*fault, nth)]));
        for first in ENDS {
            let second = (1..=SECOND_END).flat_map(|nth| ENDS.map(|end| (end, nth)));
            all.extend(second.map(|second| vec![(first, nth), second]));
        }
    }
    all
}

/// What people may do at any moment, and what may happen.
fn actions(world: &World) -> Vec<Action> {
    let end = |after, behind| {
        let (after, behind) = (SignedDuration::from_secs(after), SignedDuration::from_millis(behind));
        Action::End(Restart { after, behind, lands: false })
    };
    let mut all = vec![
        Action::Deploy("web:3".to_owned()),
        Action::Deploy(super::world::FIRST.to_owned()),
        Action::Scale(3),
        Action::Command("promote", "step"),
        Action::Command("promote", "full"),
        Action::Command("abort", "by somebody"),
        Action::Command("retry", "true"),
        Action::Delete { orphans: false, again: None },
        Action::Delete { orphans: true, again: None },
        Action::Strike(Which::Newest, false),
        Action::Strike(Which::Stable, false),
        Action::Cripple(Which::Newest),
        Action::Cripple(Which::Stable),
        Action::DeleteSet(Which::Newest),
        Action::DeleteSet(Which::Stable),
        end(2, 0),
        end(10, 1_000),
        Action::Cut("Rollout", 3_000),
        Action::Cut("ReplicaSet", 3_000),
    ];
    if world.strategy.is_routed() {
        all.push(Action::DeleteRoot);
    }
    all.extend(world.strategy.services().iter().map(|service| Action::DeleteService(service, 500)));
    all
}

fn stories() -> Vec<Story> {
    let deploy = |image: &str| (0, Action::Deploy(image.to_owned()));
    // In the middle of the update, and when an abort is over.
    let then = |action: Action| vec![deploy("web:2"), (4_500, action)];
    let abort = Action::Command("abort", "by the story");
    let retry = (12_000, Action::Command("retry", "true"));
    let scripts = [
        ("update", vec![deploy("web:2")]),
        ("never ready", vec![deploy("web:bad")]),
        ("abort", then(abort.clone())),
        ("abort and retry", [then(abort), vec![retry]].concat()),
        ("promotion", then(Action::Command("promote", "full"))),
        ("way back", then(Action::Deploy(super::world::FIRST.to_owned()))),
        ("next update", then(Action::Deploy("web:3".to_owned()))),
        ("restart", then(Action::Renew(None))),
        ("more pods", then(Action::Scale(4))),
    ];
    let worlds = worlds();
    let pairs = worlds.iter().flat_map(|(name, world)| {
        scripts.iter().map(move |(script, lines)| Story {
            name: format!("{name}, {script}"),
            world: world.clone(),
            lines: lines.clone(),
        })
    });
    pairs.collect()
}

fn worlds() -> Vec<(&'static str, World)> {
    let steps = json!([{"setWeight": 50}, {"pause": {"duration": 3}}]);
    let routed = |traefik: Value| {
        json!({"canary": {"steps": steps, "scaleDownDelaySeconds": 5, "abortScaleDownDelaySeconds": 5,
                          "trafficRouting": {"traefik": traefik}}})
    };
    let mut named = routed(json!({"weightedTraefikServiceName": "web"}));
    named["canary"]["stableService"] = json!("web-stable");
    named["canary"]["canaryService"] = json!("web-canary");
    let mut dynamic = named.clone();
    dynamic["canary"]["dynamicStableScale"] = json!(true);
    if let Some(canary) = dynamic["canary"].as_object_mut() {
        canary.remove("scaleDownDelaySeconds");
    }
    let basic = json!({"canary": {"steps": steps, "stableService": "web-stable", "canaryService": "web-canary",
                                  "maxSurge": 1, "maxUnavailable": 0}});
    let switch = json!({"blueGreen": {"activeService": "web-stable", "previewService": "web-canary",
                                      "scaleDownDelaySeconds": 5, "autoPromotionSeconds": 3}});
    let mut weighted = switch.clone();
    weighted["blueGreen"]["trafficRouting"] = json!({"traefik": {"weightedTraefikServiceName": "web"}});
    vec![
        ("canary", World::small(Strategy::Routed, named)),
        ("canary with a stable that shrinks", World::small(Strategy::Routed, dynamic)),
        ("canary behind an Ingress", World::small(Strategy::Ingress, routed(json!({"ingress": {"name": "web"}})))),
        ("canary by pods", World::small(Strategy::Basic, basic)),
        ("blue/green", World::small(Strategy::BlueGreen, switch)),
        ("blue/green by weights", World::small(Strategy::RoutedBlueGreen, weighted)),
    ]
}
