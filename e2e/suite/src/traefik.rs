//! The router's own word: what each instance has loaded, and what it logged.

use crate::cluster::{ApiError, Cluster, Kind};
use futures::StreamExt;
use http::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// Names of the router's running pods.
///
/// # Errors
/// When the API server refuses.
pub async fn instances(cluster: &Cluster) -> Result<Vec<String>, ApiError> {
    let pods = cluster.list(Kind::POD, &cluster.access.traefik_namespace, "app.kubernetes.io/name=traefik").await?;
    let ready = pods.iter().filter(|p| crate::wait::condition(p, "Ready", "True").is_some());
    Ok(ready.filter_map(|p| p["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

/// All that one instance has loaded.
///
/// # Errors
/// When it cannot be asked.
pub async fn loaded(cluster: &Cluster, pod: &str) -> Result<Value, ApiError> {
    let text = cluster.ask_pod(Method::GET, &cluster.access.traefik_namespace, pod, 8080, "/api/rawdata").await?;
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Counts the requests for one host in the access logs of all instances, from when it was started.
#[derive(Debug)]
pub struct AccessLog {
    counts: Arc<Mutex<BTreeMap<u16, usize>>>,
    tasks: JoinSet<()>,
}

impl AccessLog {
    /// # Errors
    /// When a log cannot be followed.
    pub async fn follow(cluster: &Cluster, host: &str) -> anyhow::Result<Self> {
        let counts = Arc::new(Mutex::new(BTreeMap::new()));
        let mut tasks = JoinSet::new();
        for pod in instances(cluster).await? {
            let mut lines = cluster.follow(&cluster.access.traefik_namespace, &pod).await?;
            let (counts, host) = (Arc::clone(&counts), host.to_owned());
            tasks.spawn(async move {
                while let Some(Ok(line)) = lines.next().await {
                    if let Some(status) = status_of(&line, &host) {
                        *counts.lock().expect("no holder of this lock can panic").entry(status).or_default() += 1;
                    }
                }
            });
        }
        anyhow::ensure!(!tasks.is_empty(), "no running instance of the router to take the access log of");
        Ok(Self { counts, tasks })
    }

    /// Requests by status so far.
    pub fn counts(&self) -> BTreeMap<u16, usize> {
        self.counts.lock().expect("no holder of this lock can panic").clone()
    }

    /// Waits until the log has `expected` requests; gives what it has in the end.
    pub async fn settled(self, expected: usize) -> BTreeMap<u16, usize> {
        for _ in 0..100 {
            if self.counts().values().sum::<usize>() >= expected {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        drop(self.tasks);
        self.counts.lock().expect("no holder of this lock can panic").clone()
    }
}

/// The status that a line of the access log (JSON) tells for a request to this host.
fn status_of(line: &str, host: &str) -> Option<u16> {
    // Most lines are of others: look before reading them.
    if !line.contains(host) {
        return None;
    }
    let entry: Value = serde_json::from_str(line).ok()?;
    if entry["RequestHost"] != host {
        return None;
    }
    u16::try_from(entry["DownstreamStatus"].as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_access_log_counts_for_its_own_host_only() {
        let line = r#"{"DownstreamStatus":200,"RequestHost":"web-a.localhost","RequestPath":"/?web-b.localhost"}"#;
        assert_eq!(status_of(line, "web-a.localhost"), Some(200));
        assert_eq!(status_of(line, "web-b.localhost"), None);
        assert_eq!(status_of("level=info msg=web-a.localhost", "web-a.localhost"), None);
    }
}
