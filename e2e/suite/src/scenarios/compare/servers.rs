//! The two servers, and how a write gets to each.
//!
//! What the controller writes goes through its own seam, [`Api`], on both sides: so requests, their parameters and what their
//! answers are taken for are compared too. What people write goes to each server as it comes.

use super::kinds::Sort;
use super::seen::Seen;
use super::writes::{Which, Write};
use crate::cluster::Cluster;
use crate::wait;
use json_patch::Patch;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate::cluster::events::Events;
use tidegate::cluster::{Api, Became, Client, KubeApi, Tenure, WriteError, Written};
use tidegate::core::object::ObjectRef;
use tidegate::core::plan::{Actor, Effect, Lane, Propagation, StatusWrite, Verb, Why};
use tidegate::sim::api::Shared;

/// Managers whose fields are compared: the creator, the two that apply, people, and the server's name for all that had no owner.
pub(super) const MANAGERS: [&str; 5] = ["tidegate", "tidegate-rollout", "tidegate-sync", PEOPLE, "before-first-apply"];
/// The suite itself, as [`Cluster::merge`] signs.
const PEOPLE: &str = "tidegate-e2e";
/// Until a controller of Kubernetes has seen the newest generation.
const FOLLOWED: Duration = Duration::from_secs(10);

/// Where one sequence writes: an object of a sort.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) sort: &'a Sort,
    pub(super) namespace: &'a str,
    pub(super) name: String,
}

impl Place<'_> {
    fn target(&self) -> ObjectRef {
        ObjectRef::named_by(&self.whole(&json!({})))
    }

    /// The object with its name.
    fn whole(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["apiVersion"] = json!(self.sort.kind.api_version());
        object["kind"] = json!(self.sort.kind.kind);
        object["metadata"]["name"] = json!(self.name);
        object["metadata"]["namespace"] = json!(self.namespace);
        object
    }
}

/// A write as it is made at one of the servers.
enum Call {
    Effect(Effect),
    Status(StatusWrite),
    Merge { patch: Value, version: Option<String> },
}

/// Fills in what the server has (`live`), or `another` where it shall be something else.
fn call(write: &Write, place: &Place<'_>, live: &Value, another: &str) -> Call {
    let current = |field: &str, which: Which| match (which, live["metadata"][field].as_str()) {
        (Which::Current, Some(text)) => text.to_owned(),
        _ => another.to_owned(),
    };
    let verb = match write {
        Write::Create { object } => Verb::Create { object: Arc::new(place.whole(object)), actor: Actor::Controller },
        Write::Apply { object, by, force, uid } => Verb::Apply {
            object: Arc::new(place.whole(object)),
            manager: (*by).into(),
            force: *force,
            uid: uid.map(|which| current("uid", which)),
            actor: Actor::Controller,
        },
        Write::Edit { at, uid, old, to } => {
            let uid = json!({"op": "test", "path": "/metadata/uid", "value": current("uid", *uid)});
            Verb::Edit { target: place.target(), patch: edit(uid, at, *old, to.as_ref(), live) }
        }
        Write::Delete { uid } => Verb::Delete {
            target: place.target(),
            uid: current("uid", *uid),
            propagation: Propagation::Background,
            actor: Actor::Controller,
        },
        Write::Status { patch, version } => {
            let resource_version = current("resourceVersion", *version);
            return Call::Status(StatusWrite { target: place.target(), resource_version, patch: patch.clone() });
        }
        Write::Merge { patch, version } => {
            let version = version.map(|which| current("resourceVersion", which));
            return Call::Merge { patch: patch.clone(), version };
        }
    };
    // Any reason will do: it is a label of the write, not part of it.
    Call::Effect(Effect { verb, why: Why::SyncApply })
}

/// As the controller builds them: every value is tested before it is replaced.
fn edit(uid: Value, at: &[String], old: Which, to: Option<&Value>, live: &Value) -> Patch {
    let tokens = at.iter().map(|key| key.replace('~', "~0").replace('/', "~1"));
    let path = tokens.fold(String::new(), |path, token| format!("{path}/{token}"));
    let mut operations = vec![uid];
    let there = live.pointer(&path);
    if let Some(there) = there {
        let value = if old == Which::Current { there.clone() } else { json!("another") };
        operations.push(json!({"op": "test", "path": path, "value": value}));
    }
    operations.push(match (to, there) {
        (Some(to), Some(_)) => json!({"op": "replace", "path": path, "value": to}),
        (Some(to), None) => json!({"op": "add", "path": path, "value": to}),
        (None, _) => json!({"op": "remove", "path": path}),
    });
    serde_json::from_value(Value::Array(operations)).expect("a list of operations is a patch")
}

async fn through(api: &impl Api, call: Call) -> Result<Written, WriteError> {
    let tenure = Tenure::without_end();
    match call {
        Call::Effect(effect) => api.write(&tenure, Lane::Normal, &effect).await,
        Call::Status(status) => api.write_status(&tenure, Lane::Normal, &status).await,
        Call::Merge { .. } => unreachable!("people do not write through the controller's seam"),
    }
}

