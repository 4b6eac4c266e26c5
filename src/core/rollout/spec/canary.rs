//! `strategy.canary`.

use super::reader::Reader;
use super::{
    AfterAbort, Background, Canary, CanaryScale, DynamicStable, ServiceName, Step, Threshold, Traffic, analysis,
    anti_affinity, metadata, traffic,
};
use crate::api::{CanaryStep, CanaryStrategy, SetCanaryScale};
use crate::core::scalar::{Span, Weight};
use serde_json::Value;
use std::sync::Arc;

const FIELD: &str = "spec.strategy.canary";

pub(super) fn read(reader: &mut Reader, rollout: &str, selector: &Value, wire: &CanaryStrategy) -> Option<Canary> {
    let routed = wire.traffic_routing.is_some();
    let traffic =
        wire.traffic_routing.as_ref().and_then(|t| traffic::read(reader, &format!("{FIELD}.trafficRouting"), t));
    let (stable_service, canary_service) = services(reader, rollout, wire, traffic.as_ref());
    let max_surge = reader.count_or_share(&format!("{FIELD}.maxSurge"), wire.max_surge.as_ref());
    let max_unavailable = reader.count_or_share(&format!("{FIELD}.maxUnavailable"), wire.max_unavailable.as_ref());
    if max_surge.is_zero() && max_unavailable.is_zero() {
        let remedy = "let at least one pod be above or missing";
        reader.refuse(&format!("{FIELD}.maxUnavailable"), &0, "with maxSurge 0 too, nothing could move", remedy);
    }
    if !routed {
        only_routed(reader, wire);
    }
    let steps: Vec<Option<Step>> =
        wire.steps.iter().enumerate().map(|(i, s)| step(reader, &format!("{FIELD}.steps[{i}]"), s, routed)).collect();
    let background = wire.analysis.as_ref().map(|a| {
        let field = format!("{FIELD}.analysis");
        let starting_step = reader.count(&format!("{field}.startingStep"), a.starting_step, 0);
        if starting_step > 0 && starting_step >= wire.steps.len() {
            let remedy = "give the index of a step";
            reader.refuse(&format!("{field}.startingStep"), &starting_step, "there is no such step", remedy);
        }
        analysis::read_background(reader, &field, a)
            .map(|analysis| Background { analysis: Arc::new(analysis), starting_step })
    });
    let delay = reader.seconds(&format!("{FIELD}.scaleDownDelaySeconds"), wire.scale_down_delay_seconds, 30);
    let mut role = |name: &str, given: Option<&_>| metadata::read(reader, &format!("{FIELD}.{name}"), given, selector);
    let (canary_metadata, stable_metadata) =
        (role("canaryMetadata", wire.canary_metadata.as_ref()), role("stableMetadata", wire.stable_metadata.as_ref()));
    let limit_field = format!("{FIELD}.scaleDownDelayRevisionLimit");
    Some(Canary {
        steps: steps.into_iter().collect::<Option<_>>()?,
        traffic,
        stable_service,
        canary_service,
        background: match background {
            Some(background) => Some(background?),
            None => None,
        },
        max_surge,
        max_unavailable,
        scale_down_delay: delay,
        scale_down_delay_revisions: wire
            .scale_down_delay_revision_limit
            .map(|l| reader.count(&limit_field, Some(l), 0)),
        after_abort: after_abort(reader, FIELD, wire.abort_scale_down_delay_seconds),
        dynamic_stable: dynamic_stable(reader, wire),
        min_pods: reader.natural(&format!("{FIELD}.minPodsPerReplicaSet"), wire.min_pods_per_replica_set, 0),
        threshold: threshold(reader, wire),
        canary_metadata,
        stable_metadata,
        anti_affinity: anti_affinity::read(reader, &format!("{FIELD}.antiAffinity"), wire.anti_affinity.as_ref()),
    })
}

/// Refused together with what it excludes: former pods are not kept, as they were given up for the new ones.
fn dynamic_stable(reader: &mut Reader, wire: &CanaryStrategy) -> DynamicStable {
    if wire.dynamic_stable_scale != Some(true) {
        return DynamicStable::Off;
    }
    let field = format!("{FIELD}.dynamicStableScale");
    if wire.traffic_routing.is_none() {
        let remedy = "remove it, or give trafficRouting";
        reader.refuse(&field, &true, "it has no meaning without trafficRouting", remedy);
    }
    if let Some(delay) = wire.scale_down_delay_seconds {
        let remedy = "remove one of the two";
        let problem = "with dynamicStableScale there are no former pods to keep";
        reader.refuse(&format!("{FIELD}.scaleDownDelaySeconds"), &delay, problem, remedy);
    }
    if wire.abort_scale_down_delay_seconds.is_some() { DynamicStable::HoldsCanary } else { DynamicStable::On }
}

/// 0 keeps the pods, as documented upstream.
pub(super) fn after_abort(reader: &mut Reader, field: &str, seconds: Option<i32>) -> AfterAbort {
    let delay = reader.seconds(&format!("{field}.abortScaleDownDelaySeconds"), seconds, 30);
    if delay == Span::ZERO { AfterAbort::Keep } else { AfterAbort::ScaleDownAfter(delay) }
}

