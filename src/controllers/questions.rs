//! Questions and their answers: the declared set of each key is kept running, nothing else is.

use super::rooms::Rooms;
use super::run::Wakeups;
use super::world::World;
use crate::core::object::Key;
use crate::core::plan::Lane;
use crate::core::question::{Answer, Ask, Question, Told};
use crate::telemetry::Metrics;
use futures::FutureExt as _;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Before a question whose answering panicked is asked again.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// Where plans put the questions of a key. The real one runs workers; the simulation answers by itself.
pub trait Desk: Send + Sync + 'static {
    /// From now on exactly these are asked for `key`: new ones start, missing ones end and their answers are forgotten.
    fn ask(&self, key: &Key, questions: &[Question]);
}

/// The last answer to each open question.
#[derive(Debug, Default)]
pub struct Answers {
    rows: Mutex<BTreeMap<Key, BTreeMap<String, Answer>>>,
}

impl Answers {
    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, BTreeMap<String, Answer>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers of a key, by question id.
    pub fn of(&self, key: &Key) -> BTreeMap<String, Answer> {
        self.rows().get(key).cloned().unwrap_or_default()
    }

    /// Keeps an answer, and says whether it tells something new, so that its key is to be decided again.
    pub fn put(&self, key: &Key, id: &str, what: Told, at: Timestamp) -> bool {
        let mut rows = self.rows();
        let of_key = rows.entry(key.clone()).or_default();
        let new = of_key.get(id).is_none_or(|old| old.what != what);
        of_key.insert(id.to_owned(), Answer { at, what });
        new
    }

    /// Forgets the answers to all but these questions.
    pub fn keep(&self, key: &Key, ids: impl Fn(&str) -> bool) {
        let mut rows = self.rows();
        if let Some(of_key) = rows.get_mut(key) {
            of_key.retain(|id, _| ids(id));
            if of_key.is_empty() {
                rows.remove(key);
            }
        }
    }
}

/// The workers: one task per open question.
#[derive(Debug)]
pub struct Workers {
    rooms: Arc<Rooms>,
    world: Arc<World>,
    wakeups: Arc<Wakeups>,
    metrics: Arc<Metrics>,
    open: Mutex<HashMap<Key, HashMap<String, Worker>>>,
}

/// A task that answers one question; it ends when this is dropped.
#[derive(Debug)]
struct Worker {
    task: JoinHandle<()>,
    sort: &'static str,
    metrics: Arc<Metrics>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
        self.metrics.questions_changed(self.sort, -1);
    }
}

impl Workers {
    pub fn new(rooms: Arc<Rooms>, world: Arc<World>, wakeups: Arc<Wakeups>, metrics: Arc<Metrics>) -> Self {
        Self { rooms, world, wakeups, metrics, open: Mutex::default() }
    }

    fn start(&self, key: &Key, question: &Question) -> Worker {
        let Question { id, ask } = question.clone();
        let sort = sort(&ask);
        self.metrics.questions_changed(sort, 1);
        let (rooms, world, wakeups) = (self.rooms.clone(), self.world.clone(), self.wakeups.clone());
        let key = key.clone();
        let task = tokio::spawn(async move {
            loop {
                let tell = |what: Told| {
                    let lane = lane(&what);
                    if world.answers.put(&key, &id, what, crate::clock::now()) {
                        wakeups.add(&key, lane);
                    }
                };
                if AssertUnwindSafe(rooms.answer(ask.clone(), tell)).catch_unwind().await.is_ok() {
                    return;
                }
                tracing::error!(%key, id, "a bug: answering a question panicked; it is asked again");
                tokio::time::sleep(AFTER_PANIC).await;
            }
        });
        Worker { task, sort, metrics: self.metrics.clone() }
    }
}

impl Desk for Workers {
    fn ask(&self, key: &Key, questions: &[Question]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if questions.is_empty() {
            open.remove(key);
        } else {
            let of_key = open.entry(key.clone()).or_default();
            of_key.retain(|id, _| questions.iter().any(|q| q.id == *id));
            for question in questions {
                of_key.entry(question.id.clone()).or_insert_with(|| self.start(key, question));
            }
        }
        // After the workers: a late answer of an ended one must not stay. One that slips through is taken at the next pass.
        self.world.answers.keep(key, |id| questions.iter().any(|q| q.id == id));
    }
}

/// A failed measurement is an abort on its way.
fn lane(what: &Told) -> Lane {
    match what {
        Told::Measured(m) if m.verdict != crate::core::question::Verdict::Successful => Lane::Urgent,
        _ => Lane::Normal,
    }
}

/// What is asked, as a metric's label.
fn sort(ask: &Ask) -> &'static str {
    match ask {
        Ask::Routes { .. } => "routes",
        Ask::Measure(_) => "measure",
        Ask::DryRunCreate { .. } => "dry-run-create",
        Ask::DryRunApply { .. } => "dry-run-apply",
        Ask::Kinds { .. } => "kinds",
        Ask::Source(_) => "source",
        Ask::Render(_) => "render",
        Ask::Objects { .. } => "objects",
        Ask::Pods { .. } => "pods",
        Ask::Workload { .. } => "workload",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::{ObjectRef, ResourceType};

    #[test]
    fn only_an_answer_that_tells_something_new_wakes_its_key() {
        let (answers, now) = (Answers::default(), Timestamp::UNIX_EPOCH);
        let key = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        assert!(answers.put(&key, "pods", Told::Pods(Arc::default()), now));
        assert!(!answers.put(&key, "pods", Told::Pods(Arc::default()), now));
        answers.keep(&key, |_| false);
        assert!(answers.of(&key).is_empty());
        assert!(answers.put(&key, "pods", Told::Pods(Arc::default()), now));
    }
}
