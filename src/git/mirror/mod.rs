//! Mirrors: one bare, shallow repository per address and credential, each with one poller.
//!
//! The rule: two tenants share a mirror only when they name the same Secret, since a mirror answers whatever it holds. The
//! server is asked for its references first, and nothing moves when the tips are known. A mirror is a cache: what is wrong
//! with it is mended by making it anew.

mod poll;

mod rendered;

use super::credential::{Credential, CredentialError, Credentials};
use super::fetch::Access;
use super::revision::{Resolved, Revision};
use super::tip::{self, RepositoryPath};
use super::tree::{self, TreeError, TreeLimits};
use super::url::RepositoryUrl;
use crate::core::question::{
    RenderError, RenderQuestion, Rendered, SourceError, SourceErrorClass, SourceQuestion, SourceTip, Told,
};
use crate::http::{self, Destinations};
use crate::manifest::Limits;
use crate::render::directory::{self, Selection};
use gix::{ObjectId, ThreadSafeRepository};
use rendered::Cache;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Fetches at once in this process: each may hold a pack in memory.
const FETCHES: usize = 4;
/// Trees unpacked and parsed at once: this is work for the processor.
const READERS: usize = 2;
/// For a Secret, which is one small read from the API server.
const SECRET: Duration = Duration::from_secs(10);
/// How long a tree may be missing before whoever asks is told so; a mirror that is being filled takes this long at most.
const ABSENT: Duration = Duration::from_mins(1);

/// Who makes our commits.
#[derive(Debug, Clone)]
pub struct Identity {
    pub name: String,
    pub email: String,
}

/// How mirrors are kept.
#[derive(Debug, Clone)]
pub struct MirrorConfig {
    /// Folder for the mirrors. Lost without harm; not shared with another process.
    pub data: PathBuf,
    /// Time between two looks at a repository, give or take a tenth.
    pub poll: Duration,
    pub identity: Identity,
    /// Whether addresses of this machine are out of bounds, as they are for whatever tenants write.
    pub destinations: Destinations,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            data: std::env::temp_dir().join("tidegate-git"),
            poll: Duration::from_secs(30),
            identity: Identity { name: "Tidegate".to_owned(), email: "noreply@tidegate.dev".to_owned() },
            destinations: Destinations::Guarded,
        }
    }
}

/// All mirrors of this process. Dropping it ends the pollers.
pub struct Mirrors {
    pub(super) inner: Arc<Inner>,
    _end: DropGuard,
}

impl fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrors").field("mirrors", &lock(&self.inner.mirrors).len()).finish_non_exhaustive()
    }
}

pub(super) struct Inner {
    pub(super) config: MirrorConfig,
    pub(super) user_agent: String,
    credentials: Arc<dyn Credentials>,
    mirrors: Mutex<BTreeMap<Key, Arc<Mirror>>>,
    fetches: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    rendered: Mutex<Cache>,
    end: CancellationToken,
}

/// What makes a mirror another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    url: RepositoryUrl,
    secret: Option<(String, String)>,
}

struct Mirror {
    key: Key,
    folder: PathBuf,
    /// Revisions that are followed, and by how many.
    wanted: Mutex<BTreeMap<Revision, usize>>,
    nudged: Notify,
    state: watch::Sender<State>,
}

/// What the last look found.
#[derive(Clone, Default)]
struct State {
    store: Option<Arc<ThreadSafeRepository>>,
    found: BTreeMap<Revision, Result<Resolved, SourceError>>,
}

/// A poisoned lock is taken as it is: everything under ours is whole after each statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One who follows a revision. Dropped with the future that holds it.
struct Following {
    mirror: Arc<Mirror>,
    revision: Revision,
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut wanted = lock(&self.mirror.wanted);
        if let Some(count) = wanted.get_mut(&self.revision) {
            *count -= 1;
            if *count == 0 {
                wanted.remove(&self.revision);
            }
        }
    }
}

impl Mirrors {
    /// Must be called inside a tokio runtime: pollers are tasks of it, fetches are blocking threads of it. A runtime that
    /// shuts down should not wait for those threads: a silent server holds one for 30 seconds.
    pub fn new(config: MirrorConfig, credentials: Arc<dyn Credentials>) -> Self {
        // gix builds its own clients, which take the provider that the process has.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let end = CancellationToken::new();
        let inner = Inner {
            config,
            user_agent: concat!("tidegate/", env!("CARGO_PKG_VERSION")).to_owned(),
            credentials,
            mirrors: Mutex::default(),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            readers: Arc::new(Semaphore::new(READERS)),
            rendered: Mutex::default(),
            end: end.clone(),
        };
        Self { inner: Arc::new(inner), _end: end.drop_guard() }
    }

