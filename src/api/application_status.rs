//! `status` of an Application.

use super::schema;
use super::{CommandRecord, Condition, RescueStatus};
use jiff::Timestamp;

wire! {
    /// What is known of the Application.
    pub struct ApplicationStatus {
        /// Generation of the object that the rest of the status speaks of.
        pub observed_generation: Option<i64>,
        /// What stands in the way, or what is going on.
        pub message: Option<String>,
        /// Is the cluster what git says?
        pub sync: Option<SyncStatus>,
        /// The worst health of its objects.
        pub health: Option<ApplicationHealth>,
        /// The tip of what is followed.
        pub tip: Option<RevisionStatus>,
        /// What is applied.
        pub applied: Option<RevisionStatus>,
        /// The last revision that stayed Healthy for its soak time.
        pub good: Option<RevisionStatus>,
        /// Since when all objects are Healthy at the applied revision.
        #[schemars(schema_with = "schema::time")]
        pub healthy_since: Option<Timestamp>,
        /// The objects that were applied; the basis of pruning.
        pub inventory: Option<Inventory>,
        /// Objects that are not as they should be; at most 50.
        pub resources: Vec<ResourceStatus>,
        /// What was applied before, newest last.
        pub history: Vec<HistoryEntry>,
        /// The last or present sync.
        pub operation_state: Option<OperationState>,
        /// Changes in the cluster that were put back.
        pub heal: Option<HealStatus>,
        /// Ready, Reconciling, Stalled, and ComparisonError, SyncError, InvalidSpec and others.
        pub conditions: Vec<Condition>,
        /// What was asked by annotation, and what became of it; the last 20.
        pub commands: Vec<CommandRecord>,
        /// How far a bad revision is taken back.
        pub rescue: Option<RescueStatus>,
        /// When it was last compared.
        #[schemars(schema_with = "schema::time")]
        pub reconciled_at: Option<Timestamp>,
        /// Directory.
        pub source_type: Option<String>,
    }

    /// Is the cluster what git says?
    pub struct SyncStatus {
        /// Synced, OutOfSync or Unknown.
        pub status: Option<String>,
        /// The commit that was compared.
        pub revision: Option<String>,
        /// Objects that differ.
        pub out_of_sync: Option<i32>,
    }

    /// The worst health of its objects.
    pub struct ApplicationHealth {
        /// Healthy, Suspended, Progressing, Missing, Degraded or Unknown.
        pub status: Option<String>,
        /// Which object, and why.
        pub message: Option<String>,
        /// Since when.
        #[schemars(schema_with = "schema::time")]
        pub last_transition_time: Option<Timestamp>,
    }

    /// A commit, and the tree of the path there.
    pub struct RevisionStatus {
        /// 40 hex digits.
        pub revision: Option<String>,
        /// Tree of the path: 40 hex digits.
        pub tree: Option<String>,
        /// Full name of the branch or tag: refs/heads/main.
        pub reference: Option<String>,
        /// Who wrote it.
        pub author: Option<String>,
        /// First line of its message.
        pub message: Option<String>,
        /// When it was committed.
        #[schemars(schema_with = "schema::time")]
        pub committed_at: Option<Timestamp>,
        /// When it became what it is listed as.
        #[schemars(schema_with = "schema::time")]
        pub at: Option<Timestamp>,
    }

    /// The objects that were applied.
    pub struct Inventory {
        /// In the order of their ids.
        pub entries: Vec<InventoryEntry>,
    }

    /// One object of the inventory.
    pub struct InventoryEntry {
        /// namespace_name_group_kind.
        pub id: String,
        /// Version of its API.
        pub v: String,
        /// First digits of the tree that brought it: a hold prunes what only the rejected tree brought.
        pub t: Option<String>,
    }

    /// Putting changes in the cluster back.
    pub struct HealStatus {
        /// Attempts in a row.
        pub attempts: Option<i32>,
        /// When the last one was made.
        #[schemars(schema_with = "schema::time")]
        pub at: Option<Timestamp>,
    }

    /// An object that is not as it should be.
    pub struct ResourceStatus {
        /// Empty for the core group.
        pub group: Option<String>,
        /// Version of its API.
        pub version: Option<String>,
        /// Its kind.
        pub kind: Option<String>,
        /// Its namespace.
        pub namespace: Option<String>,
        /// Its name.
        pub name: Option<String>,
        /// Synced, OutOfSync or Unknown.
        pub status: Option<String>,
        /// Healthy, Suspended, Progressing, Missing, Degraded or Unknown.
        pub health: Option<String>,
        /// Why.
        pub message: Option<String>,
        /// It is no longer in git.
        pub requires_pruning: Option<bool>,
    }

    /// One past sync.
    pub struct HistoryEntry {
        /// Number, from 1.
        pub id: Option<i64>,
        /// The commit.
        pub revision: Option<String>,
        /// Tree of the path.
        pub tree: Option<String>,
        /// Who wrote it.
        pub author: Option<String>,
        /// First line of its message.
        pub message: Option<String>,
        /// Begin.
        #[schemars(schema_with = "schema::time")]
        pub deploy_started_at: Option<Timestamp>,
        /// End.
        #[schemars(schema_with = "schema::time")]
        pub deployed_at: Option<Timestamp>,
        /// automated, or the field manager of the one who asked.
        pub initiated_by: Option<String>,
        /// Good, Rejected or nothing.
        pub verdict: Option<String>,
    }

    /// The last or present sync.
    pub struct OperationState {
        /// Running, Succeeded, Failed, Error or Terminating.
        pub phase: Option<String>,
        /// Why.
        pub message: Option<String>,
        /// Attempts after the first.
        pub retry_count: Option<i32>,
        /// When the next attempt is made.
        #[schemars(schema_with = "schema::time")]
        pub next_attempt_at: Option<Timestamp>,
        /// Begin.
        #[schemars(schema_with = "schema::time")]
        pub started_at: Option<Timestamp>,
        /// End.
        #[schemars(schema_with = "schema::time")]
        pub finished_at: Option<Timestamp>,
        /// automated, or the field manager of the one who asked.
        pub initiated_by: Option<String>,
        /// What it did.
        pub sync_result: Option<SyncResult>,
        /// What was wrong with the files or the objects.
        pub errors: Vec<ReconcileError>,
    }

    /// What a sync did.
    pub struct SyncResult {
        /// The commit.
        pub revision: Option<String>,
        /// Tree of the path.
        pub tree: Option<String>,
        /// Digest of what else the objects depend on: files chosen, namespace, account.
        pub parameters: Option<String>,
        /// Objects that were not as they should be after it; at most 50.
        pub resources: Vec<ResourceResult>,
    }

    /// What a sync did to one object.
    pub struct ResourceResult {
        /// Empty for the core group.
        pub group: Option<String>,
        /// Its kind.
        pub kind: Option<String>,
        /// Its namespace.
        pub namespace: Option<String>,
        /// Its name.
        pub name: Option<String>,
        /// Synced, SyncFailed, Pruned or PruneSkipped.
        pub status: Option<String>,
        /// Why.
        pub message: Option<String>,
    }

    /// What is wrong with one file or one object.
    pub struct ReconcileError {
        /// Path of the file in the repository, with its line where one is known.
        pub file: Option<String>,
        /// Kind namespace/name.
        pub object: Option<String>,
        /// Path of the field.
        pub field: Option<String>,
        /// What is wrong, and what would be accepted.
        pub message: String,
    }
}
