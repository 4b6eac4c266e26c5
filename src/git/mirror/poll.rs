//! The poller of one mirror.

use super::{Inner, Key, Mirror, State, lock};
use crate::core::question::{SourceError, SourceErrorClass};
use crate::git::fetch::{self, Access, FetchError};
use crate::git::revision::{Resolved, Revision};
use gix::ThreadSafeRepository;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

/// One whole look, fetch included. A first fetch of 50 commits of a large repository takes seconds.
const DEADLINE: Duration = Duration::from_mins(2);
/// Between two looks, however often someone nudges.
const BREATH: Duration = Duration::from_secs(1);
/// After the first failure; doubled with each further one up to ten times the usual time.
const RETRY: Duration = Duration::from_secs(5);
/// A tip that is known stays so while the server is away this many times in a row.
const PATIENCE: u32 = 3;
/// A mirror that nobody follows is deleted after this time.
const IDLE: Duration = Duration::from_mins(10);
/// Each fetch adds a pack and nothing is ever collected, so the mirror is made anew after so many.
const FETCHES_PER_FOLDER: u32 = 200;

/// A folder's name from whatever the key holds.
pub(super) fn folder_name(key: &Key) -> String {
    let secret = key.secret.as_ref().map_or(String::new(), |(namespace, name)| format!("{namespace}/{name}"));
    let digest = Sha256::digest(format!("{}\n{secret}", key.url));
    digest.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Looks at the server again and again until nobody follows any more.
pub(super) async fn run(inner: Arc<Inner>, mirror: Arc<Mirror>) {
    tokio::select! {
        () = inner.end.cancelled() => {}
        () = Poller { inner: inner.clone(), mirror, store: None, fetches: 0, failures: 0, gate: Arc::new(Semaphore::new(1)), generation: 0 }.run() => {}
    }
}

struct Poller {
    inner: Arc<Inner>,
    mirror: Arc<Mirror>,
    store: Option<Arc<ThreadSafeRepository>>,
    fetches: u32,
    failures: u32,
    /// Held by the thread that fetches, also beyond a deadline: never two in one folder.
    gate: Arc<Semaphore>,
    generation: u32,
}

/// What one look brought.
struct Look {
    store: Arc<ThreadSafeRepository>,
    found: BTreeMap<Revision, Result<Resolved, SourceError>>,
    fetched: bool,
}

impl Poller {
    async fn run(mut self) {
        // Whatever a former process left is not trusted: it may have been killed in the middle of a write.
        let _ = tokio::fs::remove_dir_all(&self.mirror.folder).await;
        loop {
            self.mirror.nudged.notified().await;
            loop {
                let revisions: Vec<Revision> = lock(&self.mirror.wanted).keys().cloned().collect();
                if revisions.is_empty() {
                    break;
                }
                let begun = Instant::now();
                self.look(revisions).await;
                sleep(BREATH.saturating_sub(begun.elapsed())).await;
                tokio::select! {
                    () = sleep(self.pause()) => {}
                    () = self.mirror.nudged.notified() => {}
                }
            }
            if timeout(IDLE, self.mirror.nudged.notified()).await.is_ok() {
                // Put back, since it was meant for the loop.
                self.mirror.nudged.notify_one();
            } else if self.leave() {
                let _ = tokio::fs::remove_dir_all(&self.mirror.folder).await;
                return;
            }
        }
    }

    /// Takes the mirror off the list if nobody follows it.
    fn leave(&self) -> bool {
        let mut mirrors = lock(&self.inner.mirrors);
        let idle = lock(&self.mirror.wanted).is_empty();
        if idle {
            mirrors.remove(&self.mirror.key);
        }
        idle
    }

    /// Time to the next look: a tenth up or down, so that repositories of one server spread.
    fn pause(&self) -> Duration {
        let usual = self.inner.config.poll;
        let base = match self.failures {
            0 => usual,
            n => RETRY.min(usual).saturating_mul(1 << (n - 1).min(10)).min(usual * 10),
        };
        let share = RandomState::new().hash_one(self.failures) % 201;
        base.mul_f64(0.9 + f64::from(u32::try_from(share).unwrap_or_default()) / 1000.0)
    }

    async fn look(&mut self, revisions: Vec<Revision>) {
        let looked = match self.inner.access(&self.mirror.key.url, self.mirror.key.secret.as_ref()).await {
            Ok(access) => self.look_with(access, revisions.clone()).await,
            Err(error) => Err(SourceError {
                class: SourceErrorClass::Unauthorized,
                message: format!("{}: {error}", self.mirror.key.url),
            }),
        };
        match looked {
            Ok(look) => {
                if self.failures > 0 {
                    tracing::info!(url = %self.mirror.key.url, "repository is readable again");
                }
                self.failures = 0;
                self.fetches += u32::from(look.fetched);
                self.store = Some(look.store.clone());
                self.mirror.state.send_replace(State { store: Some(look.store), found: look.found });
            }
            Err(error) => {
                self.failures += 1;
                tracing::warn!(url = %self.mirror.key.url, failures = self.failures, error = %error.message, "repository cannot be read");
                let bear = error.class == SourceErrorClass::Unreachable && self.failures < PATIENCE;
                self.mirror.state.send_modify(|state| {
                    for revision in revisions {
                        if !(bear && matches!(state.found.get(&revision), Some(Ok(_)))) {
                            state.found.insert(revision, Err(error.clone()));
                        }
                    }
                });
            }
        }
    }

    async fn look_with(&mut self, access: Access, revisions: Vec<Revision>) -> Result<Look, SourceError> {
        if self.fetches < FETCHES_PER_FOLDER {
            match self.look_in(self.folder(), self.store.clone(), access.clone(), revisions.clone()).await {
                Err(FetchError { error, anew: true }) => {
                    tracing::warn!(url = %self.mirror.key.url, error = %error.message, "making the mirror anew");
                }
                other => return other.map_err(|e| e.error),
            }
        }
        let former = self.folder();
        self.generation += 1;
        let look = self.look_in(self.folder(), None, access, revisions).await.map_err(|e| e.error)?;
        self.fetches = 0;
        // Who still reads from it has its files open, or asks again.
        let _ = tokio::fs::remove_dir_all(former).await;
        Ok(look)
    }

    fn folder(&self) -> PathBuf {
        self.mirror.folder.join(format!("{}.git", self.generation))
    }

    async fn look_in(
        &self,
        folder: PathBuf,
        store: Option<Arc<ThreadSafeRepository>>,
        access: Access,
        revisions: Vec<Revision>,
    ) -> Result<Look, FetchError> {
        let gate = self.gate.clone().acquire_owned().await;
        let slot = self.inner.fetches.clone().acquire_owned().await;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _held = (gate, slot);
            look(&folder, store, &access, &revisions, &seen)
        });
        match timeout(DEADLINE, work).await {
            Ok(Ok(done)) => done,
            // The parser of packs has panicked on bad input before.
            Ok(Err(panic)) => Err(FetchError {
                error: SourceError {
                    class: SourceErrorClass::Unreachable,
                    message: format!("{}: reading from it failed: {panic}", self.mirror.key.url),
                },
                anew: true,
            }),
            Err(_) => {
                stop.store(true, Ordering::Relaxed);
                Err(FetchError {
                    error: SourceError {
                        class: SourceErrorClass::Unreachable,
                        message: format!("{}: not done after {} seconds", self.mirror.key.url, DEADLINE.as_secs()),
                    },
                    anew: false,
                })
            }
        }
    }
}

