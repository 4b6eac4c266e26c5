//! What spec names of the routing: Services of both roles, and the way in. What is missing or cannot be used is refused by name.

use super::facts::Facts;
use super::spec::{BlueGreen, Canary, ServiceName, Way};
use crate::core::refusal::Refusal;
use crate::core::row::{IngressRow, ServiceRow};
use crate::core::traffic::ingress;
use crate::core::traffic::layers::{self, BaseRoute};
use crate::core::traffic::root::{Child, Root};
use crate::core::traffic::transport;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The Services of the two roles, as a strategy names them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Services<'s> {
    /// Where the strategy stands in the Rollout.
    at: &'static str,
    /// Field and name.
    stable: (&'static str, Option<&'s ServiceName>),
    canary: (&'static str, Option<&'s ServiceName>),
}

impl<'s> Services<'s> {
    pub(super) fn of_canary(canary: &'s Canary) -> Self {
        Self {
            at: "spec.strategy.canary",
            stable: ("stableService", canary.stable_service.as_ref()),
            canary: ("canaryService", canary.canary_service.as_ref()),
        }
    }

    /// The active Service is that of the stable revision also while users are switched away from it.
    pub(super) fn of_blue_green(strategy: &'s BlueGreen) -> Self {
        Self {
            at: "spec.strategy.blueGreen",
            stable: ("activeService", Some(&strategy.active_service)),
            canary: ("previewService", strategy.preview_service.as_ref()),
        }
    }

    pub(super) fn stable(&self) -> Option<&'s ServiceName> {
        self.stable.1
    }

    pub(super) fn canary(&self) -> Option<&'s ServiceName> {
        self.canary.1
    }

    /// Both, each with the path of its field.
    fn both(&self) -> Result<[(String, &'s ServiceName); 2], Vec<Refusal>> {
        let path = |field: &str| format!("{}.{field}", self.at);
        let named = |(field, name): (&str, Option<&'s ServiceName>)| {
            name.map(|name| (path(field), name)).ok_or_else(|| vec![missing_service(&path(field), "")])
        };
        Ok([named(self.stable)?, named(self.canary)?])
    }
}

/// What the way in comes to.
pub(super) struct Named<'a> {
    pub root: Root,
    /// The Service whose ports and selector our own Services get.
    pub like: Option<&'a ServiceRow>,
    pub bases: Vec<BaseRoute>,
    /// The weighted route is ours too: the user's names no weights.
    pub weighted: bool,
    /// Traefik speaks plain HTTP with the canary's pods.
    pub plain: bool,
}

/// Finds what a strategy names.
pub(super) fn find<'a>(f: &Facts<'a>, services: Services<'_>, way: &Way) -> Result<Named<'a>, Vec<Refusal>> {
    match way {
        Way::WeightedService(name) => weighted_service(f, name, services),
        Way::Ingress(name) => shadowed_ingress(f, name, services),
    }
}

fn weighted_service<'a>(f: &Facts<'a>, name: &str, services: Services<'_>) -> Result<Named<'a>, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut rows = Vec::new();
    let both = services.both()?;
    for (field, service) in &both {
        match f.service(&service.name) {
            Some(row) => rows.push(row),
            None => refusals.push(missing_service(field, &service.name)),
        }
    }
    let [stable, new] = both.map(|(_, service)| service);
    let [stable_row, canary_row] = rows.as_slice() else { return Err(refusals) };
    let Some(port) = stable_row.ports.first().map(|p| p.port.to_string()) else {
        return Err(vec![no_port(stable_row, "any")]);
    };
    if ingress::port_of(canary_row, &port).is_none() {
        return Err(vec![no_port(canary_row, &port)]);
    }
    check_selectors(f, &rows)?;
    let child = |service: &ServiceName| Child { service: service.name.clone(), port: port.clone() };
    let root = Root::new(name, child(stable), child(new));
    let plain = transport::is_plain(canary_row, &port);
    let bases = layers::base_routes(name, &f.whose, &f.observed.ingress_routes, &f.observed.ingresses);
    Ok(Named { root, like: None, bases, weighted: false, plain })
}

