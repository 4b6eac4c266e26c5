//! The routes that lie around the weighted one.
//!
//! A canary that loses its last pod takes the weighted service with it at Traefik's next reload, faster than any controller.
//! So below every weighted route lies a **net**: the same match, the next lower priority, stable only. Above it lies the
//! **shield**: for requests that may be sent twice, Traefik's failover around the weighted service, which answers from
//! stable when the canary fails, also when its pods are gone without a word (`transport`). Measured: together they lose no
//! request when the canary dies at 20 %. Each is an object of its own, since equal matches in one IngressRoute collapse into
//! one, and each that breaks falls through to the next lower.

use super::Ownership;
use super::root::Root;
use super::rule::hosts_of;
use super::siblings::{self, Sibling};
use super::transport;
use crate::core::rollout::spec::Shield;
use crate::core::row::IngressRouteRow;
use serde_json::{Value, json};
use std::sync::Arc;

/// A route of a user that the layers are put around.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseRoute {
    pub rule: String,
    pub priority: i64,
    /// Rules of others that ours must not take.
    pub leave_out: Vec<String>,
    /// Empty: those that are the default.
    pub entry_points: Vec<String>,
    pub middlewares: Vec<Value>,
    pub tls: Option<Value>,
    /// The legacy annotation, where the user's object has it.
    pub class: Option<String>,
    /// Name of the user's object.
    pub of: String,
}

/// Which routes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    pub net: bool,
    pub shield: Shield,
    /// The weighted route too: the user's own names no weights.
    pub weighted: bool,
    /// Traefik speaks plain HTTP with the canary's pods.
    pub plain: bool,
}

/// An object of ours, in the order in which they are made: what breaks falls to what was made before.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteObject {
    pub name: String,
    /// `IngressRoute`, `ServersTransport` or `TraefikService`.
    pub kind: &'static str,
    pub object: Value,
    /// Names of the routers that Traefik makes of it.
    pub routers: Vec<String>,
}

/// Routes of IngressRoutes in the namespace whose only backend is the TraefikService `root`.
pub fn base_routes(
    root: &str,
    whose: &Ownership,
    rows: &[Arc<IngressRouteRow>],
    ingresses: &[Arc<crate::core::row::IngressRow>],
) -> Vec<BaseRoute> {
    let mut bases = Vec::new();
    let theirs = rows.iter().filter(|r| r.meta.namespace == whose.namespace && !whose.owns(&r.meta));
    for row in theirs.filter(|r| r.spec["parentRefs"].as_array().is_none_or(Vec::is_empty)) {
        for (index, route) in row.routes.iter().enumerate() {
            let leads_here = matches!(route.services.as_slice(), [(kind, namespace, name)]
                if kind == "TraefikService" && name == root && (namespace.is_empty() || *namespace == whose.namespace));
            if !leads_here {
                continue;
            }
            let written = &row.spec["routes"][index];
            let hosts = hosts_of(&route.rule);
            let others: Vec<Sibling> = siblings::of_hosts(&hosts, rows, ingresses, whose);
            let priority = route.effective_priority();
            bases.push(BaseRoute {
                leave_out: siblings::to_leave_out(&others, &route.rule, priority - 1, priority - 1)
                    .into_iter()
                    .chain(siblings::to_leave_out(&others, &route.rule, priority + 1, priority + 1))
                    .collect(),
                rule: route.rule.clone(),
                priority,
                entry_points: (row.spec["entryPoints"].as_array().into_iter().flatten())
                    .filter_map(|e| e.as_str().map(str::to_owned))
                    .collect(),
                middlewares: written["middlewares"].as_array().cloned().unwrap_or_default(),
                tls: row.spec.get("tls").filter(|t| !t.is_null()).map(|tls| match tls.get("options") {
                    Some(options) => json!({"options": options}),
                    None => json!({}),
                }),
                class: row.meta.annotations.get("kubernetes.io/ingress.class").cloned(),
                of: row.meta.name.clone(),
            });
        }
    }
    bases
}

/// All objects of ours around `bases`.
pub fn objects(bases: &[BaseRoute], layers: Layers, root: &Root, whose: &Ownership) -> Vec<RouteObject> {
    let mut objects = Vec::new();
    let mut names: Vec<&str> = bases.iter().map(|b| b.of.as_str()).collect();
    names.dedup();
    // With a route of ours the user's priority is outranked by all three; with one of the user's the layers lie around it.
    let (net, weighted, shield) = if layers.weighted { (1, 2, 3) } else { (-1, 0, 1) };
    if layers.shield != Shield::None && !bases.is_empty() {
        if layers.plain {
            objects.push(transport::object(&shield_name(&whose.rollout), whose));
        }
        objects.push(shield_service(root, whose));
    }
    for name in names {
        let of: Vec<&BaseRoute> = bases.iter().filter(|b| b.of == name).collect();
        if layers.net {
            objects.push(routes(&of, "net", net, None, &root.stable.entry(), whose));
        }
        if layers.weighted {
            let service = json!({"name": root.name, "kind": "TraefikService"});
            objects.push(routes(&of, "weighted", weighted, None, &service, whose));
        }
        let methods = match layers.shield {
            Shield::None => continue,
            Shield::Idempotent => Some("(Method(`GET`) || Method(`HEAD`) || Method(`OPTIONS`))"),
            Shield::All => None,
        };
        let service = json!({"name": shield_name(&whose.rollout), "kind": "TraefikService"});
        objects.push(routes(&of, "shield", shield, methods, &service, whose));
    }
    objects
}

