//! The seam's other side: the shipped executor writes to the simulated server, and its questions are answered from the model.

use super::node::Node;
use super::server::{Refused, Server};
use super::traefik::{Provider, Traefik};
use crate::cluster::{Api, Became, Tenure, WriteError, Written};
use crate::controllers::{Desk, World};
use crate::core::object::{Key, ObjectRef, ResourceType};
use crate::core::plan::{Effect, Lane, Notice, StatusWrite, Verb};
use crate::core::question::{
    ApiRefusal, Ask, InstanceReading, Measured, PodEvidence, Question, RoutesSeen, Told, Verdict,
};
use crate::core::row::WorkloadRow;
use crate::execute::WHY_STATUS;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the process under test and the model share.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<State>>);

#[derive(Debug, Clone)]
pub struct State {
    pub server: Server,
    pub node: Node,
    pub provider: Provider,
    pub traefiks: Vec<Traefik>,
    pub now: Timestamp,
    /// What a measurement comes to.
    pub metric: Verdict,
    /// The same of a metric with a will of its own, by its name.
    pub metrics: BTreeMap<String, Verdict>,
    /// Every event for people: its reason and text.
    pub notices: Vec<(&'static str, String)>,
    /// Every write, in order.
    pub writes: Vec<Wrote>,
}

/// A write of the process under test.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrote {
    pub at: Timestamp,
    pub target: ObjectRef,
    pub why: &'static str,
    /// The patch of a status.
    pub status: Option<Value>,
    /// It names what it expects to find: a version, an uid, a tested value, a free place, or it applies fields of its own.
    pub guarded: bool,
}

impl fmt::Display for Wrote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at, self.target, self.why)?;
        self.status.iter().try_for_each(|patch| write!(f, " {patch}"))
    }
}

/// Whether a write can only meet what was seen (L3).
fn is_guarded(verb: &Verb) -> bool {
    match verb {
        Verb::Create { .. } | Verb::Delete { .. } | Verb::Evict { .. } | Verb::Push(_) | Verb::Apply { .. } => true,
        Verb::Edit { patch, .. } => matches!(patch.0.first(), Some(json_patch::PatchOperation::Test(_))),
    }
}

impl Shared {
    /// `instances` of Traefik, nothing else.
    pub fn new(instances: usize, now: Timestamp) -> Self {
        let traefiks = vec![Traefik::default(); instances];
        let (server, node, provider) = (Server::default(), Node::default(), Provider::default());
        let (metric, metrics) = (Verdict::Successful, BTreeMap::new());
        Self::of(State { server, node, provider, traefiks, now, metric, metrics, notices: vec![], writes: vec![] })
    }

