//! The wire: the types of `tidegate.dev/v1alpha1` exactly as the schema has them, and nothing else.
//!
//! Lenient on purpose: what arrives is kept, what it means is decided once in `core/<kind>/spec.rs`, which finds all refusals
//! together. So every field is optional here, numbers may be strings where the field's users write both, and each field that
//! exists upstream and that we do not support is here as a value of unknown shape: it arrives and is refused by name instead
//! of being pruned in silence. No defaults but `replicas: 1` (the scale subresource needs it): the stored object is what its
//! author wrote.
//!
//! One file per object or sub-object. `cli/crds.rs` makes the CRDs in `crds/` from these types; field documentation here is
//! what `kubectl explain` prints.

#[macro_use]
mod wire;

mod analysis;
mod analysis_run;
mod application;
mod application_status;
mod blue_green;
mod canary;
mod condition;
mod project;
mod provider;
mod rescue;
mod rollout;
mod rollout_analysis;
mod rollout_status;
mod schema;
mod traffic;

pub use analysis::{
    AnalysisTemplate, AnalysisTemplateSpec, Argument, ArgumentSource, ClusterAnalysisTemplate,
    ClusterAnalysisTemplateSpec, DryRun, FieldRef, MeasurementRetention, Metric, SecretKeyRef, TemplateRef,
};
pub use analysis_run::{
    AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, Measurement, MetricResult, RunSummary, TtlStrategy,
};
pub use application::{
    Application, ApplicationSpec, Automated, Destination, Directory, IgnoreDifference, Info, ManagedNamespaceMetadata,
    Retry, RetryBackoff, Source, SyncPolicy,
};
pub use application_status::{
    ApplicationHealth, ApplicationStatus, HealStatus, HistoryEntry, Inventory, InventoryEntry, OperationState,
    ReconcileError, ResourceResult, ResourceStatus, RevisionStatus, SyncResult, SyncStatus,
};
pub use blue_green::BlueGreenStrategy;
pub use canary::{CanaryStep, CanaryStrategy, PauseStep, ReplicaProgressThreshold, SetCanaryScale};
pub use condition::Condition;
pub use project::{
    AppProject, AppProjectSpec, AppProjectStatus, DestinationServiceAccount, GroupKind, OrphanedResources,
    ProjectDestination, ProjectRole, SyncWindow,
};
pub use provider::{
    Authentication, BasicAuth, Header, JobProvider, Oauth2, PrometheusProvider, Provider, RangeQuery, TraefikProvider,
    WebProvider,
};
pub use rescue::{Rescue, RescueCommit, RescuePullRequest, RescuePush, RescueStatus};
pub use rollout::{
    LabelSelector, LabelSelectorRequirement, ObjectMetadata, RollbackWindow, Rollout, RolloutAnalysisHistory,
    RolloutSpec, RolloutStrategy, WorkloadRef,
};
pub use rollout_analysis::{AnalysisRunArgument, AnalysisRunArgumentSource, BackgroundAnalysis, RolloutAnalysis};
pub use rollout_status::{
    AbortedRevision, BlueGreenStatus, CanaryStatus, CanaryWeights, CommandRecord, DurationStatus, LastGood,
    LastGoodSource, PauseCondition, ProgressStatus, RolloutStatus, RunStatus, TrafficInstance, TrafficObjects,
    TrafficShare, TrafficStatus, WeightDestination,
};
pub use traffic::{ManagedRoute, RouteRef, TraefikRouting, TrafficRouting};
pub use wire::IntOrText;

/// The API group of all kinds.
pub const GROUP: &str = "tidegate.dev";
/// Its only version.
pub const VERSION: &str = "v1alpha1";