fn shield_name(rollout: &str) -> String {
    format!("{rollout}-shield")
}

/// Failover around the weighted service, so that the weights stay in one object.
fn shield_service(root: &Root, whose: &Ownership) -> RouteObject {
    let name = shield_name(&whose.rollout);
    let object = json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": whose.metadata(&name),
        "spec": {"failover": {
            "service": {"name": root.name, "kind": "TraefikService"},
            "fallback": root.stable.entry(),
            "errors": {"status": ["502-504"]},
        }},
    });
    RouteObject { name, kind: "TraefikService", object, routers: Vec::new() }
}

fn routes(
    bases: &[&BaseRoute],
    layer: &str,
    above: i64,
    methods: Option<&str>,
    service: &Value,
    whose: &Ownership,
) -> RouteObject {
    let first = bases[0];
    let name = format!("{}-{}-{layer}", whose.rollout, first.of);
    let mut routers = Vec::new();
    let routes: Vec<Value> = (bases.iter())
        .map(|base| {
            let mut rule = format!("({})", base.rule);
            for other in &base.leave_out {
                rule.push_str(&format!(" && !({other})"));
            }
            if let Some(methods) = methods {
                rule.push_str(&format!(" && {methods}"));
            }
            routers.push(super::names::router(&whose.namespace, &name, &rule));
            // 0 would mean the length of the rule.
            let priority = if base.priority + above == 0 { -1 } else { base.priority + above };
            let mut route = json!({"kind": "Rule", "match": rule, "priority": priority, "services": [service]});
            if !base.middlewares.is_empty() {
                route["middlewares"] = json!(base.middlewares);
            }
            route
        })
        .collect();
    let mut spec = json!({"routes": routes});
    if !first.entry_points.is_empty() {
        spec["entryPoints"] = json!(first.entry_points);
    }
    if let Some(tls) = &first.tls {
        spec["tls"] = tls.clone();
    }
    let mut metadata = whose.metadata(&name);
    if let Some(class) = &first.class {
        metadata["annotations"] = json!({"kubernetes.io/ingress.class": class});
    }
    let object =
        json!({"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": metadata, "spec": spec});
    RouteObject { name, kind: "IngressRoute", object, routers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::traffic::root::Child;

    fn base(priority: i64) -> BaseRoute {
        BaseRoute {
            rule: "Host(`a.b`)".into(),
            priority,
            leave_out: vec![],
            entry_points: vec!["web".into()],
            middlewares: vec![],
            tls: None,
            class: None,
            of: "in".into(),
        }
    }

    fn made(layers: Layers, priority: i64) -> Vec<RouteObject> {
        let whose = Ownership { namespace: "shop".into(), rollout: "web".into(), uid: "u".into() };
        let child = |name: &str| Child { service: name.into(), port: "80".into() };
        let root = Root::new("web", child("web-stable"), child("web-canary"));
        objects(&[base(priority)], layers, &root, &whose)
    }

    #[test]
    fn net_weighted_and_shield_have_rising_priorities_above_an_ingress() {
        let objects = made(Layers { net: true, shield: Shield::Idempotent, weighted: true, plain: true }, 53);
        let priorities: Vec<_> =
            objects.iter().filter_map(|o| o.object["spec"]["routes"][0]["priority"].as_i64()).collect();
        assert_eq!(priorities, [54, 55, 56]);
        assert_eq!(objects[2].object["spec"]["routes"][0]["services"][0]["name"], "web-stable");
        assert_eq!(
            objects[4].object["spec"]["routes"][0]["match"],
            "(Host(`a.b`)) && (Method(`GET`) || Method(`HEAD`) || Method(`OPTIONS`))"
        );
    }

    #[test]
    fn what_the_shield_points_at_is_made_before_it() {
        let objects = made(Layers { net: true, shield: Shield::Idempotent, weighted: true, plain: true }, 53);
        let kinds: Vec<_> = objects.iter().map(|o| o.kind).collect();
        assert_eq!(kinds[..2], ["ServersTransport", "TraefikService"]);
        assert_eq!(objects[0].object["spec"]["forwardingTimeouts"]["dialTimeout"], "2s");
    }

    #[test]
    fn around_a_route_of_the_user_lie_one_below_and_one_above() {
        let objects = made(Layers { net: true, shield: Shield::All, weighted: false, plain: false }, 20);
        let priorities: Vec<_> =
            objects.iter().filter_map(|o| o.object["spec"]["routes"][0]["priority"].as_i64()).collect();
        assert_eq!(priorities, [19, 21]);
    }

    #[test]
    fn no_priority_is_zero_since_that_means_another() {
        let objects = made(Layers { net: true, shield: Shield::None, weighted: false, plain: true }, 1);
        assert_eq!(objects[0].object["spec"]["routes"][0]["priority"], -1);
    }

    #[test]
    fn the_shield_wraps_the_weighted_service_so_that_weights_stay_in_one_object() {
        let objects = made(Layers { net: false, shield: Shield::All, weighted: true, plain: false }, 20);
        let failover = &objects[0].object["spec"]["failover"];
        assert_eq!(failover["service"], json!({"name": "web", "kind": "TraefikService"}));
        assert_eq!(failover["fallback"]["name"], "web-stable");
    }
}
