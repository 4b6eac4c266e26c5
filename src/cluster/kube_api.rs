//! Effects as calls to a real API server.

use super::client::{Client, DEADLINE, Mode};
use super::events::Events;
use super::lease::Tenure;
use super::write::{Api, Became, WriteError, Written};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::{Actor, Effect, Lane, Notice, Propagation, Push, StatusWrite, Verb};
use crate::core::question::ApiRefusal;
use futures::future::BoxFuture;
use kube::core::params::{DeleteParams, Preconditions, PropagationPolicy};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Writes at once: what one API server takes from one client without queueing it behind others.
const NORMAL_PERMITS: usize = 24;
/// Kept free for aborts, failed runs and lost canaries, so that a storm of others cannot hold them up.
const URGENT_PERMITS: usize = 8;

/// Who makes commits: [`crate::core::plan::Verb::Push`] leaves the cluster through it.
pub trait Pusher: Send + Sync + 'static {
    /// Ends within `limit`.
    fn push<'a>(&'a self, push: &'a Push, limit: Duration) -> BoxFuture<'a, Result<(), WriteError>>;
}

/// The real API server.
pub struct KubeApi {
    client: Client,
    events: Events,
    pusher: Option<Box<dyn Pusher>>,
    normal: Semaphore,
    urgent: Semaphore,
    /// The API server asked normal writes to wait until then.
    busy_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for KubeApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeApi")
    }
}

impl KubeApi {
    pub fn new(client: Client, events: Events, pusher: Option<Box<dyn Pusher>>) -> Self {
        let (normal, urgent) = (Semaphore::new(NORMAL_PERMITS), Semaphore::new(URGENT_PERMITS));
        Self { client, events, pusher, normal, urgent, busy_until: Mutex::default() }
    }

    /// Waits for a permit, and says how long the call may then take: never beyond the tenure.
    async fn enter(&self, tenure: &Tenure, lane: Lane) -> Result<(SemaphorePermit<'_>, Duration), WriteError> {
        if lane == Lane::Normal {
            let busy_until = *self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(left) = busy_until.and_then(|t| t.checked_duration_since(Instant::now())) {
                return Err(WriteError::Throttled(left));
            }
        }
        let permits = if lane == Lane::Urgent { &self.urgent } else { &self.normal };
        let wait = tokio::time::timeout(DEADLINE, permits.acquire());
        let permit = wait.await.map_err(|_| WriteError::Unavailable("all write permits are taken".to_owned()))?;
        let permit = permit.expect("the semaphore is never closed");
        let left = tenure.remaining().ok_or(WriteError::LostTenure)?;
        Ok((permit, left.min(DEADLINE)))
    }

