//! An Ingress: the hosts and paths it serves and the Services behind them.

use super::{Meta, Row, RowError};
use crate::core::object::ResourceType;
use serde_json::Value;
use std::sync::Arc;

/// What is kept of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngressRow {
    pub meta: Meta,
    /// `spec.ingressClassName`.
    pub class: Option<String>,
    pub paths: Vec<IngressPath>,
    pub default_backend: Option<Backend>,
}

/// One path of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngressPath {
    /// Empty for all hosts.
    pub host: String,
    /// Empty when none is given.
    pub path: String,
    /// `Exact`, `Prefix` or `ImplementationSpecific`.
    pub path_type: String,
    /// `None` for a backend that is no Service.
    pub backend: Option<Backend>,
}

/// A Service with its port as written: a number or a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backend {
    pub service: String,
    pub port: String,
}

impl IngressRow {
    /// Names of the Services behind its paths.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().filter_map(|path| path.backend.as_ref()).map(|backend| backend.service.as_str())
    }
}

impl Row for IngressRow {
    type Kept = Arc<Self>;

    fn resource() -> ResourceType {
        ResourceType::INGRESS
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        let spec = &object["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut paths = Vec::new();
        for rule in spec["rules"].as_array().into_iter().flatten() {
            for path in rule["http"]["paths"].as_array().into_iter().flatten() {
                paths.push(IngressPath {
                    host: text(&rule["host"]),
                    path: text(&path["path"]),
                    path_type: text(&path["pathType"]),
                    backend: backend(&path["backend"]),
                });
            }
        }
        Ok(Self {
            meta: Meta::read(object)?,
            class: spec["ingressClassName"].as_str().map(str::to_owned),
            paths,
            default_backend: backend(&spec["defaultBackend"]),
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

fn backend(value: &Value) -> Option<Backend> {
    let service = &value["service"];
    let port = &service["port"];
    let port = port["number"].as_i64().map(|n| n.to_string()).or_else(|| port["name"].as_str().map(str::to_owned));
    Some(Backend { service: service["name"].as_str()?.to_owned(), port: port.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_the_ingress_of_the_first_sample() {
        let row = IngressRow::read(&json!({
            "metadata": {"name": "mynginx-traefik-ingress", "namespace": "default", "uid": "u", "resourceVersion": "3",
                         "annotations": {"kubernetes.io/ingress.class": "traefik"}},
            "spec": {"rules": [{"host": "mynginx.127.0.0.1.sslip.io", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "mynginx", "port": {"number": 80}}}}]}}]},
        }))
        .expect("a whole Ingress");
        let path = &row.paths[0];
        assert_eq!((path.host.as_str(), path.path.as_str()), ("mynginx.127.0.0.1.sslip.io", "/"));
        assert_eq!(path.backend, Some(Backend { service: "mynginx".into(), port: "80".into() }));
    }
}
