//! Application: one directory of one repository, kept applied.

use super::schema;
use super::{ApplicationStatus, IntOrText, Rescue};
use kube::CustomResource;
use serde_json::Value;
use std::collections::BTreeMap;

wire! {
    /// Which directory is applied where, and how.
    #[derive(CustomResource)]
    #[kube(
        group = "tidegate.dev",
        version = "v1alpha1",
        kind = "Application",
        plural = "applications",
        shortname = "app",
        category = "tidegate",
        namespaced,
        status = "ApplicationStatus",
        derive = "Default",
        derive = "PartialEq",
        doc = "One directory of one repository, kept applied in one namespace.",
        printcolumn(name = "Sync", type_ = "string", json_path = ".status.sync.status", description = "Synced, OutOfSync or Unknown"),
        printcolumn(name = "Health", type_ = "string", json_path = ".status.health.status", description = "Worst health of its objects"),
        printcolumn(name = "Rescue", type_ = "string", json_path = ".status.rescue.phase", description = "How far a bad revision is taken back"),
        printcolumn(name = "Revision", type_ = "string", json_path = ".status.applied.revision", priority = 1, description = "Commit that is applied"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1, description = "What stands in the way"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct ApplicationSpec {
        /// Its AppProject; `default` when not given.
        pub project: Option<String>,
        /// What is applied.
        pub source: Option<Source>,
        /// Several sources. Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub sources: Option<Value>,
        /// Writes rendered manifests to a branch. Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub source_hydrator: Option<Value>,
        /// Where it is applied.
        pub destination: Option<Destination>,
        /// When and how it is applied.
        pub sync_policy: Option<SyncPolicy>,
        /// Fields that are left to others. Not supported yet.
        pub ignore_differences: Vec<IgnoreDifference>,
        /// Kept entries of the history; 10 when not given.
        pub revision_history_limit: Option<i32>,
        /// Notes for people.
        pub info: Vec<Info>,
        /// Account that applies and prunes; `tidegate-applier` of the destination's namespace when not given.
        pub service_account_name: Option<String>,
        /// What happens after a revision that broke something.
        pub rescue: Option<Rescue>,
        /// Nothing is applied while this is true.
        pub suspend: Option<bool>,
    }

    /// A directory of a repository at a revision.
    pub struct Source {
        /// URL of the repository: http or https.
        #[serde(rename = "repoURL")]
        pub repo_url: Option<String>,
        /// The directory; the root when not given.
        pub path: Option<String>,
        /// Branch, tag or commit; HEAD when not given.
        pub target_revision: Option<String>,
        /// Secret with the credential for reading, in the Application's namespace.
        pub secret_ref: Option<super::RouteRef>,
        /// Which files of the directory.
        pub directory: Option<Directory>,
        /// Not supported yet.
        #[schemars(schema_with = "schema::anything")]
        pub helm: Option<Value>,
        /// Not supported yet.
        #[schemars(schema_with = "schema::anything")]
        pub kustomize: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub plugin: Option<Value>,
        /// A chart of a repository of charts. Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub chart: Option<Value>,
        /// Name for other sources. Not supported.
        #[serde(rename = "ref")]
        #[schemars(schema_with = "schema::anything")]
        pub reference: Option<Value>,
        /// Name among several sources. Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub name: Option<Value>,
    }

    /// Which files of the directory.
    pub struct Directory {
        /// Also those of directories below.
        pub recurse: Option<bool>,
        /// Glob; only these.
        pub include: Option<String>,
        /// Glob; none of these.
        pub exclude: Option<String>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub jsonnet: Option<Value>,
    }

    /// Where it is applied.
    pub struct Destination {
        /// URL of the API server; only the own cluster.
        pub server: Option<String>,
        /// Name of the cluster; only in-cluster.
        pub name: Option<String>,
        /// Namespace for objects that name none; the Application's own when not given.
        pub namespace: Option<String>,
    }

    /// When and how it is applied.
    pub struct SyncPolicy {
        /// Applies by itself; without it only when asked.
        pub automated: Option<Automated>,
        /// Like CreateNamespace=true.
        pub sync_options: Vec<String>,
        /// What happens after a failed sync.
        pub retry: Option<Retry>,
        /// Labels and annotations of the namespace that is made.
        pub managed_namespace_metadata: Option<ManagedNamespaceMetadata>,
    }

    /// Applies by itself.
    pub struct Automated {
        /// true when not given.
        pub enabled: Option<bool>,
        /// Deletes what is no longer in git; false when not given.
        pub prune: Option<bool>,
        /// Puts changes in the cluster back; false when not given.
        pub self_heal: Option<bool>,
        /// Prunes even when nothing is left; false when not given.
        pub allow_empty: Option<bool>,
    }

    /// What happens after a failed sync.
    pub struct Retry {
        /// Attempts; 5 when not given, -1 for no end.
        pub limit: Option<i32>,
        /// Time between attempts.
        pub backoff: Option<RetryBackoff>,
        /// A retry takes the newest commit; always so.
        pub refresh: Option<bool>,
    }

    /// Time between attempts.
    pub struct RetryBackoff {
        /// The first; 5s when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub duration: Option<IntOrText>,
        /// Each further one is so many times longer; 2 when not given.
        pub factor: Option<i32>,
        /// The longest; 3m when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub max_duration: Option<IntOrText>,
    }

    /// Labels and annotations of the namespace that is made.
    pub struct ManagedNamespaceMetadata {
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// Annotations.
        pub annotations: BTreeMap<String, String>,
    }

    /// Fields that are left to others.
    pub struct IgnoreDifference {
        /// Group of the objects.
        pub group: Option<String>,
        /// Kind of the objects.
        pub kind: Option<String>,
        /// Name of the object; all when not given.
        pub name: Option<String>,
        /// Namespace of the objects; all when not given.
        pub namespace: Option<String>,
        /// Fields, like /spec/replicas.
        pub json_pointers: Vec<String>,
        /// Fields, as jq paths.
        pub jq_path_expressions: Vec<String>,
        /// Fields of these managers.
        pub managed_fields_managers: Vec<String>,
    }

    /// A note for people.
    pub struct Info {
        /// Its name.
        pub name: String,
        /// Its text or URL.
        pub value: String,
    }
}
