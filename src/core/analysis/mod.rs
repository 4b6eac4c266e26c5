//! Analysis: what a metric's answer means, what to measure next, and when a run is over.
//!
//! The problem: an expression that a tenant wrote judges a number that a stranger's server sent, and its verdict moves
//! users. The rule kept here: no data is neither error nor success, an expression cannot exhaust the process, and every
//! verdict can be replayed from the run's status. Measuring itself is `measure/`, at the rim; nothing in here asks anybody.

pub mod args;
pub mod condition;
mod limits;
mod metric;
pub mod provider;
pub mod reading;
pub mod run;
pub mod spec;
pub mod template;

pub use metric::Phase;
