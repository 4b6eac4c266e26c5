//! What one pass wants done.
//!
//! A plan is carried out in this order, and only in this order:
//!
//! 1. `safety`: effects that only lower the canary's share. Right in any state, so they need no record made first, and a
//!    failure of one stops neither the others nor the rest of the plan.
//! 2. `status`: at most one write, with the version that was observed. It is the pass's commit point: when it is refused,
//!    the rest is dropped and the key decided again on what is true then.
//! 3. `effects`: in order, up to the first that fails.
//! 4. `notices`, once the rest stands.
//!
//! Outcomes are never written back by whoever carries a plan out. Facts return through the caches, so that `decide` is the
//! only author of status. Deciding again on one's own result gives no effects: the most important law of this crate.

use crate::core::object::ObjectRef;
use crate::core::question::Question;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// The result of one decision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    pub safety: Vec<Effect>,
    pub status: Option<StatusWrite>,
    pub effects: Vec<Effect>,
    /// All that the next pass needs to know. Declarative: what is missing here and was asked before is cancelled.
    pub ask: Vec<Question>,
    pub notices: Vec<Notice>,
    /// When to decide again though nothing was seen to change.
    pub wake: Option<Timestamp>,
    /// The key goes to the lane whose passes and write permits are kept free: an abort, a failed run, a lost canary.
    pub urgent: bool,
}

impl Plan {
    pub fn lane(&self) -> Lane {
        if self.urgent { Lane::Urgent } else { Lane::Normal }
    }
}

/// Which passes and write permits a key may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Lane {
    #[default]
    Normal,
    /// Some passes and permits are kept free for it, so that an abort is written in the middle of a storm.
    Urgent,
}

/// One write, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    pub verb: Verb,
    pub why: Why,
}

impl Effect {
    /// What is written; for a push the Application that wants it.
    pub fn target(&self) -> ObjectRef {
        match &self.verb {
            Verb::Create { object, .. } | Verb::Apply { object, .. } => ObjectRef::named_by(object),
            Verb::Edit { target, .. } | Verb::Delete { target, .. } => target.clone(),
            Verb::Evict { pod, .. } => pod.clone(),
            Verb::Push(push) => push.by.clone(),
        }
    }
}

/// The closed set of what the executor can do. A new feature is a constructor of these, never a new verb.
///
/// Each names something that the snapshot has seen (by uid or version) or a place that it saw free.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Into a free place; fails when something is there.
    Create { object: Arc<Value>, actor: Actor },
    /// Server-side apply of a whole object or of the fields that are ours. `uid` of what is there, `None` for a free place.
    Apply { object: Arc<Value>, manager: Manager, force: bool, uid: Option<String>, actor: Actor },
    /// A JSON patch that tests every value before it replaces it.
    Edit { target: ObjectRef, patch: json_patch::Patch },
    /// Only the object with this uid.
    Delete { target: ObjectRef, uid: String, propagation: Propagation, actor: Actor },
    /// Through the eviction API, so that disruption budgets hold.
    Evict { pod: ObjectRef, uid: String },
    /// A commit to a branch, by compare-and-swap.
    Push(Arc<Push>),
}

/// Who does it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The controller's own account.
    Controller,
    /// The tenant's: every apply and prune of an Application.
    ServiceAccount { namespace: String, name: String },
}

/// The field manager of a server-side apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manager {
    /// `tidegate-rollout`: our own objects.
    Rollout,
    /// `tidegate-sync`: objects from git.
    Sync,
}

impl Manager {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollout => "tidegate-rollout",
            Self::Sync => "tidegate-sync",
        }
    }
}

/// What happens to what the deleted object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// A commit that puts one path of a branch to a tree that the repository already has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Push {
    /// The Application that wants it.
    pub by: ObjectRef,
    pub url: String,
    /// `refs/heads/main`.
    pub reference: String,
    /// The commit that the branch must still have: 40 hex digits.
    pub expected: String,
    /// The path inside the repository that changes; empty for its root.
    pub path: String,
    /// The tree that the path gets: 40 hex digits.
    pub tree: String,
    pub message: String,
    /// Time of the commit, so that a second attempt makes the very same commit.
    pub time: Timestamp,
    /// The Secret with the credential for writing, in the Application's namespace.
    pub secret: String,
}