    /// Looks at a repository now, and not at the next turn: after a push of ours, or when a webhook says so.
    pub fn nudge(&self, url: &str) {
        let Ok(url) = RepositoryUrl::parse(url) else { return };
        for (_, mirror) in lock(&self.inner.mirrors).iter().filter(|(key, _)| key.url == url) {
            mirror.nudged.notify_one();
        }
    }

    /// Tells where a revision is, at once when that is known and again at each change. Never ends: drop it to stop following.
    pub async fn follow(&self, question: &SourceQuestion, tell: impl Fn(Told) + Send) {
        let refused = |message: String| Told::Source(Err(SourceError { class: SourceErrorClass::Unusable, message }));
        let parsed = self.inner.url(&question.url).and_then(|url| {
            let revision = Revision::parse(&question.revision).map_err(|e| e.to_string())?;
            let path = RepositoryPath::parse(&question.path).map_err(|e| e.to_string())?;
            Ok((url, revision, path))
        });
        let (url, revision, path) = match parsed {
            Ok(parsed) => parsed,
            Err(message) => {
                tell(refused(message));
                return std::future::pending().await;
            }
        };
        let following = self.inner.follow(Key { url, secret: question.secret.clone() }, revision);
        let mut state = following.mirror.state.subscribe();
        let mut told: Option<Result<Arc<SourceTip>, SourceError>> = None;
        let mut at: Option<Resolved> = None;
        loop {
            let State { store, found } = state.borrow_and_update().clone();
            let answer = match (found.get(&following.revision), store) {
                (Some(Ok(resolved)), Some(store)) if at.as_ref() != Some(resolved) => {
                    let answer = self.inner.tip(store, resolved.clone(), path.clone()).await;
                    at = answer.is_ok().then(|| resolved.clone());
                    Some(answer)
                }
                (Some(Err(error)), _) => {
                    at = None;
                    Some(Err(error.clone()))
                }
                _ => None,
            };
            if let Some(answer) = answer
                && told.as_ref() != Some(&answer)
            {
                told = Some(answer.clone());
                tell(Told::Source(answer));
            }
            if state.changed().await.is_err() {
                // Cannot be: the sender lives in the mirror that we hold.
                return std::future::pending().await;
            }
        }
    }

    /// Tells what the files of a tree are, once it is in the mirror. Never ends: drop it when the answer is there.
    pub async fn render(&self, question: &RenderQuestion, tell: impl Fn(Told) + Send) {
        let refused = |file: &str, message: String| {
            Told::Rendered(Err(vec![RenderError { file: file.to_owned(), line: 0, message }]))
        };
        let parsed = self.inner.url(&question.url).and_then(|url| {
            let tree = ObjectId::from_hex(question.tree.as_bytes()).map_err(|e| e.to_string())?;
            let selection = Selection::of(question).map_err(|e| e.message)?;
            Ok((Key { url, secret: question.secret.clone() }, tree, selection))
        });
        let (key, tree, selection) = match parsed {
            Ok(parsed) => parsed,
            Err(message) => {
                tell(refused("", message));
                return std::future::pending().await;
            }
        };
        let begun = tokio::time::Instant::now();
        let mut said_absent = false;
        loop {
            // Found again each time: a mirror may begin, or begin anew, after the question.
            let mirror = lock(&self.inner.mirrors).get(&key).cloned();
            let mut state = mirror.as_ref().map(|m| m.state.subscribe());
            let store = state.as_mut().and_then(|s| s.borrow_and_update().store.clone());
            let answer = match store {
                Some(store) => self.inner.render(&key, store, tree, &selection, question).await,
                None => Err(TreeError::Absent(tree)),
            };
            match answer {
                Ok(answer) => {
                    tell(Told::Rendered(answer));
                    return std::future::pending().await;
                }
                Err(error) if begun.elapsed() >= ABSENT && !said_absent => {
                    said_absent = true;
                    let remedy = "it may have been rewritten away; sync the branch's tip instead";
                    tell(refused("", format!("tree {tree} of {}: {error}; {remedy}", key.url)));
                }
                Err(_) => {}
            }
            let patience = Duration::from_secs(2);
            match &mut state {
                Some(state) => drop(tokio::time::timeout(patience, state.changed()).await),
                None => tokio::time::sleep(patience).await,
            }
        }
    }
}

