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

#![expect(clippy::doc_markdown, reason = "kubectl explain prints these texts as they are, backticks too")]

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
    LastGoodSource, PauseCondition, ProgressStatus, RollbackStatus, RolloutStatus, RunStatus, TrafficInstance,
    TrafficObjects, TrafficShare, TrafficStatus, WeightDestination,
};
pub use traffic::{ManagedRoute, RouteRef, TraefikRouting, TrafficRouting};
pub use wire::IntOrText;

/// The API group of all kinds.
pub const GROUP: &str = "tidegate.dev";
/// Its only version.
pub const VERSION: &str = "v1alpha1";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What a status write is the difference of: reading and writing must not differ by themselves.
    #[test]
    fn a_status_that_is_read_and_written_is_the_same() {
        let status = json!({
            "observedGeneration": 3, "phase": "Paused", "replicas": 5, "HPAReplicas": 0, "stableRS": "abc", "stableProven": false,
            "currentStepIndex": 0, "abortedAt": "2026-01-02T03:04:05Z", "promoteFull": false,
            "conditions": [{"type": "Ready", "status": "False", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-02T03:04:05.25Z"}],
            "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-02T03:04:05Z"}],
            "traffic": {"way": "ingress", "want": {"canary": 0, "stable": 100}, "live": {"canary": 20}},
            "aborted": [{"hash": "x", "time": "2026-01-02T03:04:05Z", "cause": "c"}],
            "commands": [{"name": "promote", "value": "step", "outcome": "Accepted"}],
            "blueGreen": {"activeSelector": "abc", "scaleUpPreviewCheckPoint": false},
        });
        let read: RolloutStatus = serde_json::from_value(status.clone()).expect("a status");
        assert_eq!(serde_json::to_value(&read).expect("JSON"), status);
        assert_eq!(serde_json::to_value(RolloutStatus::default()).expect("JSON"), json!({}));
    }

    /// A controller of tomorrow may have written fields that this one does not know.
    #[test]
    fn unknown_and_null_fields_do_not_break_reading() {
        let status = json!({"phase": null, "conditions": [], "future": {"x": 1}});
        assert_eq!(serde_json::from_value::<RolloutStatus>(status).ok(), Some(RolloutStatus::default()));
    }

    #[test]
    fn numbers_and_text_stay_what_they_were() {
        for duration in [json!(30), json!("30"), json!("30s")] {
            let step = json!({"pause": {"duration": duration}});
            let read: CanaryStep = serde_json::from_value(step.clone()).expect("a step");
            assert_eq!(serde_json::to_value(&read).expect("JSON"), step);
        }
    }
}
