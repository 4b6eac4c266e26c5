//! A TraefikService: its spec, and the children of a weighted one.

use super::kept::shared;
use super::{Meta, Packed, Row, RowError};
use crate::core::object::ResourceType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// What is kept of a TraefikService.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TraefikServiceRow {
    pub meta: Meta,
    #[serde(with = "shared")]
    pub spec: Arc<Value>,
}

impl TraefikServiceRow {
    /// Names and weights of `spec.weighted.services`; a missing weight counts 1, as Traefik reads it.
    pub fn weights(&self) -> Vec<(String, i64)> {
        let children = self.spec["weighted"]["services"].as_array().into_iter().flatten();
        children.filter_map(|c| Some((c["name"].as_str()?.to_owned(), c["weight"].as_i64().unwrap_or(1)))).collect()
    }
}

impl Row for TraefikServiceRow {
    type Kept = Packed<Self>;

    fn resource() -> ResourceType {
        ResourceType::TRAEFIK_SERVICE
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        Ok(Self { meta: Meta::read(object)?, spec: Arc::new(object["spec"].clone()) })
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
    fn a_child_without_weight_counts_one() {
        let row = TraefikServiceRow::read(&json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "3"},
            "spec": {"weighted": {"services": [{"name": "a", "weight": 80}, {"name": "b"}]}},
        }))
        .expect("a whole TraefikService");
        assert_eq!(row.weights(), [("a".to_owned(), 80), ("b".to_owned(), 1)]);
    }
}
