//! Leadership: one of the replicas writes, and it knows until when.
//!
//! [`Tenure`] is the right to write. Only this module makes one, and every call that writes takes it and ends before it does.
//! The rule: a tenure ends `TENURE` after the renewal that it rests on *began*, and another replica takes the lease only
//! after it has seen it unchanged for `DURATION`, both by their own monotonic clocks. The difference is the room for a call
//! that is still on its way. Clocks of machines are compared nowhere.

use super::client::{Client, Mode};
use super::watch;
use super::write::WriteError;
use crate::core::object::ResourceType;
use crate::core::plan::Actor;
use futures::StreamExt;
use kube::runtime::watcher::watch_object;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// A lease that was not renewed for so long may be taken: a leader that died is followed, and an abort carried out, within 10 s.
const DURATION: Duration = Duration::from_secs(8);
/// How long one renewal allows writing.
const TENURE: Duration = Duration::from_secs(5);
/// Time between renewals.
const PERIOD: Duration = Duration::from_secs(1);
/// Time until a failed renewal, or a failed attempt to take the lease, is tried anew.
const RETRY: Duration = Duration::from_millis(500);
/// A call about the lease that takes longer is tried anew.
const CALL: Duration = Duration::from_secs(2);

/// The right to write, until it runs out.
#[derive(Debug, Clone)]
pub struct Tenure {
    started: Instant,
    /// Milliseconds after `started`; moved on with each renewal, 0 when the lease was lost or released.
    until: Arc<AtomicU64>,
}

impl Tenure {
    fn new(until: Instant) -> Self {
        let tenure = Self { started: Instant::now(), until: Arc::default() };
        tenure.extend(until);
        tenure
    }

    /// For tests and the simulation, where nobody else writes.
    pub fn without_end() -> Self {
        Self { started: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// For tests of what happens after a loss.
    #[cfg(test)]
    pub(crate) fn ended() -> Self {
        Self { started: Instant::now(), until: Arc::default() }
    }

    /// How long writes are still allowed; `None` when they are not.
    pub fn remaining(&self) -> Option<Duration> {
        let until = Duration::from_millis(self.until.load(Ordering::Acquire));
        until.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero())
    }

    fn extend(&self, until: Instant) {
        let ms = until.saturating_duration_since(self.started).as_millis();
        self.until.store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// No more writes.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

/// Which lease, and who asks for it.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub client: Client,
    pub namespace: String,
    pub name: String,
    /// Names this process and no other, also after a restart of its pod.
    pub identity: String,
}

/// Why a tenure ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    #[error("shut down; the lease is released")]
    Released,
    #[error("the lease was taken by {0}")]
    Taken(String),
    #[error("the lease could not be renewed in time; last because: {0}")]
    NotRenewed(String),
}

/// The lease as it was seen by one that waits for it.
#[derive(Debug)]
struct Seen {
    /// `None`: there is none.
    lease: Option<Value>,
    /// Since when it is like this, by this process's own clock.
    since: Instant,
}

impl Seen {
    /// Takes in what was read or watched; only another version than before starts the time anew.
    fn note(seen: &mut Option<Self>, lease: Option<Value>) {
        let version = |lease: Option<&Value>| lease.map(|l| l["metadata"]["resourceVersion"].clone());
        let known = seen.as_ref().is_some_and(|s| version(s.lease.as_ref()) == version(lease.as_ref()));
        if !known {
            *seen = Some(Self { lease, since: Instant::now() });
        }
    }