/// The status that the object shall have, written as the difference to what was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusWrite {
    pub target: ObjectRef,
    /// The version that the decision was made on; another one refuses the write.
    pub resource_version: String,
    /// A JSON merge patch of `status`: absent fields stay, null removes.
    pub patch: Value,
}

impl StatusWrite {
    /// The write that turns `seen` into `wanted`, or `None` when they are equal.
    pub fn between(target: ObjectRef, resource_version: &str, seen: &Value, wanted: &Value) -> Option<Self> {
        let patch = merge_difference(seen, wanted)?;
        Some(Self { target, resource_version: resource_version.to_owned(), patch })
    }
}

/// The merge patch (RFC 7386) from `seen` to `wanted`; `None` when nothing differs. Nulls inside `wanted` count as absent.
fn merge_difference(seen: &Value, wanted: &Value) -> Option<Value> {
    match (seen, wanted) {
        (Value::Object(old), Value::Object(new)) => {
            let mut patch = serde_json::Map::new();
            for key in old.keys().filter(|k| new.get(*k).is_none_or(Value::is_null)) {
                if !old[key].is_null() {
                    patch.insert(key.clone(), Value::Null);
                }
            }
            for (key, value) in new.iter().filter(|(_, v)| !v.is_null()) {
                if let Some(inner) = merge_difference(old.get(key).unwrap_or(&Value::Null), value) {
                    patch.insert(key.clone(), inner);
                }
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        _ if seen == wanted => None,
        _ => Some(wanted.clone()),
    }
}

/// Something for the object's event list: what happened, once, in words for the person who looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notice {
    pub on: ObjectRef,
    pub uid: String,
    pub warning: bool,
    /// One of the fixed reasons, as the field has them: `RolloutStepCompleted`.
    pub reason: &'static str,
    pub message: String,
}

/// An effect that was not carried out. It reaches the next decision as a row, and is gone once the effect was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEffect {
    /// What it was about; for a push the Application that wanted it.
    pub target: ObjectRef,
    pub why: Why,
    pub at: Timestamp,
    pub class: RefusalClass,
    /// In words, as the other side said it.
    pub message: String,
}

/// What a refusal means for whoever decides next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalClass {
    /// Something else is there than was seen: a conflict, another uid, a branch that moved. Look again and decide again.
    Moved,
    /// Not allowed: no right, a credential that is refused, a protected branch, a hook that declines.
    Forbidden,
    /// Not acceptable as it is: invalid, no such kind or namespace.
    Invalid,
    /// Nobody could say: time-out, too many requests, an error of the other side.
    Unavailable,
}

/// Why a write is made: label of a metric and field of a log line, hence a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    NewRevision,
    Scale,
    SelectPods,
    LowerWeight,
    RaiseWeight,
    RouteSetUp,
    RouteTakeDown,
    Analysis,
    CommandDone,
    Finalizer,
    HistoryLimit,
    SyncApply,
    SyncPrune,
    SelfHeal,
    Hold,
    Revert,
    Restart,
    RoleMetadata,
    HandOver,
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewRevision => "new-revision",
            Self::Scale => "scale",
            Self::SelectPods => "select-pods",
            Self::LowerWeight => "lower-weight",
            Self::RaiseWeight => "raise-weight",
            Self::RouteSetUp => "route-set-up",
            Self::RouteTakeDown => "route-take-down",
            Self::Analysis => "analysis",
            Self::CommandDone => "command-done",
            Self::Finalizer => "finalizer",
            Self::HistoryLimit => "history-limit",
            Self::SyncApply => "sync-apply",
            Self::SyncPrune => "sync-prune",
            Self::SelfHeal => "self-heal",
            Self::Hold => "hold",
            Self::Revert => "revert",
            Self::Restart => "restart",
            Self::RoleMetadata => "role-metadata",
            Self::HandOver => "hand-over",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_difference_removes_with_null_and_leaves_equal_fields_out() {
        let patch = merge_difference(
            &json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1]}),
            &json!({"a": 1, "b": {"d": 3}, "e": [1, 2]}),
        );
        assert_eq!(patch, Some(json!({"b": {"c": null, "d": 3}, "e": [1, 2]})));
    }

    #[test]
    fn an_equal_status_is_no_write() {
        assert_eq!(merge_difference(&json!({"a": null, "b": 1}), &json!({"b": 1, "c": null})), None);
    }
}