    fn note_busy<T>(&self, outcome: &Result<T, WriteError>) {
        if let Err(WriteError::Throttled(time)) = outcome {
            *self.busy_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + *time);
        }
    }

    async fn carry_out(&self, effect: &Effect, limit: Duration) -> Result<Written, WriteError> {
        match &effect.verb {
            Verb::Create { object, actor } => {
                let target = self.target_of(object).await?;
                let made = self.client.create(&target.resource, object, actor, Mode::Write, limit).await;
                Ok(written(target, &made.map_err(no_such_place)?))
            }
            Verb::Apply { object, manager, force, uid, actor } => {
                let target = self.target_of(object).await?;
                let mut object = Value::clone(object);
                if let Some(uid) = uid {
                    // As a precondition: another object under this name is not touched.
                    object["metadata"]["uid"] = json!(uid);
                }
                let (resource, manager) = (&target.resource, manager.as_str());
                let made = self.client.apply(resource, &object, manager, *force, actor, Mode::Write, limit).await;
                let made = made.map_err(|e| if uid.is_none() { no_such_place(e) } else { e })?;
                Ok(written(target, &made))
            }
            Verb::Edit { target, patch } => {
                let ObjectRef { resource, namespace, name } = target;
                let made = self.client.edit(resource, namespace, name, patch, limit).await?;
                Ok(written(target.clone(), &made))
            }
            Verb::Delete { target, uid, propagation, actor } => {
                let ObjectRef { resource, namespace, name } = target;
                let params = DeleteParams {
                    propagation_policy: Some(match propagation {
                        Propagation::Background => PropagationPolicy::Background,
                        Propagation::Foreground => PropagationPolicy::Foreground,
                        Propagation::Orphan => PropagationPolicy::Orphan,
                    }),
                    preconditions: Some(Preconditions { uid: Some(uid.clone()), resource_version: None }),
                    ..DeleteParams::default()
                };
                let gone = Written { target: target.clone(), uid: uid.clone(), became: Became::Gone };
                match self.client.delete(resource, namespace, name, &params, actor, limit).await {
                    // What remains carries its deletion. What does not is answered by a Status, and by some kinds (Services)
                    // with the object as it was.
                    Ok(left)
                        if left["metadata"]["uid"] == json!(uid)
                            && left["metadata"]["deletionTimestamp"].is_string() =>
                    {
                        Ok(written(target.clone(), &left))
                    }
                    Ok(_) | Err(WriteError::Gone(_)) => Ok(gone),
                    Err(error) => Err(error),
                }
            }
            Verb::Evict { pod, uid } => {
                let elsewhere = Written { target: pod.clone(), uid: uid.clone(), became: Became::Elsewhere };
                match self.client.evict(&pod.namespace, &pod.name, uid, limit).await {
                    Ok(_) | Err(WriteError::Gone(_)) => Ok(elsewhere),
                    Err(error) => Err(error),
                }
            }
            Verb::Push(push) => {
                let pusher = self.pusher.as_deref().ok_or_else(|| {
                    WriteError::Refused(ApiRefusal {
                        code: 501,
                        reason: "NotSupported".to_owned(),
                        message: "this controller runs without repositories, so it cannot push".to_owned(),
                        causes: Vec::new(),
                    })
                })?;
                pusher.push(push, limit).await?;
                Ok(Written { target: push.by.clone(), uid: String::new(), became: Became::Elsewhere })
            }
        }
    }

    async fn target_of(&self, object: &Value) -> Result<ObjectRef, WriteError> {
        let mut target = ObjectRef::named_by(object);
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        target.resource = self.client.resolve(text("apiVersion"), text("kind")).await?;
        Ok(target)
    }
}

impl Api for KubeApi {
    async fn write(&self, tenure: &Tenure, lane: Lane, effect: &Effect) -> Result<Written, WriteError> {
        let (_permit, limit) = self.enter(tenure, lane).await?;
        let outcome = self.carry_out(effect, limit).await;
        self.note_busy(&outcome);
        outcome
    }

    async fn write_status(&self, tenure: &Tenure, lane: Lane, status: &StatusWrite) -> Result<Written, WriteError> {
        let (_permit, limit) = self.enter(tenure, lane).await?;
        let ObjectRef { resource, namespace, name } = &status.target;
        let patch = json!({"metadata": {"resourceVersion": status.resource_version}, "status": status.patch});
        let outcome = self.client.patch_status(resource, namespace, name, &patch, limit).await;
        self.note_busy(&outcome);
        Ok(written(status.target.clone(), &outcome?))
    }

    async fn notice(&self, _tenure: &Tenure, notice: &Notice) {
        self.events.send(notice.clone());
    }
}

fn written(target: ObjectRef, object: &Value) -> Written {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    Written { target, uid: text("uid"), became: Became::Version(text("resourceVersion")) }
}

/// A 404 for something that is to be made speaks of its namespace or kind, not of a missing object.
fn no_such_place(error: WriteError) -> WriteError {
    match error {
        WriteError::Gone(message) => {
            WriteError::Refused(ApiRefusal { code: 404, reason: "NotFound".to_owned(), message, causes: Vec::new() })
        }
        other => other,
    }
}

/// Asks the API server what it would make of a new object.
pub async fn dry_run_create(client: &Client, object: &Value) -> Result<Value, WriteError> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let resource: ResourceType = client.resolve(text("apiVersion"), text("kind")).await?;
    let made = client.create(&resource, object, &Actor::Controller, Mode::DryRun, DEADLINE).await;
    made.map_err(no_such_place)
}
