//! A Rollout's spec: from the wire to types that cannot be wrong, with all refusals found together.
//!
//! The rule kept here: a field is understood or refused by name, never ignored. `lint`, the controller and forms use the same
//! function. A new field is first added to `api/`, then to `types.rs`, then parsed; a field that is parsed and not carried
//! out has a line in `unsupported.rs` until it is.

mod analysis;
mod anti_affinity;
mod blue_green;
mod canary;
mod metadata;
mod parse;
mod reader;
mod selector;
mod traffic;
mod types;
mod unsupported;
mod workload;

#[cfg(test)]
mod tests;

pub use types::*;
