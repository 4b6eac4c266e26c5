//! `strategy.blueGreen`.

use super::reader::Reader;
use super::{Analysis, BlueGreen, Promotion, ServiceName, Traffic, analysis, anti_affinity, canary, metadata, traffic};
use crate::api::{BlueGreenStrategy, RolloutAnalysis};
use serde_json::Value;
use std::sync::Arc;

const FIELD: &str = "spec.strategy.blueGreen";

pub(super) fn read(
    reader: &mut Reader,
    rollout: &str,
    selector: &Value,
    wire: &BlueGreenStrategy,
) -> Option<BlueGreen> {
    let field = |name: &str| format!("{FIELD}.{name}");
    let routing = wire.traffic_routing.as_ref();
    let traffic = routing.and_then(|t| traffic::read(reader, &field("trafficRouting"), t));
    let (active, preview_service) = services(reader, rollout, wire, traffic.as_ref());
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
        traffic,
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

/// The active Service, which there must be, and the preview Service, which only a router needs.
fn services(
    reader: &mut Reader,
    rollout: &str,
    wire: &BlueGreenStrategy,
    traffic: Option<&Traffic>,
) -> (Option<ServiceName>, Option<ServiceName>) {
    let (active_field, preview_field) = (format!("{FIELD}.activeService"), format!("{FIELD}.previewService"));
    let (active, preview) = (wire.active_service.as_ref(), wire.preview_service.as_ref());
    let named = preview.map(String::as_str).filter(|n| !n.is_empty());
    reader.distinct(&preview_field, named, "activeService", wire.active_service.as_deref());
    let Some(traffic) = traffic else {
        let theirs = |name: String| ServiceName { name, ours: false };
        let remedy = "name the Service that users are served through";
        let active = reader.required_name(&active_field, active.map(String::as_str), remedy);
        return (active.map(theirs), reader.name(&preview_field, named).map(theirs));
    };
    let active = traffic::service(reader, traffic, &active_field, active, &format!("{rollout}-stable"));
    let preview = traffic::service(reader, traffic, &preview_field, preview, &format!("{rollout}-canary"));
    (active, preview)
}
