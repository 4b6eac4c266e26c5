//! A Prometheus whose one series says good or bad, and that knows when it said so.

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// The server, from the side of who measures.
#[derive(Debug, Clone)]
pub(crate) struct Metric {
    pub(crate) address: String,
    state: Arc<Mutex<Health>>,
}

#[derive(Debug, Default)]
struct Health {
    bad: bool,
    /// When it first answered that it is bad.
    told: Option<Timestamp>,
}

impl Metric {
    /// Starts it, good; it ends with the process.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.context("opening a port for the metric")?;
        let address = format!("http://{}", listener.local_addr()?);
        let route = get(query).post(query);
        let router = Router::new().route("/api/v1/query", route).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, state })
    }

    /// From now on every answer is good, or bad.
    pub(crate) fn turn(&self, bad: bool) {
        *lock(&self.state) = Health { bad, told: None };
    }

    /// When the first bad answer since it turned was given.
    pub(crate) fn told(&self) -> Option<Timestamp> {
        lock(&self.state).told
    }
}

fn lock(state: &Mutex<Health>) -> MutexGuard<'_, Health> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn query(State(state): State<Arc<Mutex<Health>>>) -> Json<Value> {
    let now = Timestamp::now();
    let mut health = lock(&state);
    if health.bad {
        health.told.get_or_insert(now);
    }
    let value = if health.bad { "0" } else { "1" };
    let sample = json!([now.as_second(), value]);
    Json(json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": sample}]}}))
}
