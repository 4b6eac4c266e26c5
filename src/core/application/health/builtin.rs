//! The kinds that every cluster has.

use super::kstatus::said;
use super::{Fault, Health, HealthStatus, condition, count, observed};
use serde_json::Value;

pub(super) fn deployment(object: &Value) -> Health {
    let (spec, status) = (&object["spec"], &object["status"]);
    if spec["paused"].as_bool() == Some(true) {
        return Health::new(HealthStatus::Suspended, "paused");
    }
    if observed(object) != Some(true) {
        return Health::progressing("its newest generation was not observed yet");
    }
    if let Some(("False", "ProgressDeadlineExceeded", message)) = condition(object, "Progressing") {
        return Health::degraded(message, Fault::AskPods);
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let updated = count(&status["updatedReplicas"]);
    let available = count(&status["availableReplicas"]);
    let total = count(&status["replicas"]);
    if updated < wanted {
        Health::progressing(format!("{updated} of {wanted} pods are new"))
    } else if total > updated {
        Health::progressing(format!("{} old pods are left", total - updated))
    } else if available < updated {
        Health::progressing(format!("{available} of {updated} new pods are available"))
    } else {
        Health::healthy()
    }
}

pub(super) fn stateful_set(object: &Value) -> Health {
    let (spec, status) = (&object["spec"], &object["status"]);
    if observed(object) != Some(true) {
        return Health::progressing("its newest generation was not observed yet");
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let ready = count(&status["readyReplicas"]);
    if ready < wanted {
        return Health::progressing(format!("{ready} of {wanted} pods are ready"));
    }
    if spec["updateStrategy"]["type"] == "OnDelete" {
        return Health::healthy();
    }
    let partition = count(&spec["updateStrategy"]["rollingUpdate"]["partition"]);
    let updated = count(&status["updatedReplicas"]);
    if partition > 0 {
        let target = wanted - partition;
        return if updated < target {
            Health::progressing(format!("{updated} of {target} pods above the partition are new"))
        } else {
            Health::healthy()
        };
    }
    if status["updateRevision"] == status["currentRevision"] {
        Health::healthy()
    } else {
        Health::progressing(format!("{updated} of {wanted} pods are new"))
    }
}

pub(super) fn daemon_set(object: &Value) -> Health {
    let status = &object["status"];
    if observed(object) != Some(true) {
        return Health::progressing("its newest generation was not observed yet");
    }
    if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return Health::healthy();
    }
    let wanted = count(&status["desiredNumberScheduled"]);
    let (updated, available) = (count(&status["updatedNumberScheduled"]), count(&status["numberAvailable"]));
    if updated < wanted {
        Health::progressing(format!("{updated} of {wanted} pods are new"))
    } else if available < wanted {
        Health::progressing(format!("{available} of {wanted} pods are available"))
    } else {
        Health::healthy()
    }
}

pub(super) fn replica_set(object: &Value) -> Health {
    if observed(object) != Some(true) {
        return Health::progressing("its newest generation was not observed yet");
    }
    if let Some(("True", reason, message)) = condition(object, "ReplicaFailure") {
        return Health::degraded(said(reason, message), Fault::None);
    }
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let available = count(&object["status"]["availableReplicas"]);
    if available < wanted {
        Health::progressing(format!("{available} of {wanted} pods are available"))
    } else {
        Health::healthy()
    }
}

pub(super) fn job(object: &Value) -> Health {
    if let Some(("True", reason, message)) = condition(object, "Failed") {
        return Health::degraded(said(reason, message), Fault::Revision);
    }
    if let Some(("True", ..)) = condition(object, "Complete") {
        return Health::healthy();
    }
    if let Some(("True", ..)) = condition(object, "Suspended") {
        return Health::new(HealthStatus::Suspended, "suspended");
    }
    Health::progressing("running")
}

pub(super) fn pod(object: &Value) -> Health {
    let status = &object["status"];
    let restarts = object["spec"]["restartPolicy"].as_str().unwrap_or("Always");
    let containers = status["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    if restarts == "Always" {
        for waiting in containers.iter().map(|c| &c["state"]["waiting"]) {
            let reason = waiting["reason"].as_str().unwrap_or_default();
            if reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff") {
                let message = waiting["message"].as_str().unwrap_or_default();
                return Health::degraded(said(reason, message), Fault::Revision);
            }
        }
    }
    let ready = condition(object, "Ready").is_some_and(|c| c.0 == "True");
    match status["phase"].as_str().unwrap_or_default() {
        "Succeeded" => Health::healthy(),
        "Failed" => Health::degraded(
            said(status["reason"].as_str().unwrap_or("failed"), status["message"].as_str().unwrap_or_default()),
            Fault::None,
        ),
        "Running" if restarts == "Always" && ready => Health::healthy(),
        "Running" if restarts != "Always" => Health::progressing("running"),
        _ => Health::progressing("not ready"),
    }
}

pub(super) fn volume_claim(object: &Value) -> Health {
    match object["status"]["phase"].as_str().unwrap_or_default() {
        "Bound" => Health::healthy(),
        "Lost" => Health::degraded("its volume is lost", Fault::None),
        // Under WaitForFirstConsumer it stays pending until a pod uses it; whoever uses it says that he waits.
        _ => Health::new(HealthStatus::Healthy, "not bound yet"),
    }
}

pub(super) fn service(object: &Value) -> Health {
    let addresses = object["status"]["loadBalancer"]["ingress"].as_array().map_or(0, Vec::len);
    if object["spec"]["type"] == "LoadBalancer" && addresses == 0 {
        Health::progressing("it has no load balancer address yet")
    } else {
        Health::healthy()
    }
}

pub(super) fn autoscaler(object: &Value) -> Health {
    for kind in ["AbleToScale", "ScalingActive"] {
        if let Some(("False", reason, message)) = condition(object, kind)
            && (reason.starts_with("Failed") || reason.starts_with("Invalid"))
        {
            return Health::degraded(said(reason, message), Fault::None);
        }
    }
    let able = ["AbleToScale", "ScalingLimited"].iter().any(|k| condition(object, k).is_some_and(|c| c.0 == "True"));
    if able { Health::healthy() } else { Health::progressing("it has not scaled yet") }
}

pub(super) fn api_service(object: &Value) -> Health {
    match condition(object, "Available") {
        Some(("True", ..)) => Health::healthy(),
        Some((_, reason, message)) => Health::progressing(said(reason, message)),
        None => Health::progressing("not available yet"),
    }
}

pub(super) fn definition(object: &Value) -> Health {
    if let Some(("False", reason, message)) = condition(object, "NamesAccepted") {
        return Health::degraded(said(reason, message), Fault::Revision);
    }
    if let Some(("True", reason, message)) = condition(object, "NonStructuralSchema") {
        return Health::degraded(said(reason, message), Fault::Revision);
    }
    match condition(object, "Established") {
        Some(("True", ..)) => Health::healthy(),
        _ => Health::progressing("not established yet"),
    }
}
