//! Rescue: a revision that failed is taken back, in the cluster first and then in git.
//!
//! The cluster never waits for git: the hold stands before anything is pushed, and stays when the push cannot be made.

pub mod message;
