//! A run: one process under test, the model around it, virtual time, and what a user would have seen at each moment.

use super::api::{Asked, Shared, State};
use super::oracle::Oracle;
use crate::cluster::Tenure;
use crate::cluster::cache::{Caches, Change, EachKind, Held, each_kind};
use crate::controllers::queue::Queue;
use crate::controllers::{Controller, Next, World, routes};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::Lane;
use crate::execute::Executor;
use crate::execute::faults::{Fault, Faults, Kill};
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// From a process's death to the first pass of the next one.
const RESTART: SignedDuration = SignedDuration::from_secs(2);
/// How often the real reader asks Traefik while somebody waits.
const POLL: SignedDuration = SignedDuration::from_millis(250);
/// A run that needs more does not come to rest.
const MOST_STEPS: usize = 50_000;

type Act = Box<dyn FnOnce(&mut State)>;

/// A simulated cluster with Tidegate in it.
pub struct Run {
    pub shared: Shared,
    pub oracle: Oracle,
    asked: Asked,
    process: Option<Process>,
    restart_at: Timestamp,
    faults: Vec<Fault>,
    /// How late a watch of a kind tells; absent is at once.
    lag: BTreeMap<&'static str, SignedDuration>,
    /// When each event of the server happened.
    times: Vec<Timestamp>,
    script: Vec<(Timestamp, Act)>,
    steps: usize,
    /// Processes that died by a fault plan.
    pub deaths: usize,
}

struct Process {
    controller: Controller<Shared, Asked>,
    queue: Queue,
    /// The next event of each kind that its watch has not delivered.
    cursors: BTreeMap<&'static str, usize>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("steps", &self.steps).field("deaths", &self.deaths).finish_non_exhaustive()
    }
}

impl Run {
    pub fn new(oracle: Oracle) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a valid time");
        Self {
            shared: Shared::new(2, start),
            oracle,
            asked: Asked::default(),
            process: None,
            restart_at: start,
            faults: Vec::new(),
            lag: BTreeMap::new(),
            times: Vec::new(),
            script: Vec::new(),
            steps: 0,
            deaths: 0,
        }
    }

    /// The fault plan of the first process; later ones run without.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    #[must_use]
    pub fn with_lag(mut self, kind: &'static str, lag: SignedDuration) -> Self {
        self.lag.insert(kind, lag);
        self
    }

    /// Something that happens at a second of the run.
    pub fn at(&mut self, second: i64, act: impl FnOnce(&mut State) + 'static) {
        let at = self.now() + SignedDuration::from_secs(second);
        self.script.push((at, Box::new(act)));
    }

    pub fn now(&self) -> Timestamp {
        self.shared.state().now
    }

    /// Lets `seconds` pass.
    pub fn pass_time(&mut self, seconds: i64) {
        let end = self.now() + SignedDuration::from_secs(seconds);
        loop {
            let next = self.settle();
            self.steps += 1;
            if self.steps > MOST_STEPS {
                self.oracle.broke("L8", "it does not come to rest".to_owned());
                return;
            }
            let next = next.filter(|t| *t <= end);
            self.shared.state().now = next.unwrap_or(end);
            if next.is_none() {
                return;
            }
        }
    }

    /// Does everything that is due now. Returns when something is due next.
    fn settle(&mut self) -> Option<Timestamp> {
        loop {
            let model_next = self.model();
            self.oracle.look(&self.shared.state());
            let moved = self.scripted() || self.live() || self.deliver() || self.answer() || self.one_pass();
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
        let node = state.node.step(&mut state.server, state.now);
        let traefiks = state.traefiks.iter_mut().filter_map(|t| t.step(&state.server, state.now)).min();
        self.times.resize(state.server.events.len(), state.now);
        [node, traefiks].into_iter().flatten().min()
    }

    fn scripted(&mut self) -> bool {
        let now = self.now();
        let Some(due) = self.script.iter().position(|(at, _)| *at <= now) else { return false };
        let (_, act) = self.script.remove(due);
        act(&mut self.shared.state());
        true
    }

    /// Starts a process where none runs.
    fn live(&mut self) -> bool {
        if self.process.is_some() || self.restart_at > self.now() {
            return false;
        }
        let world = Arc::new(World::default());
        let faults = Faults::new(std::mem::take(&mut self.faults), Kill::Simulated);
        self.asked = Asked::default();
        let executor = Executor { api: self.shared.clone(), faults, metrics: Arc::default() };
        let controller = Controller { world: world.clone(), desk: self.asked.clone(), executor };
        let mut queue = Queue::new(1);
        let state = self.shared.state();
        let mut list = List { state: &state, caches: &world.caches, cursors: BTreeMap::new() };
        each_kind(&mut list);
        let cursors = list.cursors;
        for (target, _) in state.server.iter().filter(|(t, _)| t.resource == ResourceType::ROLLOUT) {
            queue.add(target, Lane::Normal);
        }
        drop(state);
        self.process = Some(Process { controller, queue, cursors });
        true
    }

    /// Delivers the events that a watch would tell by now.
    fn deliver(&mut self) -> bool {
        let Some(process) = &mut self.process else { return false };
        let state = self.shared.state();
        let caches = &process.controller.world.caches;
        let (lag, times, cursors) = (&self.lag, &self.times, &mut process.cursors);
        let mut watch = Watch { state: &state, caches, lag, times, cursors, changes: Vec::new(), moved: false };
        each_kind(&mut watch);
        for (key, lane) in watch.changes.iter().flat_map(|change| routes::keys(caches, change)) {
            process.queue.add(&key, lane);
        }
        watch.moved
    }

    fn answer(&mut self) -> bool {
        let Some(process) = &mut self.process else { return false };
        let woken = self.asked.answer(&self.shared.state(), &process.controller.world);
        for key in &woken {
            process.queue.add(key, Lane::Normal);
        }
        !woken.is_empty()
    }

    fn one_pass(&mut self) -> bool {
        let now = self.now();
        let Some(process) = &mut self.process else { return false };
        let Some((key, lane)) = process.queue.take(now, true) else { return false };
        let tenure = Tenure::without_end();
        let pass = process.controller.pass(&tenure, &key, lane, now);
        let passed = pass.now_or_never().expect("the simulated server answers at once");
        let (queue, lane) = (&mut process.queue, passed.lane);
        match passed.next {
            Next::Rest(wake) => queue.rest(&key, lane, wake),
            Next::Again(_) => queue.back_off(&key, lane, now),
            Next::Behind(_) => queue.behind(&key, lane, now),
            Next::Forget => queue.forget(&key),
            Next::Quarantine(panic) => {
                self.oracle.broke("L7", format!("the decision panicked: {panic}"));
                queue.quarantine(&key, now);
            }
            Next::Killed => {
                self.deaths += 1;
                self.process = None;
                self.restart_at = now + RESTART;
            }
        }
        true
    }

    fn next_due(&self, model: Option<Timestamp>) -> Option<Timestamp> {
        let now = self.now();
        let mut due: Vec<Timestamp> = model.into_iter().chain(self.script.iter().map(|(at, _)| *at)).collect();
        match &self.process {
            None => due.push(self.restart_at),
            Some(process) => {
                due.extend(process.queue.next_wake());
                let undelivered = self.shared.state();
                for (n, event) in undelivered.server.events.iter().enumerate() {
                    let kind = event.target.resource.kind.as_ref();
                    if process.cursors.get(kind).is_some_and(|c| n >= *c) {
                        due.push(self.times[n] + self.lag.get(kind).copied().unwrap_or_default());
                    }
                }
                if self.asked.watches_routes() {
                    due.push(now + POLL);
                }
            }
        }
        due.into_iter().filter(|t| *t > now).min()
    }

    /// Whether the fault plan had its effect: a fault that was refused, or lost, or ended a process.
    pub fn fault_was_met(&self) -> bool {
        self.deaths > 0 || self.process.as_ref().is_some_and(|p| p.controller.executor.faults.met() > 0)
    }

    /// The process ends, and the next one starts.
    pub fn restart(&mut self) {
        self.stop(RESTART);
    }

    /// The process ends, and none starts for so long.
    pub fn stop(&mut self, away: SignedDuration) {
        self.process = None;
        self.asked = Asked::default();
        self.restart_at = self.now() + away;
    }

    pub fn get(&self, target: &ObjectRef) -> Option<serde_json::Value> {
        self.shared.state().server.get(target).cloned()
    }
}

