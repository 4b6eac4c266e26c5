//! The one loop: takes due keys from the queue and runs their passes, so many at once, some kept for urgent ones.

use super::pass::{Controller, Next};
use super::questions::Desk;
use super::queue::Queue;
use crate::cluster::{Api, Tenure};
use crate::core::object::Key;
use crate::core::plan::Lane;
use crate::telemetry::{Metrics, Outcome};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Passes at once. Deciding is microseconds; a pass waits for its writes, which have permits of their own.
const PASSES: usize = 12;
/// Of these, normal keys get at most so many. More of them would only wait in the API server, with the urgent ones behind them: six
/// writes at 20 ms each are 300 a second.
const NORMAL_PASSES: usize = 6;
/// Longest sleep when nothing waits: a clock that was set back is noticed by then.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The queue as watches, workers and the loop share it.
#[derive(Debug)]
pub struct Wakeups {
    queue: Mutex<Queue>,
    bell: Notify,
}

impl Wakeups {
    pub fn new(seed: u64) -> Self {
        Self { queue: Mutex::new(Queue::new(seed)), bell: Notify::new() }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something changed for this key.
    pub fn add(&self, key: &Key, lane: Lane) {
        self.queue().add(key, lane);
        self.bell.notify_one();
    }

    fn ended(&self, key: &Key, lane: Lane, next: &Next) {
        let now = crate::clock::now();
        let mut queue = self.queue();
        match next {
            Next::Rest(wake) => queue.rest(key, lane, *wake),
            Next::Again(_) => queue.back_off(key, lane, now),
            Next::Behind(_) => queue.behind(key, lane, now),
            Next::Quarantine(_) => queue.quarantine(key, now),
            Next::Forget | Next::Killed => queue.forget(key),
        }
    }
}

/// Runs passes until shutdown, then waits for those in flight.
pub async fn run<A: Api, D: Desk>(
    controller: Arc<Controller<A, D>>,
    wakeups: Arc<Wakeups>,
    tenure: Tenure,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let mut flying: JoinSet<Lane> = JoinSet::new();
    let (mut normal, mut all) = (0usize, 0usize);
    loop {
        while all < PASSES && tenure.remaining().is_some() {
            let taken = wakeups.queue().take(crate::clock::now(), normal < NORMAL_PASSES);
            let Some((key, lane)) = taken else { break };
            all += 1;
            normal += usize::from(lane == Lane::Normal);
            let (controller, wakeups, tenure) = (controller.clone(), wakeups.clone(), tenure.clone());
            let metrics = metrics.clone();
            flying.spawn(async move {
                one(&controller, &wakeups, &tenure, &metrics, &key, lane).await;
                lane
            });
        }
        metrics.queue_is(wakeups.queue().depth());
        let next = wakeups.queue().next_wake();
        let sleep = next.map_or(LONGEST_SLEEP, |at| {
            Duration::try_from(at.duration_since(crate::clock::now())).unwrap_or_default().min(LONGEST_SLEEP)
        });
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = wakeups.bell.notified() => {}
            Some(ended) = flying.join_next() => {
                all -= 1;
                // A pass catches its own panics; only the few lines around it could end in one.
                normal -= usize::from(ended.map_or(true, |lane| lane == Lane::Normal) && normal > 0);
            }
            // Never less than a millisecond: a wake-up in the past must not spin while all passes are taken.
            () = tokio::time::sleep(sleep.max(Duration::from_millis(1))) => {}
        }
    }
    while flying.join_next().await.is_some() {}
}

async fn one<A: Api, D: Desk>(
    controller: &Controller<A, D>,
    wakeups: &Wakeups,
    tenure: &Tenure,
    metrics: &Metrics,
    key: &Key,
    lane: Lane,
) {
    let began = Instant::now();
    let passed = controller.pass(tenure, key, lane, crate::clock::now()).await;
    let outcome = match &passed.next {
        Next::Rest(_) | Next::Forget | Next::Killed => Outcome::Done,
        Next::Again(_) => Outcome::Refused,
        Next::Behind(_) => Outcome::Waiting,
        Next::Quarantine(_) => Outcome::Panicked,
    };
    metrics.passed(&key.resource.kind, outcome, began.elapsed());
    match &passed.next {
        Next::Again(why) => tracing::debug!(%key, why, "the pass failed and is tried again"),
        Next::Behind(why) => tracing::debug!(%key, why, "the pass waits for a cache"),
        Next::Quarantine(panic) => {
            tracing::error!(%key, panic, "a bug: deciding panicked; the key is set aside and tried again in a minute");
        }
        Next::Rest(_) | Next::Forget | Next::Killed => {}
    }
    wakeups.ended(key, passed.lane, &passed.next);
}
