//! The test bed: a real one-node Kubernetes cluster without a container engine, an image registry on the net, or anything
//! installed on the machine.
//!
//! Rule: what a cluster needs lives in its own namespaces and its own run folder, so that ending one process ends the node, and
//! deleting one folder removes it. Nothing here knows Tidegate's objects; scenarios live in the suite, which uses
//! [`cluster::Cluster`] to find what was brought up.
//!
//! Needs next to nothing: the standard library, `rustix` for the system calls, `serde` for the run's description.

pub mod bench;
pub mod cache;
pub mod cgroup;
pub mod check;
pub mod cluster;
pub mod debian;
pub mod demo;
pub mod failure;
pub mod forward;
pub mod images;
pub mod init;
pub mod lock;
pub mod manifests;
pub mod node;
pub mod process;
pub mod programs;
pub mod report;
pub mod rust;
pub mod say;
pub mod template;
pub mod verify;
