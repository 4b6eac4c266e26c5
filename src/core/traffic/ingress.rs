//! A plain Ingress, read as Traefik reads it: the routes that it stands for.
//!
//! What cannot be said in an IngressRoute with the same meaning is refused by name: a shadow that means something else than
//! the Ingress would move users without a rollout.

use super::Ownership;
use super::layers::BaseRoute;
use super::port_value;
use super::root::Child;
use super::siblings;
use crate::core::refusal::Refusal;
use crate::core::row::{IngressPath, IngressRouteRow, IngressRow, ServicePort, ServiceRow};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const PREFIX: &str = "traefik.ingress.kubernetes.io/";

/// The rule that Traefik makes of one path. `strict`: with `strictPrefixMatching`, where `/foo` does not match `/foobar`.
pub fn path_rule(path: &IngressPath, strict: bool) -> String {
    let mut parts = Vec::new();
    if !path.host.is_empty() {
        parts.push(format!("Host(`{}`)", path.host));
    }
    let p = &path.path;
    if !p.is_empty() {
        parts.push(match path.path_type.as_str() {
            "Exact" => format!("Path(`{p}`)"),
            "Prefix" if strict && p != "/" => {
                let p = p.trim_end_matches('/');
                format!("(Path(`{p}`) || PathPrefix(`{p}/`))")
            }
            _ => format!("PathPrefix(`{p}`)"),
        });
    }
    if parts.is_empty() { "PathPrefix(`/`)".to_owned() } else { parts.join(" && ") }
}

/// An Ingress of which some paths lead to the Rollout's pods.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadowed {
    /// The Service that these paths name: its ports are those of our own Services.
    pub backend: Child,
    pub routes: Vec<BaseRoute>,
}

