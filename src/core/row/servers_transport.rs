//! A ServersTransport of ours: how Traefik connects to a canary's pods.

use super::kept::shared;
use super::{Meta, Packed, Row, RowError};
use crate::core::object::ResourceType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// What is kept of a ServersTransport.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServersTransportRow {
    pub meta: Meta,
    #[serde(with = "shared")]
    pub spec: Arc<Value>,
}

impl Row for ServersTransportRow {
    type Kept = Packed<Self>;

    fn resource() -> ResourceType {
        ResourceType::SERVERS_TRANSPORT
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        Ok(Self { meta: Meta::read(object)?, spec: Arc::new(object["spec"].clone()) })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}
