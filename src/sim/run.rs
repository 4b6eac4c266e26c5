//! A run: one process under test, the model around it, virtual time, and what a user would have seen at each moment.

use super::api::{Asked, Shared, State};
use super::oracle::Oracle;
use super::order::Order;
use super::watches::{Told, Watches};
use crate::cluster::Tenure;
use crate::controllers::queue::Queue;
use crate::controllers::{Controller, Next, Passed, World, routes};
use crate::core::object::{Key, ObjectRef};
use crate::core::plan::Lane;
use crate::core::rollout::{Mutant, Settings};
use crate::execute::Executor;
use crate::execute::faults::{Action, Fault, Faults, Kill};
use crate::telemetry::Metrics;
use futures::future::BoxFuture;
use futures::task::noop_waker_ref;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

/// From a process's death by a fault plan to the first pass of the next one.
const RESTART: SignedDuration = SignedDuration::from_secs(2);
/// A run that needs more does not come to rest.
const MOST_STEPS: usize = 10_000;

/// Something that happens at a moment of the script.
pub enum Act {
    /// To the cluster.
    World(Box<dyn FnOnce(&mut State)>),
    /// The process ends.
    End(Restart),
    /// The watch of a kind breaks: for so long it tells nothing, then it lists anew.
    Cut(&'static str, SignedDuration),
    /// The watch of a kind tells its last event again.
    Repeat(&'static str),
}

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::World(_) => f.write_str("World"),
            Self::End(restart) => write!(f, "{restart:?}"),
            Self::Cut(kind, time) => write!(f, "Cut({kind}, {time})"),
            Self::Repeat(kind) => write!(f, "Repeat({kind})"),
        }
    }
}

/// How one process ends and the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restart {
    /// From the end to the first pass of the next one.
    pub after: SignedDuration,
    /// How far the caches of the next one lag: a standby that takes over has followed the watches, not listed.
    pub behind: SignedDuration,
    /// A write that was held back on its way still arrives.
    pub lands: bool,
}

/// A simulated cluster with Tidegate in it.
pub struct Run {
    pub shared: Shared,
    pub oracle: Oracle,
    pub order: Order,
    asked: Asked,
    process: Option<Process>,
    restart_at: Timestamp,
    behind: SignedDuration,
    /// The plan of each process to come.
    plans: VecDeque<Vec<Fault>>,
    told: Told,
    script: Vec<(Timestamp, Act)>,
    /// Enters the script as soon as so many events have happened.
    after: Option<(usize, Vec<(SignedDuration, Act)>)>,
    mutant: Option<Mutant>,
    metrics: Arc<Metrics>,
    steps: usize,
    /// Faults that had their turn in processes that are gone.
    met: usize,
    /// Processes that died by a fault plan.
    pub deaths: usize,
}

struct Process {
    controller: Arc<Controller<Shared, Asked>>,
    tenure: Tenure,
    queue: Queue,
    watches: Watches,
    /// Passes whose write is on its way.
    held: Vec<Held>,
}

struct Held {
    key: Key,
    until: Timestamp,
    pass: BoxFuture<'static, Passed>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("steps", &self.steps).field("deaths", &self.deaths).finish_non_exhaustive()
    }
}

