//! What a Rollout wants next.
//!
//! The problem: a change of a pod template shall reach users in steps, and go back at once when it is bad, whatever else is
//! broken at that moment. The rule: there is no sequencing code. `facts` are derived once from what was observed, a `phase`
//! follows from them, a desired state (sizes, selectors, routes, runs, labels) follows from the phase, and the plan is the
//! difference to what was seen. Deciding again on one's own result gives no effects.
//!
//! What enters: pure functions over [`Observed`] and `now`. What does not: anything that asks, waits or writes, and anything
//! about how a routing object looks, which is `core/traffic`.

mod blue_green;
mod canary;
mod commands;
mod conditions;
mod deadline;
mod decide;
mod deletion;
mod dump;
mod duration;
mod dynamic;
mod edits;
mod facts;
mod floor;
mod frozen;
mod guard;
mod mutants;
mod named;
mod observed;
mod pass;
mod pods;
mod restart;
mod retire;
pub mod revisions;
mod roles;
mod rollback;
mod routing;
mod runs;
mod shares;
mod sizes;
pub mod spec;
mod steps;
pub mod template;
#[cfg(test)]
mod tests;
mod window;
mod workload;

pub use decide::decide;
pub use deletion::FINALIZER;
pub use dump::Dump;
pub use mutants::Mutant;
pub use observed::{Observed, Settings, concerns};

/// On everything that belongs to a Rollout, with its name: Services carry it so that their EndpointSlices can be watched by it.
pub const LABEL_ROLLOUT: &str = "tidegate.dev/rollout";

/// On ReplicaSets, pods, Service selectors and AnalysisRuns: the hash of the pod template, under the name that users query.
pub const LABEL_HASH: &str = "rollouts-pod-template-hash";

/// On Services whose selector we changed: the name of the Rollout.
pub const ANNOTATION_MANAGED_BY: &str = "tidegate.dev/managed-by";

/// On a Deployment whose pods a Rollout takes over: how many it had.
pub const ANNOTATION_FORMER_REPLICAS: &str = "tidegate.dev/former-replicas";

/// On a Deployment whose pods a Rollout took over: from then on its size is its owner's matter again.
pub const ANNOTATION_HANDED_OVER: &str = "tidegate.dev/handed-over";

/// On ReplicaSets whose pods carry metadata of a role: what the template had in its place.
pub const ANNOTATION_ROLE: &str = "tidegate.dev/role-metadata";

/// On ReplicaSets: the number of the revision.
pub const ANNOTATION_REVISION: &str = "tidegate.dev/revision";
