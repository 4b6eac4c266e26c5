//! The user's way to the cluster: their kubeconfig, their rights, their namespace.
//!
//! The rule: only these files speak to the API server on behalf of a verb, every call has a deadline, and what comes back is
//! either objects or a [`Failure`](super::failure::Failure) that a person can act on.

mod connect;
mod dump;
mod errors;
mod read;
mod watch;
mod write;

pub(crate) use connect::{Cluster, Target};
pub(crate) use write::Guarded;