impl Run {
    /// An empty cluster with two instances of Traefik.
    pub fn new(oracle: Oracle) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a valid time");
        Self::from(Shared::new(2, start), oracle)
    }

    /// A cluster as it stands, in which a process starts now.
    pub fn from(shared: Shared, oracle: Oracle) -> Self {
        let now = shared.state().now;
        Self {
            shared,
            oracle,
            order: Order::default(),
            asked: Asked::default(),
            process: None,
            restart_at: now,
            behind: SignedDuration::ZERO,
            plans: VecDeque::new(),
            told: Told::default(),
            script: Vec::new(),
            after: None,
            mutant: None,
            metrics: Arc::default(),
            steps: 0,
            met: 0,
            deaths: 0,
        }
    }

    /// The fault plan of the next process; later ones run without, or with the plans that are given next.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        let fails = |fault: &Fault| matches!(fault.action, Action::Refuse | Action::Conflict | Action::Unavailable);
        self.oracle.writes_may_fail |= faults.iter().any(fails);
        self.plans.push_back(faults);
        self
    }

    /// A rule that every process breaks.
    #[must_use]
    pub fn with_mutant(mut self, mutant: Option<Mutant>) -> Self {
        self.mutant = mutant;
        self
    }

    /// How late the watch of a kind tells; without it tells at once.
    #[must_use]
    pub fn with_lag(mut self, kind: &'static str, lag: SignedDuration) -> Self {
        self.told.lag.insert(kind, lag);
        // From a write to its sight, to the next write, and to that one's.
        self.oracle.late = self.oracle.late.max(lag * 4);
        self
    }

    /// Something that happens at a second of the run.
    pub fn at(&mut self, second: i64, act: impl FnOnce(&mut State) + 'static) {
        self.then(SignedDuration::from_secs(second), Act::World(Box::new(act)));
    }

    /// Something that happens after a time; what is due together happens in the order in which it was given.
    pub fn then(&mut self, after: SignedDuration, act: Act) {
        let at = self.now() + after;
        // Caches that are behind may hide the weight that is to be lowered.
        self.oracle.writes_may_fail |= matches!(act, Act::End(Restart { behind, .. }) if !behind.is_zero());
        self.script.push((at, act));
    }

    /// What happens when so many events have happened, each of it after a time from there.
    pub(super) fn after(&mut self, events: usize, acts: Vec<(SignedDuration, Act)>) {
        self.after = Some((events, acts));
    }

    /// Gives up what was to happen after so many events, where so many never happened. Returns whether there was such a thing.
    pub(super) fn give_up(&mut self) -> bool {
        self.after.take().is_some()
    }

    pub fn now(&self) -> Timestamp {
        self.shared.state().now
    }

    /// Lets `seconds` pass.
    pub fn pass_time(&mut self, seconds: i64) {
        let end = self.now() + SignedDuration::from_secs(seconds);
        let rested = self.pass_until(end);
        if rested {
            self.shared.state().now = end;
        }
    }

    /// Lets time pass until nothing is due before `end`. Returns false when it does not come to rest.
    pub fn pass_until(&mut self, end: Timestamp) -> bool {
        loop {
            let next = self.settle();
            self.steps += 1;
            if self.steps > MOST_STEPS {
                self.oracle.broke("L8", "it does not come to rest".to_owned());
                return false;
            }
            let Some(next) = next.filter(|t| *t <= end) else { return true };
            self.shared.state().now = next;
        }
    }

    /// Does everything that is due now. Returns when something is due next.
    fn settle(&mut self) -> Option<Timestamp> {
        loop {
            self.order.at(self.now());
            let model_next = self.model();
            let awake = self.process.as_ref().is_some_and(|p| p.held.is_empty() && !p.watches.is_broken());
            self.oracle.look(&self.shared.state(), awake);
            let moved = self.scripted()
                || self.live()
                || self.deliver()
                || self.answer()
                || self.resume(|held, now| held.until <= now)
                || self.one_pass();
            if !moved {
                return self.next_due(model_next);
            }
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return None;
            }
        }
    }

    fn model(&mut self) -> Option<Timestamp> {
        let mut guard = self.shared.state();
        let state = &mut *guard;
        let now = state.now;
        let node = state.node.step(&mut state.server, now);
        let there = state.provider.read(&state.server);
        let traefiks = state.traefiks.iter_mut().filter_map(|t| t.step(there, now)).min();
        self.told.note(&state.server.events, now);
        [node, traefiks].into_iter().flatten().min()
    }

    fn scripted(&mut self) -> bool {
        let now = self.now();
        if let Some((_, acts)) = self.after.take_if(|(events, _)| *events <= self.order.events) {
            acts.into_iter().for_each(|(time, act)| self.then(time, act));
        }
        let Some(due) = self.script.iter().position(|(at, _)| *at <= now) else { return false };
        let (_, act) = self.script.remove(due);
        self.order.note(&["act"]);
        match act {
            Act::World(act) => act(&mut self.shared.state()),
            Act::End(restart) => self.end(restart),
            Act::Cut(kind, time) => {
                if let Some(process) = &mut self.process {
                    process.watches.cut(kind, now + time);
                }
            }
            Act::Repeat(kind) => {
                if let Some(process) = &mut self.process {
                    process.watches.repeat(kind);
                }
            }
        }
        true
    }

    fn end(&mut self, restart: Restart) {
        if restart.lands
            && let Some(process) = &self.process
        {
            process.tenure.end();
            while self.resume(|_, _| true) {}
        }
        self.order.note(&["end"]);
        self.lose_process();
        self.restart_at = self.now() + restart.after;
        self.behind = restart.behind;
    }

    fn lose_process(&mut self) {
        self.met += self.process.take().map_or(0, |process| process.controller.executor.faults.met());
    }

    /// Starts a process where none runs.
    fn live(&mut self) -> bool {
        if self.process.is_some() || self.restart_at > self.now() {
            return false;
        }
        self.order.note(&["start"]);
        let settings = Settings { mutant: self.mutant, ..Settings::default() };
        let world = Arc::new(World { settings, ..World::default() });
        let faults = Faults::new(self.plans.pop_front().unwrap_or_default(), Kill::Simulated);
        self.asked = Asked::default();
        let executor = Executor { api: self.shared.clone(), faults, metrics: self.metrics.clone() };
        let mut queue = Queue::new(1);
        let state = self.shared.state();
        let (watches, listed) = Watches::list(&state, &self.told, &world.caches, std::mem::take(&mut self.behind));
        drop(state);
        for (key, lane) in listed.iter().flat_map(|change| routes::keys(&world.caches, change)) {
            queue.add(&key, lane);
        }
        let controller = Arc::new(Controller { world, desk: self.asked.clone(), executor });
        let tenure = Tenure::without_end();
        self.process = Some(Process { controller, tenure, queue, watches, held: Vec::new() });
        true
    }

    /// Delivers the events that a watch would tell by now.
    fn deliver(&mut self) -> bool {
        let Some(process) = &mut self.process else { return false };
        let caches = &process.controller.world.caches;
        let changes = process.watches.deliver(&self.shared.state(), &self.told, caches);
        for change in &changes {
            self.order.note(&["told", &change.target.resource.kind, &change.target.name]);
        }
        for (key, lane) in changes.iter().flat_map(|change| routes::keys(caches, change)) {
            process.queue.add(&key, lane);
        }
        !changes.is_empty()
    }

    fn answer(&mut self) -> bool {
        let Some(process) = &mut self.process else { return false };
        let woken = self.asked.answer(&self.shared.state(), &process.controller.world);
        for key in &woken {
            self.order.note(&["answer", &key.name]);
            process.queue.add(key, Lane::Normal);
        }
        !woken.is_empty()
    }

    fn one_pass(&mut self) -> bool {
        let now = self.now();
        let Some(process) = &mut self.process else { return false };
        let Some((key, lane)) = process.queue.take(now, true) else { return false };
        let (controller, tenure, owned) = (process.controller.clone(), process.tenure.clone(), key.clone());
        let pass = Box::pin(async move { controller.pass(&tenure, &owned, lane, now).await });
        self.go_on(key, pass);
        true
    }

    /// Goes on with a pass whose write was held back.
    fn resume(&mut self, due: impl Fn(&Held, Timestamp) -> bool) -> bool {
        let now = self.now();
        let Some(process) = &mut self.process else { return false };
        let Some(at) = process.held.iter().position(|held| due(held, now)) else { return false };
        let Held { key, pass, .. } = process.held.remove(at);
        self.go_on(key, pass);
        true
    }

    /// Polls a pass: it ends, or its next write is held back.
    fn go_on(&mut self, key: Key, mut pass: BoxFuture<'static, Passed>) {
        let polled = pass.as_mut().poll(&mut Context::from_waker(noop_waker_ref()));
        self.order.writes(&self.shared.state().writes);
        let now = self.now();
        let Some(process) = &mut self.process else { return };
        match polled {
            Poll::Ready(passed) => self.passed(&key, passed, now),
            Poll::Pending => {
                let wait = process.controller.executor.faults.take_held().unwrap_or_default();
                let until = now + SignedDuration::try_from(wait).unwrap_or(RESTART);
                process.held.push(Held { key, until, pass });
            }
        }
    }

    fn passed(&mut self, key: &Key, passed: Passed, now: Timestamp) {
        let Some(process) = &mut self.process else { return };
        if self.order.trace.is_some() {
            self.order.say(&format!("pass {key}: {:?}", passed.next));
        }
        let (queue, lane) = (&mut process.queue, passed.lane);
        match passed.next {
            Next::Rest(wake) => queue.rest(key, lane, wake),
            Next::Again(_) => queue.back_off(key, lane, now),
            Next::Behind(_) => queue.behind(key, lane, now),
            Next::Forget => queue.forget(key),
            Next::Quarantine(panic) => {
                queue.quarantine(key, now);
                self.oracle.broke("L7", format!("the decision panicked: {panic}"));
            }
            Next::Killed => {
                self.deaths += 1;
                self.order.note(&["killed"]);
                self.lose_process();
                self.restart_at = now + RESTART;
            }
        }
    }

    fn next_due(&self, model: Option<Timestamp>) -> Option<Timestamp> {
        let now = self.now();
        let mut due: Vec<Timestamp> = model.into_iter().chain(self.script.iter().map(|(at, _)| *at)).collect();
        match &self.process {
            None => due.push(self.restart_at),
            Some(process) => {
                due.extend(process.queue.next_wake());
                due.extend(process.held.iter().map(|held| held.until));
                due.extend(process.watches.next_due(&self.told));
                due.extend(self.asked.next_due(now));
            }
        }
        due.into_iter().filter(|t| *t > now).min()
    }

    /// What the processes count, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        self.metrics.text()
    }

    /// Whether the fault plan had its effect: a fault that was refused, or lost, or ended a process.
    pub fn fault_was_met(&self) -> bool {
        self.faults_met() > 0
    }

    /// How many faults of the plans had their turn.
    pub fn faults_met(&self) -> usize {
        self.met + self.process.as_ref().map_or(0, |p| p.controller.executor.faults.met())
    }

    /// The process ends, and the next one starts.
    pub fn restart(&mut self) {
        self.stop(RESTART);
    }

    /// The process ends, and none starts for so long.
    pub fn stop(&mut self, away: SignedDuration) {
        self.end(Restart { after: away, ..Restart::default() });
    }

    pub fn get(&self, target: &ObjectRef) -> Option<serde_json::Value> {
        self.shared.state().server.get(target).cloned()
    }
}
