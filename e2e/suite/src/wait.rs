//! Waits on watches.
//!
//! A wait ends with the first state of the object that is accepted; it never polls, so a state that lasts a moment is not
//! missed as long as the API server tells it. When it does not come, the error holds every different state that was seen.

use crate::cluster::{Cluster, Kind};
use futures::StreamExt;
use kube::Api;
use kube::api::DynamicObject;
use serde_json::Value;
use std::fmt;
use std::time::{Duration, Instant};

/// What did not come.
#[derive(Debug)]
pub struct NotSeen {
    what: String,
    object: String,
    limit: Duration,
    trail: Vec<(Duration, String)>,
}

impl fmt::Display for NotSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not seen within {:.0?}: {}", self.object, self.limit, self.what)?;
        // The beginning shows where it came from, the end where it got stuck.
        let skipped = self.trail.len().saturating_sub(24);
        for (i, (at, state)) in self.trail.iter().enumerate() {
            if skipped > 0 && i == 4 {
                write!(f, "\n      … {skipped} more states …")?;
            }
            if i < 4 || i >= 4 + skipped {
                write!(f, "\n  {:7.2} s  {state}", at.as_secs_f64())?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for NotSeen {}

/// Waits until `accept` gives something for a state of the object; `Null` is given when there is no object.
///
/// # Errors
/// [`NotSeen`] after `limit`.
pub async fn until<T>(
    cluster: &Cluster,
    (kind, namespace, name): (Kind, &str, &str),
    limit: Duration,
    what: &str,
    mut accept: impl FnMut(&Value) -> Option<T>,
) -> Result<T, NotSeen> {
    let resource = kind.resource();
    let api: Api<DynamicObject> = if kind.namespaced {
        Api::namespaced_with(cluster.client(), namespace, &resource)
    } else {
        Api::all_with(cluster.client(), &resource)
    };
    let begun = Instant::now();
    let mut trail: Vec<(Duration, String)> = Vec::new();
    let mut states = std::pin::pin!(kube::runtime::watcher::watch_object(api, name));
    let watched = async {
        while let Some(state) = states.next().await {
            let glance = match state {
                Ok(object) => {
                    let value = object.map_or(Value::Null, |o| serde_json::to_value(o).unwrap_or(Value::Null));
                    if let Some(found) = accept(&value) {
                        return Some(found);
                    }
                    glance(&value)
                }
                Err(error) => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    format!("watch: {error}")
                }
            };
            if trail.last().is_none_or(|(_, last)| *last != glance) {
                trail.push((begun.elapsed(), glance));
            }
        }
        None
    };
    let found = tokio::time::timeout(limit, watched).await.ok().flatten();
    found.ok_or_else(|| NotSeen {
        what: what.to_owned(),
        object: format!("{} {namespace}/{name}", kind.kind),
        limit,
        trail,
    })
}

/// Asks again and again, for what no watch tells.
///
/// # Errors
/// The last thing that `ask` said, after `limit`.
pub async fn poll<T, F>(limit: Duration, what: &str, mut ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, String>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(found) => return Ok(found),
            Err(last) if begun.elapsed() > limit => {
                anyhow::bail!("not seen within {limit:.0?}: {what}; last: {last}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// One line of what matters in an object's state.
pub fn glance(object: &Value) -> String {
    if object.is_null() {
        return "no such object".to_owned();
    }
    let status = &object["status"];
    let text = |v: &Value| match v {
        Value::Null => "-".to_owned(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    let short = |v: &Value| text(v).chars().take(10).collect::<String>();
    match object["kind"].as_str().unwrap_or_default() {
        "Rollout" => format!(
            "{} gen {}/{} step {} want {} live {} hash {} stable {}{}: {}",
            text(&status["phase"]),
            text(&status["observedGeneration"]),
            text(&object["metadata"]["generation"]),
            text(&status["currentStepIndex"]),
            text(&status["traffic"]["want"]["canary"]),
            text(&status["traffic"]["live"]["canary"]),
            short(&status["currentPodHash"]),
            short(&status["stableRS"]),
            if status["abort"] == true { " ABORTED" } else { "" },
            text(&status["message"]),
        ),
        "Application" => format!(
            "{} {} tip {} applied {} good {} rescue {} {}: {}",
            text(&status["sync"]["status"]),
            text(&status["health"]["status"]),
            short(&status["tip"]["revision"]),
            short(&status["applied"]["revision"]),
            short(&status["good"]["revision"]),
            text(&status["rescue"]["phase"]),
            text(&status["operationState"]["phase"]),
            text(&status["message"]),
        ),
        "AnalysisRun" => format!("{}: {}", text(&status["phase"]), text(&status["message"])),
        _ => {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let conditions: Vec<String> =
                conditions.map(|c| format!("{}={}", text(&c["type"]), text(&c["status"]))).collect();
            format!("gen {} {}", text(&object["metadata"]["generation"]), conditions.join(" "))
        }
    }
}

/// Accepts an object once this condition has this status for its present generation.
pub fn condition(object: &Value, kind: &str, status: &str) -> Option<()> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().any(|c| c["type"] == kind && c["status"] == status).then_some(())
}

/// True when the status speaks of what the spec says now.
pub fn observed(object: &Value) -> bool {
    object["metadata"]["generation"].is_i64()
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_is_shown_with_its_step_and_both_weights() {
        let rollout = json!({"kind": "Rollout", "metadata": {"generation": 2}, "status": {
            "phase": "Paused", "observedGeneration": 2, "currentStepIndex": 1,
            "traffic": {"want": {"canary": 20}, "live": {"canary": 0}}, "message": "waits"}});
        assert_eq!(glance(&rollout), "Paused gen 2/2 step 1 want 20 live 0 hash - stable -: waits");
        assert!(observed(&rollout));
    }

    #[test]
    fn a_long_trail_shows_its_beginning_and_its_end() {
        let trail = (0..40).map(|i| (Duration::from_secs(i), format!("state {i}"))).collect();
        let text = NotSeen { what: "x".into(), object: "o".into(), limit: Duration::from_secs(40), trail }.to_string();
        assert!(text.contains("state 0") && text.contains("state 39") && text.contains("16 more states"));
        assert!(!text.contains("state 10"));
    }
}
