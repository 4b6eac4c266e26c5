//! Decides for an Application: what differs from git, what is applied and pruned and in which order, what is healthy, and
//! how a bad revision is taken back.
//!
//! The problem: a commit must reach the cluster whole or not at all, and what it breaks must be taken back without anybody
//! fighting git. The rule kept here: each pass derives the goal (the tip, or the good revision that is held) from status and
//! tip, compares it with the cluster by dry runs that the API server answers, and does the next thing that the comparison
//! allows. Nothing is remembered but in status; a crash between any two passes loses nothing.
//!
//! What enters: pure functions over [`Observed`] and `now`. A Rollout is an object with a health here: nothing of how it
//! works may enter.

pub mod assess;
pub mod commands;
pub mod conditions;
mod decide;
pub mod diff;
pub mod heal;
pub mod health;
mod observed;
pub mod order;
pub mod project;
pub mod prune;
pub mod rescue;
pub mod spec;
pub mod sync;
pub mod wanted;

pub use decide::decide;
pub use observed::Observed;

#[cfg(test)]
mod tests;
