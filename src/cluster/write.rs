//! The seam: how effects reach a cluster, and what can come of it.
//!
//! [`Api`] is implemented by `cluster::KubeApi` and by the simulated API server. Everything on this side of it (queue, caches,
//! loop, decisions, executor) is the same code in both.

use crate::cluster::lease::Tenure;
use crate::core::object::ObjectRef;
use crate::core::plan::{Effect, Lane, Notice, RefusalClass, StatusWrite};
use crate::core::question::ApiRefusal;
use crate::telemetry::Outcome;
use std::time::Duration;

/// Writes, one by one. Each call ends within its deadline, or when the tenure does.
pub trait Api: Send + Sync + 'static {
    fn write(
        &self,
        tenure: &Tenure,
        lane: Lane,
        effect: &Effect,
    ) -> impl Future<Output = Result<Written, WriteError>> + Send;

    fn write_status(
        &self,
        tenure: &Tenure,
        lane: Lane,
        status: &StatusWrite,
    ) -> impl Future<Output = Result<Written, WriteError>> + Send;

    /// An event for people. Nothing depends on it, so it cannot fail; it may be dropped under load.
    fn notice(&self, tenure: &Tenure, notice: &Notice) -> impl Future<Output = ()> + Send;
}

/// What a write left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub target: ObjectRef,
    /// Empty for what is not an object of the cluster.
    pub uid: String,
    pub became: Became,
}

/// What the target is after the write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// There, in this version.
    Version(String),
    /// Gone from the API server.
    Gone,
    /// Not an object of this cluster (a branch of a repository), or one that no cache holds: nothing to wait for.
    Elsewhere,
}

/// Why a write did not happen, or may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object is no longer what the decision was made on: another version, uid, or tested value; for a push another tip.
    #[error("it changed since it was read: {0}")]
    Conflict(String),
    /// The place was seen free and is not.
    #[error("it exists already: {0}")]
    Exists(String),
    /// The object was seen and is not there.
    #[error("it is gone: {0}")]
    Gone(String),
    /// A no that will stay one until somebody changes something: validation, rights, admission, quota.
    #[error("refused ({}): {}", .0.reason, .0.message)]
    Refused(ApiRefusal),
    /// Too many requests; nothing was written.
    #[error("the API server is busy, asked to wait {} ms", .0.as_millis())]
    Throttled(Duration),
    /// Nobody answered in a way that says anything about the write: connection refused, 5xx.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The answer was lost or the deadline ran out: it may have happened.
    #[error("no answer, so it may have happened: {0}")]
    Unknown(String),
    /// This process no longer leads; nothing was sent.
    #[error("this process no longer holds the lease")]
    LostTenure,
    /// A fault point of a simulation ended the process here.
    #[error("the process ends here by a fault plan")]
    Killed,
}

impl WriteError {
    /// What it means for whoever decides next; `None` when no decision can be about it.
    pub fn class(&self) -> Option<RefusalClass> {
        Some(match self {
            Self::Conflict(_) | Self::Exists(_) | Self::Gone(_) => RefusalClass::Moved,
            Self::Refused(refusal) if matches!(refusal.code, 401 | 403) => RefusalClass::Forbidden,
            Self::Refused(_) => RefusalClass::Invalid,
            Self::Throttled(_) | Self::Unavailable(_) | Self::Unknown(_) => RefusalClass::Unavailable,
            Self::LostTenure | Self::Killed => return None,
        })
    }

    /// How it is counted.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Conflict(_) | Self::Exists(_) | Self::Gone(_) => Outcome::Conflict,
            Self::Refused(_) => Outcome::Refused,
            Self::Throttled(_) | Self::Unavailable(_) | Self::LostTenure => Outcome::Waiting,
            Self::Unknown(_) | Self::Killed => Outcome::Unknown,
        }
    }
}
