//! What an Application may read and write: the rule of its namespace, and its AppProject.
//!
//! Applications in Tidegate's own namespace may write where their AppProject allows; all others only into their own
//! namespace. The account that applies limits it further: this is the fence that a cluster owner sees in one place.

use super::spec::Spec;
use crate::api::GroupKind;
use crate::core::object::ObjectRef;
use crate::core::refusal::Refusal;
use crate::core::row::AppProjectRow;

/// The fence of one Application.
#[derive(Debug, Clone, Copy)]
pub struct Fence<'a> {
    pub project: Option<&'a AppProjectRow>,
    /// The namespace of the Application.
    pub own: &'a str,
    /// The namespace that Tidegate itself runs in.
    pub control: &'a str,
}

impl Fence<'_> {
    /// What of the spec itself is not allowed.
    pub fn refusals(&self, spec: &Spec) -> Vec<Refusal> {
        let mut refused = Vec::new();
        let mut refuse = |field: &str, value: &str, problem: &str, remedy: String| {
            refused.push(Refusal::new(field, &value, problem, remedy));
        };
        if self.own != self.control && spec.namespace != self.own {
            refuse(
                "spec.destination.namespace",
                &spec.namespace,
                "is not the Application's own namespace",
                format!("use {}, or move the Application to {}", self.own, self.control),
            );
        }
        let Some(project) = self.project else {
            if spec.project != "default" {
                refuse(
                    "spec.project",
                    &spec.project,
                    "does not exist",
                    format!("create the AppProject in namespace {}, or use default", self.control),
                );
            }
            return refused;
        };
        let limits = &project.spec;
        for (given, field) in [
            (!limits.roles.is_empty(), "roles"),
            (!limits.sync_windows.is_empty(), "syncWindows"),
            (limits.orphaned_resources.is_some(), "orphanedResources"),
            (limits.permit_only_project_scoped_clusters.is_some(), "permitOnlyProjectScopedClusters"),
            (!limits.destination_service_accounts.is_empty(), "destinationServiceAccounts"),
            (limits.source_integrity.is_some(), "sourceIntegrity"),
            (limits.signature_keys.is_some(), "signatureKeys"),
        ] {
            if given {
                let problem = format!("has spec.{field}, which is not supported yet");
                refuse(
                    "spec.project",
                    &spec.project,
                    &problem,
                    format!("remove {field} from AppProject {}", spec.project),
                );
            }
        }
        if self.own != self.control && !allowed(limits.source_namespaces.iter().map(String::as_str), self.own) {
            refuse(
                "spec.project",
                &spec.project,
                "does not take Applications of this namespace",
                format!("add {} to spec.sourceNamespaces of AppProject {}", self.own, spec.project),
            );
        }
        if !allowed(limits.source_repos.iter().map(String::as_str), &spec.source.url) {
            refuse(
                "spec.source.repoURL",
                &spec.source.url,
                "is not a repository of its project",
                format!("add it to spec.sourceRepos of AppProject {}", spec.project),
            );
        }
        if !self.permits_namespace(&spec.namespace) {
            refuse(
                "spec.destination.namespace",
                &spec.namespace,
                "is not a destination of its project",
                format!("add it to spec.destinations of AppProject {}", spec.project),
            );
        }
        refused
    }

    /// Why this object may not be applied, if so.
    pub fn refuses(&self, target: &ObjectRef, destination: &str) -> Option<String> {
        let (group, kind) = (target.resource.group.as_ref(), target.resource.kind.as_ref());
        if target.resource.namespaced {
            if target.namespace != destination
                && (self.own != self.control || !self.permits_namespace(&target.namespace))
            {
                return Some(format!("namespace {} is not the destination ({destination})", target.namespace));
            }
            let limits = &self.project?.spec;
            let listed = limits.namespace_resource_whitelist.is_empty()
                || limits.namespace_resource_whitelist.iter().any(|k| is(k, group, kind, &target.name));
            let denied = limits.namespace_resource_blacklist.iter().any(|k| is(k, group, kind, &target.name));
            return (denied || !listed).then(|| format!("its project does not allow kind {kind}"));
        }
        let limits = &self.project?.spec;
        let listed = limits.cluster_resource_whitelist.iter().any(|k| is(k, group, kind, &target.name));
        let denied = limits.cluster_resource_blacklist.iter().any(|k| is(k, group, kind, &target.name));
        (denied || !listed).then(|| {
            format!("its project does not allow kind {kind}, which has no namespace; see spec.clusterResourceWhitelist")
        })
    }

    fn permits_namespace(&self, namespace: &str) -> bool {
        let Some(project) = self.project else { return true };
        let own_cluster = |d: &&crate::api::ProjectDestination| {
            let server = d.server.as_deref().unwrap_or("*").trim_start_matches('!');
            let name = d.name.as_deref().unwrap_or("in-cluster");
            glob(server, "https://kubernetes.default.svc") && glob(name, "in-cluster")
        };
        let namespaces = project.spec.destinations.iter().filter(own_cluster);
        allowed(namespaces.map(|d| d.namespace.as_deref().unwrap_or_default()), namespace)
    }
}

fn is(rule: &GroupKind, group: &str, kind: &str, name: &str) -> bool {
    glob(&rule.group, group) && glob(&rule.kind, kind) && rule.name.as_deref().is_none_or(|n| glob(n, name))
}

/// Whether a list of globs lets `text` through. An entry with `!` denies, and denying wins.
fn allowed<'a>(rules: impl Iterator<Item = &'a str>, text: &str) -> bool {
    let mut yes = false;
    for rule in rules {
        match rule.strip_prefix('!') {
            Some(denied) if glob(denied, text) => return false,
            Some(_) => {}
            None => yes |= glob(rule, text),
        }
    }
    yes
}

/// `*` is any text, `?` one character.
fn glob(pattern: &str, text: &str) -> bool {
    // Backtracks to the last star only: linear in practice, and never exponential.
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::ResourceType;
    use crate::core::row::Row;
    use serde_json::{Value, json};

    fn project(spec: Value) -> AppProjectRow {
        AppProjectRow::read(
            &json!({"metadata": {"name": "shop", "namespace": "tidegate", "uid": "p", "resourceVersion": "1"},
            "spec": spec}),
        )
        .expect("a project")
    }

    #[test]
    fn denying_wins_over_allowing() {
        assert!(allowed(["*"].into_iter(), "https://x/y"));
        assert!(!allowed(["*", "!https://x/*"].into_iter(), "https://x/y"));
        assert!(!allowed([].into_iter(), "https://x/y"));
    }

    #[test]
    fn kinds_without_namespace_are_denied_unless_the_project_lists_them() {
        let limits = project(json!({"clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}]}));
        let fence = Fence { project: Some(&limits), own: "tidegate", control: "tidegate" };
        let of = |kind: &'static str| {
            ObjectRef::new(ResourceType { kind: kind.into(), namespaced: false, ..ResourceType::SERVICE }, "", "x")
        };
        assert_eq!(fence.refuses(&of("Namespace"), "shop"), None);
        assert!(fence.refuses(&of("ClusterRole"), "shop").is_some());
    }

    #[test]
    fn outside_of_the_control_namespace_only_the_own_namespace_is_written() {
        let fence = Fence { project: None, own: "team", control: "tidegate" };
        let elsewhere = ObjectRef::new(ResourceType::SERVICE, "other", "web");
        assert!(fence.refuses(&elsewhere, "team").is_some());
        assert_eq!(fence.refuses(&ObjectRef::new(ResourceType::SERVICE, "team", "web"), "team"), None);
    }
}
