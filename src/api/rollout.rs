//! Rollout: a workload that moves from one revision to the next in steps.

use super::schema;
use super::{BlueGreenStrategy, CanaryStrategy, RolloutStatus};
use jiff::Timestamp;
use kube::CustomResource;
use serde_json::Value;
use std::collections::BTreeMap;

wire! {
    /// What a Rollout keeps running, and how it moves to a new revision.
    #[derive(CustomResource)]
    #[kube(
        group = "tidegate.dev",
        version = "v1alpha1",
        kind = "Rollout",
        plural = "rollouts",
        shortname = "ro",
        category = "tidegate",
        namespaced,
        status = "RolloutStatus",
        derive = "Default",
        derive = "PartialEq",
        doc = "A workload that moves from one revision to the next by canary or blue/green.",
        scale(
            spec_replicas_path = ".spec.replicas",
            status_replicas_path = ".status.HPAReplicas",
            label_selector_path = ".status.selector"
        ),
        printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas", description = "Pods wanted"),
        printcolumn(name = "Current", type_ = "integer", json_path = ".status.replicas", description = "Pods of all revisions"),
        printcolumn(name = "Up-to-date", type_ = "integer", json_path = ".status.updatedReplicas", description = "Pods of the current revision"),
        printcolumn(name = "Available", type_ = "integer", json_path = ".status.availableReplicas", description = "Available pods"),
        printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Healthy, Progressing, Paused or Degraded"),
        printcolumn(name = "Weight", type_ = "integer", json_path = ".status.traffic.live.canary", description = "Share of requests that the canary is served, in percent, as seen in Traefik"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1, description = "Why the phase is what it is"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct RolloutSpec {
        /// Pods wanted; 1 when not given. Never written by the controller.
        #[schemars(schema_with = "schema::replicas")]
        pub replicas: Option<i32>,
        /// Which pods belong to this Rollout; must match the template's labels. Cannot be changed.
        #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "spec.selector cannot be changed: delete the Rollout and create it anew"}]))]
        pub selector: Option<LabelSelector>,
        /// The pod template, as in a Deployment. A change of it is a new revision. It is checked by the API server when the
        /// revision's ReplicaSet is tried, before anything moves.
        #[schemars(schema_with = "schema::object")]
        pub template: Option<Value>,
        /// The object whose template is rolled out instead. It is never copied into the Rollout.
        pub workload_ref: Option<WorkloadRef>,
        /// Seconds that a pod must be ready before it counts as available; 0 when not given.
        pub min_ready_seconds: Option<i32>,
        /// How far back a return to an older revision skips steps, pauses and analysis.
        pub rollback_window: Option<RollbackWindow>,
        /// Exactly one of canary and blueGreen.
        pub strategy: Option<RolloutStrategy>,
        /// Old ReplicaSets that are kept; 10 when not given.
        pub revision_history_limit: Option<i32>,
        /// Stops steps and switches; scaling, healing and abort go on.
        pub paused: Option<bool>,
        /// Seconds without progress until the update counts as failed; 600 when not given.
        pub progress_deadline_seconds: Option<i32>,
        /// What exceeding the deadline does. `auto` (when not given): aborts when the revision is the cause, and does not when
        /// the cluster is. `true`: aborts. `false`: only Degraded.
        #[schemars(schema_with = "schema::anything")]
        pub progress_deadline_abort: Option<Value>,
        /// Pods older than this are replaced, once the time has come. A new template cancels it.
        #[schemars(schema_with = "schema::time")]
        pub restart_at: Option<Timestamp>,
        /// How many finished AnalysisRuns are kept.
        pub analysis: Option<RolloutAnalysisHistory>,
    }

    /// The way to a new revision; exactly one field.
    pub struct RolloutStrategy {
        /// A growing share of the requests goes to the new revision.
        pub canary: Option<CanaryStrategy>,
        /// The new revision runs beside the old one until all requests are switched at once.
        pub blue_green: Option<BlueGreenStrategy>,
    }

    /// An object with a pod template in the same namespace.
    pub struct WorkloadRef {
        /// apps/v1, or v1 for a PodTemplate.
        pub api_version: String,
        /// Deployment, ReplicaSet or PodTemplate.
        pub kind: String,
        /// Its name.
        pub name: String,
        /// What becomes of the pods of a Deployment: never (when not given) leaves them; onsuccess scales it to 0 when the Rollout
        /// is Healthy; progressively takes one for each available pod of the Rollout, and gives them back when it fails.
        pub scale_down: Option<String>,
    }

    /// Which returns to an older revision are fast.
    pub struct RollbackWindow {
        /// So many revisions before the stable one; 0 is off.
        pub revisions: Option<i32>,
    }

    /// Limits of kept AnalysisRuns.
    pub struct RolloutAnalysisHistory {
        /// Successful ones; 5 when not given.
        pub successful_run_history_limit: Option<i32>,
        /// Failed, inconclusive and broken ones; 5 when not given.
        pub unsuccessful_run_history_limit: Option<i32>,
    }

    /// A selector over labels; all of its parts must hold.
    pub struct LabelSelector {
        /// Labels with their exact values.
        pub match_labels: BTreeMap<String, String>,
        /// Requirements over labels.
        pub match_expressions: Vec<LabelSelectorRequirement>,
    }

    /// One requirement over one label.
    pub struct LabelSelectorRequirement {
        /// Key of the label.
        pub key: String,
        /// In, NotIn, Exists or DoesNotExist.
        pub operator: String,
        /// Values for In and NotIn.
        pub values: Vec<String>,
    }

    /// Labels and annotations put on objects that the controller makes.
    pub struct ObjectMetadata {
        /// Labels to add.
        pub labels: BTreeMap<String, String>,
        /// Annotations to add.
        pub annotations: BTreeMap<String, String>,
    }
}
