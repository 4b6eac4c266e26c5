//! A Service: whom it selects, and under which ports.

use super::meta::strings;
use super::{Meta, Packed, Row, RowError};
use crate::core::object::ResourceType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is kept of a Service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServiceRow {
    pub meta: Meta,
    pub selector: BTreeMap<String, String>,
    pub ports: Vec<ServicePort>,
    /// `ClusterIP`, `ExternalName` …
    pub kind: String,
}

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServicePort {
    pub name: Option<String>,
    pub port: i64,
    /// Number or name; absent means the same as `port`.
    pub target: Option<Value>,
    pub protocol: Option<String>,
    pub app_protocol: Option<String>,
}

impl Row for ServiceRow {
    type Kept = Packed<Self>;

    fn resource() -> ResourceType {
        ResourceType::SERVICE
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        let spec = &object["spec"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let ports = spec["ports"].as_array().into_iter().flatten().map(|p| ServicePort {
            name: text(&p["name"]),
            port: p["port"].as_i64().unwrap_or_default(),
            target: p.get("targetPort").cloned(),
            protocol: text(&p["protocol"]),
            app_protocol: text(&p["appProtocol"]),
        });
        Ok(Self {
            meta: Meta::read(object)?,
            selector: strings(&spec["selector"]),
            ports: ports.collect(),
            kind: text(&spec["type"]).unwrap_or_else(|| "ClusterIP".to_owned()),
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_port_keeps_its_target_as_number_or_name() {
        let row = ServiceRow::read(&json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "3"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081}]},
        }))
        .expect("a whole Service");
        assert_eq!(row.ports[0].target, Some(json!("http")));
        assert_eq!(row.ports[1].target, Some(json!(8081)));
        assert_eq!(row.kind, "ClusterIP");
    }
}
