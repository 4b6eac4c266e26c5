//! The live objects of Applications: one watch per kind, shared by all that ask, narrowed to objects that carry the label.
//!
//! A watch lives while somebody asks for its kind and a little longer. An object becomes a row of identity, versions and
//! health and is dropped; what is asked for is told again at each change.

use super::client::Client;
use super::watch::{api, to_value};
use crate::core::application::health;
use crate::core::application::wanted::{LABEL_APPLICATION, digest};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::question::{LiveObject, LiveObjects, Told};
use crate::core::rollout::LABEL_HASH;
use futures::{FutureExt as _, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher as watch};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;

/// A watch that nobody asks for any more is kept so long: a tree that brings a new kind asks a new question.
const LINGER: Duration = Duration::from_mins(1);
/// Changes of one moment are told together.
const GATHER: Duration = Duration::from_millis(30);
const PAGE: u32 = 100;
/// As for the other watches: below the silence after which a connection counts as dead.
const LIFETIME_SECONDS: u32 = 110;

/// All watches of live objects.
#[derive(Debug)]
pub struct Objects {
    client: Client,
    /// Empty: the whole cluster.
    namespaces: Vec<String>,
    kinds: Mutex<HashMap<ResourceType, (Arc<Kind>, Instant)>>,
}

/// The rows of one kind.
#[derive(Debug)]
struct Kind {
    resource: ResourceType,
    state: Mutex<State>,
    changed: signal::Sender<u64>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    /// By namespace and name, with the value of the label.
    rows: BTreeMap<(String, String), (String, LiveObject)>,
    /// Scopes that have not listed yet.
    missing: usize,
    trouble: Option<String>,
}

impl Drop for Kind {
    fn drop(&mut self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl Objects {
    pub fn new(client: Client, namespaces: Vec<String>) -> Self {
        Self { client, namespaces, kinds: Mutex::default() }
    }

    /// Tells the objects with this label, now and at each change, until it is dropped.
    pub async fn answer(&self, resources: &[ResourceType], label: &(String, String), tell: impl Fn(Told) + Send) {
        let kinds: Vec<_> = resources.iter().map(|r| self.kind(r)).collect();
        let mut changes: Vec<_> = kinds.iter().map(|k| k.changed.subscribe()).collect();
        loop {
            for change in &mut changes {
                change.mark_unchanged();
            }
            if let Some(objects) = gather(&kinds, &label.1) {
                tell(Told::Objects(Arc::new(objects)));
            }
            self.touch(resources);
            if changes.is_empty() {
                return std::future::pending().await;
            }
            let any = changes.iter_mut().map(|c| c.changed().boxed());
            let _ = futures::future::select_all(any).await;
            tokio::time::sleep(GATHER).await;
        }
    }

    fn kinds(&self) -> std::sync::MutexGuard<'_, HashMap<ResourceType, (Arc<Kind>, Instant)>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self, resources: &[ResourceType]) {
        let mut kinds = self.kinds();
        for resource in resources {
            if let Some((_, used)) = kinds.get_mut(resource) {
                *used = Instant::now();
            }
        }
    }

    fn kind(&self, resource: &ResourceType) -> Arc<Kind> {
        let mut kinds = self.kinds();
        kinds.retain(|_, (kind, used)| Arc::strong_count(kind) > 1 || used.elapsed() < LINGER);
        let (kind, used) = kinds
            .entry(resource.clone())
            .or_insert_with(|| (start(&self.client, &self.namespaces, resource), Instant::now()));
        *used = Instant::now();
        kind.clone()
    }
}

/// `None` while a kind has neither listed nor failed.
fn gather(kinds: &[Arc<Kind>], owner: &str) -> Option<LiveObjects> {
    let mut found = LiveObjects::default();
    for kind in kinds {
        let state = kind.state();
        if let Some(trouble) = &state.trouble {
            found.unreadable.push((kind.resource.clone(), trouble.clone()));
        } else if state.missing > 0 {
            return None;
        }
        found.objects.extend(state.rows.values().filter(|(label, _)| label == owner).map(|(_, row)| row.clone()));
    }
    Some(found)
}

fn start(client: &Client, namespaces: &[String], resource: &ResourceType) -> Arc<Kind> {
    let scopes: Vec<Option<String>> = if namespaces.is_empty() || !resource.namespaced {
        vec![None]
    } else {
        namespaces.iter().cloned().map(Some).collect()
    };
    let kind = Arc::new(Kind {
        resource: resource.clone(),
        state: Mutex::new(State { missing: scopes.len(), ..State::default() }),
        changed: signal::Sender::new(0),
        tasks: Mutex::default(),
    });
    let tasks = scopes.into_iter().map(|scope| {
        // Weak: the task must not keep its own kind alive.
        let (client, kind) = (client.clone(), Arc::downgrade(&kind));
        let resource = resource.clone();
        tokio::spawn(follow(client, resource, scope, kind))
    });
    kind.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
    kind
}

async fn follow(client: Client, resource: ResourceType, scope: Option<String>, kind: std::sync::Weak<Kind>) {
    let config = watcher::Config::default().page_size(PAGE).timeout(LIFETIME_SECONDS).labels(LABEL_APPLICATION);
    let mut events = watch(api(&client, &resource, scope.as_deref()), config).default_backoff().boxed();
    let mut listing: Option<Vec<(String, String)>> = None;
    let mut listed = false;
    while let Some(event) = events.next().await {
        let Some(kind) = kind.upgrade() else { return };
        match event {
            Ok(Event::Init) => listing = Some(Vec::new()),
            Ok(Event::InitApply(object)) => {
                let object = to_value(object);
                if let Some(listing) = listing.as_mut() {
                    listing.push(name_of(&object));
                }
                kind.put(&object);
            }
            Ok(Event::InitDone) => {
                let named: std::collections::BTreeSet<_> = listing.take().unwrap_or_default().into_iter().collect();
                let in_scope = |namespace: &str| scope.as_deref().is_none_or(|s| s == namespace);
                let mut state = kind.state();
                state.rows.retain(|name, _| !in_scope(&name.0) || named.contains(name));
                state.missing -= usize::from(!listed && state.missing > 0);
                state.trouble = None;
                drop(state);
                listed = true;
                kind.tell();
            }
            Ok(Event::Apply(object)) => {
                kind.put(&to_value(object));
                kind.state().trouble = None;
                kind.tell();
            }
            Ok(Event::Delete(object)) => {
                kind.state().rows.remove(&name_of(&to_value(object)));
                kind.tell();
            }
            Err(error) => {
                let trouble = format!("{} cannot be watched: {error}", resource.plural);
                tracing::warn!(kind = %resource.kind, "{trouble}");
                // A watch that broke after it had listed is begun anew; what is known stays.
                if !listed {
                    kind.state().trouble = Some(trouble);
                    kind.tell();
                }
            }
        }
    }
}

impl Kind {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, object: &Value) {
        let owner = object["metadata"]["labels"][LABEL_APPLICATION].as_str().unwrap_or_default().to_owned();
        let row = row(&self.resource, object);
        self.state().rows.insert(name_of(object), (owner, row));
    }