impl Inner {
    pub(super) fn url(&self, text: &str) -> Result<RepositoryUrl, String> {
        let url = RepositoryUrl::parse(text).map_err(|e| e.to_string())?;
        if self.config.destinations == Destinations::Guarded {
            url::Url::parse(url.as_str())
                .ok()
                .filter(|u| http::check_host(u).is_ok())
                .ok_or_else(|| format!("{url}: an address of this machine or its links is no git server for tenants; use the server's name, or let an administrator start the controller with --allow-local-repositories"))?;
        }
        Ok(url)
    }

    /// Reads a Secret and makes it what goes to this address.
    pub(super) async fn access(
        &self,
        url: &RepositoryUrl,
        secret: Option<&(String, String)>,
    ) -> Result<Access, CredentialError> {
        let authorization = match secret {
            None => None,
            Some((namespace, name)) => {
                let read = tokio::time::timeout(SECRET, self.credentials.get(namespace, name)).await;
                let data = read.unwrap_or_else(|_| {
                    Err(CredentialError::Unreadable {
                        namespace: namespace.clone(),
                        name: name.clone(),
                        reason: "the API server did not answer in time".to_owned(),
                    })
                })?;
                Some(Credential::from_secret(&data)?.authorization_for(url)?.clone())
            }
        };
        Ok(Access {
            url: url.clone(),
            authorization,
            user_agent: self.user_agent.clone(),
            destinations: self.config.destinations,
        })
    }

    fn follow(self: &Arc<Self>, key: Key, revision: Revision) -> Following {
        let mut mirrors = lock(&self.mirrors);
        let mirror = mirrors.entry(key.clone()).or_insert_with(|| {
            let mirror = Arc::new(Mirror {
                folder: self.config.data.join(poll::folder_name(&key)),
                key,
                wanted: Mutex::default(),
                nudged: Notify::new(),
                state: watch::Sender::default(),
            });
            tokio::spawn(poll::run(self.clone(), mirror.clone()));
            mirror
        });
        // Under the lock of the map, so that an idle poller cannot leave in between.
        *lock(&mirror.wanted).entry(revision.clone()).or_default() += 1;
        mirror.nudged.notify_one();
        Following { mirror: mirror.clone(), revision }
    }

    /// The repositories of an address that are there, whatever the credential.
    pub(super) fn stores(&self, url: &RepositoryUrl) -> Vec<Arc<ThreadSafeRepository>> {
        let mirrors = lock(&self.mirrors);
        mirrors.values().filter(|m| m.key.url == *url).filter_map(|m| m.state.borrow().store.clone()).collect()
    }

    async fn tip(
        &self,
        store: Arc<ThreadSafeRepository>,
        at: Resolved,
        path: RepositoryPath,
    ) -> Result<Arc<SourceTip>, SourceError> {
        let commit = at.commit;
        let read = self.read(move || tip::read(&store.to_thread_local(), at.reference, commit, &path)).await;
        read.map(Arc::new).map_err(|error| SourceError {
            class: SourceErrorClass::Unusable,
            message: format!("commit {commit} cannot be read: {error}"),
        })
    }

    async fn render(
        &self,
        key: &Key,
        store: Arc<ThreadSafeRepository>,
        tree: ObjectId,
        selection: &Selection,
        question: &RenderQuestion,
    ) -> Result<Result<Arc<Rendered>, Vec<RenderError>>, TreeError> {
        let place = rendered::Place::of(key, question);
        if let Some(known) = lock(&self.rendered).get(&place) {
            return Ok(known);
        }
        let selection = selection.clone();
        let read = self
            .read(move || match tree::read(&store.to_thread_local(), tree, &selection, &TreeLimits::default()) {
                Ok(files) => {
                    let bytes = files.iter().map(|f| f.bytes.len()).sum();
                    Ok((directory::render(&files, &Limits::default()).map(Arc::new), bytes))
                }
                Err(TreeError::Files(errors)) => Ok((Err(errors), 0)),
                Err(other) => Err(other),
            })
            .await?;
        let (answer, bytes) = read;
        lock(&self.rendered).put(place, answer.clone(), bytes);
        Ok(answer)
    }

    /// Runs what reads objects on a thread that may block; a panic there is an error here.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, TreeError> + Send + 'static,
    ) -> Result<T, TreeError> {
        let permit = self.readers.clone().acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.unwrap_or_else(|e| Err(TreeError::Database(format!("reading it failed: {e}"))))
    }
}

#[cfg(test)]
pub(super) mod tests;
