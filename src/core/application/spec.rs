//! What an Application's spec means. Parsed once per decision, and wrong in all its places at once.

mod rescue;

pub use rescue::{Mode, RescueSpec, Writer};

use crate::api::ApplicationSpec;
use crate::core::plan::{Actor, Propagation};
use crate::core::refusal::Refusal;
use std::collections::BTreeMap;

/// The account that applies when none is named. Made by whoever owns the destination: its rights are the tenant's.
pub const DEFAULT_ACCOUNT: &str = "tidegate-applier";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub project: String,
    pub source: SourceSpec,
    /// The namespace of the destination.
    pub namespace: String,
    /// `None`: applied only when asked.
    pub automated: Option<AutomatedSpec>,
    /// The namespace is made when it is missing, with these labels and annotations.
    pub create_namespace: Option<NamespaceMetadata>,
    pub propagation: Propagation,
    /// Entries of the history that are kept: 1 to 50.
    pub history_limit: usize,
    pub actor: Actor,
    pub rescue: RescueSpec,
    pub suspend: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    pub url: String,
    /// Without slashes at its ends; empty for the root.
    pub path: String,
    pub revision: String,
    pub secret: Option<(String, String)>,
    pub recurse: bool,
    pub include: String,
    pub exclude: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AutomatedSpec {
    pub prune: bool,
    pub self_heal: bool,
    pub allow_empty: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceMetadata {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// Collects refusals, so that a person sees all of them at once.
struct Reader {
    refusals: Vec<Refusal>,
}

impl Reader {
    fn refuse(&mut self, field: &str, value: &str, problem: &str, remedy: &str) {
        self.refusals.push(Refusal::new(field, &value, problem, remedy));
    }

    fn unsupported(&mut self, present: bool, field: &str, remedy: &str) {
        if present {
            self.refuse(field, "", "is not supported", remedy);
        }
    }
}

impl Spec {
    /// Reads the spec of an Application that lies in `namespace`.
    ///
    /// # Errors
    /// All that is not accepted, never only the first.
    pub fn parse(spec: &ApplicationSpec, namespace: &str, finalizers: &[String]) -> Result<Self, Vec<Refusal>> {
        let mut read = Reader { refusals: Vec::new() };
        for finalizer in finalizers.iter().filter(|f| f.starts_with("resources-finalizer.argocd.argoproj.io")) {
            read.refuse(
                "metadata.finalizers",
                finalizer,
                "is not served here and would block deletion for ever",
                "remove it; objects stay when their Application is deleted",
            );
        }
        read.unsupported(spec.sources.is_some(), "spec.sources", "use one spec.source");
        read.unsupported(spec.source_hydrator.is_some(), "spec.sourceHydrator", "render in CI and follow that branch");
        read.unsupported(
            !spec.ignore_differences.is_empty(),
            "spec.ignoreDifferences",
            "leave the field out of the manifest: server-side apply does not touch what git does not name",
        );
        let source = read.source(spec, namespace);
        let destination = read.destination(spec, namespace);
        let (automated, create_namespace, propagation) = read.policy(spec);
        let history_limit = match spec.revision_history_limit {
            None => 10,
            Some(n) => usize::try_from(n).ok().filter(|n| (1..=50).contains(n)).unwrap_or_else(|| {
                read.refuse("spec.revisionHistoryLimit", &n.to_string(), "is out of range", "use 1 to 50");
                10
            }),
        };
        let account = spec.service_account_name.clone().unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned());
        if !is_name(&account) {
            read.refuse("spec.serviceAccountName", &account, "is no name of an account", "use the name alone");
        }
        let rescue = read.rescue(spec);
        if !read.refusals.is_empty() {
            return Err(read.refusals);
        }
        Ok(Self {
            project: spec.project.clone().filter(|p| !p.is_empty()).unwrap_or_else(|| "default".to_owned()),
            source,
            actor: Actor::ServiceAccount { namespace: destination.clone(), name: account },
            namespace: destination,
            automated,
            create_namespace,
            propagation,
            history_limit,
            rescue,
            suspend: spec.suspend.unwrap_or_default(),
        })
    }
}

impl Reader {
    fn source(&mut self, spec: &ApplicationSpec, namespace: &str) -> SourceSpec {
        let source = spec.source.clone().unwrap_or_default();
        for (present, field, remedy) in [
            (source.helm.is_some(), "spec.source.helm", "render the chart in CI and follow the result"),
            (source.kustomize.is_some(), "spec.source.kustomize", "render the overlay in CI and follow the result"),
            (source.plugin.is_some(), "spec.source.plugin", "render in CI and follow the result"),
            (source.chart.is_some(), "spec.source.chart", "follow a directory of manifests in git"),
            (source.reference.is_some(), "spec.source.ref", "it has a meaning only with several sources; remove it"),
            (source.name.is_some(), "spec.source.name", "it has a meaning only with several sources; remove it"),
        ] {
            self.unsupported(present, field, remedy);
        }
        let url = source.repo_url.unwrap_or_default();
        match url::Url::parse(&url) {
            Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
                self.refuse(
                    "spec.source.repoURL",
                    &url,
                    "has a scheme that is not supported",
                    "use https:// or http://",
                );
            }
            Ok(parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
                // The value is not shown: it holds a credential.
                self.refuse(
                    "spec.source.repoURL",
                    "",
                    "holds a credential",
                    "put it into a Secret and name it in spec.source.secretRef",
                );
            }
            Ok(_) => {}
            Err(error) => self.refuse(
                "spec.source.repoURL",
                &url,
                &format!("is no URL ({error})"),
                "use the https:// or http:// address of the repository",
            ),
        }
        let path = source.path.unwrap_or_default();
        if path.starts_with('/') || path.contains('\0') || path.split('/').any(|part| part == "..") {
            self.refuse("spec.source.path", &path, "leaves the repository", "use a directory relative to its root");
        }
        let path = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/");
        let directory = source.directory.unwrap_or_default();
        self.unsupported(
            directory.jsonnet.is_some(),
            "spec.source.directory.jsonnet",
            "render in CI and follow the result",
        );
        SourceSpec {
            url,
            path,
            revision: source.target_revision.filter(|r| !r.is_empty()).unwrap_or_else(|| "HEAD".to_owned()),
            secret: source.secret_ref.map(|secret| (namespace.to_owned(), secret.name)),
            recurse: directory.recurse.unwrap_or_default(),
            include: directory.include.unwrap_or_default(),
            exclude: directory.exclude.unwrap_or_default(),
        }
    }

    fn destination(&mut self, spec: &ApplicationSpec, own: &str) -> String {
        let destination = spec.destination.clone().unwrap_or_default();
        let server = destination.server.unwrap_or_default();
        let name = destination.name.unwrap_or_default();
        if !server.is_empty() && !name.is_empty() {
            self.refuse("spec.destination", &name, "names the cluster twice", "keep one of server and name");
        }
        if !matches!(server.trim_end_matches('/'), "" | "https://kubernetes.default.svc") {
            self.refuse(
                "spec.destination.server",
                &server,
                "is another cluster, which is not supported yet",
                "use https://kubernetes.default.svc",
            );
        }
        if !matches!(name.as_str(), "" | "in-cluster") {
            self.refuse(
                "spec.destination.name",
                &name,
                "is another cluster, which is not supported yet",
                "use in-cluster",
            );
        }
        let namespace = destination.namespace.filter(|n| !n.is_empty()).unwrap_or_else(|| own.to_owned());
        if !is_name(&namespace) || namespace.contains('.') {
            self.refuse("spec.destination.namespace", &namespace, "is no name of a namespace", "use its plain name");
        }
        namespace
    }

    fn policy(&mut self, spec: &ApplicationSpec) -> (Option<AutomatedSpec>, Option<NamespaceMetadata>, Propagation) {
        let policy = spec.sync_policy.clone().unwrap_or_default();
        let automated = policy.automated.filter(|a| a.enabled != Some(false)).map(|a| AutomatedSpec {
            prune: a.prune.unwrap_or_default(),
            self_heal: a.self_heal.unwrap_or_default(),
            allow_empty: a.allow_empty.unwrap_or_default(),
        });
        self.unsupported(
            policy.retry.is_some_and(|r| r.limit.is_some_and(|n| n >= 0) || r.backoff.is_some()),
            "spec.syncPolicy.retry",
            "remove limit and backoff: what fails for a passing reason is tried again without end, and a newer commit always wins",
        );
        let mut create = None;
        let mut propagation = Propagation::Foreground;
        for (i, option) in policy.sync_options.iter().enumerate() {
            match option.as_str() {
                "CreateNamespace=true" => create = Some(NamespaceMetadata::default()),
                "PrunePropagationPolicy=foreground" => propagation = Propagation::Foreground,
                "PrunePropagationPolicy=background" => propagation = Propagation::Background,
                "PrunePropagationPolicy=orphan" => propagation = Propagation::Orphan,
                // What these ask for is always so here.
                "ServerSideApply=true"
                | "ApplyOutOfSyncOnly=true"
                | "PruneLast=true"
                | "Validate=true"
                | "FailOnSharedResource=true"
                | "SkipDryRunOnMissingResource=true"
                | "CreateNamespace=false"
                | "Replace=false"
                | "Force=false"
                | "RespectIgnoreDifferences=false" => {}
                other => self.refuse(
                    &format!("spec.syncPolicy.syncOptions[{i}]"),
                    other,
                    "is not supported",
                    "remove it; CreateNamespace and PrunePropagationPolicy are",
                ),
            }
        }
        if let Some(metadata) = policy.managed_namespace_metadata {
            match create.as_mut() {
                Some(made) => *made = NamespaceMetadata { labels: metadata.labels, annotations: metadata.annotations },
                None => self.refuse(
                    "spec.syncPolicy.managedNamespaceMetadata",
                    "",
                    "has no effect here",
                    "add CreateNamespace=true to spec.syncPolicy.syncOptions, or remove it",
                ),
            }
        }
        (automated, create, propagation)
    }
}

