//! Decides for an Application: what differs from git, what is applied and pruned and in which order, what is healthy, and
//! how a bad revision is taken back.

pub mod health;
pub mod rescue;
