//! An Application and the AppProject that it names.

use super::{Meta, Row, RowError};
use crate::api::{AppProjectSpec, ApplicationSpec, ApplicationStatus};
use crate::core::object::{ObjectRef, ResourceType};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq)]
pub struct ApplicationRow {
    pub meta: Meta,
    pub spec: Arc<ApplicationSpec>,
    pub status: Arc<ApplicationStatus>,
    /// Which field manager last wrote each `tidegate.dev/` annotation.
    pub annotation_managers: BTreeMap<String, String>,
}

impl ApplicationRow {
    /// The Application's name as effects and notices use it.
    pub fn target(&self) -> ObjectRef {
        ObjectRef::new(ResourceType::APPLICATION, &self.meta.namespace, &self.meta.name)
    }
}

impl Row for ApplicationRow {
    type Kept = Arc<Self>;

    fn resource() -> ResourceType {
        ResourceType::APPLICATION
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        Ok(Self {
            meta: Meta::read(object)?,
            spec: Arc::new(typed(object, "spec")?),
            status: Arc::new(typed(object, "status")?),
            annotation_managers: super::rollout::annotation_managers(object),
        })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct AppProjectRow {
    pub meta: Meta,
    pub spec: Arc<AppProjectSpec>,
}

impl Row for AppProjectRow {
    type Kept = Arc<Self>;

    fn resource() -> ResourceType {
        ResourceType::APP_PROJECT
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        Ok(Self { meta: Meta::read(object)?, spec: Arc::new(typed(object, "spec")?) })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

fn typed<T: DeserializeOwned + Default>(object: &Value, field: &str) -> Result<T, RowError> {
    match &object[field] {
        Value::Null => Ok(T::default()),
        found => T::deserialize(found).map_err(|error| RowError {
            field: field.to_owned(),
            found: error.to_string(),
            expected: "what the schema of the CRD says",
        }),
    }
}