/// What came of a write, in a word. `before` is the object as it was.
fn answer(outcome: &Result<Written, WriteError>, before: &Value) -> String {
    match outcome {
        Ok(Written { became: Became::Gone, .. }) => "gone".to_owned(),
        Ok(Written { became: Became::Elsewhere, .. }) => "elsewhere".to_owned(),
        Ok(Written { became: Became::Version(version), .. }) if before["metadata"]["resourceVersion"] == **version => {
            "nothing to write".to_owned()
        }
        Ok(Written { became: Became::Version(_), .. }) => "written".to_owned(),
        Err(WriteError::Conflict(_)) => "refused: conflict".to_owned(),
        Err(WriteError::Exists(_)) => "refused: exists".to_owned(),
        Err(WriteError::Gone(_)) => "refused: not there".to_owned(),
        Err(WriteError::Refused(refusal)) => format!("refused: {}", refusal.code),
        Err(other) => format!("trouble: {other}"),
    }
}

fn reason(outcome: &Result<Written, WriteError>) -> String {
    outcome.as_ref().err().map(ToString::to_string).unwrap_or_default()
}

/// The simulated one.
#[derive(Debug)]
pub(super) struct Simulated(pub(super) Shared);

impl Simulated {
    pub(super) async fn write(&self, place: &Place<'_>, write: &Write) -> Seen {
        let target = place.target();
        let get = || self.0.state().server.get(&target).cloned().unwrap_or_default();
        let before = get();
        let outcome = match call(write, place, &before, "999999999") {
            Call::Merge { patch, version } => {
                let merged = self.0.state().server.merge(&target, version.as_deref(), &patch, PEOPLE);
                merged.map(|object| written(&target, &object)).map_err(|refused| by_code(refused.code, refused.message))
            }
            call => through(&self.0, call).await,
        };
        let after = get();
        let state = self.0.state();
        let owners = MANAGERS.map(|m| (m.to_owned(), state.server.held_by(&target, m))).into_iter().collect();
        Seen::new(place.sort, answer(&outcome, &before), reason(&outcome), &before, &after, owners)
    }
}

/// The real one.
#[derive(Debug)]
pub(super) struct Real {
    api: KubeApi,
    cluster: Cluster,
}

impl Real {
    pub(super) async fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let client = Client::connect(Some(&cluster.access.kubeconfig), None).await?;
        // No notice is sent, so nobody has to write them.
        let (events, _) = Events::new(client.clone(), "compare".to_owned());
        Ok(Self { api: KubeApi::new(client, events, None), cluster: cluster.clone() })
    }

    /// `known` is the object as the last write left it, and as this one does.
    pub(super) async fn write(&self, place: &Place<'_>, write: &Write, known: &mut Value) -> anyhow::Result<Seen> {
        let before = if place.sort.followed { self.settled(place).await? } else { known.take() };
        let outcome = match call(write, place, &before, "1") {
            Call::Merge { mut patch, version } => {
                if let Some(version) = version {
                    patch["metadata"]["resourceVersion"] = json!(version);
                }
                let merged = self.cluster.merge(place.sort.kind, place.namespace, &place.name, &patch).await;
                merged.map(|object| written(&place.target(), &object)).map_err(|e| by_code(e.code, e.message))
            }
            call => through(&self.api, call).await,
        };
        let trouble =
            matches!(outcome, Err(WriteError::Throttled(_) | WriteError::Unavailable(_) | WriteError::Unknown(_)));
        anyhow::ensure!(!trouble, "the API server did not answer {write:?}: {}", reason(&outcome));
        let after = self.look(place).await?;
        let owners = super::seen::owners(&after);
        let seen = Seen::new(place.sort, answer(&outcome, &before), reason(&outcome), &before, &after, owners);
        *known = after;
        Ok(seen)
    }

    /// The object, once nobody else is about to write it; null when it is not there.
    async fn settled(&self, place: &Place<'_>) -> anyhow::Result<Value> {
        let kind = (place.sort.kind, place.namespace, place.name.as_str());
        let seen = |o: &Value| (o.is_null() || wait::observed(o)).then(|| o.clone());
        Ok(wait::until(&self.cluster, kind, FOLLOWED, "seen by its controller", seen).await?)
    }

    async fn look(&self, place: &Place<'_>) -> anyhow::Result<Value> {
        Ok(self.cluster.get(place.sort.kind, place.namespace, &place.name).await?.unwrap_or_default())
    }

    /// Takes the object away, whatever holds it.
    pub(super) async fn clear(&self, place: &Place<'_>) -> anyhow::Result<()> {
        let (kind, free) = (place.sort.kind, json!({"metadata": {"finalizers": null}}));
        self.cluster.delete(kind, place.namespace, &place.name).await?;
        match self.cluster.merge(kind, place.namespace, &place.name, &free).await {
            Err(e) if e.code != 404 => Err(e.into()),
            _ => Ok(()),
        }
    }
}

fn written(target: &ObjectRef, object: &Value) -> Written {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    Written { target: target.clone(), uid: text("uid"), became: Became::Version(text("resourceVersion")) }
}

fn by_code(code: u16, message: String) -> WriteError {
    match code {
        404 => WriteError::Gone(message),
        409 => WriteError::Conflict(message),
        422 => WriteError::Refused(tidegate::core::question::ApiRefusal {
            code,
            reason: "Invalid".to_owned(),
            message,
            causes: Vec::new(),
        }),
        _ => WriteError::Unavailable(message),
    }
}
