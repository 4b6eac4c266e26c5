//! What a person is shown: functions from observed objects to lines. No call is made here, and `now` is an argument.

mod facts;
pub(crate) mod history;
pub(crate) mod list;
mod observed;
#[cfg(test)]
mod sample;
pub(crate) mod status;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod wait;

pub(crate) use observed::{Observed, hash_of};
