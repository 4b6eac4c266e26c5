//! Named schedules: what people, pods and processes do to a Rollout, in virtual time, and how it must end.
//!
//! The loop, the decisions and the executor are the shipped ones. The oracles look at every moment (T1, T2, T5, T8, T10, P1,
//! L7, L8 and others of `oracle/`); a schedule adds only what it is about. Crashes are not a schedule: `crashes.rs` runs
//! schedules again with a fault at every write that the undisturbed run makes, and wants the same end.

mod blue_green;
mod conformance;
mod crashes;
mod deletion;
mod dynamic;
mod found;
mod restarts;
mod returns;
mod scaling;
mod shop;
mod stories;
mod transport;
mod workload;