    fn tell(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }
}

fn name_of(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Identity, versions and health of an object.
fn row(resource: &ResourceType, object: &Value) -> LiveObject {
    let meta = &object["metadata"];
    let (namespace, name) = name_of(object);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let generation = meta["generation"].as_i64().unwrap_or_default();
    let strings = |value: &Value| -> BTreeMap<String, String> {
        let pairs = value.as_object().into_iter().flatten();
        pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
    };
    let mut annotations = strings(&meta["annotations"]);
    annotations.retain(|key, _| key.starts_with("tidegate.dev/") || key.starts_with("argocd.argoproj.io/"));
    let workload = resource.group == "apps" || resource.kind == "Rollout";
    LiveObject {
        target: ObjectRef::new(resource.clone(), namespace, name),
        uid: text(&meta["uid"]),
        resource_version: text(&meta["resourceVersion"]),
        generation,
        metadata_digest: rest_digest(object, generation),
        deleting: meta["deletionTimestamp"].is_string(),
        owned: meta["ownerReferences"].as_array().is_some_and(|refs| !refs.is_empty()),
        health: health::judge(object),
        steered: resource.kind == "Service" && object["spec"]["selector"][LABEL_HASH].is_string(),
        pods: if workload { strings(&object["spec"]["selector"]["matchLabels"]) } else { BTreeMap::new() },
        annotations,
    }
}

/// Digest of all that changes without the generation and is not status: labels, annotations; the whole content of kinds
/// that have no generation.
fn rest_digest(object: &Value, generation: i64) -> String {
    let mut rest = object.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove("status");
        if generation > 0 {
            fields.remove("spec");
        }
    }
    if let Some(meta) = rest["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "generation"] {
            meta.remove(field);
        }
    }
    digest(rest.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_that_changes_is_no_other_state_and_a_label_is() {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"},
            "metadata": {"name": "c", "namespace": "shop", "uid": "u", "resourceVersion": "1", "labels": {"x": "1"}}});
        let of = |object: &Value| row(&ResourceType::SERVICE, object).metadata_digest;
        let before = of(&object);
        object["metadata"]["resourceVersion"] = json!("2");
        object["status"] = json!({"x": 1});
        assert_eq!(of(&object), before);
        object["data"]["a"] = json!("2");
        assert_ne!(of(&object), before, "a kind without generation is compared whole");
    }

    #[test]
    fn a_service_whose_selector_has_a_hash_is_steered() {
        let object = json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "s"},
            "spec": {"selector": {"app": "web", "rollouts-pod-template-hash": "abc"}}});
        assert!(row(&ResourceType::SERVICE, &object).steered);
    }
}
