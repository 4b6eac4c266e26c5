//! Rows by name, one cache per kind, and how far each has followed the API server.
//!
//! A cache is filled by streams (one for the whole cluster, or one per namespace in scope). It is synced once every declared
//! stream has listed. Rows are compared with our own last writes by resourceVersion: a decision never runs on a row older
//! than what the same key wrote (L4). The versions of one resource are comparable numbers, and a stream delivers them in
//! order, so a stream that has passed a version has also seen what happened to the object that we wrote at it.

mod own_writes;

pub use own_writes::OwnWrites;

use crate::core::object::{ObjectRef, ResourceType};
use crate::core::row::{
    AnalysisRunRow, AnalysisTemplateRow, AppProjectRow, ApplicationRow, ClusterAnalysisTemplateRow, DeploymentRow,
    EndpointSliceRow, IngressRouteRow, IngressRow, Keep, Meta, ReplicaSetRow, RolloutRow, Row, ServersTransportRow,
    ServiceRow, TraefikServiceRow, number,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Namespace of a stream; `None` follows the whole cluster.
pub type Scope = Option<String>;

/// Why a key cannot be decided now. It will be, when the caches have caught up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    #[error("the cache of {0} has not listed yet")]
    NotListed(String),
    #[error("the cache has not yet seen our own last write of {0}")]
    Behind(Box<ObjectRef>),
}

/// A change of one object, as far as it matters for who is woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub target: ObjectRef,
    /// What its metadata is, or was before it went.
    pub meta: Meta,
    pub gone: bool,
}

/// The rows of one kind.
pub struct Cache<R: Row> {
    inner: RwLock<Inner<R>>,
}

struct Inner<R: Row> {
    /// By namespace and name.
    rows: BTreeMap<(String, String), R::Kept>,
    /// By namespace and Rollout: names of rows that belong to it and do not begin with its name.
    tagged: BTreeMap<(String, String), BTreeSet<String>>,
    /// The other way round, by namespace and name of the row: those Rollouts.
    tags: BTreeMap<(String, String), Vec<String>>,
    streams: BTreeMap<Scope, Stream>,
}

/// How far one stream has come.
#[derive(Debug, Clone, Default)]
struct Stream {
    /// The highest version that it delivered.
    passed: u64,
    /// Lists begun and completed, counted from 1.
    begun: u64,
    completed: u64,
    listing: Vec<(String, String)>,
    last_event: Option<Timestamp>,
    trouble: Option<String>,
}

/// What readiness and metrics say of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    pub resource: ResourceType,
    pub scope: Scope,
    pub listed: bool,
    pub rows: usize,
    pub last_event: Option<Timestamp>,
    pub trouble: Option<String>,
}

impl<R: Row> Default for Cache<R> {
    fn default() -> Self {
        let (rows, tagged, tags, streams) = Default::default();
        Self { inner: RwLock::new(Inner { rows, tagged, tags, streams }) }
    }
}

impl<R: Row> fmt::Debug for Cache<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} rows)", self.read().rows.len())
    }
}

impl<R: Row> Cache<R> {
    // A panic while a lock is held leaves whole rows behind: every change below is one insert or remove.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner<R>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner<R>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reading: what `observe` uses.
impl<R: Row> Cache<R> {
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<R>> {
        self.look(namespace, name, R::Kept::open)
    }

    pub fn has(&self, namespace: &str, name: &str) -> bool {
        self.look(namespace, name, |_| ()).is_some()
    }

    /// Looks at a row as it is kept.
    pub fn look<T>(&self, namespace: &str, name: &str, at: impl FnOnce(&R::Kept) -> T) -> Option<T> {
        self.read().rows.get(&(namespace.to_owned(), name.to_owned())).map(at)
    }

    /// What `of` says of the rows of a namespace as they are kept, or of all.
    pub fn filter_map<T>(&self, namespace: Option<&str>, of: impl FnMut(&R::Kept) -> Option<T>) -> Vec<T> {
        let inner = self.read();
        let from = (namespace.unwrap_or_default().to_owned(), String::new());
        let within = inner.rows.range(from..).take_while(|((ns, _), _)| namespace.is_none_or(|n| n == ns));
        within.map(|(_, row)| row).filter_map(of).collect()
    }

