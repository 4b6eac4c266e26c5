//! What is drawn of people, other programs and bad luck.

use super::super::api::REFUSED_IMAGE;
use super::super::run::Restart;
use super::action::{Action, Which};
use super::random::Random;
use super::world::{FIRST, World, steps};
use crate::core::question::Verdict;
use jiff::SignedDuration;

/// From the first to the last event of a script.
const SPAN_MS: i64 = 90_000;
/// Kinds whose watches matter to a Rollout.
pub(super) const WATCHED: [&str; 9] = [
    "Rollout",
    "ReplicaSet",
    "Service",
    "EndpointSlice",
    "TraefikService",
    "AnalysisRun",
    "IngressRoute",
    "Ingress",
    "ServersTransport",
];

/// An action at a millisecond of the schedule.
pub(super) type Line = (i64, Action);

/// Draws what people wish: an update, and seldom more than two things besides.
pub(super) fn wishes(random: &mut Random, world: &World) -> Vec<Line> {
    let mut lines = vec![(random.between(0, 2_000), Action::Deploy("web:2".to_owned()))];
    if random.chance(20) {
        go_back(random, &mut lines);
    }
    for _ in 0..*random.pick(&[0, 0, 1, 1, 1, 2, 2, 3, 5]) {
        wish(random, world, &mut lines);
    }
    lines
}

/// Draws what disturbs it.
pub(super) fn trouble(random: &mut Random, world: &World, lines: &mut Vec<Line>) {
    for _ in 0..random.between(0, 2) {
        let at = random.between(0, SPAN_MS);
        lines.push((at, disturbance(random, world)));
    }
    lines.sort_by_key(|(at, _)| *at);
}

/// A former revision is wanted again, one or two after it: first they are promoted, then comes the way back, by spec or by
/// command.
fn go_back(random: &mut Random, lines: &mut Vec<Line>) {
    let mut at = random.between(5_000, 40_000);
    lines.push((at, Action::Command("promote", "full")));
    if random.chance(50) {
        at += random.between(5_000, 60_000);
        lines.push((at, Action::Deploy("web:3".to_owned())));
        at += random.between(5_000, 40_000);
        lines.push((at, Action::Command("promote", "full")));
    }
    at += random.between(5_000, 60_000);
    let image = *random.pick(&[FIRST, "web:2"]);
    lines.push((
        at,
        match random.between(0, 2) {
            0 => Action::Command("rollback", random.pick::<&str>(&["1", "2"])),
            _ => Action::Deploy(image.to_owned()),
        },
    ));
}

fn wish(random: &mut Random, world: &World, lines: &mut Vec<Line>) {
    let at = random.between(0, SPAN_MS);
    let routed = world.strategy.is_routed();
    let action = match random.between(1, 100) {
        1..=9 => Action::Deploy("web:3".to_owned()),
        10..=15 => Action::Deploy(FIRST.to_owned()),
        16..=17 => Action::Command("rollback", random.pick::<&str>(&["1", "2", "9"])),
        18..=20 => {
            let image = *random.pick(&[FIRST, "web:2", "web:3"]);
            let again = random.chance(75).then(|| (random.between(1, 60_000), image));
            Action::Delete { orphans: random.chance(50), again }
        }
        21..=23 => Action::Deploy("web:bad".to_owned()),
        24 => Action::Deploy(format!("web:{REFUSED_IMAGE}")),
        25..=28 if world.strategy.is_canary() => Action::Steps(steps(random, routed, false)),
        25..=30 => Action::Renew(None),
        31..=33 => Action::Renew(Some(random.between(0, 60))),
        34..=40 => Action::Scale(random.between(i64::from(random.clone().chance(80)), 6)),
        41..=52 => Action::Command("promote", "step"),
        53..=60 => Action::Command("promote", "full"),
        61..=72 => Action::Command("abort", "by the script"),
        73..=80 => Action::Command("retry", "true"),
        81..=86 => {
            lines.push((at + random.between(1, 40_000), Action::Resume));
            Action::Command("pause", "by the script")
        }
        87..=91 => {
            lines.push((at + random.between(1, 40_000), Action::Paused(false)));
            Action::Paused(true)
        }
        92..=96 => {
            lines.push((at + random.between(1, 40_000), Action::Mend));
            Action::Invalid
        }
        _ => Action::Metric(*random.pick(&[Verdict::Failed, Verdict::Inconclusive, Verdict::Error, Verdict::NoData])),
    };
    lines.push((at, action));
}

fn disturbance(random: &mut Random, world: &World) -> Action {
    let which = if random.chance(70) { Which::Newest } else { Which::Stable };
    let service = *random.pick(world.strategy.services());
    match random.between(1, 100) {
        1..=7 => Action::Cripple(*random.pick(&[Which::Newest, Which::Stable])),
        8..=15 => Action::Strike(which, which == Which::Newest && random.chance(30)),
        16..=22 => Action::DeleteSet(which),
        23..=28 => Action::DeleteService(service, random.between(1, 10_000)),
        29..=32 => Action::DeleteRoot,
        33..=38 => Action::ResetSelector(service),
        39..=44 => Action::Label,
        45..=50 => Action::Silent(0, random.chance(50)),
        51..=75 => Action::End(Restart {
            after: SignedDuration::from_millis(random.between(0, 15_000)),
            behind: SignedDuration::from_millis(if random.chance(50) { random.between(1, 3_000) } else { 0 }),
            lands: random.chance(30),
        }),
        76..=92 => Action::Cut(random.pick::<&str>(&WATCHED), random.between(1, 12_000)),
        _ => Action::Repeat(random.pick::<&str>(&WATCHED)),
    }
}
