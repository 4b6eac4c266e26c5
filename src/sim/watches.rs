//! The watches of a process: each kind by itself, late, broken or repeating itself as the schedule says.

use super::api::State;
use super::server::Event;
use crate::cluster::cache::{Caches, Change, EachKind, Held, each_kind};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// What watches could tell: the events of each kind with their times, and how late each kind is.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub lag: BTreeMap<&'static str, SignedDuration>,
    of: BTreeMap<String, Vec<(usize, Timestamp)>>,
    noted: usize,
}

impl Told {
    /// Notes the events that are new since.
    pub(super) fn note(&mut self, events: &[Event], now: Timestamp) {
        for (number, event) in events.iter().enumerate().skip(self.noted) {
            match self.of.get_mut(event.target.resource.kind.as_ref()) {
                Some(of) => of.push((number, now)),
                None => _ = self.of.insert(event.target.resource.kind.to_string(), vec![(number, now)]),
            }
        }
        self.noted = events.len();
    }

    fn of(&self, kind: &str) -> &[(usize, Timestamp)] {
        self.of.get(kind).map(Vec::as_slice).unwrap_or_default()
    }

    fn lag(&self, kind: &str) -> SignedDuration {
        self.lag.get(kind).copied().unwrap_or_default()
    }
}

/// How far each kind has been told to one process.
#[derive(Debug, Default)]
pub(super) struct Watches {
    of: BTreeMap<&'static str, Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    /// Events of the kind that were told or came before the list.
    told: usize,
    /// Those that came before the list.
    listed: usize,
    /// Until then it tells nothing, and then it lists.
    broken: Option<Timestamp>,
}

impl Watches {
    /// The first list of every kind, as it was `behind` ago, and what it tells.
    pub(super) fn list(state: &State, told: &Told, caches: &Caches, behind: SignedDuration) -> (Self, Vec<Change>) {
        let mut list = List { state, told, caches, behind, of: BTreeMap::new(), changes: Vec::new() };
        each_kind(&mut list);
        (Self { of: list.of }, list.changes)
    }

    pub(super) fn cut(&mut self, kind: &'static str, until: Timestamp) {
        if let Some(watch) = self.of.get_mut(kind) {
            watch.broken = watch.broken.max(Some(until));
        }
    }

    pub(super) fn repeat(&mut self, kind: &'static str) {
        if let Some(watch) = self.of.get_mut(kind).filter(|w| w.told > w.listed) {
            watch.told -= 1;
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.of.values().any(|watch| watch.broken.is_some())
    }

    /// Tells what is due, and returns what changed by it.
    pub(super) fn deliver(&mut self, state: &State, told: &Told, caches: &Caches) -> Vec<Change> {
        let mut deliver = Deliver { state, told, caches, of: &mut self.of, changes: Vec::new() };
        each_kind(&mut deliver);
        deliver.changes
    }

    pub(super) fn next_due(&self, told: &Told) -> Option<Timestamp> {
        let due = self.of.iter().filter_map(|(kind, watch)| match watch.broken {
            Some(until) => Some(until),
            None => told.of(kind).get(watch.told).map(|(_, at)| *at + told.lag(kind)),
        });
        due.min()
    }
}

struct List<'a> {
    state: &'a State,
    told: &'a Told,
    caches: &'a Caches,
    behind: SignedDuration,
    of: BTreeMap<&'static str, Watch>,
    changes: Vec<Change>,
}

impl EachKind for List<'_> {
    fn kind<R: Held>(&mut self) {
        let (cache, kind, now) = (R::cache(self.caches), kind_name::<R>(), self.state.now);
        cache.declare(None);
        let events = self.told.of(kind);
        let seen = events.partition_point(|(_, at)| *at + self.behind <= now);
        let number = events.get(seen).map_or(self.state.server.events.len(), |(number, _)| *number);
        self.changes.extend(list::<R>(cache, &self.state.server.as_of(kind, number), now));
        self.of.insert(kind, Watch { told: seen, listed: seen, broken: None });
    }
}

/// A whole list; returns what changed by it.
fn list<R: Held>(
    cache: &crate::cluster::cache::Cache<R>,
    objects: &BTreeMap<crate::core::object::ObjectRef, std::sync::Arc<Value>>,
    now: Timestamp,
) -> Vec<Change> {
    cache.begin_list(&None);
    let mut changes = Vec::new();
    for (target, object) in objects.iter().filter(|(_, object)| watched::<R>(object)) {
        let row = R::read(object).unwrap_or_else(|error| unreachable!("{target}: {error}"));
        changes.push(cache.listed(&None, row, now));
    }
    changes.extend(cache.end_list(&None, now));
    changes
}

struct Deliver<'a> {
    state: &'a State,
    told: &'a Told,
    caches: &'a Caches,
    of: &'a mut BTreeMap<&'static str, Watch>,
    changes: Vec<Change>,
}

impl EachKind for Deliver<'_> {
    fn kind<R: Held>(&mut self) {
        let (kind, now) = (kind_name::<R>(), self.state.now);
        let Some(watch) = self.of.get_mut(kind) else { return };
        let (cache, events) = (R::cache(self.caches), self.told.of(kind));
        if let Some(until) = watch.broken {
            if until > now {
                return;
            }
            let there = self.state.server.as_of(kind, self.state.server.events.len());
            self.changes.extend(list::<R>(cache, &there, now));
            *watch = Watch { told: events.len(), listed: events.len(), broken: None };
            return;
        }
        let lag = self.told.lag(kind);
        while let Some((number, _)) = events.get(watch.told).filter(|(_, at)| *at + lag <= now) {
            watch.told += 1;
            let event = &self.state.server.events[*number];
            let row = R::read(&event.object).unwrap_or_else(|error| unreachable!("{}: {error}", event.target));
            if watched::<R>(&event.object) && !event.gone {
                self.changes.push(cache.apply(&None, row, now));
            } else if cache.get(&event.target.namespace, &event.target.name).is_some() {
                self.changes.push(cache.remove(&None, &row, now));
            }
        }
    }
}

fn watched<R: Held>(object: &Value) -> bool {
    R::LABEL.is_none_or(|label| object["metadata"]["labels"].get(label).is_some())
}

/// Kinds are fixed, so their names are too.
fn kind_name<R: Held>() -> &'static str {
    match R::resource().kind {
        std::borrow::Cow::Borrowed(name) => name,
        std::borrow::Cow::Owned(_) => "",
    }
}
