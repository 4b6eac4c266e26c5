//! `spec.strategy.blueGreen` of a Rollout.

use super::schema;
use super::{IntOrText, ObjectMetadata, RolloutAnalysis, TrafficRouting};
use serde_json::Value;

wire! {
    /// The new revision runs beside the old one until all requests are switched at once.
    pub struct BlueGreenStrategy {
        /// Service whose pods are those that serve users; with trafficRouting those of the stable revision, which the switch leaves as
        /// it is. With `ingress` one is made when it is not named.
        pub active_service: Option<String>,
        /// Service whose pods are those of the newest revision. With trafficRouting there has to be one; with `ingress` it is made when
        /// it is not named.
        pub preview_service: Option<String>,
        /// Switches by a 0/100 write of a routing object instead of the active Service's selector.
        pub traffic_routing: Option<TrafficRouting>,
        /// Pods of the new revision until it may be switched to; all of them when not given.
        pub preview_replica_count: Option<i32>,
        /// false waits for a promotion before the switch; true when not given.
        pub auto_promotion_enabled: Option<bool>,
        /// Waits so many seconds before the switch; only with autoPromotionEnabled.
        pub auto_promotion_seconds: Option<i32>,
        /// Pods that may be missing while a restart replaces pods: a number, or a share of the wanted pods. Text is always a share.
        #[schemars(schema_with = "schema::int_or_text")]
        pub max_unavailable: Option<IntOrText>,
        /// Seconds that the former revision stays up after the switch; 30 when not given. 0 scales down at once.
        pub scale_down_delay_seconds: Option<i32>,
        /// How many old revisions may wait in that delay.
        pub scale_down_delay_revision_limit: Option<i32>,
        /// Seconds that the new revision stays up after an abort; 30 when not given. 0 keeps it.
        pub abort_scale_down_delay_seconds: Option<i32>,
        /// Must be Successful before the switch.
        pub pre_promotion_analysis: Option<RolloutAnalysis>,
        /// Runs after the switch; its failure switches back.
        pub post_promotion_analysis: Option<RolloutAnalysis>,
        /// Keeps the pods of a new revision off the nodes that have pods of the stable one: exactly one of
        /// `requiredDuringSchedulingIgnoredDuringExecution: {}` and `preferredDuringSchedulingIgnoredDuringExecution: {weight: 1 to 100}`.
        #[schemars(schema_with = "schema::object")]
        pub anti_affinity: Option<Value>,
        /// Labels and annotations of the pods while they are in preview. Running pods get them without a restart.
        pub preview_metadata: Option<ObjectMetadata>,
        /// Labels and annotations of the pods while they are active. Running pods get them without a restart.
        pub active_metadata: Option<ObjectMetadata>,
    }
}
