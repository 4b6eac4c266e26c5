//! What pods say of themselves: evidence for why something is not ready.

use crate::core::question::PodEvidence;
use crate::core::row::Meta;
use serde_json::Value;

/// Reads the evidence of one pod. Of several troubles the one that stops the pod is told: scheduling before starting before
/// crashing before not being ready.
pub fn evidence(pod: &Value) -> PodEvidence {
    let (meta, status) = (&pod["metadata"], &pod["status"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let condition = |kind: &str| {
        let all = status["conditions"].as_array().into_iter().flatten();
        all.into_iter().find(|c| c["type"] == kind)
    };
    let containers = || {
        let of = |field: &str| status[field].as_array().into_iter().flatten();
        of("initContainerStatuses").chain(of("containerStatuses"))
    };
    let ready = condition("Ready").is_some_and(|c| c["status"] == "True") && meta["deletionTimestamp"].is_null();
    let since = condition("Ready").and_then(|c| c["lastTransitionTime"].as_str()).filter(|_| ready);
    // A list item always has what every stored object has.
    let Meta { uid, owner, labels, annotations, created, deleting, .. } = Meta::read(pod).unwrap_or_default();
    let (reason, message) = if ready {
        (String::new(), String::new())
    } else {
        unschedulable(condition("PodScheduled"))
            .or_else(|| containers().find_map(waiting))
            .or_else(|| containers().find_map(ended))
            .or_else(|| condition("Ready").map(|c| (text(&c["reason"]), text(&c["message"]))))
            .unwrap_or_else(|| (text(&status["reason"]), text(&status["message"])))
    };
    PodEvidence {
        name: text(&meta["name"]),
        uid,
        owner: owner.map(|o| o.uid).unwrap_or_default(),
        labels,
        annotations,
        ready,
        ready_since: since.and_then(|t| t.parse().ok()),
        deleting: deleting.is_some(),
        created,
        reason,
        message,
        restarts: containers().filter_map(|c| c["restartCount"].as_i64()).sum(),
    }
}

fn unschedulable(scheduled: Option<&Value>) -> Option<(String, String)> {
    let condition = scheduled.filter(|c| c["status"] == "False")?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Some((text("reason"), text("message")))
}

/// `ImagePullBackOff`, `CrashLoopBackOff`, `CreateContainerConfigError` …; not the plain beginning of a pod.
fn waiting(container: &Value) -> Option<(String, String)> {
    let waiting = container["state"]["waiting"].as_object()?;
    let text = |field: &str| waiting.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reason = text("reason");
    if reason.is_empty() || reason == "ContainerCreating" || reason == "PodInitializing" {
        return None;
    }
    // A crash loop says why in the last end of the container.
    let last = &container["lastState"]["terminated"];
    let message = match (reason.as_str(), last["exitCode"].as_i64()) {
        ("CrashLoopBackOff", Some(code)) => {
            format!("{} (exit {code}: {})", text("message"), last["reason"].as_str().unwrap_or_default())
        }
        _ => text("message"),
    };
    Some((reason, message))
}

/// `OOMKilled`, `Error` with its exit code.
fn ended(container: &Value) -> Option<(String, String)> {
    let ended = [&container["state"]["terminated"], &container["lastState"]["terminated"]];
    let ended = ended.into_iter().find(|t| t["exitCode"].as_i64().is_some_and(|code| code != 0))?;
    let text = |field: &str| ended[field].as_str().unwrap_or_default();
    let code = ended["exitCode"].as_i64().unwrap_or_default();
    Some((text("reason").to_owned(), format!("exit {code} {}", text("message")).trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_crash_loop_is_told_with_the_exit_that_caused_it() {
        let pod = json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}});
        let evidence = evidence(&pod);
        assert_eq!((evidence.reason.as_str(), evidence.restarts), ("CrashLoopBackOff", 3));
        assert_eq!(evidence.message, "back-off (exit 137: OOMKilled)");
    }

    #[test]
    fn a_pod_that_finds_no_node_is_unschedulable_and_a_ready_one_has_no_reason() {
        let pod = json!({"metadata": {"name": "p"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]}});
        assert_eq!(evidence(&pod).reason, "Unschedulable");
        let pod = json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!((evidence(&pod).ready, evidence(&pod).reason.as_str()), (true, ""));
    }

    #[test]
    fn a_pod_is_known_by_its_owner_its_labels_and_since_when_it_is_ready() {
        let pod = json!({
            "metadata": {"name": "p", "uid": "u1", "resourceVersion": "7", "labels": {"role": "canary"},
                         "creationTimestamp": "2026-01-02T03:04:05Z",
                         "ownerReferences": [{"kind": "ReplicaSet", "name": "s", "uid": "u0", "controller": true}]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:09Z"}]}});
        let seen = evidence(&pod);
        assert_eq!((seen.uid.as_str(), seen.owner.as_str(), seen.deleting), ("u1", "u0", false));
        assert_eq!(seen.labels["role"], "canary");
        assert_eq!(seen.created.map(|t| t.to_string()).as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(seen.ready_since.map(|t| t.to_string()).as_deref(), Some("2026-01-02T03:04:09Z"));
        let mut going = pod;
        going["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:05:00Z");
        assert!(evidence(&going).deleting && evidence(&going).ready_since.is_none());
    }

    #[test]
    fn a_pod_that_only_starts_is_no_trouble_by_itself() {
        let pod = json!({"metadata": {"name": "p"}, "status": {
            "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "m"}],
            "containerStatuses": [{"restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]}});
        assert_eq!(evidence(&pod).reason, "ContainersNotReady");
    }
}