/// Reads what `row` routes to pods with these labels.
///
/// # Errors
/// All that cannot be said in an IngressRoute, together.
pub fn shadowed(
    row: &IngressRow,
    services: &[Arc<ServiceRow>],
    pod_labels: &BTreeMap<String, String>,
    ingress_routes: &[Arc<IngressRouteRow>],
    ingresses: &[Arc<IngressRow>],
    whose: &Ownership,
) -> Result<Shadowed, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let at = |field: &str| format!("Ingress {}: {field}", row.meta.name);
    let (entry_points, middlewares, tls) = annotations(row, &mut refusals);
    let mut backend: Option<Child> = None;
    let mut base = Vec::new();
    for (index, path) in row.paths.iter().enumerate() {
        let field = at(&format!("path {index} ({}{})", path.host, path.path));
        let Some(named) = &path.backend else { continue };
        let Some(service) = services.iter().find(|s| s.meta.name == named.service) else { continue };
        let selects = !service.selector.is_empty()
            && service
                .selector
                .iter()
                .all(|(k, v)| k == crate::core::rollout::LABEL_HASH || pod_labels.get(k) == Some(v));
        if !selects {
            continue;
        }
        if path.host.contains('*') {
            refusals.push(Refusal::new(
                &field,
                &path.host,
                "a wildcard host",
                "write the host out, or use an IngressRoute",
            ));
        }
        if path.path_type == "ImplementationSpecific"
            && row.meta.annotations.contains_key(&format!("{PREFIX}router.pathmatcher"))
        {
            refusals.push(Refusal::new(
                &field,
                &path.path,
                "a path matcher by annotation",
                "use pathType Prefix or Exact",
            ));
        }
        let child = Child { service: named.service.clone(), port: named.port.clone() };
        match &backend {
            Some(other) if *other != child => refusals.push(Refusal::new(
                &field,
                &format!("{}:{}", child.service, child.port),
                format!("another backend than {}:{} leads to the same pods", other.service, other.port),
                "let all paths name one Service and port",
            )),
            _ => backend = Some(child),
        }
        base.push(path);
    }
    let mut hosts: Vec<String> = base.iter().map(|p| p.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    if hosts.len() > 1 {
        refusals.push(Refusal::new(
            at("rules"),
            &hosts.join(", "),
            "several hosts lead to the Rollout's pods",
            "give each host an Ingress and a Rollout, or use an IngressRoute with weightedTraefikServiceName",
        ));
    }
    let Some(backend) = backend else {
        refusals.push(Refusal::new(
            at("rules"),
            &"",
            "no path leads to a Service whose selector matches the Rollout's pod labels",
            "point a path to such a Service",
        ));
        return Err(refusals);
    };
    for service in services.iter().filter(|s| s.meta.name == backend.service) {
        for key in service.meta.annotations.keys().filter(|k| k.starts_with(&format!("{PREFIX}service."))) {
            refusals.push(Refusal::new(
                format!("Service {}: metadata.annotations", service.meta.name),
                key,
                "options of a Service are not carried over to its shadow",
                "take the annotation off, or use an IngressRoute with weightedTraefikServiceName",
            ));
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let all = siblings::of_hosts(&hosts, ingress_routes, ingresses, whose);
    let set = row.meta.annotations.get(&format!("{PREFIX}router.priority")).and_then(|p| p.parse::<i64>().ok());
    let routes = base.into_iter().map(|path| {
        let rule = path_rule(path, true);
        let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
        // Whether prefixes are strict is not seen; the longer form is the one to outrank.
        let lowest = set.filter(|p| *p != 0).unwrap_or_else(|| length(&path_rule(path, false)));
        let priority = set.filter(|p| *p != 0).unwrap_or_else(|| length(&rule));
        let leave_out = siblings::to_leave_out(&all, &rule, lowest + 1, priority + 3);
        BaseRoute {
            rule,
            priority,
            leave_out,
            entry_points: entry_points.clone(),
            middlewares: middlewares.clone(),
            tls: tls.clone(),
            class: row.meta.annotations.get("kubernetes.io/ingress.class").cloned(),
            of: row.meta.name.clone(),
        }
    });
    Ok(Shadowed { routes: routes.collect(), backend })
}

/// Entry points, middlewares and TLS options from the annotations of Traefik.
fn annotations(row: &IngressRow, refusals: &mut Vec<Refusal>) -> (Vec<String>, Vec<Value>, Option<Value>) {
    let (mut entry_points, mut middlewares, mut tls) = (Vec::new(), Vec::new(), None);
    let field = |key: &str| format!("Ingress {}: metadata.annotations[{key}]", row.meta.name);
    for (key, value) in &row.meta.annotations {
        if key == "kubernetes.io/ingress.class" && !value.is_empty() && !value.contains("traefik") {
            refusals.push(Refusal::new(field(key), value, "not served by Traefik", "use the class of Traefik"));
        }
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        let list = || value.split(',').map(str::trim).filter(|s| !s.is_empty());
        match name {
            "router.entrypoints" => entry_points = list().map(str::to_owned).collect(),
            "router.middlewares" => {
                for reference in list() {
                    match own_reference(reference, &row.meta.namespace) {
                        Some(value) => middlewares.push(value),
                        None => refusals.push(Refusal::new(
                            field(key),
                            &reference,
                            "a middleware of another namespace",
                            "use one of the Ingress' namespace",
                        )),
                    }
                }
            }
            "router.tls" if value == "true" => _ = tls.get_or_insert_with(|| json!({})),
            "router.tls" | "router.priority" | "router.pathmatcher" => {}
            // The certificate is in Traefik's store already: the Ingress put it there.
            "router.tls.certresolver" => _ = tls.get_or_insert_with(|| json!({})),
            _ if name.starts_with("router.tls.domains.") => _ = tls.get_or_insert_with(|| json!({})),
            "router.tls.options" => match own_reference(value, &row.meta.namespace) {
                Some(options) => tls.get_or_insert_with(|| json!({}))["options"] = options,
                None => refusals.push(Refusal::new(
                    field(key),
                    value,
                    "TLS options of another namespace",
                    "use those of the Ingress' namespace",
                )),
            },
            _ => refusals.push(Refusal::new(
                field(key),
                value,
                "not known how to say in an IngressRoute",
                "take it off, or use an IngressRoute with weightedTraefikServiceName",
            )),
        }
    }
    (entry_points, middlewares, tls)
}

/// `<namespace>-<name>@kubernetescrd` of this namespace, or a name of another provider.
fn own_reference(reference: &str, namespace: &str) -> Option<Value> {
    match reference.strip_suffix("@kubernetescrd") {
        Some(joined) => {
            let name = joined.strip_prefix(namespace)?.strip_prefix('-')?;
            Some(json!({"name": name, "namespace": namespace}))
        }
        None => Some(json!({"name": reference})),
    }
}

/// The port of `service` with this number or name, as written; `None` when it has none.
pub fn port_of<'a>(service: &'a ServiceRow, port: &str) -> Option<&'a ServicePort> {
    let wanted = port_value(port);
    service.ports.iter().find(|p| wanted == json!(p.port) || p.name.as_deref() == Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::{Backend, Meta, ServicePort};

    fn path(host: &str, path: &str, kind: &str) -> IngressPath {
        let backend = Some(Backend { service: "mynginx".into(), port: "80".into() });
        IngressPath { host: host.into(), path: path.into(), path_type: kind.into(), backend }
    }

    fn ingress(annotations: &[(&str, &str)], paths: Vec<IngressPath>) -> IngressRow {
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let meta = Meta {
            name: "mynginx-traefik-ingress".into(),
            namespace: "default".into(),
            annotations,
            ..Meta::default()
        };
        IngressRow { meta, paths, ..IngressRow::default() }
    }

    fn read(row: &IngressRow) -> Result<Shadowed, Vec<Refusal>> {
        let labels = BTreeMap::from([("run".to_owned(), "mynginx".to_owned())]);
        let meta = Meta { name: "mynginx".into(), namespace: "default".into(), ..Meta::default() };
        let ports = vec![ServicePort { port: 80, ..ServicePort::default() }];
        let service = ServiceRow { meta, selector: labels.clone(), ports, kind: "ClusterIP".into() };
        let whose = Ownership { namespace: "default".into(), rollout: "mynginx".into(), uid: "u".into() };
        shadowed(row, &[Arc::new(service)], &labels, &[], &[Arc::new(row.clone())], &whose)
    }

    #[test]
    fn the_first_sample_is_read_as_written() {
        let row = ingress(
            &[("ingress.kubernetes.io/rewrite-target", "/"), ("kubernetes.io/ingress.class", "traefik")],
            vec![path("mynginx.127.0.0.1.sslip.io", "/", "Prefix")],
        );
        let read = read(&row).expect("nothing to refuse");
        assert_eq!(read.backend, Child { service: "mynginx".into(), port: "80".into() });
        let route = &read.routes[0];
        assert_eq!(route.rule, "Host(`mynginx.127.0.0.1.sslip.io`) && PathPrefix(`/`)");
        assert_eq!(route.priority, 53);
        assert_eq!(route.class.as_deref(), Some("traefik"));
        assert!(route.leave_out.is_empty());
    }

    #[test]
    fn a_longer_path_of_the_same_host_that_would_lose_is_left_out() {
        let mut row = ingress(&[], vec![path("a.b", "/", "Prefix"), path("a.b", "/x", "Exact")]);
        row.paths[1].backend = Some(Backend { service: "other".into(), port: "80".into() });
        let read = read(&row).expect("nothing to refuse");
        // Path(`/x`) is shorter than PathPrefix(`/`): it loses today, and goes on to lose.
        assert!(read.routes[0].leave_out.is_empty(), "{:?}", read.routes[0].leave_out);
        row.paths[1].path = "/xyz-and".into();
        let read = self::read(&row).expect("nothing to refuse");
        assert_eq!(read.routes[0].leave_out, ["Host(`a.b`) && Path(`/xyz-and`)"]);
    }

    #[test]
    fn what_has_no_equal_is_refused_by_name() {
        let row = ingress(
            &[("traefik.ingress.kubernetes.io/router.rulesyntax", "v2")],
            vec![path("a.b", "/", "Prefix"), path("c.d", "/", "Prefix")],
        );
        let refusals = read(&row).expect_err("two things");
        assert!(refusals.iter().any(|r| r.field.contains("rulesyntax")));
        assert!(refusals.iter().any(|r| r.problem.contains("several hosts")));
    }

    #[test]
    fn entry_points_middlewares_and_tls_options_are_carried_over() {
        let row = ingress(
            &[
                ("traefik.ingress.kubernetes.io/router.entrypoints", "web, websecure"),
                ("traefik.ingress.kubernetes.io/router.middlewares", "default-auth@kubernetescrd,log@file"),
                ("traefik.ingress.kubernetes.io/router.tls.options", "default-modern@kubernetescrd"),
            ],
            vec![path("a.b", "/", "Prefix")],
        );
        let route = read(&row).expect("nothing to refuse").routes.remove(0);
        assert_eq!(route.entry_points, ["web", "websecure"]);
        assert_eq!(route.middlewares, [json!({"name": "auth", "namespace": "default"}), json!({"name": "log@file"})]);
        assert_eq!(route.tls, Some(json!({"options": {"name": "modern", "namespace": "default"}})));
    }
}
