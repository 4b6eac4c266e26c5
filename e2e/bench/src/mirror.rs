//! A Traefik that loads at once.
//!
//! The controller counts a weight only when Traefik's API shows it. Traefik's own reload, up to two seconds, is not what is measured
//! here, so this API shows every TraefikService and every endpoint as soon as a watch has brought them.

use crate::table::Table;
use anyhow::Context as _;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::net::TcpListener;

#[derive(Debug, Clone)]
struct Mirror {
    roots: Table,
    slices: Table,
}

/// Starts it; returns its address. It ends with the process.
pub(crate) async fn start(client: &kube::Client) -> anyhow::Result<String> {
    let mirror = Mirror {
        roots: Table::follow(client, "traefik.io", "v1alpha1", "TraefikService", "traefikservices"),
        slices: Table::follow(client, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.context("opening a port for the mirror")?;
    let address = format!("http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/api/http/services", get(services))
        .route("/api/http/routers", get(async || Json(Vec::<Value>::new())))
        .with_state(mirror);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// As Traefik lists them: weighted services of TraefikServices, and a balancer for each of their children.
async fn services(State(mirror): State<Mirror>) -> Json<Vec<Value>> {
    let mut servers: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    for ((namespace, _), slice) in mirror.slices.rows().iter() {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|l| l.get("kubernetes.io/service-name")) else { continue };
        let ready = list(&slice.data["endpoints"]).filter(|e| e["conditions"]["ready"] != json!(false));
        let urls = ready.filter_map(|e| Some(json!({"url": format!("http://{}:80", e["addresses"][0].as_str()?)})));
        servers.entry((namespace.clone(), service.clone())).or_default().extend(urls);
    }
    let mut all = Vec::new();
    for ((namespace, name), root) in mirror.roots.rows().iter() {
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
