//! What turns decisions into a running controller: the queue, the one loop for all kinds, questions and their answers.
//!
//! The rule it keeps: a kind is its rows, `observe` and `decide`, and nothing else. Kinds meet only through objects of the
//! cluster. To add one: its row in `core/row/`, a line in `caches!`, a file here with its [`Kind`], a line in [`KINDS`].
//! Nothing that decides enters here, and nothing that speaks to the network.

pub mod analysis_run;
pub mod application;
pub mod kind;
pub mod pass;
pub mod pusher;
pub mod questions;
pub mod queue;
pub mod refused;
pub mod rollout;
pub mod rooms;
pub mod routes;
pub mod run;
pub mod secrets;
pub mod world;

pub use kind::{KINDS, Kind, KindEntry};
pub use pass::{Controller, Next, Passed};
pub use questions::Desk;
pub use run::Wakeups;
pub use world::{Home, World};
