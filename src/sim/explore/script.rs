//! What people, other programs and bad luck do in a schedule.

use super::super::api::{REFUSED_IMAGE, State};
use super::super::run::{Act, Restart};
use super::super::shop::{name, put, replica_sets, rollout, service_of_git, template};
use super::random::Random;
use super::world::{FIRST, Strategy, World, steps};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::question::Verdict;
use jiff::SignedDuration;
use serde_json::{Value, json};

/// From the first to the last event of a script.
const SPAN_MS: i64 = 90_000;
/// Kinds whose watches matter to a Rollout.
pub(super) const WATCHED: [&str; 6] =
    ["Rollout", "ReplicaSet", "Service", "EndpointSlice", "TraefikService", "AnalysisRun"];

/// One thing that happens.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Deploy(String),
    Steps(Value),
    Scale(i64),
    Command(&'static str, &'static str),
    Resume,
    Paused(bool),
    /// Steps that are refused; [`Action::Mend`] takes them back.
    Invalid,
    Mend,
    Metric(Verdict),
    /// The newest pods, or those of stable, die; with `true` for good.
    Strike(Which, bool),
    /// One of the newest pods, or of stable's, never answers again.
    Cripple(Which),
    DeleteSet(Which),
    /// A Service goes; git puts it back after so many milliseconds.
    DeleteService(&'static str, i64),
    DeleteRoot,
    /// Git's selector is applied by force: the hash is gone.
    ResetSelector(&'static str),
    /// Somebody puts a label on the Rollout.
    Label,
    Silent(usize, bool),
    End(Restart),
    Cut(&'static str, i64),
    Repeat(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Newest,
    Stable,
}

/// An action at a millisecond of the schedule.
pub(super) type Line = (i64, Action);

/// Draws what people wish: an update, and seldom more than two things besides.
pub(super) fn wishes(random: &mut Random, world: &World) -> Vec<Line> {
    let mut lines = vec![(random.between(0, 2_000), Action::Deploy("web:2".to_owned()))];
    for _ in 0..*random.pick(&[0, 0, 1, 1, 1, 2, 2, 3, 5]) {
        wish(random, world, &mut lines);
    }
    lines
}

/// Draws what disturbs it.
pub(super) fn trouble(random: &mut Random, lines: &mut Vec<Line>) {
    for _ in 0..random.between(0, 2) {
        let at = random.between(0, SPAN_MS);
        lines.push((at, disturbance(random)));
    }
    lines.sort_by_key(|(at, _)| *at);
}

fn wish(random: &mut Random, world: &World, lines: &mut Vec<Line>) {
    let at = random.between(0, SPAN_MS);
    let routed = world.strategy == Strategy::Routed;
    let action = match random.between(1, 100) {
        1..=12 => Action::Deploy("web:3".to_owned()),
        13..=20 => Action::Deploy(FIRST.to_owned()),
        21..=24 => Action::Deploy("web:bad".to_owned()),
        25..=26 => Action::Deploy(format!("web:{REFUSED_IMAGE}")),
        27..=31 if world.strategy.is_canary() => Action::Steps(steps(random, routed, false)),
        27..=40 => Action::Scale(random.between(i64::from(random.clone().chance(80)), 6)),
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

fn disturbance(random: &mut Random) -> Action {
    let which = if random.chance(70) { Which::Newest } else { Which::Stable };
    let service = *random.pick(&["web-stable", "web-canary"]);
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

impl Action {
    /// Whether the end may depend on when it happened, or happens for good.
    pub(super) fn is_about_a_moment(&self) -> bool {
        match self {
            Self::Command(name, _) => *name != "pause",
            Self::Deploy(image) => image.ends_with("bad") || image.ends_with(REFUSED_IMAGE),
            Self::Strike(_, for_good) => *for_good,
            // What was settled by then is kept, and the rest is not: a size is one of stable's, or of all (S5); new steps are
            // taken or skipped; without the stable revision an update has nothing to wait for.
            Self::Scale(_) | Self::Steps(_) | Self::DeleteSet(_) | Self::Cripple(_) => true,
            Self::Metric(_) | Self::Silent(_, true) => true,
            _ => false,
        }
    }

    /// Whether it disturbs what people wish: the run without it is the one that the end is compared with.
    pub(super) fn is_a_fault(&self) -> bool {
        matches!(
            self,
            Self::Strike(..)
                | Self::Cripple(_)
                | Self::DeleteSet(_)
                | Self::DeleteService(..)
                | Self::DeleteRoot
                | Self::ResetSelector(_)
                | Self::Label
                | Self::Silent(..)
                | Self::End(_)
                | Self::Cut(..)
                | Self::Repeat(_)
        )
    }

    /// As the run carries it out, with what follows from it after some milliseconds.
    pub(super) fn acts(&self, world: &World) -> Vec<(i64, Act)> {
        let act = match self {
            Self::End(restart) => Act::End(*restart),
            Self::Cut(kind, ms) => Act::Cut(kind, SignedDuration::from_millis(*ms)),
            Self::Repeat(kind) => Act::Repeat(kind),
            other => {
                let (action, spec) = (other.clone(), world.spec.clone());
                Act::World(Box::new(move |state| action.happen(state, &spec)))
            }
        };
        let mut acts = vec![(0, act)];
        if let Self::DeleteService(service, ms) = self {
            let target = name(ResourceType::SERVICE, service);
            let back = move |state: &mut State| {
                if state.server.get(&target).is_none() {
                    put(state, &target, "v1", "Service", service_of_git());
                }
            };
            acts.push((*ms, Act::World(Box::new(back))));
        }
        acts
    }

    fn happen(&self, state: &mut State, spec: &Value) {
        match self {
            Self::Deploy(image) => edit(state, |o| o["spec"]["template"] = template(image)),
            Self::Steps(steps) => edit(state, |o| o["spec"]["strategy"]["canary"]["steps"] = steps.clone()),
            Self::Scale(size) => edit(state, |o| o["spec"]["replicas"] = json!(size)),
            Self::Command(name, value) => edit(state, |o| {
                let annotations = &mut o["metadata"]["annotations"];
                if !annotations.is_object() {
                    *annotations = json!({});
                }
                annotations[format!("tidegate.dev/{name}")] = json!(value);
            }),
            Self::Resume => edit(state, |o| {
                if let Some(annotations) = o["metadata"]["annotations"].as_object_mut() {
                    annotations.remove("tidegate.dev/pause");
                }
            }),
            Self::Paused(paused) => edit(state, |o| o["spec"]["paused"] = json!(paused)),
            Self::Invalid => edit(state, |o| o["spec"]["progressDeadlineSeconds"] = json!(-1)),
            Self::Mend => edit(state, |o| o["spec"]["progressDeadlineSeconds"] = mended(spec)),
            Self::Metric(verdict) => state.metric = *verdict,
            Self::Strike(which, for_good) => {
                if let Some(set) = which.set(state) {
                    state.node.strike(&set, *for_good);
                }
            }
            Self::Cripple(which) => {
                if let Some(set) = which.set(state) {
                    state.node.cripple(&set);
                }
            }
            Self::DeleteSet(which) => {
                if let Some(set) = which.set(state) {
                    state.node.strike(&set, false);
                    gone(state, &set);
                }
            }
            Self::DeleteService(service, _) => gone(state, &name(ResourceType::SERVICE, service)),
            Self::DeleteRoot => gone(state, &name(ResourceType::TRAEFIK_SERVICE, "web")),
            Self::ResetSelector(service) => {
                let target = name(ResourceType::SERVICE, service);
                if state.server.get(&target).is_some() {
                    put(state, &target, "v1", "Service", service_of_git());
                }
            }
            Self::Label => edit(state, |o| o["metadata"]["labels"] = json!({"somebody": "was here"})),
            Self::Silent(instance, silent) => {
                if let Some(traefik) = state.traefiks.get_mut(*instance) {
                    traefik.silent = *silent;
                }
            }
            Self::End(_) | Self::Cut(..) | Self::Repeat(_) => unreachable!("not about the cluster"),
        }
    }
}

fn mended(spec: &Value) -> Value {
    let seconds = &spec["progressDeadlineSeconds"];
    if seconds.is_null() { json!(600) } else { seconds.clone() }
}

impl Which {
    fn set(self, state: &State) -> Option<ObjectRef> {
        let status = state.server.get(&rollout()).map(|o| &o["status"])?;
        let hash = match self {
            Self::Newest => &status["currentPodHash"],
            Self::Stable => &status["stableRS"],
        };
        let hash = hash.as_str()?;
        replica_sets(state).into_iter().map(|(target, ..)| target).find(|target| target.name.ends_with(hash))
    }
}

fn edit(state: &mut State, change: impl FnOnce(&mut Value)) {
    let edited = state.server.change(&rollout(), "kubectl-edit", change);
    debug_assert!(edited.is_ok(), "the Rollout is there");
}

fn gone(state: &mut State, target: &ObjectRef) {
    // Where it is not there, it is gone already.
    let _ = state.server.delete(target, None, state.now);
}
