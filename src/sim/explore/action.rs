//! One thing that people, other programs or bad luck do, and what it does to the cluster.

use super::super::api::{REFUSED_IMAGE, State};
use super::super::run::{Act, Restart};
use super::super::shop::{delete_rollout, name, put, replica_sets, rollout, service_of_git, template};
use super::world::World;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::question::Verdict;
use jiff::SignedDuration;
use serde_json::{Value, json};

/// No process is away for longer, and no finalizer holds a Rollout for longer than its bound after that.
const HELD_AT_MOST_MS: i64 = 120_000;

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
    /// The Rollout is deleted, its pods with it or not; later its manifest is applied again, with this image.
    Delete {
        orphans: bool,
        again: Option<(i64, &'static str)>,
    },
    /// Pods older than now are to be replaced: by a command, or by spec in so many seconds.
    Renew(Option<i64>),
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

impl Action {
    /// Whether the end may depend on when it happened, or happens for good.
    pub(super) fn is_about_a_moment(&self) -> bool {
        match self {
            Self::Command(name, _) => *name != "pause",
            // What is adopted, and what is new, depends on what was there.
            Self::Delete { .. } => true,
            // A new revision that is taken up before it is done takes its place.
            Self::Renew(_) => true,
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
        if let Self::DeleteService(service, ms) = self
            && world.strategy.is_in_git(service)
        {
            let target = name(ResourceType::SERVICE, service);
            let back = move |state: &mut State| {
                if state.server.get(&target).is_none() {
                    put(state, &target, "v1", "Service", service_of_git());
                }
            };
            acts.push((*ms, Act::World(Box::new(back))));
        }
        if let Self::Delete { again: Some((ms, image)), .. } = self {
            // Once more when the former one is gone for sure, should it have been held.
            for ms in [*ms, *ms + HELD_AT_MOST_MS] {
                let manifest = world.manifest(image);
                let again = move |state: &mut State| {
                    // Where the former one is still there nothing of it changes.
                    let _ = state.server.create(&rollout(), &manifest, "kubectl", state.now);
                };
                acts.push((ms, Act::World(Box::new(again))));
            }
        }
        acts
    }

    fn happen(&self, state: &mut State, spec: &Value) {
        match self {
            Self::Deploy(image) => edit(state, |o| o["spec"]["template"] = template(image)),
            Self::Steps(steps) => edit(state, |o| o["spec"]["strategy"]["canary"]["steps"] = steps.clone()),
            Self::Scale(size) => edit(state, |o| o["spec"]["replicas"] = json!(size)),
            Self::Command(name, value) => annotate(state, name, value),
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
            Self::Delete { orphans, .. } => delete_rollout(state, *orphans),
            Self::Renew(None) => {
                let now = state.now.to_string();
                annotate(state, "restart", &now);
            }
            Self::Renew(Some(seconds)) => {
                let at = (state.now + SignedDuration::from_secs(*seconds)).to_string();
                edit(state, |o| o["spec"]["restartAt"] = json!(at));
            }
            Self::DeleteRoot => gone(state, &name(ResourceType::TRAEFIK_SERVICE, "web")),
            Self::ResetSelector(service) => {
                let target = name(ResourceType::SERVICE, service);
                let made = |o: &Value| !o["metadata"]["ownerReferences"].is_null();
                if state.server.get(&target).is_some_and(|o| !made(o)) {
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
    // Where it was deleted there is nothing to edit.
    let _ = state.server.change(&rollout(), "kubectl-edit", change);
}

fn annotate(state: &mut State, command: &str, value: &str) {
    edit(state, |o| {
        let annotations = &mut o["metadata"]["annotations"];
        if !annotations.is_object() {
            *annotations = json!({});
        }
        annotations[format!("tidegate.dev/{command}")] = json!(value);
    });
}

fn gone(state: &mut State, target: &ObjectRef) {
    // Where it is not there, it is gone already.
    let _ = state.server.delete(target, None, state.now);
}
