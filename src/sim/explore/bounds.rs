//! Everything within bounds: in a few small stories each fault at each write, each pair of ends of the process, and each wish and
//! each disturbance after each event.
//!
//! Bounds: two pods, one instance of Traefik, two steps, watches that are never late; one thing at a time, but for the pairs of ends.
//! Pairs of a fault and of something that happens are too many for that: they are drawn by number.

use super::super::run::Restart;
use super::action::{Action, Which};
use super::random::Random;
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
/// Pairs that share a story, since its beginning is run once for all of them.
const SAME_STORY: u64 = 64;
/// What is drawn from the number of a pair.
const OF_PAIRS: u64 = 4;

/// A small world, and what people do in it.
#[derive(Debug, Clone)]
struct Story {
    name: String,
    world: World,
    lines: Vec<Line>,
    /// One of the few that are explored in full each time.
    first: bool,
}

/// A story with the number of what happens and of what is written in it when nothing goes wrong.
#[derive(Debug)]
struct Told {
    plain: Schedule,
    first: bool,
    events: usize,
    writes: u32,
}

/// All stories, each as it goes when nothing goes wrong.
#[derive(Debug)]
pub(super) struct Bounds {
    stories: Vec<Told>,
}

impl Bounds {
    pub(super) fn new() -> Self {
        let mut openings = Openings::default();
        let told = (FIRST_NUMBER..).zip(stories()).map(|(number, story)| {
            let plain = Schedule::within_bounds(Name::Case(story.name), number, story.world, story.lines);
            let calm = plain.play(&mut openings, None, false);
            let writes = u32::try_from(calm.shared.state().writes.len()).unwrap_or(u32::MAX);
            Told { events: calm.order.events, writes, plain, first: story.first }
        });
        Self { stories: told.collect() }
    }

    /// Everything that may go wrong in the first stories, or in all, each by itself.
    pub(super) fn cases(&self, of_all: bool) -> Vec<Schedule> {
        let mut all = Vec::new();
        for Told { plain, events, writes, .. } in self.stories.iter().filter(|story| story.first || of_all) {
            let Name::Case(story) = &plain.name else { continue };
            let named = |what: &str| Name::Case(format!("{story}: {what}"));
            all.extend(faults(*writes).into_iter().map(|faults| {
                let words: Vec<String> = faults.iter().map(|(fault, nth)| format!("{fault:?} {nth}")).collect();
                let plans = faults.into_iter().map(|(action, nth)| vec![at_write(action, nth)]).collect();
                Schedule { name: named(&words.join(", then ")), plans, ..plain.clone() }
            }));
            let world = &plain.world;
            let after = (0..*events).flat_map(|event| actions(world).into_iter().map(move |action| (event, action)));
            all.extend(after.map(|(event, action)| Schedule {
                name: named(&format!("{action:?} after {event}")),
                after: Some((event, action)),
                ..plain.clone()
            }));
        }
        all
    }

    /// Two that go wrong together, of the millions that there are: a fault at a write, and something that happens after an event.
    pub(super) fn pair(&self, number: u64) -> Schedule {
        let story = usize::try_from(number / SAME_STORY).unwrap_or(0) % self.stories.len();
        let Told { plain, events, writes, .. } = &self.stories[story];
        let mut random = Random::new(OF_PAIRS, number);
        let fault = *random.pick(&FAULTS);
        let nth = u32::try_from(random.between(1, i64::from(*writes))).unwrap_or(1);
        let event = usize::try_from(random.between(0, i64::try_from(*events).unwrap_or(i64::MAX) - 1)).unwrap_or(0);
        let action = random.pick(&actions(&plain.world)).clone();
        let plans = vec![vec![at_write(fault, nth)]];
        Schedule { name: Name::Pair(number), plans, after: Some((event, action)), ..plain.clone() }
    }
}

const ENDS: [FaultAction; 2] = [FaultAction::KillBefore, FaultAction::KillAfter];
const FAULTS: [FaultAction; 7] = [
    FaultAction::KillBefore,
    FaultAction::KillAfter,
    FaultAction::LoseAnswer,
    FaultAction::Refuse,
    FaultAction::Conflict,
    FaultAction::Unavailable,
    FaultAction::Delay(Duration::from_secs(2)),
];

/// Each fault at each write, and each pair of ends.
fn faults(writes: u32) -> Vec<Vec<(FaultAction, u32)>> {
    let mut all = Vec::new();
    for nth in 1..=writes {
        all.extend(FAULTS.iter().map(|fault| vec![(*fault, nth)]));
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
        (true, "update", vec![deploy("web:2")]),
        (true, "abort", then(abort.clone())),
        (true, "never ready", vec![deploy("web:bad")]),
        (false, "abort and retry", [then(abort), vec![retry]].concat()),
        (false, "promotion", then(Action::Command("promote", "full"))),
        (false, "way back", then(Action::Deploy(super::world::FIRST.to_owned()))),
        (false, "next update", then(Action::Deploy("web:3".to_owned()))),
        (false, "restart", then(Action::Renew(None))),
        (false, "more pods", then(Action::Scale(4))),
    ];
    let worlds = worlds();
    let pairs = worlds.iter().flat_map(|(name, world)| {
        scripts.iter().map(move |(first, script, lines)| Story {
            first: *first,
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
