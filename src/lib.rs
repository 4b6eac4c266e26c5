//! Tidegate: progressive delivery and GitOps for Kubernetes.
//!
//! How a commit becomes traffic, and where each part lives:
//!
//! ```text
//! watches, git tips, live weights, measurements    cluster/ git/ traefik/ measure/   sources: an event becomes a row
//!    -> observe(key)       -> Observed             controllers/<kind>.rs             reads caches only, awaits nothing
//!    -> decide(&Observed, now) -> Plan             core/<kind>/                      pure, total, deterministic
//!    -> safety -> status -> effects                execute.rs                        the only writer
//! ```
//!
//! The library exports what the binary and the end-to-end suite need and nothing more, so that unused code is seen.

pub mod api;
#[cfg(test)]
mod architecture;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod controllers;
pub mod core;
pub mod execute;
pub mod git;
pub mod http;
pub mod manifest;
pub mod measure;
pub mod render;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod supervise;
pub mod telemetry;
pub mod traefik;
