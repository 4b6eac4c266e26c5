//! `trafficRouting`: the way in through Traefik.

use super::reader::Reader;
use super::{ServiceName, Shield, Traffic, Way};
use crate::api::{TraefikRouting, TrafficRouting};
use crate::core::scalar::Span;

/// `field` is the path of `trafficRouting`. `None` when it was refused.
pub(super) fn read(reader: &mut Reader, field: &str, routing: &TrafficRouting) -> Option<Traffic> {
    if let Some(weight) = routing.max_traffic_weight.filter(|w| *w != 100) {
        let remedy = "remove it; weights are percent";
        reader.refuse(
            &format!("{field}.maxTrafficWeight"),
            &weight,
            "it cannot be other than 100 with Traefik",
            remedy,
        );
    }
    let Some(traefik) = routing.traefik.as_ref() else {
        // Where another router is named, its own refusal says what to do.
        if *routing == TrafficRouting::default() {
            reader.refuse(
                field,
                &"{}",
                "it names no router",
                "give traefik with weightedTraefikServiceName or ingress",
            );
        }
        return None;
    };
    let field = format!("{field}.traefik");
    let way = way(reader, &field, traefik);
    let shield = match traefik.shield.as_deref() {
        None | Some("idempotent") => Shield::Idempotent,
        Some("none") => Shield::None,
        Some("all") => Shield::All,
        Some(other) => {
            reader.refuse(&format!("{field}.shield"), &other, "it is not known", "give none, idempotent or all");
            Shield::Idempotent
        }
    };
    let live_timeout = traefik.live_timeout.as_ref().and_then(|value| {
        let field = format!("{field}.liveTimeout");
        let span = reader.span(&field, value)?;
        if span < Span::from_secs(1) {
            reader.refuse(&field, value, "Traefik needs time to load a configuration", "give 1s or more");
        }
        Some(span)
    });
    Some(Traffic { way: way?, shield, net: traefik.net.unwrap_or(true), live_timeout })
}

fn way(reader: &mut Reader, field: &str, traefik: &TraefikRouting) -> Option<Way> {
    let weighted = traefik.weighted_traefik_service_name.as_deref().filter(|n| !n.is_empty());
    let ingress = traefik.ingress.as_ref();
    let others = [&traefik.ingress_route, &traefik.http_route].into_iter().flatten().count();
    let named = usize::from(weighted.is_some()) + usize::from(ingress.is_some()) + others;
    if named != 1 {
        let problem = if named == 0 { "it names no way in" } else { "it names more than one way in" };
        reader.refuse(field, &named, problem, "give exactly one of weightedTraefikServiceName and ingress");
        return None;
    }
    if let Some(name) = weighted {
        return reader.name(&format!("{field}.weightedTraefikServiceName"), Some(name)).map(Way::WeightedService);
    }
    let ingress = ingress?;
    reader.required_name(&format!("{field}.ingress.name"), Some(&ingress.name), "name the Ingress").map(Way::Ingress)
}

/// The Service of a role: the one that is named, or with a plain Ingress one of ours. Other ways in need a named one.
pub(super) fn service(
    reader: &mut Reader,
    traffic: &Traffic,
    field: &str,
    given: Option<&String>,
    ours: &str,
) -> Option<ServiceName> {
    let given = given.map(String::as_str).filter(|n| !n.is_empty());
    match (given, &traffic.way) {
        (Some(name), _) => reader.name(field, Some(name)).map(|name| ServiceName { name, ours: false }),
        (None, Way::Ingress(_)) => reader.name(field, Some(ours)).map(|name| ServiceName { name, ours: true }),
        (None, Way::WeightedService(_)) => {
            let remedy = "name a Service that selects the pods of spec.selector";
            reader.refuse(field, &"", "it is missing", remedy);
            None
        }
    }
}
