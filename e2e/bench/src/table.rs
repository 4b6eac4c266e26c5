//! Objects of one kind, as a watch brings them: who waits for them asks the API server for nothing.

use futures::TryStreamExt;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By namespace and name.
type Rows = BTreeMap<(String, String), DynamicObject>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    rows: Arc<Mutex<Rows>>,
}

impl Table {
    /// Follows a kind of `group` in the whole cluster, for as long as the process lives.
    pub(crate) fn follow(client: &kube::Client, group: &str, version: &str, kind: &str, plural: &str) -> Self {
        let api_version = format!("{group}/{version}");
        let (group, version, kind, plural) = (group.into(), version.into(), kind.into(), plural.into());
        let resource = ApiResource { group, version, api_version, kind, plural };
        let table = Self::default();
        tokio::spawn(table.clone().fill(Api::all_with(client.clone(), &resource)));
        table
    }

    pub(crate) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fill(self, api: Api<DynamicObject>) {
        let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
        loop {
            // An error is followed by a new attempt of the watcher's.
            let Ok(event) = events.try_next().await else { continue };
            let Some(event) = event else { return };
            let mut rows = self.rows();
            match event {
                Event::Apply(object) | Event::InitApply(object) => {
                    rows.insert(key(&object), object);
                }
                Event::Delete(object) => {
                    rows.remove(&key(&object));
                }
                Event::Init => rows.clear(),
                Event::InitDone => {}
            }
        }
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default())
}
