//! How healthy an object is, judged by kind from the object alone.
//!
//! The rules are those of Argo CD for the built-in kinds, with its known traps put right: an Ingress needs no address
//! (Traefik and others may never publish one), StatefulSets and `DaemonSets` do not wait for ever on a crashing pod only
//! because they have no deadline of their own. Every other kind is read as kstatus reads it: `observedGeneration` and the
//! conditions Ready, Reconciling, Stalled; a kind that has none of them is healthy by being there.

mod builtin;
mod kstatus;
mod rollout;

use serde_json::Value;

/// In the order of how bad it is: the health of a whole is that of its worst part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HealthStatus {
    Healthy,
    Suspended,
    Progressing,
    Missing,
    Degraded,
    Unknown,
}

impl HealthStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }
}

/// Health with the reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    /// Empty when there is nothing to say.
    pub message: String,
    /// Of a `Degraded` object: whose fault it is, as far as the object itself tells.
    pub fault: Fault,
}

/// Whose fault it is that an object is degraded. Only what the revision caused may be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Not degraded, or caused by a person, the cluster, the network; or not known.
    None,
    /// The object cannot tell; its pods can.
    AskPods,
    /// The revision: failed analysis, invalid spec, pods that fail by their own doing.
    Revision,
}

impl Health {
    pub fn healthy() -> Self {
        Self { status: HealthStatus::Healthy, message: String::new(), fault: Fault::None }
    }

    pub fn new(status: HealthStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), fault: Fault::None }
    }

    fn progressing(message: impl Into<String>) -> Self {
        Self::new(HealthStatus::Progressing, message)
    }

    fn degraded(message: impl Into<String>, fault: Fault) -> Self {
        Self { status: HealthStatus::Degraded, message: message.into(), fault }
    }
}

/// Judges an object as the API server sent it.
pub fn judge(object: &Value) -> Health {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return Health::progressing("pending deletion");
    }
    let group = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("apps", "Deployment") => builtin::deployment(object),
        ("apps", "StatefulSet") => builtin::stateful_set(object),
        ("apps", "DaemonSet") => builtin::daemon_set(object),
        ("apps", "ReplicaSet") => builtin::replica_set(object),
        ("batch", "Job") => builtin::job(object),
        ("batch", "CronJob") | ("networking.k8s.io", "Ingress") => Health::healthy(),
        ("", "Pod") => builtin::pod(object),
        ("", "PersistentVolumeClaim") => builtin::volume_claim(object),
        ("", "Service") => builtin::service(object),
        ("autoscaling", "HorizontalPodAutoscaler") => builtin::autoscaler(object),
        ("apiregistration.k8s.io", "APIService") => builtin::api_service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => builtin::definition(object),
        ("tidegate.dev" | "argoproj.io", "Rollout") => rollout::judge(object),
        _ => kstatus::judge(object),
    }
}

/// The health of a whole: its worst part, named.
pub fn worst<'a>(parts: impl IntoIterator<Item = (String, &'a Health)>) -> Health {
    let mut whole = Health::healthy();
    for (name, part) in parts {
        if part.status > whole.status {
            let message = if part.message.is_empty() { name } else { format!("{name}: {}", part.message) };
            whole = Health { status: part.status, message, fault: part.fault };
        }
    }
    whole
}

/// The condition of a type, as (status, reason, message).
fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let all = object["status"]["conditions"].as_array()?;
    let found = all.iter().find(|c| c["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    Some((text("status"), text("reason"), text("message")))
}

/// Whether the controller of the object has seen its present spec. Upstream Rollouts carry the number as a string.
fn observed(object: &Value) -> Option<bool> {
    let seen = &object["status"]["observedGeneration"];
    let seen = seen.as_i64().or_else(|| seen.as_str().and_then(|s| s.parse().ok()))?;
    Some(seen >= object["metadata"]["generation"].as_i64().unwrap_or_default())
}

fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::HealthStatus::{Degraded, Healthy, Progressing, Suspended};
    use super::*;
    use serde_json::json;

    fn status_of(object: &Value) -> HealthStatus {
        judge(object).status
    }

    #[test]
    fn a_deployment_is_healthy_only_when_its_present_generation_is_out() {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 2},
            "spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}});
        assert_eq!(status_of(&object), Healthy);
        object["status"]["observedGeneration"] = json!(1);
        assert_eq!(status_of(&object), Progressing);
        object["status"]["observedGeneration"] = json!(2);
        object["status"]["replicas"] = json!(3);
        assert_eq!(status_of(&object), Progressing, "an old replica is left");
    }

    #[test]
    fn a_deployment_past_its_deadline_is_degraded_and_its_pods_must_tell_whose_fault_it_is() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 1},
            "status": {"observedGeneration": 1, "conditions": [
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}]}});
        assert_eq!(judge(&object), Health::degraded("has timed out", Fault::AskPods));
    }

    #[test]
    fn an_ingress_without_an_address_is_healthy() {
        assert_eq!(
            status_of(
                &json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "status": {"loadBalancer": {}}})
            ),
            Healthy
        );
    }

    #[test]
    fn a_rollout_counts_by_phase_once_its_generation_was_seen() {
        let rollout = |phase: &str, seen: i64| {
            json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"generation": 3}, "status": {"phase": phase, "observedGeneration": seen}})
        };
        assert_eq!(status_of(&rollout("Healthy", 3)), Healthy);
        assert_eq!(status_of(&rollout("Healthy", 2)), Progressing);
        assert_eq!(status_of(&rollout("Paused", 3)), Suspended);
        assert_eq!(status_of(&rollout("Degraded", 3)), Degraded);
    }

    #[test]
    fn unknown_kinds_are_read_by_their_conditions_and_healthy_without_any() {
        let thing = |conditions: Value| {
            json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"generation": 1},
            "status": {"conditions": conditions}})
        };
        assert_eq!(status_of(&thing(json!([]))), Healthy);
        assert_eq!(status_of(&thing(json!([{"type": "Ready", "status": "False"}]))), Progressing);
        assert_eq!(
            status_of(&thing(json!([{"type": "Stalled", "status": "True"}, {"type": "Ready", "status": "False"}]))),
            Degraded
        );
    }

    #[test]
    fn the_whole_is_its_worst_part_and_names_it() {
        let (good, bad) = (Health::healthy(), Health::degraded("crashes", Fault::Revision));
        let whole = worst([("Service web".to_owned(), &good), ("Deployment web".to_owned(), &bad)]);
        assert_eq!((whole.status, whole.message.as_str()), (Degraded, "Deployment web: crashes"));
    }
}