fn services(
    reader: &mut Reader,
    rollout: &str,
    wire: &CanaryStrategy,
    traffic: Option<&Traffic>,
) -> (Option<ServiceName>, Option<ServiceName>) {
    let (stable_field, canary_field) = (format!("{FIELD}.stableService"), format!("{FIELD}.canaryService"));
    reader.distinct(&canary_field, wire.canary_service.as_deref(), "stableService", wire.stable_service.as_deref());
    let mut role = |field: &str, given: Option<&String>, suffix: &str| match traffic {
        Some(traffic) => traffic::service(reader, traffic, field, given, &format!("{rollout}-{suffix}")),
        None => reader.name(field, given.map(String::as_str)).map(|name| ServiceName { name, ours: false }),
    };
    let stable = role(&stable_field, wire.stable_service.as_ref(), "stable");
    let canary = role(&canary_field, wire.canary_service.as_ref(), "canary");
    (stable, canary)
}

/// Fields that mean nothing where no router splits the requests.
fn only_routed(reader: &mut Reader, wire: &CanaryStrategy) {
    for (name, value) in [
        ("scaleDownDelaySeconds", wire.scale_down_delay_seconds),
        ("scaleDownDelayRevisionLimit", wire.scale_down_delay_revision_limit),
        ("abortScaleDownDelaySeconds", wire.abort_scale_down_delay_seconds),
        ("minPodsPerReplicaSet", wire.min_pods_per_replica_set),
    ] {
        if let Some(value) = value {
            let remedy = "remove it, or give trafficRouting";
            reader.refuse(&format!("{FIELD}.{name}"), &value, "it has no meaning without trafficRouting", remedy);
        }
    }
}

fn step(reader: &mut Reader, field: &str, wire: &CanaryStep, routed: bool) -> Option<Step> {
    let others = [&wire.set_header_route, &wire.set_mirror_route, &wire.experiment, &wire.plugin];
    let unsupported = others.into_iter().flatten().count();
    let actions = usize::from(wire.set_weight.is_some())
        + usize::from(wire.pause.is_some())
        + usize::from(wire.analysis.is_some())
        + usize::from(wire.set_canary_scale.is_some())
        + unsupported;
    if actions != 1 {
        let problem = if actions == 0 { "the step does nothing" } else { "the step does more than one thing" };
        reader.refuse(field, &actions, problem, "give exactly one of setWeight, pause and analysis; make more steps");
        return None;
    }
    if let Some(percent) = wire.set_weight {
        let weight = Weight::new(i64::from(percent));
        if weight.is_none() {
            reader.refuse(&format!("{field}.setWeight"), &percent, "it is no percentage", "give 0 to 100");
        }
        return weight.map(Step::SetWeight);
    }
    if let Some(pause) = &wire.pause {
        return match &pause.duration {
            None => Some(Step::Pause(None)),
            Some(value) => reader.span(&format!("{field}.pause.duration"), value).map(|s| Step::Pause(Some(s))),
        };
    }
    if let Some(scale) = &wire.set_canary_scale {
        return canary_scale(reader, &format!("{field}.setCanaryScale"), scale, routed).map(Step::SetCanaryScale);
    }
    let analysis = wire.analysis.as_ref()?;
    analysis::read(reader, &format!("{field}.analysis"), analysis).map(|a| Step::Analysis(Arc::new(a)))
}

fn canary_scale(reader: &mut Reader, field: &str, wire: &SetCanaryScale, routed: bool) -> Option<CanaryScale> {
    if !routed {
        reader.refuse(field, &"", "it has no meaning without trafficRouting", "remove the step");
    }
    match (wire.weight, wire.replicas, wire.match_traffic_weight.unwrap_or_default()) {
        (Some(percent), None, false) => {
            Some(CanaryScale::Share(reader.natural(&format!("{field}.weight"), Some(percent), 0)))
        }
        (None, Some(pods), false) => {
            Some(CanaryScale::Pods(reader.natural(&format!("{field}.replicas"), Some(pods), 0)))
        }
        (None, None, true) => Some(CanaryScale::MatchTrafficWeight),
        _ => {
            let remedy = "give exactly one of weight, replicas and matchTrafficWeight: true";
            reader.refuse(field, &"", "it does not say one number", remedy);
            None
        }
    }
}

fn threshold(reader: &mut Reader, wire: &CanaryStrategy) -> Threshold {
    let field = format!("{FIELD}.replicaProgressThreshold");
    let Some(given) = &wire.replica_progress_threshold else { return Threshold::All };
    let value = reader.natural(&format!("{field}.value"), given.value, 100);
    match given.kind.as_deref() {
        Some("Percent") if value <= 100 => Threshold::Percent(value),
        Some("Percent") => {
            reader.refuse(&format!("{field}.value"), &value, "it is no percentage", "give 0 to 100");
            Threshold::All
        }
        Some("Pods") => Threshold::Pods(value),
        other => {
            let shown = other.unwrap_or_default();
            reader.refuse(&format!("{field}.type"), &shown, "it is not known", "give Percent or Pods");
            Threshold::All
        }
    }
}
