//! A stand: the place of one scenario.
//!
//! A namespace with a name of its own, so that scenarios, runs and clones do not meet; it goes when the scenario ends. When
//! the scenario failed, the evidence is taken first.

use crate::cluster::{ApiError, Cluster, Kind};
use crate::generator::{Generator, Key, Load, Record, Recording, Target};
use crate::objects::{App, Revision};
use crate::wait::{self, NotSeen};
use serde_json::{Value, json};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a Rollout of a few pods may take to be complete on a busy node.
pub const SETTLE: Duration = Duration::from_secs(90);

/// So many answers on connections of their own come from both instances of the router but once in thousands of runs.
pub const IN_A_ROW: usize = 16;

/// A namespace with an app that has a name, a host and a key.
#[derive(Debug, Clone)]
pub struct Stand {
    pub cluster: Cluster,
    pub app: App,
    /// Of all requests that a scenario makes: it fails with its generators, and the evidence is taken afterwards.
    recordings: Arc<Mutex<Vec<Recording>>>,
    notes: Arc<Mutex<Vec<(String, String)>>>,
}

/// Six characters that a name may end in, different at each call.
pub fn unique() -> String {
    let mut number = RandomState::new().build_hasher().finish();
    let letters = b"bcdfghjklmnpqrstvwxz0123456789";
    let mut next = || {
        let letter = letters[usize::try_from(number % letters.len() as u64).unwrap_or_default()];
        number /= letters.len() as u64;
        char::from(letter)
    };
    (0..6).map(|_| next()).collect()
}

impl Stand {
    /// Makes the namespace `e2e-<scenario>-<unique>`.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn new(cluster: &Cluster, scenario: &str) -> Result<Self, ApiError> {
        let unique = unique();
        let short: String = scenario.replace('_', "-").chars().take(40).collect();
        // Traefik's names have no two hyphens in a row, and metrics are asked for by them.
        let namespace = format!("e2e-{}-{unique}", short.trim_end_matches('-'));
        let app = App {
            host: format!("web-{unique}.localhost"),
            name: "web".to_owned(),
            secret: format!("key-{}", self::unique()),
            replicas: 2,
            registry: cluster.access.image_host().to_owned(),
            namespace,
        };
        cluster
            .create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
                "name": app.namespace, "labels": {"app.kubernetes.io/part-of": "tidegate-e2e"}
            }}))
            .await?;
        Ok(Self { cluster: cluster.clone(), app, recordings: Arc::default(), notes: Arc::default() })
    }

    /// Removes the namespace; does not wait until it is gone.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn remove(&self) -> Result<(), ApiError> {
        self.cluster.delete(Kind::NAMESPACE, "", &self.app.namespace).await
    }

    pub fn namespace(&self) -> &str {
        &self.app.namespace
    }

    /// Where users of the app send their requests.
    pub fn target(&self) -> Target {
        Target {
            entry: self.cluster.access.entry.clone(),
            host: self.app.host.clone(),
            path: "/".to_owned(),
            key: Key::new(&self.app.secret),
        }
    }

    /// Waits until every instance of the router answers users of the app.
    ///
    /// # Errors
    /// When it does not within [`SETTLE`].
    pub async fn answering(&self) -> anyhow::Result<()> {
        wait::poll(SETTLE, &format!("signed answers for {}", self.app.host), || async {
            // Each on a connection of its own: one that is kept would ask the same instance again and again.
            let probe = Generator::start(self.target(), Load { keep_alive: 0, paced: 40, ..Load::STANDARD });
            probe.more(IN_A_ROW).await;
            let records = probe.stop().await;
            match records.iter().find(|r| !r.signed || r.status != 200) {
                Some(bad) => Err(format!("status {} {:?}", bad.status, bad.trouble)),
                None => Ok(()),
            }
        })
        .await
    }

    /// Starts requests once the app answers them.
    ///
    /// # Errors
    /// When it does not within [`SETTLE`].
    pub async fn traffic(&self, load: Load) -> anyhow::Result<Generator> {
        self.answering().await?;
        Ok(self.requests(load))
    }

    /// Starts requests at once.
    pub fn requests(&self, load: Load) -> Generator {
        let generator = Generator::start(self.target(), load);
        self.recordings.lock().unwrap_or_else(PoisonError::into_inner).push(generator.recording());
        generator
    }

    /// All requests so far, whether their generator still runs or not; those of probes are not among them.
    pub fn records(&self) -> Vec<Record> {
        let recordings = self.recordings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut records: Vec<Record> = recordings.iter().flat_map(Recording::records).collect();
        records.sort_by_key(|r| r.sent);
        records
    }

    /// Keeps something for the evidence that is gone when a failure is known.
    pub fn note(&self, name: &str, text: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), text));
    }

    /// What was kept, by the names of its files.
    pub fn notes(&self) -> Vec<(String, String)> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits on one object of the stand.
    ///
    /// # Errors
    /// [`NotSeen`] after `limit`.
    pub async fn until<T>(
        &self,
        kind: Kind,
        name: &str,
        limit: Duration,
        what: &str,
        accept: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T, NotSeen> {
        wait::until(&self.cluster, (kind, self.namespace(), name), limit, what, accept).await
    }

    /// Waits until the app's Rollout is Healthy for what its spec says now; gives the object.
    ///
    /// # Errors
    /// [`NotSeen`] after [`SETTLE`].
    pub async fn healthy(&self) -> Result<Value, NotSeen> {
        self.until(Kind::ROLLOUT, &self.app.name, SETTLE, "Healthy", |rollout| {
            (wait::observed(rollout) && rollout["status"]["phase"] == "Healthy").then(|| rollout.clone())
        })
        .await
    }

    /// Waits until this canary weight is live.
    ///
    /// # Errors
    /// [`NotSeen`] after `limit`.
    pub async fn live(&self, weight: u32, limit: Duration) -> Result<Value, NotSeen> {
        self.until(Kind::ROLLOUT, &self.app.name, limit, &format!("weight {weight} live"), |rollout| {
            let live = &rollout["status"]["traffic"]["live"];
            (wait::observed(rollout) && live["canary"] == weight).then(|| rollout.clone())
        })
        .await
    }

    /// Puts another revision into the Rollout's template, as a person would.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn change(&self, revision: Revision<'_>) -> Result<Value, ApiError> {
        let patch = json!({"spec": {"template": self.app.template(revision)}});
        self.cluster.merge(Kind::ROLLOUT, self.namespace(), &self.app.name, &patch).await
    }

    /// `kubectl annotate rollout`.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn command(&self, name: &str, value: &str) -> Result<Value, ApiError> {
        let key = format!("tidegate.dev/{name}");
        self.cluster.annotate(Kind::ROLLOUT, self.namespace(), &self.app.name, &key, value).await
    }

    /// Names of the pods of one revision, by its hash.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn pods_of(&self, hash: &str) -> Result<Vec<String>, ApiError> {
        let labels = format!("rollouts-pod-template-hash={hash}");
        let pods = self.cluster.list(Kind::POD, self.namespace(), &labels).await?;
        Ok(pods.iter().filter_map(|p| p["metadata"]["name"].as_str().map(str::to_owned)).collect())
    }
}
