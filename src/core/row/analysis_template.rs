//! Analysis templates, of a namespace and of the cluster: their spec as it is on the wire.

use super::{Meta, Row, RowError};
use crate::core::object::ResourceType;
use serde_json::Value;
use std::sync::Arc;

/// What is kept of an AnalysisTemplate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AnalysisTemplateRow {
    pub meta: Meta,
    pub spec: Arc<Value>,
}

/// What is kept of a ClusterAnalysisTemplate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClusterAnalysisTemplateRow {
    pub meta: Meta,
    pub spec: Arc<Value>,
}

impl Row for AnalysisTemplateRow {
    type Kept = Arc<Self>;

    fn resource() -> ResourceType {
        ResourceType::ANALYSIS_TEMPLATE
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        Ok(Self { meta: Meta::read(object)?, spec: Arc::new(object["spec"].clone()) })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Row for ClusterAnalysisTemplateRow {
    type Kept = Arc<Self>;

    fn resource() -> ResourceType {
        ResourceType::CLUSTER_ANALYSIS_TEMPLATE
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        Ok(Self { meta: Meta::read(object)?, spec: Arc::new(object["spec"].clone()) })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}