/// The first list of every kind.
struct List<'a> {
    state: &'a State,
    caches: &'a Caches,
    cursors: BTreeMap<&'static str, usize>,
}

impl EachKind for List<'_> {
    fn kind<R: Held>(&mut self) {
        let (cache, now) = (R::cache(self.caches), self.state.now);
        cache.declare(None);
        cache.begin_list(&None);
        for (target, object) in self.state.server.iter().filter(|(t, _)| t.resource == R::resource()) {
            if watched::<R>(object) {
                let row = R::read(object).unwrap_or_else(|error| unreachable!("{target}: {error}"));
                cache.listed(&None, row, now);
            }
        }
        cache.end_list(&None, now);
        self.cursors.insert(kind_name::<R>(), self.state.server.events.len());
    }
}

/// The events since.
struct Watch<'a> {
    state: &'a State,
    caches: &'a Caches,
    lag: &'a BTreeMap<&'static str, SignedDuration>,
    times: &'a [Timestamp],
    cursors: &'a mut BTreeMap<&'static str, usize>,
    changes: Vec<Change>,
    moved: bool,
}

impl EachKind for Watch<'_> {
    fn kind<R: Held>(&mut self) {
        let (cache, now, name) = (R::cache(self.caches), self.state.now, kind_name::<R>());
        let lag = self.lag.get(name).copied().unwrap_or_default();
        let cursor = self.cursors.entry(name).or_default();
        while let Some(event) = self.state.server.events.get(*cursor) {
            let mine = event.target.resource == R::resource();
            if mine && self.times.get(*cursor).is_none_or(|at| *at + lag > now) {
                return;
            }
            *cursor += 1;
            if !mine {
                continue;
            }
            let row = R::read(&event.object).unwrap_or_else(|error| unreachable!("{}: {error}", event.target));
            let held = cache.get(&event.target.namespace, &event.target.name).is_some();
            if watched::<R>(&event.object) && !event.gone {
                self.changes.push(cache.apply(&None, row, now));
                self.moved = true;
            } else if held {
                self.changes.push(cache.remove(&None, &row, now));
                self.moved = true;
            }
        }
    }
}

fn watched<R: Held>(object: &serde_json::Value) -> bool {
    R::LABEL.is_none_or(|label| object["metadata"]["labels"].get(label).is_some())
}

/// Kinds are fixed, so their names are too.
fn kind_name<R: Held>() -> &'static str {
    match R::resource().kind {
        std::borrow::Cow::Borrowed(name) => name,
        std::borrow::Cow::Owned(_) => "",
    }
}
