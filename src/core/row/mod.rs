//! Rows: the few fields of a watched object that some decision reads, and how they are read from its JSON.
//!
//! A watch turns each event into a row and drops the object; 1,000 Rollouts with all that belongs to them fit in 20 MiB
//! that way. A field enters a row together with the code that reads it. One file per kind.

mod analysis_run;
mod analysis_template;
mod application;
mod endpoint_slice;
mod ingress;
mod ingress_route;
mod kept;
mod meta;
mod replica_set;
mod rollout;
mod servers_transport;
mod service;
mod traefik_service;
mod workload;

pub use analysis_run::AnalysisRunRow;
pub use analysis_template::{AnalysisTemplateRow, ClusterAnalysisTemplateRow};
pub use application::{AppProjectRow, ApplicationRow};
pub use endpoint_slice::{Endpoint, EndpointSliceRow};
pub use ingress::{Backend, IngressPath, IngressRow};
pub use ingress_route::{IngressRouteRow, Route};
pub use kept::{Keep, Packed, number};
pub use meta::{Meta, Owner};
pub use replica_set::ReplicaSetRow;
pub use rollout::{KeptRollout, RolloutRow};
pub use servers_transport::ServersTransportRow;
pub use service::{ServicePort, ServiceRow};
pub use traefik_service::TraefikServiceRow;
pub use workload::{DeploymentRow, WorkloadRow};

use crate::core::object::ResourceType;
use serde_json::Value;

/// What a cache holds of one object.
pub trait Row: Clone + std::fmt::Debug + PartialEq + Send + Sync + Sized + 'static {
    /// How a cache keeps it.
    type Kept: Keep<Self>;

    /// What is watched to fill this row.
    fn resource() -> ResourceType;

    /// Reads the row from the object as the API server sent it.
    ///
    /// # Errors
    /// When a field that is read has another type than its schema says: the watch skips the object, counts it, and goes on.
    fn read(object: &Value) -> Result<Self, RowError>;

    fn meta(&self) -> &Meta;
}

/// An object that cannot be a row: which field, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} holds {found}, expected {expected}")]
pub struct RowError {
    pub field: String,
    pub found: String,
    pub expected: &'static str,
}
