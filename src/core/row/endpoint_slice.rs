//! An EndpointSlice: which pods stand behind a Service, and whether they are ready.

use super::{Meta, Packed, Row, RowError};
use crate::core::object::ResourceType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is kept of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointSliceRow {
    pub meta: Meta,
    /// The Service it belongs to.
    pub service: String,
    pub endpoints: Vec<Endpoint>,
    /// Numbers of its ports, with their names (empty for the only one).
    pub ports: Vec<(String, i64)>,
}

/// One pod behind a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoint {
    pub address: String,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
    /// Name of its pod; empty when it is none.
    pub pod: String,
}

impl Row for EndpointSliceRow {
    type Kept = Packed<Self>;

    fn resource() -> ResourceType {
        ResourceType::ENDPOINT_SLICE
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        let meta = Meta::read(object)?;
        let endpoints = object["endpoints"].as_array().into_iter().flatten().filter_map(|e| {
            let conditions = &e["conditions"];
            // An absent `ready` means ready, and an absent `serving` means the same as `ready`: so says the API.
            let ready = conditions["ready"].as_bool().unwrap_or(true);
            Some(Endpoint {
                address: e["addresses"][0].as_str()?.to_owned(),
                ready,
                serving: conditions["serving"].as_bool().unwrap_or(ready),
                terminating: conditions["terminating"].as_bool().unwrap_or(false),
                pod: e["targetRef"]["name"].as_str().unwrap_or_default().to_owned(),
            })
        });
        let ports = object["ports"].as_array().into_iter().flatten();
        let ports =
            ports.filter_map(|p| Some((p["name"].as_str().unwrap_or_default().to_owned(), p["port"].as_i64()?)));
        Ok(Self {
            service: meta.labels.get("kubernetes.io/service-name").cloned().unwrap_or_default(),
            endpoints: endpoints.collect(),
            ports: ports.collect(),
            meta,
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
    fn absent_conditions_mean_ready() {
        let row = EndpointSliceRow::read(&json!({
            "metadata": {"name": "web-x", "namespace": "shop", "uid": "u", "resourceVersion": "3",
                         "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "", "port": 8080}],
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {}},
                          {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true},
                           "targetRef": {"kind": "Pod", "name": "web-1-abc"}}],
        }))
        .expect("a whole slice");
        assert_eq!(row.service, "web");
        assert!(row.endpoints[0].ready && row.endpoints[0].serving);
        assert!(!row.endpoints[1].ready && row.endpoints[1].serving && row.endpoints[1].terminating);
        assert_eq!(row.ports, [(String::new(), 8080)]);
    }
}