fn shadowed_ingress<'a>(f: &Facts<'a>, name: &str, services: Services<'_>) -> Result<Named<'a>, Vec<Refusal>> {
    let both = services.both()?;
    let ours = |r: &&Arc<IngressRow>| r.meta.name == name && r.meta.namespace == f.whose.namespace;
    let Some(row) = f.observed.ingresses.iter().find(ours) else {
        return Err(vec![Refusal::new(
            format!("{}.trafficRouting.traefik.ingress.name", services.at),
            &name,
            "there is no such Ingress in the namespace",
            "create it, or name another one",
        )]);
    };
    let o = f.observed;
    let labels = pod_labels(f);
    let shadowed = ingress::shadowed(row, &o.services, &labels, &o.ingress_routes, &o.ingresses, &f.whose)?;
    let mut rows = Vec::new();
    for (field, service) in &both {
        match f.service(&service.name) {
            Some(row) if service.ours && row.meta.owner.as_ref().is_none_or(|o| o.uid != f.whose.uid) => {
                return Err(vec![Refusal::new(
                    field,
                    &service.name,
                    "a Service of this name exists and does not belong to this Rollout",
                    "delete or rename it, or name the Service here",
                )]);
            }
            Some(row) if !service.ours => rows.push(row),
            None if !service.ours => return Err(vec![missing_service(field, &service.name)]),
            _ => {}
        }
    }
    if let Some(row) = rows.iter().find(|row| ingress::port_of(row, &shadowed.backend.port).is_none()) {
        return Err(vec![no_port(row, &shadowed.backend.port)]);
    }
    check_selectors(f, &rows)?;
    let [stable, new] = both.map(|(_, service)| service);
    let like = f.service(&shadowed.backend.service);
    let child = |service: &ServiceName| Child { service: service.name.clone(), port: shadowed.backend.port.clone() };
    // A user's own Service of this name may be the child of somebody's TraefikService: the root is named after the Rollout.
    let root = Root::new(&f.whose.rollout, child(stable), child(new));
    let plain = rows.last().copied().or(like).is_some_and(|row| transport::is_plain(row, &root.canary.port));
    Ok(Named { root, like, bases: shadowed.routes, weighted: true, plain })
}

fn pod_labels(f: &Facts<'_>) -> BTreeMap<String, String> {
    let labels = f.spec.template["metadata"]["labels"].as_object().into_iter().flatten();
    labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// A Service that selects other pods than the Rollout's would be pointed at none of them (F4).
pub(super) fn check_selectors(f: &Facts<'_>, rows: &[&ServiceRow]) -> Result<(), Vec<Refusal>> {
    let labels = pod_labels(f);
    let mut refusals = Vec::new();
    for row in rows {
        let field = format!("Service {}", row.meta.name);
        let base = super::edits::base_selector(row);
        if let Some((key, value)) = base.iter().find(|(k, v)| labels.get(*k) != Some(v)) {
            refusals.push(Refusal::new(
                format!("{field}: spec.selector.{key}"),
                value,
                "the Rollout's pods have no such label",
                "let the selector match the labels of spec.template",
            ));
        }
        if base.is_empty() {
            refusals.push(Refusal::new(
                format!("{field}: spec.selector"),
                &"",
                "it selects nothing",
                "give it labels of spec.template",
            ));
        }
        let managed = row.meta.annotations.get(super::ANNOTATION_MANAGED_BY);
        if let Some(other) = managed.filter(|m| **m != f.whose.rollout) {
            let lives = f.observed.others.contains(other);
            if lives {
                refusals.push(Refusal::new(
                    field,
                    other,
                    "another Rollout manages it",
                    "give each Rollout its own Services",
                ));
            }
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

pub(super) fn missing_service(field: &str, name: &str) -> Refusal {
    Refusal::new(field, &name, "there is no such Service in the namespace", "create it, or name another one")
}

fn no_port(row: &ServiceRow, port: &str) -> Refusal {
    Refusal::new(
        format!("Service {}: spec.ports", row.meta.name),
        &port,
        "it has no such port",
        "give stable and canary Service the same ports",
    )
}
