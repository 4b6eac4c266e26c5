//! Whether the revision broke something. Only what it caused itself counts: not a missing right, not an outage, not a node.

use crate::core::application::assess::{Assessed, Fit};
use crate::core::application::health::{Fault, HealthStatus};
use crate::core::application::observed::Observed;
use crate::core::application::wanted::{Trouble, TroubleClass};
use crate::core::question::{Ask, PodEvidence, Question, Told};
use jiff::Timestamp;

/// What the revision did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `Manifest` or `Workload`.
    pub class: &'static str,
    /// One line: object and what is wrong with it.
    pub reason: String,
}

/// A tree that cannot be applied is a failure of its files only when every problem is one of its files.
pub fn of_manifests(troubles: &[Trouble]) -> Option<Failure> {
    let first = troubles.first()?;
    if troubles.iter().any(|t| t.class != TroubleClass::Manifest) {
        return None;
    }
    let object = first.error.object.as_deref().or(first.error.file.as_deref()).unwrap_or("a manifest");
    let field = first.error.field.as_deref().map(|f| format!(" {f}")).unwrap_or_default();
    Some(Failure { class: "Manifest", reason: format!("{object}{field}: {}", first.error.message) })
}

/// What of the applied objects is broken by the revision. `started` is when it was first applied, `late` when a failure no
/// longer counts as its doing unless a Rollout itself says so.
pub fn of_workloads(
    observed: &Observed,
    all: &[Assessed<'_>],
    started: Timestamp,
    late: bool,
    ask: &mut Vec<Question>,
) -> Option<Failure> {
    let mut found = None;
    for one in all.iter().filter(|a| a.fit == Fit::InSync) {
        let Some(live) = one.live.filter(|l| l.health.status == HealthStatus::Degraded) else { continue };
        let is_rollout = live.target.resource.kind == "Rollout";
        let reason = match live.health.fault {
            Fault::Revision if is_rollout || !late => live.health.message.clone(),
            Fault::AskPods if !late && !live.pods.is_empty() => {
                let id = format!("pods/{}", live.target);
                let told = observed.told(&id);
                let labels = live.pods.clone();
                ask.push(Question { id, ask: Ask::Pods { namespace: live.target.namespace.clone(), labels } });
                let Some(Told::Pods(pods)) = told else { continue };
                let fresh = pods.iter().filter(|p| p.created.is_some_and(|c| c >= started));
                match fresh.filter(|p| !p.ready).find(|p| caused_by_revision(p)) {
                    Some(pod) => format!("{}: {}: {}", live.health.message, pod.name, said(pod)),
                    None => continue,
                }
            }
            _ => continue,
        };
        found.get_or_insert(Failure { class: "Workload", reason: format!("{}: {reason}", live.target) });
    }
    found
}

fn said(pod: &PodEvidence) -> String {
    if pod.message.is_empty() { pod.reason.clone() } else { format!("{} ({})", pod.reason, pod.message) }
}

/// Exit, probe, memory, image or configuration: the template's doing. Anything else, and anything unknown, is not.
fn caused_by_revision(pod: &PodEvidence) -> bool {
    match pod.reason.as_str() {
        "CrashLoopBackOff"
        | "OOMKilled"
        | "Error"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "CreateContainerConfigError"
        | "RunContainerError"
        | "StartError"
        | "ContainerCannotRun"
        | "Unhealthy"
        | "NotReady"
        | "ContainersNotReady" => true,
        // The registry answered that there is no such image; a registry that does not answer is another matter.
        "ErrImagePull" | "ImagePullBackOff" => {
            let message = pod.message.to_ascii_lowercase();
            ["not found", "manifest unknown", "not exist", "name unknown"].iter().any(|text| message.contains(text))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(reason: &str, message: &str) -> PodEvidence {
        PodEvidence { name: "p".into(), reason: reason.into(), message: message.into(), ..PodEvidence::default() }
    }

    #[test]
    fn an_image_that_is_not_there_is_the_revisions_fault_and_a_silent_registry_is_not() {
        assert!(caused_by_revision(&pod("ImagePullBackOff", "rpc error: code = NotFound desc = x: not found")));
        assert!(!caused_by_revision(&pod("ImagePullBackOff", "dial tcp 10.0.0.1:5000: connection refused")));
        assert!(!caused_by_revision(&pod("Unschedulable", "0/1 nodes are available")));
        assert!(caused_by_revision(&pod("CrashLoopBackOff", "")));
    }

    #[test]
    fn one_problem_of_the_surroundings_takes_the_blame_from_the_files() {
        let manifest = Trouble::manifest("a.yaml", "Service shop/web", "spec.x", "unknown field");
        let rights = Trouble::surroundings("b.yaml", "Role shop/r", "", "forbidden");
        assert!(of_manifests(std::slice::from_ref(&manifest)).is_some());
        assert_eq!(of_manifests(&[manifest, rights]), None);
        assert_eq!(of_manifests(&[]), None);
    }
}