    /// The rows of a namespace, by name. An empty namespace holds the objects of the cluster.
    pub fn list(&self, namespace: &str) -> Vec<Arc<R>> {
        let inner = self.read();
        let from = inner.rows.range((namespace.to_owned(), String::new())..);
        from.take_while(|((ns, _), _)| ns == namespace).map(|(_, row)| row.open()).collect()
    }

    /// Everything of a namespace that may matter to a Rollout, by name: what is named as it is, or so and something more
    /// behind a hyphen; what is called by one of `names`; and what says itself that it belongs to it ([`Meta::rollouts`]).
    pub fn related(&self, namespace: &str, rollout: &str, names: &BTreeSet<String>) -> Vec<Arc<R>> {
        let inner = self.read();
        let begin = format!("{rollout}-");
        let behind = inner.rows.range((namespace.to_owned(), begin.clone())..);
        let behind = behind.take_while(|((ns, name), _)| ns == namespace && name.starts_with(&begin));
        let mut found: BTreeMap<&str, &R::Kept> = behind.map(|((_, name), row)| (name.as_str(), row)).collect();
        let tag = (namespace.to_owned(), rollout.to_owned());
        let tagged = inner.tagged.get(&tag).into_iter().flatten().map(String::as_str);
        for name in tagged.chain(names.iter().map(String::as_str)).chain([rollout]) {
            if let Some(((_, name), row)) = inner.rows.get_key_value(&(namespace.to_owned(), name.to_owned())) {
                found.insert(name, row);
            }
        }
        found.into_values().map(Keep::open).collect()
    }

    /// All rows, by namespace and name.
    pub fn all(&self) -> Vec<Arc<R>> {
        self.read().rows.values().map(Keep::open).collect()
    }

    /// Every declared stream has listed at least once. A cache without streams is never synced.
    pub fn is_synced(&self) -> bool {
        let inner = self.read();
        !inner.streams.is_empty() && inner.streams.values().all(|s| s.completed > 0)
    }

    /// # Errors
    /// While it is not synced.
    pub fn synced(&self) -> Result<&Self, NotYet> {
        if self.is_synced() { Ok(self) } else { Err(NotYet::NotListed(R::resource().kind.to_string())) }
    }
}

/// Writing: what watches use, and the simulation.
impl<R: Row> Cache<R> {
    /// A stream that must list before the cache counts as synced.
    pub fn declare(&self, scope: Scope) {
        self.write().streams.entry(scope).or_default();
    }

    /// A list begins: what it will not name is gone when it is complete.
    pub fn begin_list(&self, scope: &Scope) {
        let mut inner = self.write();
        let stream = inner.streams.entry(scope.clone()).or_default();
        stream.begun += 1;
        stream.listing.clear();
    }

    /// An object of a list that is under way.
    pub fn listed(&self, scope: &Scope, row: R, now: Timestamp) -> Change {
        let name = (row.meta().namespace.clone(), row.meta().name.clone());
        self.write().streams.entry(scope.clone()).or_default().listing.push(name);
        self.apply(scope, row, now)
    }

    /// An object of a list that could not be read: what was known of it stays.
    pub fn listed_unreadable(&self, scope: &Scope, namespace: &str, name: &str) {
        let mut inner = self.write();
        inner.streams.entry(scope.clone()).or_default().listing.push((namespace.to_owned(), name.to_owned()));
    }

    /// The list is complete: rows of this scope that it did not name are gone.
    pub fn end_list(&self, scope: &Scope, now: Timestamp) -> Vec<Change> {
        let mut guard = self.write();
        let inner = &mut *guard;
        let stream = inner.streams.entry(scope.clone()).or_default();
        stream.completed = stream.begun;
        stream.last_event = Some(now);
        stream.trouble = None;
        let named: BTreeSet<_> = std::mem::take(&mut stream.listing).into_iter().collect();
        let in_scope = |namespace: &String| scope.as_ref().is_none_or(|s| s == namespace);
        let gone: Vec<_> = inner.rows.keys().filter(|k| in_scope(&k.0) && !named.contains(*k)).cloned().collect();
        gone.iter().filter_map(|k| inner.take(k)).map(|row| change(&*row.open(), true)).collect()
    }

