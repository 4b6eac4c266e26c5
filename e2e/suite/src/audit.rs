//! What the controller asked of the API server, from the audit log of bed's own.

use crate::cluster::Cluster;
use crate::install::{NAMESPACE, RELEASE};
use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;

/// A request that was to change something.
#[derive(Debug)]
pub struct Write {
    pub verb: String,
    /// The path, and what follows it.
    pub uri: String,
    /// HTTP status of the answer.
    pub code: u64,
    /// Name of the pod that asked; empty when the API server was not told.
    pub pod: String,
}

/// Writes by pods of the shared release that arrived at `from` or later, those that were refused too.
///
/// # Errors
/// When it is not a cluster of bed, or its log cannot be read.
pub fn writes(cluster: &Cluster, from: Timestamp) -> anyhow::Result<Vec<Write>> {
    let run = cluster.access.run.as_deref().context("only a cluster of bed has an audit log to read")?;
    let text = std::fs::read_to_string(run.join("log/audit.log")).context("reading the audit log")?;
    Ok(told(&text, from))
}

fn told(log: &str, from: Timestamp) -> Vec<Write> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{RELEASE}");
    // The last line may be half written.
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let writes = events.filter(|e| {
        let at = e["requestReceivedTimestamp"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
        let reads = matches!(e["verb"].as_str(), Some("get" | "list" | "watch"));
        e["user"]["username"] == user.as_str() && !reads && at.is_some_and(|at| at >= from)
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    writes
        .map(|e| Write {
            verb: text(&e["verb"]),
            uri: text(&e["requestURI"]),
            code: e["responseStatus"]["code"].as_u64().unwrap_or_default(),
            pod: text(&e["user"]["extra"]["authentication.kubernetes.io/pod-name"][0]),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_of_the_controller_are_told_from_reads_others_and_what_was_before() {
        let event = |user: &str, verb: &str, second: u32| {
            json!({
                "verb": verb, "requestURI": "/x", "requestReceivedTimestamp": format!("2026-01-01T00:00:{second:02}.5Z"),
                "responseStatus": {"code": 403},
                "user": {
                    "username": format!("system:serviceaccount:tidegate-system:{user}"),
                    "extra": {"authentication.kubernetes.io/pod-name": ["tidegate-1"]}
                }
            })
            .to_string()
        };
        let lines = [
            event("tidegate", "patch", 9),
            event("tidegate", "patch", 10),
            event("tidegate", "watch", 11),
            event("default", "patch", 12),
            r#"{"verb": "pat"#.to_owned(),
        ];
        let found = told(&lines.join("\n"), "2026-01-01T00:00:10Z".parse().expect("a time"));
        let found: Vec<_> = found.iter().map(|w| (w.verb.as_str(), w.uri.as_str(), w.code, w.pod.as_str())).collect();
        assert_eq!(found, [("patch", "/x", 403, "tidegate-1")]);
    }
}