    /// When `identity` may take it.
    fn free_at(&self, identity: &str) -> Instant {
        let Some(lease) = &self.lease else { return self.since };
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if holder.is_empty() || holder == identity {
            return self.since;
        }
        let duration = lease["spec"]["leaseDurationSeconds"].as_u64().map_or(DURATION, Duration::from_secs);
        self.since + duration
    }
}

/// At this moment; never without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

impl Candidate {
    /// Waits until this process leads. Ends with `None` on shutdown.
    ///
    /// The lease is watched: one that was released is taken at once, and one that runs out when it has been seen unchanged for
    /// its duration.
    pub async fn acquire(&self, shutdown: &CancellationToken) -> Option<Tenure> {
        let api = watch::api(&self.client, &ResourceType::LEASE, Some(&self.namespace));
        let mut changes = std::pin::pin!(watch_object(api, &self.name));
        let mut seen: Option<Seen> = None;
        loop {
            let free = seen.as_ref().map(|s| s.free_at(&self.identity));
            tokio::select! {
                () = shutdown.cancelled() => return None,
                change = changes.next() => match change {
                    Some(Ok(lease)) => Seen::note(&mut seen, lease.map(watch::to_value)),
                    other => {
                        let error = other.and_then(Result::err).map_or_else(|| "the watch ended".to_owned(), |e| e.to_string());
                        tracing::warn!(lease = %self.name, %error, "the lease cannot be watched");
                        tokio::time::sleep(RETRY).await;
                    }
                },
                () = at(free) => {
                    let began = Instant::now();
                    match self.take(seen.as_ref().and_then(|s| s.lease.clone())).await {
                        Ok(()) => {
                            tracing::info!(lease = %self.name, identity = %self.identity, "this process leads");
                            return Some(Tenure::new(began + TENURE));
                        }
                        Err(WriteError::Exists(_) | WriteError::Conflict(_)) => {}
                        Err(error) => {
                            tracing::warn!(lease = %self.name, %error, "the lease cannot be taken");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                    // Who was faster may be unknown to a watch that stands still.
                    if let Ok(lease) = self.read().await {
                        Seen::note(&mut seen, lease);
                    }
                }
            }
        }
    }

    /// Renews until shutdown or loss. After this the tenure is over.
    pub async fn keep(&self, tenure: &Tenure, shutdown: &CancellationToken) -> Ended {
        let mut held = None;
        let mut problem = "this process was not running (paused, or short of CPU)".to_owned();
        loop {
            // Without what was last written, the last attempt failed: somebody else may have it.
            let period = if held.is_some() { PERIOD } else { RETRY };
            let wait = tenure.remaining().unwrap_or_default().min(period);
            tokio::select! {
                () = shutdown.cancelled() => {
                    tenure.end();
                    self.release().await;
                    return Ended::Released;
                }
                () = tokio::time::sleep(wait) => {}
            }
            let Some(left) = tenure.remaining() else {
                tenure.end();
                return Ended::NotRenewed(problem);
            };
            let began = Instant::now();
            match self.renew(&mut held, left.min(CALL)).await {
                Ok(None) => tenure.extend(began + TENURE),
                Ok(Some(other)) => {
                    tenure.end();
                    return Ended::Taken(other);
                }
                Err(error) => {
                    tracing::warn!(lease = %self.name, %error, "the lease was not renewed; trying again");
                    problem = error.to_string();
                }
            }
        }
    }

    async fn read(&self) -> Result<Option<Value>, WriteError> {
        self.client.get(&ResourceType::LEASE, &self.namespace, &self.name, &Actor::Controller).await
    }

    /// Makes the lease ours, if it is still as it was seen; `None`: there was none.
    async fn take(&self, seen: Option<Value>) -> Result<(), WriteError> {
        let Some(mut lease) = seen else {
            let (client, lease) = (&self.client, self.lease(0));
            return client
                .create(&ResourceType::LEASE, &lease, &Actor::Controller, Mode::Write, CALL)
                .await
                .map(|_| ());
        };
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        if !holder.is_empty() && holder != self.identity {
            tracing::warn!(lease = %self.name, %holder, "the lease was not renewed by its holder and is taken");
        }
        let transitions = lease["spec"]["leaseTransitions"].as_u64().unwrap_or(0) + u64::from(holder != self.identity);
        lease["spec"] = self.lease(transitions)["spec"].take();
        self.client.replace(&ResourceType::LEASE, &lease, CALL).await.map(|_| ())
    }

    /// `Some` names another holder. `held` is the lease as it was last written, so that a renewal is one call.
    async fn renew(&self, held: &mut Option<Value>, limit: Duration) -> Result<Option<String>, WriteError> {
        let renewal = async {
            let known = match held.take() {
                Some(lease) => Some(lease),
                None => self.read().await?,
            };
            let Some(mut lease) = known else {
                return Err(WriteError::Gone("the Lease was deleted".to_owned()));
            };
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
            if holder != self.identity {
                return Ok(Some(if holder.is_empty() { "nobody".to_owned() } else { holder.to_owned() }));
            }
            lease["spec"]["renewTime"] = json!(micro_now());
            // When this fails, the next attempt reads who holds it.
            *held = Some(self.client.replace(&ResourceType::LEASE, &lease, limit).await?);
            Ok(None)
        };
        tokio::time::timeout(limit, renewal).await.unwrap_or_else(|_| Err(WriteError::Unknown("no answer".to_owned())))
    }

    /// Makes room for the next one at once. If this fails, the lease runs out.
    async fn release(&self) {
        let release = async {
            let Some(mut lease) = self.read().await? else { return Ok(()) };
            if lease["spec"]["holderIdentity"] != json!(self.identity) {
                return Ok(());
            }
            lease["spec"]["holderIdentity"] = json!("");
            lease["spec"]["leaseDurationSeconds"] = json!(1);
            self.client.replace(&ResourceType::LEASE, &lease, CALL).await.map(|_| ())
        };
        match tokio::time::timeout(CALL, release).await {
            Ok(Ok(())) => tracing::info!(lease = %self.name, "the lease is released"),
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.name, %error, "the lease could not be released and runs out");
            }
            Err(_) => tracing::warn!(lease = %self.name, "the lease could not be released in time and runs out"),
        }
    }