/// One look: the references, and what they point to if that is new. Blocks.
fn look(
    folder: &Path,
    store: Option<Arc<ThreadSafeRepository>>,
    access: &Access,
    revisions: &[Revision],
    stop: &AtomicBool,
) -> Result<Look, FetchError> {
    let store = match store {
        Some(store) => store,
        None => Arc::new(fetch::open(folder, &access.user_agent)?),
    };
    let repository = store.to_thread_local();
    let listed = fetch::list(&repository, access, revisions)?;
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    let mut fetched = false;
    for revision in revisions {
        let resolved = revision.find(&listed).ok_or_else(|| no_such(access, revision));
        if let Ok(resolved) = &resolved
            && !repository.has_object(resolved.commit)
        {
            if resolved.reference.is_some() {
                missing.push(resolved.clone());
            } else {
                // Alone, since a server that does not give it fails the whole fetch.
                fetched = true;
                if let Err(error) = fetch::fetch(&repository, access, std::slice::from_ref(resolved), stop) {
                    found.insert(revision.clone(), Err(refused_commit(access, resolved, error)?));
                    continue;
                }
            }
        }
        found.insert(revision.clone(), resolved);
    }
    if !missing.is_empty() {
        fetched = true;
        missing.dedup();
        fetch::fetch(&repository, access, &missing, stop)?;
        if let Some(lost) = missing.iter().find(|m| !repository.has_object(m.commit)) {
            return Err(FetchError {
                error: SourceError {
                    class: SourceErrorClass::Unreachable,
                    message: format!("{}: moved away from {} during the fetch", access.url, lost.commit),
                },
                anew: true,
            });
        }
    }
    Ok(Look { store, found, fetched })
}

fn no_such(access: &Access, revision: &Revision) -> SourceError {
    let message = match revision {
        Revision::Head => format!("{}: the repository has no commit yet; push one", access.url),
        Revision::Name(name) => {
            format!("{}: {name:?} is neither a branch nor a tag there; a commit needs all 40 digits", access.url)
        }
        Revision::Reference(name) => format!("{}: there is no {name}", access.url),
        Revision::Commit(id) => format!("{}: there is no commit {id}", access.url),
    };
    SourceError { class: SourceErrorClass::NoSuchRevision, message }
}

/// A server that answers, but not with this commit.
fn refused_commit(access: &Access, resolved: &Resolved, error: FetchError) -> Result<SourceError, FetchError> {
    if !error.anew {
        return Err(error);
    }
    let message = format!(
        "{}: the server does not give commit {}: {}; follow a branch or tag that has it",
        access.url, resolved.commit, error.error.message
    );
    Ok(SourceError { class: SourceErrorClass::NoSuchRevision, message })
}
