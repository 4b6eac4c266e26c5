//! How a verb fails, and the exit code that says so to a script.

use std::process::ExitCode;
use std::time::Duration;

/// The Rollout is Degraded, aborted or invalid, or a command was refused.
pub const BAD: u8 = 1;
/// The arguments name what does not exist or cannot be; clap ends with the same.
pub const USAGE: u8 = 2;
/// It did not come in time.
pub const TIMEOUT: u8 = 3;
/// The cluster does not answer, or does not allow it.
pub const CLUSTER: u8 = 4;

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("Rollout {namespace}/{name}: there is none of this name; {near}")]
    NoRollout { namespace: String, name: String, near: String },
    #[error(
        "this cluster has no Rollouts: the kind is not installed; install the chart, or: tidegate crds | kubectl apply -f -"
    )]
    NotInstalled,
    #[error("{0}")]
    Usage(String),
    /// By us or by the controller.
    #[error("{0}")]
    Refused(String),
    #[error("{what}: not within {} s; {remedy}", limit.as_secs())]
    Timeout { what: String, limit: Duration, remedy: String },
    #[error("kubeconfig: {0}")]
    Config(String),
    #[error("{what}: {message}")]
    Cluster { what: String, message: String },
    #[error("the answer cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NoRollout { .. } | Self::NotInstalled | Self::Usage(_) | Self::Config(_) => USAGE,
            Self::Refused(_) => BAD,
            Self::Timeout { .. } => TIMEOUT,
            Self::Cluster { .. } | Self::Output(_) => CLUSTER,
        })
    }
}
