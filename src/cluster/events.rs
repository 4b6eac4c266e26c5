//! Events for people: written by one task, limited, and never a reason to wait.

use super::client::{Client, DEADLINE, Mode};
use crate::core::object::ResourceType;
use crate::core::plan::{Actor, Notice};
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Waiting notices. A storm beyond that tells nobody more.
const WAITING: usize = 256;
/// The same notice about the same object is not repeated within this time.
const SAME: Duration = Duration::from_mins(10);
/// Remembered notices; at most this many are compared.
const REMEMBERED: usize = 2_048;
/// Written per second in the long run, after a burst of [`WAITING`].
const PER_SECOND: u64 = 10;

const EVENT: ResourceType = ResourceType::EVENT;

/// Where notices are put.
#[derive(Debug, Clone)]
pub struct Events {
    queue: mpsc::Sender<Notice>,
}

impl Events {
    /// The sender, and the task that writes until it is dropped. `instance` names this process: its pod.
    pub fn new(client: Client, instance: String) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, notices) = mpsc::channel(WAITING);
        (Self { queue }, write(client, instance, notices))
    }

    pub(super) fn send(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            tracing::debug!("an event is dropped: too many wait to be written");
        }
    }
}

async fn write(client: Client, instance: String, mut notices: mpsc::Receiver<Notice>) {
    let mut seen: HashMap<Notice, Instant> = HashMap::new();
    let mut count = 0u64;
    while let Some(notice) = notices.recv().await {
        let now = Instant::now();
        if seen.len() >= REMEMBERED {
            seen.retain(|_, at| now.duration_since(*at) < SAME);
            if seen.len() >= REMEMBERED {
                seen.clear();
            }
        }
        if seen.get(&notice).is_some_and(|at| now.duration_since(*at) < SAME) {
            continue;
        }
        count += 1;
        let event = event(&notice, &instance, count);
        if let Err(error) = client.create(&EVENT, &event, &Actor::Controller, Mode::Write, DEADLINE).await {
            tracing::debug!(on = %notice.on, reason = notice.reason, %error, "an event could not be written");
        }
        seen.insert(notice, now);
        if notices.len() > WAITING / 2 {
            tokio::time::sleep(Duration::from_millis(1_000 / PER_SECOND)).await;
        }
    }
}

fn event(notice: &Notice, instance: &str, count: u64) -> serde_json::Value {
    let on = &notice.on;
    let namespace = if on.namespace.is_empty() { "default" } else { &on.namespace };
    let now = crate::clock::now();
    // The API server refuses notes beyond 1,024 bytes.
    let note: String = notice.message.char_indices().take_while(|(at, _)| *at < 1_000).map(|(_, c)| c).collect();
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": format!("{}.{:x}.{count:x}", on.name, now.as_microsecond()), "namespace": namespace},
        "eventTime": format!("{now:.6}"),
        "reportingController": "tidegate.dev/controller", "reportingInstance": instance,
        "action": "Reconcile", "reason": notice.reason, "note": note,
        "type": if notice.warning { "Warning" } else { "Normal" },
        "regarding": {"apiVersion": on.resource.api_version(), "kind": on.resource.kind, "name": on.name,
            "namespace": on.namespace, "uid": notice.uid},
    })
}
