//! What Tidegate decides, and nothing of what it does.
//!
//! Pure: no async, no client, no clock, no randomness (a test and clippy check it). Functions take what was observed and
//! `now`, and return data. A production incident is replayed as a unit test by pasting the observed state.

pub mod analysis;
pub mod application;
pub mod object;
pub mod plan;
pub mod question;
pub mod refusal;
pub mod rollout;
pub mod row;
pub mod scalar;
pub mod traffic;
