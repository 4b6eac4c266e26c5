//! A ServersTransport of ours: how Traefik connects to a canary's pods.

use super::{Meta, Row, RowError};
use crate::core::object::ResourceType;
use serde_json::Value;
use std::sync::Arc;

/// What is kept of a ServersTransport.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServersTransportRow {
    pub meta: Meta,
    pub spec: Arc<Value>,
}

impl Row for ServersTransportRow {
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