    /// An object was created or changed.
    pub fn apply(&self, scope: &Scope, row: R, now: Timestamp) -> Change {
        let change = change(&row, false);
        let mut inner = self.write();
        inner.streams.entry(scope.clone()).or_default().saw(row.meta(), now);
        inner.put(row);
        change
    }

    /// An object was deleted; `row` is its last state, with the version of the deletion.
    pub fn remove(&self, scope: &Scope, row: &R, now: Timestamp) -> Change {
        let mut inner = self.write();
        inner.streams.entry(scope.clone()).or_default().saw(row.meta(), now);
        inner.take(&(row.meta().namespace.clone(), row.meta().name.clone()));
        change(row, true)
    }

    /// A stream that was complete once goes on again: its trouble is over.
    pub fn calm(&self, scope: &Scope) {
        if let Some(stream) = self.write().streams.get_mut(scope).filter(|s| s.completed > 0) {
            stream.trouble = None;
        }
    }

    /// An object changed to something that cannot be read: its last row stays, but the stream has gone past that version, so
    /// nobody waits for it.
    pub fn unreadable(&self, scope: &Scope, meta: &Meta, now: Timestamp) {
        self.write().streams.entry(scope.clone()).or_default().saw(meta, now);
    }

    /// An object that cannot be read was deleted.
    pub fn remove_unreadable(&self, scope: &Scope, meta: &Meta, now: Timestamp) -> Option<Change> {
        let mut inner = self.write();
        inner.streams.entry(scope.clone()).or_default().saw(meta, now);
        let row = inner.take(&(meta.namespace.clone(), meta.name.clone()))?;
        Some(change(&*row.open(), true))
    }

    /// This process may not see the objects of this kind, and does its work as if there were none.
    pub fn without(&self, scope: &Scope) {
        let mut inner = self.write();
        let stream = inner.streams.entry(scope.clone()).or_default();
        stream.begun += 1;
        stream.completed = stream.begun;
        stream.trouble = None;
    }

    /// What keeps a stream from going on; it goes with the next complete list or event, or when it is calm.
    pub fn trouble(&self, scope: &Scope, what: String) {
        self.write().streams.entry(scope.clone()).or_default().trouble = Some(what);
    }

    /// The cluster does not serve this kind, which is the same as having no object of it. Should its CRD come, a list follows.
    pub fn not_served(&self, scope: &Scope, what: String) {
        let mut inner = self.write();
        let stream = inner.streams.entry(scope.clone()).or_default();
        stream.begun += 1;
        stream.completed = stream.begun;
        stream.trouble = Some(what);
    }

    /// The state of each stream, for readiness and metrics.
    pub fn states(&self) -> Vec<StreamState> {
        let inner = self.read();
        let of_scope = |scope: &Scope| match scope {
            None => inner.rows.len(),
            Some(ns) => inner.rows.keys().filter(|(n, _)| n == ns).count(),
        };
        let state = |(scope, s): (&Scope, &Stream)| StreamState {
            resource: R::resource(),
            scope: scope.clone(),
            listed: s.completed > 0,
            rows: of_scope(scope),
            last_event: s.last_event,
            trouble: s.trouble.clone(),
        };
        inner.streams.iter().map(state).collect()
    }

    /// Lists begun so far by the stream that covers a namespace.
    fn lists_begun(&self, namespace: &str) -> u64 {
        self.read().covering(namespace).map_or(0, |s| s.begun)
    }

    /// Whether what is held of a name reflects the write that made `version`, noted when `lists` had begun.
    fn reflects(&self, namespace: &str, name: &str, version: u64, lists: u64) -> bool {
        let inner = self.read();
        let row = inner.rows.get(&(namespace.to_owned(), name.to_owned()));
        if row.is_some_and(|r| r.version() >= version) {
            return true;
        }
        // Deleted since, or never to be seen under this label: the stream went past the version, or listed anew.
        inner.covering(namespace).is_none_or(|s| s.passed >= version || s.completed > lists)
    }

    /// Whether the object with this uid is no longer held.
    fn forgot(&self, namespace: &str, name: &str, uid: &str) -> bool {
        self.get(namespace, name).is_none_or(|row| row.meta().uid != uid)
    }
}

impl<R: Row> Inner<R> {
    fn put(&mut self, row: R) {
        let place = (row.meta().namespace.clone(), row.meta().name.clone());
        self.untag(&place);
        let tags: Vec<String> = tags(row.meta()).map(str::to_owned).collect();
        for tag in &tags {
            self.tagged.entry((place.0.clone(), tag.clone())).or_default().insert(place.1.clone());
        }
        if !tags.is_empty() {
            self.tags.insert(place.clone(), tags);
        }
        self.rows.insert(place, R::Kept::keep(row));
    }

