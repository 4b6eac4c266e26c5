//! `spec.strategy.canary` of a Rollout.

use super::schema;
use super::{BackgroundAnalysis, IntOrText, ObjectMetadata, RolloutAnalysis, TrafficRouting};
use serde_json::Value;

wire! {
    /// A growing share of the requests goes to the new revision.
    pub struct CanaryStrategy {
        /// Service whose pods are those of the new revision. With `ingress` one is made when it is not named.
        pub canary_service: Option<String>,
        /// Service whose pods are those of the stable revision. With `ingress` one is made when it is not named.
        pub stable_service: Option<String>,
        /// What is done, one after the other.
        pub steps: Vec<CanaryStep>,
        /// Which router splits the requests.
        pub traffic_routing: Option<TrafficRouting>,
        /// Pods that may be missing while pods are replaced: a number, or a share of the wanted pods. Text is always a share.
        #[schemars(schema_with = "schema::int_or_text")]
        pub max_unavailable: Option<IntOrText>,
        /// Pods above the wanted number without a router: a number, or a share of the wanted pods. Text is always a share.
        #[schemars(schema_with = "schema::int_or_text")]
        pub max_surge: Option<IntOrText>,
        /// Analysis that runs beside the steps.
        pub analysis: Option<BackgroundAnalysis>,
        /// Keeps the pods of a new revision off the nodes that have pods of the stable one: exactly one of
        /// `requiredDuringSchedulingIgnoredDuringExecution: {}` and `preferredDuringSchedulingIgnoredDuringExecution: {weight: 1 to 100}`.
        #[schemars(schema_with = "schema::object")]
        pub anti_affinity: Option<Value>,
        /// Labels and annotations of the pods while they are the canary. Running pods get them without a restart.
        pub canary_metadata: Option<ObjectMetadata>,
        /// Labels and annotations of the pods while they are stable. Running pods get them without a restart.
        pub stable_metadata: Option<ObjectMetadata>,
        /// Seconds that the former revision stays up after the last step; 30 when not given. 0 scales down at once.
        pub scale_down_delay_seconds: Option<i32>,
        /// How many old revisions may wait in that delay.
        pub scale_down_delay_revision_limit: Option<i32>,
        /// Seconds that the canary stays up after an abort; 30 when not given. 0 keeps it.
        pub abort_scale_down_delay_seconds: Option<i32>,
        /// Stable shrinks as the canary grows; an abort then waits until it has grown again.
        pub dynamic_stable_scale: Option<bool>,
        /// Two Services that change roles; for other routers only.
        #[schemars(schema_with = "schema::object")]
        pub ping_pong: Option<Value>,
        /// Any count of pods that is not zero is raised to this, up to spec.replicas.
        pub min_pods_per_replica_set: Option<i32>,
        /// Which part of a step's pods must be available for the step to count; all of them when not given.
        pub replica_progress_threshold: Option<ReplicaProgressThreshold>,
    }

    /// One step; exactly one field.
    pub struct CanaryStep {
        /// Share of the requests for the new revision, in percent (0 to 100).
        pub set_weight: Option<i32>,
        /// Waits for a time, or until promoted.
        pub pause: Option<PauseStep>,
        /// Runs an analysis and waits until it is Successful.
        pub analysis: Option<RolloutAnalysis>,
        /// Sets the number of canary pods apart from the weight.
        pub set_canary_scale: Option<SetCanaryScale>,
        /// Sends requests with a header to the canary. Not supported yet.
        #[schemars(schema_with = "schema::object")]
        pub set_header_route: Option<Value>,
        /// Copies requests to the canary. Not supported yet.
        #[schemars(schema_with = "schema::object")]
        pub set_mirror_route: Option<Value>,
        /// Runs an Experiment. Not supported yet.
        #[schemars(schema_with = "schema::object")]
        pub experiment: Option<Value>,
        /// A step of an external program. Not supported.
        #[schemars(schema_with = "schema::object")]
        pub plugin: Option<Value>,
    }

    /// A pause.
    pub struct PauseStep {
        /// A number or text without unit is seconds; otherwise like 1h30m. Without it the pause lasts until promoted.
        #[schemars(schema_with = "schema::int_or_text")]
        pub duration: Option<IntOrText>,
    }

    /// Number of canary pods; exactly one field.
    pub struct SetCanaryScale {
        /// Share of spec.replicas, in percent; may exceed 100.
        pub weight: Option<i32>,
        /// Exact number.
        pub replicas: Option<i32>,
        /// Back to what the weight needs.
        pub match_traffic_weight: Option<bool>,
    }

    /// When a step's pods are enough.
    pub struct ReplicaProgressThreshold {
        /// Percent or Pods.
        #[serde(rename = "type")]
        pub kind: Option<String>,
        /// So many percent, or so many pods.
        pub value: Option<i32>,
    }
}
