//! The router's own word: what each instance has loaded, and what it logged.

use crate::cluster::{ApiError, Cluster, Kind};
use futures::StreamExt;
use http::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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
    /// The Services at which requests failed, as the router names them.
    failing: Arc<Mutex<BTreeSet<String>>>,
    /// They end with it.
    _tasks: JoinSet<()>,
}

impl AccessLog {
    /// # Errors
    /// When a log cannot be followed.
    pub async fn follow(cluster: &Cluster, host: &str) -> anyhow::Result<Self> {
        let counts = Arc::new(Mutex::new(BTreeMap::new()));
        let failing = Arc::new(Mutex::new(BTreeSet::new()));
        let mut tasks = JoinSet::new();
        for pod in instances(cluster).await? {
            let mut lines = cluster.follow(&cluster.access.traefik_namespace, &pod).await?;
            let (counts, failing, host) = (Arc::clone(&counts), Arc::clone(&failing), host.to_owned());
            tasks.spawn(async move {
                while let Some(Ok(line)) = lines.next().await {
                    if let Some((status, service)) = answer_of(&line, &host) {
                        if status >= 400 {
                            failing.lock().expect("no holder of this lock can panic").insert(service);
                        }
                        *counts.lock().expect("no holder of this lock can panic").entry(status).or_default() += 1;
                    }
                }
            });
        }
        anyhow::ensure!(!tasks.is_empty(), "no running instance of the router to take the access log of");
        Ok(Self { counts, failing, _tasks: tasks })
    }

    /// Requests by status so far.
    pub fn counts(&self) -> BTreeMap<u16, usize> {
        self.counts.lock().expect("no holder of this lock can panic").clone()
    }

    /// The Services at which requests failed so far, as the router names them; empty text for none at all.
    pub fn failing(&self) -> BTreeSet<String> {
        self.failing.lock().expect("no holder of this lock can panic").clone()
    }

    /// Waits until the log has `expected` requests; gives what it has in the end.
    pub async fn settled(&self, expected: usize) -> BTreeMap<u16, usize> {
        for _ in 0..100 {
            if self.counts().values().sum::<usize>() >= expected {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        self.counts()
    }
}

/// The status and the Service that a line of the access log (JSON) tells for a request to this host.
fn answer_of(line: &str, host: &str) -> Option<(u16, String)> {
    // Most lines are of others: look before reading them.
    if !line.contains(host) {
        return None;
    }
    let entry: Value = serde_json::from_str(line).ok()?;
    if entry["RequestHost"] != host {
        return None;
    }
    let status = u16::try_from(entry["DownstreamStatus"].as_u64()?).ok()?;
    Some((status, entry["ServiceName"].as_str().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_access_log_counts_for_its_own_host_only() {
        let line = r#"{"DownstreamStatus":200,"RequestHost":"web-a.localhost","RequestPath":"/?web-b.localhost","ServiceName":"a"}"#;
        assert_eq!(answer_of(line, "web-a.localhost"), Some((200, "a".to_owned())));
        assert_eq!(answer_of(line, "web-b.localhost"), None);
        assert_eq!(answer_of("level=info msg=web-a.localhost", "web-a.localhost"), None);
    }
}