    fn lease(&self, transitions: u64) -> Value {
        let now = micro_now();
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"holderIdentity": self.identity, "leaseDurationSeconds": DURATION.as_secs(),
                "acquireTime": now, "renewTime": now, "leaseTransitions": transitions},
        })
    }
}

/// A `MicroTime`, for people who look at the Lease: nobody compares it.
fn micro_now() -> String {
    format!("{:.6}", crate::clock::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l2_a_tenure_ends_by_itself_and_before_the_lease_can_be_taken() {
        let tenure = Tenure::new(Instant::now() + Duration::from_millis(20));
        assert!(tenure.remaining().is_some_and(|left| left <= Duration::from_millis(20)));
        std::thread::sleep(Duration::from_millis(25));
        assert_eq!(tenure.remaining(), None);
        // Room for a call whose answer was given up when the tenure ended.
        const { assert!(TENURE.as_secs() + CALL.as_secs() < DURATION.as_secs()) };
    }

    fn lease(holder: &str, version: &str) -> Value {
        json!({"metadata": {"resourceVersion": version},
               "spec": {"holderIdentity": holder, "leaseDurationSeconds": 8}})
    }

    #[test]
    fn l1_a_lease_is_free_when_it_was_seen_unchanged_for_its_duration_or_is_nobodys() {
        let mut seen = None;
        Seen::note(&mut seen, Some(lease("other", "1")));
        let first = seen.as_ref().expect("noted").since;
        Seen::note(&mut seen, Some(lease("other", "1")));
        let free = |seen: &Option<Seen>| seen.as_ref().expect("noted").free_at("me");
        assert_eq!(free(&seen), first + Duration::from_secs(8), "the same version does not start the time anew");
        Seen::note(&mut seen, Some(lease("other", "2")));
        assert!(free(&seen) > first + Duration::from_secs(8), "a renewal does");
        for free_now in [Some(lease("", "3")), Some(lease("me", "4")), None] {
            Seen::note(&mut seen, free_now);
            assert_eq!(free(&seen), seen.as_ref().expect("noted").since);
        }
    }

    #[test]
    fn l2_an_ended_tenure_is_over_for_every_copy_of_it() {
        let tenure = Tenure::new(Instant::now() + TENURE);
        let copy = tenure.clone();
        tenure.end();
        assert_eq!(copy.remaining(), None);
    }
}
