//! Observed Rollouts for tests, as an API server gives them.

use super::Observed;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// 2026-01-02T03:20:00Z
pub(super) const NOW: Timestamp = Timestamp::constant(1_767_324_000, 0);

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object of its kind")
}

fn set(hash: &str, revision: u32, image: &str, size: u32, created: &str) -> Value {
    json!({"metadata": {"name": format!("web-{hash}"), "uid": format!("set-{hash}"), "creationTimestamp": created,
            "labels": {"rollouts-pod-template-hash": hash}, "annotations": {"tidegate.dev/revision": revision.to_string()},
            "ownerReferences": [owner("Rollout", "web", "u")]},
        "spec": {"replicas": size, "selector": {}, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
        "status": {"replicas": size, "readyReplicas": size, "availableReplicas": size}})
}

fn owner(kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true})
}

pub(super) fn pod(hash: &str, name: &str, state: &Value, ready: bool) -> Value {
    json!({"metadata": {"name": format!("web-{hash}-{name}"), "creationTimestamp": "2026-01-02T03:15:00Z",
            "labels": {"rollouts-pod-template-hash": hash},
            "ownerReferences": [owner("ReplicaSet", &format!("web-{hash}"), &format!("set-{hash}"))]},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "image": "app:1", "imageID": "", "ready": ready,
            "restartCount": 0, "state": state}]}})
}

/// A Rollout with this status over that of a canary of two pods at its first pause.
pub(super) fn rollout(status: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"namespace": "shop", "name": "web", "uid": "u", "generation": 2, "creationTimestamp": "2026-01-02T03:03:20Z"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}]}}},
        "status": {"observedGeneration": 2, "phase": "Paused", "message": "CanaryPauseStep", "currentPodHash": "new",
            "currentRevision": 2, "stableRS": "old", "lastGood": {"hash": "old"}, "currentStepIndex": 1,
            "currentStepStartedAt": "2026-01-02T03:18:00Z", "attempt": 1, "availableReplicas": 3,
            "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-02T03:18:00Z"}],
            "traffic": {"way": "ingress", "want": {"canary": 20, "stable": 80}, "live": {"canary": 20, "stable": 80}}}});
    json_patch::merge(&mut object["status"], status);
    object
}

/// The sample with this status, and with a spec changed by a merge patch.
pub(super) fn with(status: &Value, spec: &Value) -> Observed {
    let mut object = rollout(status);
    json_patch::merge(&mut object["spec"], spec);
    let running = json!({"running": {}});
    let mut new = set("new", 2, "app:2", 1, "2026-01-02T03:15:00Z");
    new["metadata"]["annotations"]["tidegate.dev/source"] =
        json!(r#"{"repo":"https://git/shop","revision":"0123abcdef","path":"web"}"#);
    let sets = vec![typed(set("old", 1, "app:1", 2, "2026-01-02T03:04:00Z")), typed(new)];
    let pods = vec![
        typed(pod("old", "a", &running, true)),
        typed(pod("old", "b", &running, true)),
        typed(pod("new", "c", &running, true)),
    ];
    let run = json!({"metadata": {"name": "web-new-2-0", "creationTimestamp": "2026-01-02T03:17:00Z",
            "labels": {"rollouts-pod-template-hash": "new", "rollout-type": "Background"}, "ownerReferences": [owner("Rollout", "web", "u")]},
        "spec": {"metrics": []},
        "status": {"phase": "Running", "metricResults": [{"name": "errors", "phase": "Running", "count": 4, "successful": 3, "failed": 1}]}});
    Observed::new(typed(object), sets, pods, vec![typed(run)])
}

pub(super) fn paused() -> Observed {
    with(&json!({}), &json!({}))
}

pub(super) fn aborted() -> Observed {
    with(
        &json!({"phase": "Degraded", "abort": true, "abortedAt": "2026-01-02T03:19:00Z", "pauseConditions": null,
            "message": "RolloutAborted: Rollout aborted update to revision 2 at T: errors rose; retry to run it again",
            "aborted": [{"hash": "new", "time": "2026-01-02T03:19:00Z", "cause": "errors rose", "class": "Command"}],
            "traffic": {"want": {"canary": 0}, "live": {"canary": 0}},
            "commands": [{"name": "abort", "value": "@hash:new#1 errors rose", "revision": "new", "time": "2026-01-02T03:19:00Z",
                "fieldManager": "tidegate-cli", "outcome": "Accepted", "message": "traffic goes back to stable: errors rose"}]}),
        &json!({}),
    )
}
