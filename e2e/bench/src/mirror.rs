//! A Traefik that loads at once.
//!
//! The controller counts a weight only when Traefik's API shows it. Traefik's own reload, up to two seconds, is not what is measured
//! here, so this API shows every TraefikService and every endpoint as soon as a watch has brought them.

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use futures::TryStreamExt;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// By namespace and name.
type Table = Arc<Mutex<BTreeMap<(String, String), DynamicObject>>>;

#[derive(Debug, Clone, Default)]
struct Mirror {
    roots: Table,
    slices: Table,
}

/// Starts it; returns its address. It ends with the process.
pub(crate) async fn start(client: &kube::Client) -> anyhow::Result<String> {
    let mirror = Mirror::default();
    for (table, group, version, kind, plural) in [
        (&mirror.roots, "traefik.io", "v1alpha1", "TraefikService", "traefikservices"),
        (&mirror.slices, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    ] {
        let api_version = format!("{group}/{version}");
        let (group, version, kind, plural) = (group.into(), version.into(), kind.into(), plural.into());
        let resource = ApiResource { group, version, api_version, kind, plural };
        tokio::spawn(follow(Api::all_with(client.clone(), &resource), table.clone()));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.context("opening a port for the mirror")?;
    let address = format!("http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/api/http/services", get(services))
        .route("/api/http/routers", get(async || Json(Vec::<Value>::new())))
        .with_state(mirror);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn follow(api: Api<DynamicObject>, table: Table) {
    let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
    loop {
        // An error is followed by a new attempt of the watcher's.
        let Ok(event) = events.try_next().await else { continue };
        let Some(event) = event else { return };
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                table.insert(key(&object), object);
            }
            Event::Delete(object) => {
                table.remove(&key(&object));
            }
            Event::Init => table.clear(),
            Event::InitDone => {}
        }
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default())
}

/// As Traefik lists them: weighted services of TraefikServices, and a balancer for each of their children.
async fn services(State(mirror): State<Mirror>) -> Json<Vec<Value>> {
    let mut servers: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    for ((namespace, _), slice) in mirror.slices.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|l| l.get("kubernetes.io/service-name")) else { continue };
        let ready = list(&slice.data["endpoints"]).filter(|e| e["conditions"]["ready"] != json!(false));
        let urls = ready.filter_map(|e| Some(json!({"url": format!("http://{}:80", e["addresses"][0].as_str()?)})));
        servers.entry((namespace.clone(), service.clone())).or_default().extend(urls);
    }
    let mut all = Vec::new();
    for ((namespace, name), root) in mirror.roots.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let mut children = Vec::new();
        for child in list(&root.data["spec"]["weighted"]["services"]) {
            let service = child["name"].as_str().unwrap_or_default();
            let port = child["port"].as_u64().map_or_else(|| text(&child["port"]), |n| n.to_string());
            let called = format!("{namespace}-{service}-{port}@kubernetescrd");
            let behind = servers.get(&(namespace.clone(), service.to_owned())).cloned().unwrap_or_default();
            all.push(json!({"name": called, "status": "enabled", "loadBalancer": {"servers": behind}}));
            children.push(json!({"name": called, "weight": child["weight"]}));
        }
        let called = format!("{namespace}-{name}@kubernetescrd");
        all.push(json!({"name": called, "status": "enabled", "weighted": {"services": children}}));
    }
    Json(all)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
