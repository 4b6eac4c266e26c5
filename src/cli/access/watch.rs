//! Following a Rollout by watches: each change is told once, nothing is polled.

use super::Cluster;
use super::read::labels;
use crate::api::{AnalysisRun, Rollout};
use crate::cli::failure::Failure;
use crate::cli::show::Observed;
use crate::core::rollout::LABEL_HASH;
use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event, watch_object, watcher};
use std::collections::BTreeMap;
use std::time::Duration;

/// What happens together is shown together: a scale-up is a dozen events.
const GATHER: Duration = Duration::from_millis(150);
/// Between two tries of a watch that broke.
const AGAIN: Duration = Duration::from_secs(1);

/// Objects of one kind as their watch tells them.
struct Shelf<K> {
    items: BTreeMap<String, K>,
    /// A list that is being told, which replaces the items when it is complete.
    fresh: BTreeMap<String, K>,
    listed: bool,
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), fresh: BTreeMap::new(), listed: false }
    }
}

impl<K: ResourceExt + Clone> Shelf<K> {
    fn take(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.fresh.clear(),
            Event::InitApply(object) => drop(self.fresh.insert(object.name_any(), object)),
            Event::InitDone => (self.items, self.listed) = (std::mem::take(&mut self.fresh), true),
            Event::Apply(object) => drop(self.items.insert(object.name_any(), object)),
            Event::Delete(object) => drop(self.items.remove(&object.name_any())),
        }
    }

    fn all(&self) -> Vec<K> {
        self.items.values().cloned().collect()
    }
}

enum Seen {
    Rollout(Box<Event<Rollout>>),
    Set(Box<Event<ReplicaSet>>),
    Pod(Box<Event<Pod>>),
    Run(Box<Event<AnalysisRun>>),
}

/// A Rollout and what belongs to it, as it changes.
pub(crate) struct Watched {
    cluster: Cluster,
    name: String,
    events: SelectAll<BoxStream<'static, Result<Seen, watcher::Error>>>,
    rollout: Shelf<Rollout>,
    sets: Shelf<ReplicaSet>,
    pods: Shelf<Pod>,
    runs: Shelf<AnalysisRun>,
}

impl Watched {
    /// The next state; the first one when everything was listed.
    pub(crate) async fn next(&mut self) -> Result<Observed, Failure> {
        let event = self.events.next().await;
        self.take(event).await?;
        let gathered = tokio::time::sleep(GATHER);
        tokio::pin!(gathered);
        loop {
            let complete = self.rollout.listed && self.sets.listed && self.pods.listed && self.runs.listed;
            let event = tokio::select! {
                () = &mut gathered, if complete => break,
                event = self.events.next() => event,
            };
            self.take(event).await?;
        }
        match self.rollout.all().pop() {
            Some(rollout) => Ok(Observed::new(rollout, self.sets.all(), self.pods.all(), self.runs.all())),
            None => Err(self.cluster.no_rollout(&self.name).await),
        }
    }

    async fn take(&mut self, event: Option<Result<Seen, watcher::Error>>) -> Result<(), Failure> {
        match event {
            Some(Ok(Seen::Rollout(event))) => self.rollout.take(*event),
            Some(Ok(Seen::Set(event))) => self.sets.take(*event),
            Some(Ok(Seen::Pod(event))) => self.pods.take(*event),
            Some(Ok(Seen::Run(event))) => self.runs.take(*event),
            Some(Err(error)) => self.cluster.or_again(&error).await?,
            None => {}
        }
        Ok(())
    }
}

fn stream<K>(
    api: kube::Api<K>,
    config: watcher::Config,
    seen: fn(Box<Event<K>>) -> Seen,
) -> BoxStream<'static, Result<Seen, watcher::Error>>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watcher(api, config).map(move |event| event.map(|event| seen(Box::new(event)))).boxed()
}

impl Cluster {
    /// Follows a Rollout with its ReplicaSets, pods and runs.
    pub(crate) async fn watch(&self, name: &str) -> Result<Watched, Failure> {
        // Read first: a wrong name is an error at once, and the selector is needed. It cannot change.
        let rollout = self.rollout(name).await?;
        let of = watcher::Config::default().labels(&labels(&rollout));
        let runs = watcher::Config::default().labels(LABEL_HASH);
        let this = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = SelectAll::new();
        events.push(stream(self.rollouts(), this, Seen::Rollout));
        events.push(stream(self.sets(), of.clone(), Seen::Set));
        events.push(stream(self.pods(), of, Seen::Pod));
        events.push(stream(self.runs(), runs, Seen::Run));
        Ok(Watched {
            cluster: self.clone(),
            name: name.to_owned(),
            events,
            rollout: Shelf::default(),
            sets: Shelf::default(),
            pods: Shelf::default(),
            runs: Shelf::default(),
        })
    }

    /// Follows the Rollout alone, until `done` gives something.
    pub(crate) async fn until<T>(
        &self,
        name: &str,
        mut done: impl FnMut(&Rollout) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let mut states = watch_object(self.rollouts(), name).boxed();
        loop {
            match next(&mut states).await {
                Ok(Some(rollout)) => {
                    if let Some(found) = done(&rollout)? {
                        return Ok(found);
                    }
                }
                Ok(None) => return Err(self.no_rollout(name).await),
                Err(error) => self.or_again(&error).await?,
            }
        }
    }

    /// Waits before a watch is tried again; what will not get better is the end.
    async fn or_again(&self, error: &watcher::Error) -> Result<(), Failure> {
        let (watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause)) = error
        else {
            tokio::time::sleep(AGAIN).await;
            return Ok(());
        };
        match cause {
            kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404) => {
                Err(self.failure("watching Rollouts and what belongs to them", cause))
            }
            _ => {
                tokio::time::sleep(AGAIN).await;
                Ok(())
            }
        }
    }
}

async fn next<K>(states: &mut (impl Stream<Item = watcher::Result<Option<K>>> + Unpin)) -> watcher::Result<Option<K>> {
    match states.next().await {
        Some(state) => state,
        // A watcher never ends.
        None => std::future::pending().await,
    }
}