/// A DNS-1123 subdomain.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|part| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(spec: Value) -> Result<Spec, Vec<String>> {
        let spec: ApplicationSpec = serde_json::from_value(spec).expect("the wire is lenient");
        Spec::parse(&spec, "apps", &[]).map_err(|all| all.into_iter().map(|r| r.field).collect())
    }

    #[test]
    fn the_seed_sample_is_accepted() {
        let spec = parse(json!({"project": "default",
            "source": {"repoURL": "https://github.com/shclub/edu5.git", "path": ".", "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["CreateNamespace=true"]}}))
        .expect("accepted");
        assert_eq!((spec.source.path.as_str(), spec.namespace.as_str()), ("", "shop"));
        assert_eq!(spec.automated, Some(AutomatedSpec { prune: true, self_heal: true, allow_empty: false }));
        assert_eq!(spec.actor, Actor::ServiceAccount { namespace: "shop".into(), name: "tidegate-applier".into() });
        assert_eq!(spec.rescue.mode, Mode::Off);
    }

    #[test]
    fn all_refusals_come_together_and_by_name() {
        let refused = parse(json!({"sources": [],
            "source": {"repoURL": "ssh://git@x/y", "path": "../x", "helm": {}, "directory": {"jsonnet": {}}},
            "destination": {"server": "https://other", "name": "in-cluster"},
            "ignoreDifferences": [{"kind": "Deployment"}],
            "syncPolicy": {"retry": {"limit": 3}, "syncOptions": ["Replace=true"]},
            "rescue": {"mode": "Maybe", "strategy": "revertRange", "pullRequest": {}}}));
        let fields = refused.expect_err("refused");
        for field in [
            "spec.sources",
            "spec.source.helm",
            "spec.source.repoURL",
            "spec.source.path",
            "spec.source.directory.jsonnet",
            "spec.destination",
            "spec.destination.server",
            "spec.ignoreDifferences",
            "spec.syncPolicy.retry",
            "spec.syncPolicy.syncOptions[0]",
            "spec.rescue.mode",
            "spec.rescue.strategy",
            "spec.rescue.pullRequest",
        ] {
            assert!(fields.iter().any(|f| f == field), "{field} is missing in {fields:?}");
        }
    }

    #[test]
    fn a_credential_in_the_url_is_refused_without_being_shown() {
        let spec: ApplicationSpec =
            serde_json::from_value(json!({"source": {"repoURL": "https://u:hunter2@x/y.git"}})).expect("lenient");
        let refused = Spec::parse(&spec, "apps", &[]).expect_err("refused");
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }

    #[test]
    fn push_without_its_own_credential_is_hold() {
        let base = json!({"source": {"repoURL": "https://x/y"}, "rescue": {"mode": "Push", "soak": 5}});
        let spec = parse(base).expect("accepted");
        assert!(matches!(spec.rescue.mode, Mode::Hold { missing_credential: true }), "{:?}", spec.rescue.mode);
        assert_eq!(spec.rescue.soak.to_string(), "5s");
    }
}
