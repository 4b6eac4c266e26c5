//! `strategy.blueGreen`.

use super::reader::Reader;
use super::{Analysis, BlueGreen, Promotion, analysis, anti_affinity, canary, metadata, traffic};
use crate::api::{BlueGreenStrategy, RolloutAnalysis};
use serde_json::Value;
use std::sync::Arc;

const FIELD: &str = "spec.strategy.blueGreen";

pub(super) fn read(reader: &mut Reader, selector: &Value, wire: &BlueGreenStrategy) -> Option<BlueGreen> {
    let field = |name: &str| format!("{FIELD}.{name}");
    let active = reader.required_name(
        &field("activeService"),
        wire.active_service.as_deref(),
        "name the Service that users are served through",
    );
    let preview_service = reader.name(&field("previewService"), wire.preview_service.as_deref());
    reader.distinct(
        &field("previewService"),
        wire.preview_service.as_deref().filter(|n| !n.is_empty()),
        "activeService",
        wire.active_service.as_deref(),
    );
    let wait = reader.seconds(&field("autoPromotionSeconds"), wire.auto_promotion_seconds, 0);
    // Without automatic promotion the seconds have no effect, as upstream (argo-rollouts#2000).
    let promotion =
        if wire.auto_promotion_enabled.unwrap_or(true) { Promotion::Automatic(wait) } else { Promotion::Manual };
    let mut checked = |name: &str, given: Option<&RolloutAnalysis>| -> Option<Option<Arc<Analysis>>> {
        match given {
            None => Some(None),
            Some(given) => analysis::read(reader, &field(name), given).map(|a| Some(Arc::new(a))),
        }
    };
    let pre_promotion = checked("prePromotionAnalysis", wire.pre_promotion_analysis.as_ref());
    let post_promotion = checked("postPromotionAnalysis", wire.post_promotion_analysis.as_ref());
    let delay = wire.scale_down_delay_seconds.map(|s| reader.seconds(&field("scaleDownDelaySeconds"), Some(s), 30));
    let preview_metadata = metadata::read(reader, &field("previewMetadata"), wire.preview_metadata.as_ref(), selector);
    let active_metadata = metadata::read(reader, &field("activeMetadata"), wire.active_metadata.as_ref(), selector);
    let limit = field("scaleDownDelayRevisionLimit");
    Some(BlueGreen {
        active_service: active?,
        preview_service,
        traffic: wire.traffic_routing.as_ref().and_then(|t| traffic::read(reader, &field("trafficRouting"), t)),
        preview_replicas: wire
            .preview_replica_count
            .map(|count| reader.natural(&field("previewReplicaCount"), Some(count), 0)),
        promotion,
        pre_promotion: pre_promotion?,
        post_promotion: post_promotion?,
        scale_down_delay: delay,
        scale_down_delay_revisions: wire.scale_down_delay_revision_limit.map(|l| reader.count(&limit, Some(l), 0)),
        after_abort: canary::after_abort(reader, FIELD, wire.abort_scale_down_delay_seconds),
        preview_metadata,
        active_metadata,
        anti_affinity: anti_affinity::read(reader, &field("antiAffinity"), wire.anti_affinity.as_ref()),
        max_unavailable: reader.count_or_share(&field("maxUnavailable"), wire.max_unavailable.as_ref()),
    })
}
