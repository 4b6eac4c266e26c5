//! AppProject: what Applications may read, where they may write, who may act.

use super::Condition;
use super::schema;
use kube::CustomResource;
use serde_json::Value;

wire! {
    /// What Applications of this project may do. Lists are globs; an entry with ! denies, and denying wins.
    #[derive(CustomResource)]
    #[kube(
        group = "tidegate.dev",
        version = "v1alpha1",
        kind = "AppProject",
        plural = "appprojects",
        shortname = "proj",
        category = "tidegate",
        namespaced,
        status = "AppProjectStatus",
        derive = "Default",
        derive = "PartialEq",
        doc = "What Applications may read, where they may write, who may act.",
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct AppProjectSpec {
        /// For people.
        pub description: Option<String>,
        /// Repositories that may be read.
        pub source_repos: Vec<String>,
        /// Where may be written.
        pub destinations: Vec<ProjectDestination>,
        /// Namespaces whose Applications may name this project.
        pub source_namespaces: Vec<String>,
        /// Kinds without namespace that may be applied; none when not given.
        pub cluster_resource_whitelist: Vec<GroupKind>,
        /// Kinds without namespace that may not.
        pub cluster_resource_blacklist: Vec<GroupKind>,
        /// Kinds with namespace that may be applied; all when not given.
        pub namespace_resource_whitelist: Vec<GroupKind>,
        /// Kinds with namespace that may not.
        pub namespace_resource_blacklist: Vec<GroupKind>,
        /// Who may act. Not supported yet.
        pub roles: Vec<ProjectRole>,
        /// When may be synced. Not supported yet.
        pub sync_windows: Vec<SyncWindow>,
        /// Objects that no Application owns. Not supported yet.
        pub orphaned_resources: Option<OrphanedResources>,
        /// Only clusters of this project. Not supported.
        pub permit_only_project_scoped_clusters: Option<bool>,
        /// Accounts that apply, by destination. Not supported yet.
        pub destination_service_accounts: Vec<DestinationServiceAccount>,
        /// Which commits are trusted. Not supported yet.
        #[schemars(schema_with = "schema::anything")]
        pub source_integrity: Option<Value>,
        /// Keys of trusted commits. Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub signature_keys: Option<Value>,
    }

    /// What is known of the project.
    pub struct AppProjectStatus {
        /// Generation of the object that the rest of the status speaks of.
        pub observed_generation: Option<i64>,
        /// Ready, Reconciling and Stalled.
        pub conditions: Vec<Condition>,
    }

    /// Where may be written.
    pub struct ProjectDestination {
        /// URL of the API server.
        pub server: Option<String>,
        /// Name of the cluster.
        pub name: Option<String>,
        /// Namespace.
        pub namespace: Option<String>,
    }

    /// A kind of objects.
    pub struct GroupKind {
        /// Its group.
        pub group: String,
        /// Its kind.
        pub kind: String,
        /// Name of the object; all when not given.
        pub name: Option<String>,
    }

    /// Who may act.
    pub struct ProjectRole {
        /// Its name.
        pub name: String,
        /// For people.
        pub description: Option<String>,
        /// Lines of permissions.
        pub policies: Vec<String>,
        /// Groups of the identity provider.
        pub groups: Vec<String>,
        /// Tokens.
        #[schemars(schema_with = "schema::anything")]
        pub jwt_tokens: Option<Value>,
    }

    /// When may be synced.
    pub struct SyncWindow {
        /// allow or deny.
        pub kind: Option<String>,
        /// As cron has it.
        pub schedule: Option<String>,
        /// Like 1h.
        pub duration: Option<String>,
        /// Applications, as globs.
        pub applications: Vec<String>,
        /// Namespaces, as globs.
        pub namespaces: Vec<String>,
        /// Clusters, as globs.
        pub clusters: Vec<String>,
        /// A person may still sync.
        pub manual_sync: Option<bool>,
        /// Like Europe/Berlin.
        pub time_zone: Option<String>,
        /// All selectors must match.
        pub use_and_operator: Option<bool>,
        /// A sync that runs may finish.
        pub sync_overrun: Option<bool>,
        /// For people.
        pub description: Option<String>,
    }

    /// Objects that no Application owns.
    pub struct OrphanedResources {
        /// Shows them.
        pub warn: Option<bool>,
        /// Not these.
        pub ignore: Vec<GroupKind>,
    }

    /// The account that applies to one destination.
    pub struct DestinationServiceAccount {
        /// URL of the API server.
        pub server: Option<String>,
        /// Namespace.
        pub namespace: Option<String>,
        /// Its name.
        pub default_service_account: Option<String>,
    }
}