    /// A cluster as it stands.
    pub fn of(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Api for Shared {
    async fn write(&self, _tenure: &Tenure, _lane: Lane, effect: &Effect) -> Result<Written, WriteError> {
        let mut guard = self.state();
        let state = &mut *guard;
        let (target, now) = (effect.target(), state.now);
        let (why, guarded) = (effect.why.as_str(), is_guarded(&effect.verb));
        state.writes.push(Wrote { at: now, target: target.clone(), why, status: None, guarded });
        let server = &mut state.server;
        let written = match &effect.verb {
            Verb::Create { object, .. } => match server.create(&target, object, "tidegate", now) {
                Err(refused) if refused.code == 409 => return Err(WriteError::Exists(refused.message)),
                other => other,
            },
            Verb::Apply { object, manager, force, uid, .. } => {
                let mut object = Value::clone(object);
                if let Some(uid) = uid {
                    object["metadata"]["uid"] = uid.clone().into();
                }
                server.apply(&target, &object, manager.as_str(), *force, now)
            }
            Verb::Edit { patch, .. } if target.resource == ResourceType::POD => {
                state.node.edit(&target, patch).map_err(refusal)?;
                return Ok(Written { target, uid: String::new(), became: Became::Elsewhere });
            }
            Verb::Edit { patch, .. } => server.edit(&target, patch, "tidegate"),
            Verb::Delete { uid, .. } => {
                // What is gone already is as it was wanted.
                match server.delete(&target, Some(uid), now) {
                    Err(refused) if refused.code != 404 => return Err(refusal(refused)),
                    _ => {}
                }
                let became = match server.get(&target) {
                    Some(object) => Became::Version(text(&object["metadata"]["resourceVersion"])),
                    None => Became::Gone,
                };
                return Ok(Written { target, uid: uid.clone(), became });
            }
            Verb::Evict { uid, .. } if state.node.budget => {
                let message = format!("Cannot evict pod {uid} as it would violate its disruption budget.");
                let (code, reason) = (429, "TooManyRequests".to_owned());
                return Err(WriteError::Refused(ApiRefusal { code, reason, message, causes: vec![] }));
            }
            Verb::Evict { pod, uid } => {
                state.node.evict(pod);
                return Ok(Written { target, uid: uid.clone(), became: Became::Elsewhere });
            }
            Verb::Push(_) => return Err(WriteError::Unavailable("the simulation has no git".to_owned())),
        };
        written.map(|object| done(target, &object)).map_err(refusal)
    }

    async fn write_status(&self, _: &Tenure, _: Lane, status: &StatusWrite) -> Result<Written, WriteError> {
        let mut state = self.state();
        let (at, target, patch) = (state.now, status.target.clone(), status.patch.clone());
        state.writes.push(Wrote { at, target, why: WHY_STATUS, status: Some(patch), guarded: true });
        let written = state.server.patch_status(&status.target, &status.resource_version, &status.patch);
        written.map(|object| done(status.target.clone(), &object)).map_err(refusal)
    }

    async fn notice(&self, _: &Tenure, notice: &Notice) {
        self.state().notices.push((notice.reason, notice.message.clone()));
    }
}

fn done(target: ObjectRef, object: &Value) -> Written {
    let meta = &object["metadata"];
    Written { target, uid: text(&meta["uid"]), became: Became::Version(text(&meta["resourceVersion"])) }
}

fn refusal(refused: Refused) -> WriteError {
    match refused.code {
        404 => WriteError::Gone(refused.message),
        _ => WriteError::Conflict(refused.message),
    }
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The questions under way.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    of: BTreeMap<Key, Vec<Question>>,
    /// Keys whose questions changed since they were answered last.
    changed: BTreeSet<Key>,
    /// What the last answer to each question was made of.
    told: BTreeMap<Key, BTreeMap<String, u64>>,
}

impl Asked {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers what the model can answer now. Returns the keys that learned something.
    pub fn answer(&self, state: &State, world: &World) -> Vec<Key> {
        let mut woken = Vec::new();
        let Open { of, changed, told } = &mut *self.open();
        for (key, questions) in of {
            if changed.remove(key) {
                let kept: Vec<&str> = questions.iter().map(|q| q.id.as_str()).collect();
                world.answers.keep(key, |id| kept.contains(&id));
                told.entry(key.clone()).or_default().retain(|id, _| kept.contains(&id.as_str()));
            }
            let Some(told) = told.get_mut(key) else { continue };
            for question in questions {
                let Some(made_of) = made_of(&question.ask, state) else { continue };
                if told.get(&question.id) == Some(&made_of) {
                    continue;
                }
                told.insert(question.id.clone(), made_of);
                let answer = tell(&question.ask, state);
                if answer.is_some_and(|answer| world.answers.put(key, &question.id, answer, state.now)) {
                    woken.push(key.clone());
                }
            }
        }
        woken
    }

    /// When a measurement is due next.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let open = self.open();
        let due = open.of.values().flatten().filter_map(|question| match &question.ask {
            Ask::Measure(measure) => Some(measure.due),
            _ => None,
        });
        due.filter(|due| *due > now).min()
    }
}

/// A number that changes when the answer may; `None` when it cannot be answered now.
fn made_of(ask: &Ask, state: &State) -> Option<u64> {
    Some(match ask {
        Ask::Routes { .. } => state.traefiks.iter().fold(7, |n: u64, t| n.wrapping_mul(31).wrapping_add(t.changes())),
        // When the pods were read is part of the answer: a restart waits for a reading that is younger than its last eviction.
        Ask::Pods { .. } => {
            let read = u64::try_from(state.now.as_nanosecond() & i128::from(u64::MAX)).unwrap_or_default();
            state.node.changes.wrapping_mul(31).wrapping_add(read)
        }
        Ask::Workload { target } => state.server.version_of(&[target.resource.kind.as_ref()]),
        Ask::Measure(measure) if measure.due > state.now => return None,
        Ask::Measure(_) | Ask::DryRunCreate { .. } => 0,
        _ => return None,
    })
}

impl Desk for Asked {
    fn ask(&self, key: &Key, questions: &[Question]) {
        let mut open = self.open();
        if open.of.get(key).is_none_or(|asked| *asked != *questions) {
            open.of.insert(key.clone(), questions.to_vec());
            open.changed.insert(key.clone());
        }
    }
}

/// The image that the simulated API server refuses in a dry run, as it does a template that it cannot read.
pub const REFUSED_IMAGE: &str = "refused";

fn tell(ask: &Ask, state: &State) -> Option<Told> {
    match ask {
        Ask::Routes { services, routers } => {
            let readings = state.traefiks.iter().enumerate().map(|(n, traefik)| {
                let pick = |names: &[String]| names.iter().cloned().collect::<std::collections::BTreeSet<_>>();
                let (services, routers) = (pick(services), pick(routers));
                let mut seen = RoutesSeen::default();
                seen.services
                    .extend(traefik.loaded().services.iter().filter(|(k, _)| services.contains(*k)).map(clone_pair));
                seen.routers
                    .extend(traefik.loaded().routers.iter().filter(|(k, _)| routers.contains(*k)).map(clone_pair));
                let seen = if traefik.silent { Err("no answer".to_owned()) } else { Ok(seen) };
                // The time of a reading is not news by itself: it is the start of the configuration that it shows.
                InstanceReading { instance: format!("traefik-{n}"), at: traefik.loaded_since(), rung: "api", seen }
            });
            Some(Told::Routes(readings.collect()))
        }
        Ask::DryRunCreate { object } => Some(Told::DryRun(match why_refused(&object["spec"]["template"]["spec"]) {
            Some(message) => {
                let (reason, message) = ("Invalid".to_owned(), message.to_owned());
                Err(ApiRefusal { code: 422, reason, message, causes: vec![] })
            }
            None => Ok(object.clone()),
        })),
        Ask::Workload { target } => {
            let row = state.server.get(target).map(|object| WorkloadRow::read(&target.resource, object));
            Some(Told::Workload(Ok(row.and_then(Result::ok).map(Arc::new))))
        }
        Ask::Pods { namespace, labels } => {
            let pods = state.node.evidence(&state.server, namespace, labels);
            Some(Told::Pods(Arc::new(pods)))
        }
        Ask::Measure(measure) => {
            let (value, message, metadata) = (String::new(), String::new(), BTreeMap::new());
            let verdict = state.metrics.get(&measure.metric).copied().unwrap_or(state.metric);
            let (started, finished) = (state.now, state.now);
            Some(Told::Measured(Measured { started, finished, verdict, value, message, metadata }))
        }
        _ => None,
    }
}

/// What the API server has against a pod template.
fn why_refused(pod: &Value) -> Option<&'static str> {
    let image = pod["containers"][0]["image"].as_str().unwrap_or_default();
    if image.contains(REFUSED_IMAGE) {
        return Some("unknown field \"spec.template.spec.containers[0].imagee\"");
    }
    let ephemeral = !pod["ephemeralContainers"].is_null();
    ephemeral.then_some("spec.template.spec.ephemeralContainers: Forbidden: not allowed in pod template")
}

fn clone_pair<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}

impl Node {
    /// What the pods of a selector would show.
    fn evidence(&self, server: &Server, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<PodEvidence> {
        let mut found = Vec::new();
        for (replica_set, pod) in self.pods() {
            let Some(object) = server.get(replica_set).filter(|_| replica_set.namespace == namespace) else { continue };
            let template = &object["spec"]["template"];
            if !labels.iter().all(|(k, v)| template["metadata"]["labels"][k] == *v) {
                continue;
            }
            let bad = template["spec"]["containers"][0]["image"].as_str().is_some_and(|i| i.contains(self.bad_image));
            found.push(PodEvidence {
                name: pod.name.clone(),
                uid: pod.name.clone(),
                labels: texts(&pod.metadata["labels"]),
                annotations: texts(&pod.metadata["annotations"]),
                owner: text(&object["metadata"]["uid"]),
                ready: pod.ready_since.is_some(),
                ready_since: pod.ready_since,
                created: Some(pod.born),
                reason: if bad { "ErrImagePull".to_owned() } else { String::new() },
                message: if bad { "manifest unknown: not found".to_owned() } else { String::new() },
                ..PodEvidence::default()
            });
        }
        found
    }
}
