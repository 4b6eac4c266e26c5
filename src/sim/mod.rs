//! A simulated cluster in virtual time, to explore states by the thousand (tests only).
//!
//! The rule: what is explored is what ships. Queue, caches, loop, decisions and executor are the real ones; only what lies beyond
//! the seam is simulated, and the simulated API server is itself compared with a real one by random sequences of writes.

pub mod api;
pub mod conformance;
mod deployment;
pub mod explore;
pub mod node;
pub mod oracle;
pub mod order;
mod recent;
pub mod run;
#[cfg(test)]
mod schedules;
pub mod server;
mod shop;
pub mod traefik;
mod watches;
