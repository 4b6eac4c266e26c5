//! The rim that faces the Kubernetes API server: what is seen there becomes rows in caches, what was decided becomes calls.
//!
//! The rule it keeps: every call has a deadline that ends before the lease does, every watch has its own backoff, and an
//! object is dropped as soon as its row was read. What enters here speaks HTTP to the API server or holds what came from it;
//! what any of it means is decided in `core/`.

pub mod cache;
pub mod client;
mod dry_run;
pub mod events;
mod kube_api;
pub mod lease;
mod objects;
pub mod pods;
pub mod watch;
pub mod workload;
pub mod write;

pub use cache::{Cache, Caches, Held, NotYet};
pub use client::Client;
pub use dry_run::dry_run_apply;
pub use kube_api::{KubeApi, Pusher, dry_run_create};
pub use lease::Tenure;
pub use objects::Objects;
pub use write::{Api, Became, WriteError, Written};
