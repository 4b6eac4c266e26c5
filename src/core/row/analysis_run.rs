//! An AnalysisRun: whose it is, what it shall measure, and how it stands.

use super::kept::shared;
use super::{Meta, Packed, Row, RowError};
use crate::core::object::ResourceType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// What is kept of an AnalysisRun. A Rollout reads labels, phase and message; the run's own decision the rest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AnalysisRunRow {
    pub meta: Meta,
    /// `Pending`, `Running`, `Successful`, `Failed`, `Error`, `Inconclusive`; empty before its first status.
    pub phase: String,
    pub message: String,
    #[serde(with = "shared")]
    pub spec: Arc<Value>,
    #[serde(with = "shared")]
    pub status: Arc<Value>,
}

impl AnalysisRunRow {
    /// Nothing more will be measured.
    pub fn is_over(&self) -> bool {
        matches!(self.phase.as_str(), "Successful" | "Failed" | "Error" | "Inconclusive")
    }
}

impl Row for AnalysisRunRow {
    type Kept = Packed<Self>;

    fn resource() -> ResourceType {
        ResourceType::ANALYSIS_RUN
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        let text = |field: &str| object["status"][field].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            meta: Meta::read(object)?,
            phase: text("phase"),
            message: text("message"),
            spec: Arc::new(object["spec"].clone()),
            status: Arc::new(object["status"].clone()),
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
    fn a_run_without_status_is_not_over() {
        let object =
            json!({"metadata": {"name": "r", "namespace": "shop", "uid": "u", "resourceVersion": "3"}, "spec": {}});
        let row = AnalysisRunRow::read(&object).expect("a whole run");
        assert_eq!(row.phase, "");
        assert!(!row.is_over());
    }
}
