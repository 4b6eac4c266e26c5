//! The end-to-end suite: the product on a real cluster, seen only from outside.
//!
//! Nothing here knows the product's code, but for one scenario, which compares its simulation with a real API server and is the
//! feature `compare`. What is asserted is what a user can see: objects at the API server, answers to
//! requests, commits in the repository. Rules that a unit test or the simulation can break are not tested here again.
//!
//! ```text
//! cluster/     a cluster to work on: the one that bed brought up, or any kubeconfig
//! stand        a namespace of its own for each scenario, cleaned up after it
//! objects      what is applied, as the JSON that goes over the wire
//! wait         waits on watches, which print what they saw when it does not come
//! timeline     every state of an object with the time at which it was seen
//! generator/   requests, each recorded with who answered it; shares and failures follow from the records
//! gitea, clone the forge and a working copy, as a developer has them
//! origin       a repository, its developer, and the Application that follows it
//! traefik      the router's own word: its API and its access log
//! evidence     all that is needed to understand a failure, in one folder
//! faults       ends of the controller at named points
//! signal       signals to a process in a pod
//! audit        what the controller asked of the API server
//! install      the product into the cluster, through its chart
//! scenarios/   one file per family
//! conformance  how the scenarios of Argo Rollouts' own suite fare, as docs/conformance.md has it
//! demo/        the main job, told as it happens
//! ```

pub mod audit;
pub mod clone;
pub mod cluster;
#[cfg(feature = "compare")]
pub mod conformance;
pub mod demo;
pub mod dice;
pub mod evidence;
pub mod faults;
pub mod generator;
pub mod gitea;
pub mod install;
pub mod objects;
pub mod origin;
pub mod report;
pub mod scenarios;
pub mod signal;
pub mod stand;
pub mod timeline;
pub mod traefik;
pub mod wait;