    fn take(&mut self, place: &(String, String)) -> Option<R::Kept> {
        self.untag(place);
        self.rows.remove(place)
    }

    fn untag(&mut self, place: &(String, String)) {
        for tag in self.tags.remove(place).into_iter().flatten() {
            let tag = (place.0.clone(), tag);
            if let Some(names) = self.tagged.get_mut(&tag) {
                names.remove(&place.1);
                if names.is_empty() {
                    self.tagged.remove(&tag);
                }
            }
        }
    }
}

/// The Rollouts that find a row by what it says of itself alone.
fn tags(meta: &Meta) -> impl Iterator<Item = &str> {
    let found_by_name =
        |rollout: &str| meta.name.strip_prefix(rollout).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    meta.rollouts().filter(move |rollout| !found_by_name(rollout))
}

impl<R: Row> Inner<R> {
    fn covering(&self, namespace: &str) -> Option<&Stream> {
        self.streams.get(&None).or_else(|| self.streams.get(&Some(namespace.to_owned())))
    }
}

impl Stream {
    fn saw(&mut self, meta: &Meta, now: Timestamp) {
        self.passed = self.passed.max(number(&meta.resource_version));
        self.last_event = Some(now);
        self.trouble = None;
    }
}

fn change<R: Row>(row: &R, gone: bool) -> Change {
    let meta = row.meta().clone();
    Change { target: ObjectRef::new(R::resource(), &meta.namespace, &meta.name), meta, gone }
}

/// A row that a cache of ours holds.
pub trait Held: Row {
    /// Only objects with this label are watched; `None` watches all.
    const LABEL: Option<&'static str>;

    fn cache(caches: &Caches) -> &Cache<Self>;
}

/// Something to be done for each kind of row.
pub trait EachKind {
    fn kind<R: Held>(&mut self);
}

/// Declares the caches: one line per kind. `where LABEL` narrows its watch.
macro_rules! caches {
    ($($field:ident: $row:ty $(where $label:expr)?;)*) => {
        /// One cache per kind, and what we wrote ourselves.
        #[derive(Debug, Default)]
        pub struct Caches {
            $(pub $field: Cache<$row>,)*
            pub own_writes: OwnWrites,
        }

        $(impl Held for $row {
            const LABEL: Option<&'static str> = { let label: Option<&'static str> = None; $(let label = { let _ = label; Some($label) };)? label };

            fn cache(caches: &Caches) -> &Cache<Self> {
                &caches.$field
            }
        })*

        /// Visits every kind that is cached.
        pub fn each_kind(visitor: &mut impl EachKind) {
            $(visitor.kind::<$row>();)*
        }
    };
}

caches! {
    rollouts: RolloutRow;
    applications: ApplicationRow;
    app_projects: AppProjectRow;
    replica_sets: ReplicaSetRow;
    deployments: DeploymentRow where crate::core::rollout::LABEL_ROLLOUT;
    services: ServiceRow;
    endpoint_slices: EndpointSliceRow where crate::core::rollout::LABEL_ROLLOUT;
    ingresses: IngressRow;
    ingress_routes: IngressRouteRow;
    traefik_services: TraefikServiceRow;
    servers_transports: ServersTransportRow where crate::core::rollout::LABEL_ROLLOUT;
    analysis_runs: AnalysisRunRow;
    analysis_templates: AnalysisTemplateRow;
    cluster_analysis_templates: ClusterAnalysisTemplateRow;
}

impl Caches {
    /// The state of every stream of every kind.
    pub fn states(&self) -> Vec<StreamState> {
        struct States<'a>(&'a Caches, Vec<StreamState>);
        impl EachKind for States<'_> {
            fn kind<R: Held>(&mut self) {
                self.1.extend(R::cache(self.0).states());
            }
        }
        let mut states = States(self, Vec::new());
        each_kind(&mut states);
        states.1
    }
}

#[cfg(test)]
mod tests;
