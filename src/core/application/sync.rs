//! One sync: from a complete comparison to what is applied and pruned next, and to what is remembered of it.
//!
//! Order (G9): definitions and namespaces, then wave after wave, each only when the one before is in sync and healthy;
//! pruning last, and only when everything that is wanted is in sync. What is about to be applied enters the inventory in
//! the status write that comes before it, so that an object can never be ours without our knowing.

use super::assess::{Assessed, Fit};
use super::heal;
use super::health::HealthStatus;
use super::prune::{self, Extra, Fate};
use super::spec::Spec;
use super::wanted;
use crate::api::{
    ApplicationStatus, HistoryEntry, Inventory, LastGoodSource, OperationState, ReconcileError, RevisionStatus,
    SyncResult,
};
use crate::core::object::ResourceType;
use crate::core::plan::{Effect, Manager, Verb, Why};
use crate::core::question::LiveObject;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `status.operationState.phase`.
pub mod phase {
    pub const RUNNING: &str = "Running";
    pub const SUCCEEDED: &str = "Succeeded";
    pub const FAILED: &str = "Failed";
}

/// Who began a sync that no person asked for.
pub const BY_POLICY: &str = "automated";
pub const BY_RESCUE: &str = "rescue";

/// What shall be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    pub revision: RevisionStatus,
    /// Digest of what else the objects depend on.
    pub parameters: String,
    /// It is the good revision, kept while git names a rejected one.
    pub held: bool,
}

impl Goal {
    pub fn tree(&self) -> &str {
        self.revision.tree.as_deref().unwrap_or_default()
    }

    /// Repository, commit and directory, as Rollouts carry them.
    pub fn source(&self, spec: &Spec) -> String {
        let revision = self.revision.revision.clone().unwrap_or_default();
        let source = LastGoodSource { repo: spec.source.url.clone(), revision, path: spec.source.path.clone() };
        serde_json::to_string(&source).unwrap_or_default()
    }

    /// The present or last sync, if it was of this goal.
    pub fn operation<'a>(&self, status: &'a ApplicationStatus) -> Option<&'a OperationState> {
        status.operation_state.as_ref().filter(|op| {
            op.sync_result.as_ref().is_some_and(|r| {
                r.tree == self.revision.tree && r.parameters.as_deref() == Some(self.parameters.as_str())
            })
        })
    }

    fn begin(&self, status: &mut ApplicationStatus, by: &str, now: Timestamp) {
        status.operation_state = Some(OperationState {
            phase: Some(phase::RUNNING.to_owned()),
            started_at: Some(now),
            initiated_by: Some(by.to_owned()),
            sync_result: Some(SyncResult {
                revision: self.revision.revision.clone(),
                tree: self.revision.tree.clone(),
                parameters: Some(self.parameters.clone()),
                resources: Vec::new(),
            }),
            ..OperationState::default()
        });
    }
}

/// What comes of a comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moves {
    pub effects: Vec<Effect>,
    pub wake: Option<Timestamp>,
    /// Everything that is wanted is as it is wanted.
    pub in_sync: bool,
    /// And nothing is left to prune.
    pub settled: bool,
    /// What it waits for, if it does.
    pub waits: Option<String>,
}

/// A whole comparison: nothing in it is still asked, nothing is refused.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    pub spec: &'a Spec,
    pub goal: &'a Goal,
    pub wanted: &'a [Assessed<'a>],
    pub extras: &'a [Extra<'a>],
}

/// Goes as far as the comparison allows.
pub fn advance(status: &mut ApplicationStatus, seen: &Comparison<'_>, now: Timestamp) -> Moves {
    let Comparison { spec, goal, wanted, extras } = *seen;
    let (next, waits) = next_group(wanted);
    let in_sync = wanted.iter().all(|a| a.fit == Fit::InSync);
    let prunable = prune::in_order(extras);
    let settled = in_sync && prunable.is_empty() && !extras.iter().any(|e| e.fate == Fate::Going);
    let mut moves = Moves { in_sync, settled, waits, ..Moves::default() };
    let phase = goal.operation(status).and_then(|op| op.phase.clone());
    let running = phase.as_deref() == Some(phase::RUNNING);
    let may_begin = !spec.suspend && (goal.held || spec.automated.is_some());
    let healing = phase.as_deref() == Some(phase::SUCCEEDED);

    if settled {
        if running || (!healing && may_begin) {
            finish(status, goal, now);
        }
        note_applied(status, goal, now);
    } else if healing {
        let allowed = may_begin && (goal.held || spec.automated.is_some_and(|a| a.self_heal) || in_sync);
        let due = heal::due(status.heal.as_ref(), now);
        if !allowed {
            moves.waits = moves.waits.or(Some("self-heal is off; see spec.syncPolicy.automated.selfHeal".to_owned()));
        } else if due > now {
            moves.wake = Some(due);
        } else {
            let why = if goal.held { Why::Hold } else { Why::SelfHeal };
            moves.effects = writes(seen, &next, &prunable, in_sync, why);
            // Deletions take their time: they are asked for once per wait as well.
            if !moves.effects.is_empty() {
                status.heal = Some(heal::attempted(status.heal.as_ref(), now));
                moves.wake = Some(heal::due(status.heal.as_ref(), now));
            }
        }
    } else if running || may_begin {
        if !running {
            goal.begin(status, if goal.held { BY_RESCUE } else { BY_POLICY }, now);
        }
        let why = if goal.held { Why::Hold } else { Why::SyncApply };
        moves.effects = writes(seen, &next, &prunable, in_sync, why);
    } else {
        moves.waits = Some(if spec.suspend {
            "spec.suspend is true".to_owned()
        } else {
            "a person syncs it: annotate it with tidegate.dev/sync=true".to_owned()
        });
    }
    keep_inventory(status, seen, in_sync || !moves.effects.is_empty());
    moves
}

/// The objects of the first group that is not in sync, and what is waited for before the next one.
fn next_group<'a>(wanted: &'a [Assessed<'a>]) -> (Vec<&'a Assessed<'a>>, Option<String>) {
    let mut groups: BTreeMap<_, Vec<&Assessed<'_>>> = BTreeMap::new();
    for one in wanted {
        groups.entry(one.wanted.place.group).or_default().push(one);
    }
    let mut blocked_by: Option<String> = None;
    for group in groups.values() {
        let open: Vec<_> = group.iter().copied().filter(|a| a.fit != Fit::InSync).collect();
        let differs: Vec<_> = open.iter().copied().filter(|a| matches!(a.fit, Fit::Differs { .. })).collect();
        if !open.is_empty() && blocked_by.is_some() {
            return (Vec::new(), blocked_by);
        }
        if !differs.is_empty() {
            return (differs, None);
        }
        if let Some(later) = open.first() {
            return (Vec::new(), Some(format!("{} waits until its kind and namespace are there", later.wanted.target)));
        }
        let ill = group.iter().find(|a| a.health.status != HealthStatus::Healthy);
        if let Some(ill) = ill {
            blocked_by = Some(format!("the next wave waits for {}: {}", ill.wanted.target, ill.health.message));
        }
    }
    (Vec::new(), None)
}

fn writes(
    seen: &Comparison<'_>,
    next: &[&Assessed<'_>],
    prunable: &[&LiveObject],
    in_sync: bool,
    why: Why,
) -> Vec<Effect> {
    let mut effects: Vec<Effect> = next.iter().filter_map(|one| apply(one, seen.spec, seen.goal, why)).collect();
    if in_sync {
        let healthy = seen.wanted.iter().all(|a| a.health.status == HealthStatus::Healthy);
        let now = prunable.iter().filter(|o| healthy || !prune::serves(&o.target.resource));
        effects.extend(now.map(|object| Effect {
            verb: Verb::Delete {
                target: object.target.clone(),
                uid: object.uid.clone(),
                propagation: seen.spec.propagation,
                actor: seen.spec.actor.clone(),
            },
            why: Why::SyncPrune,
        }));
    }
    effects
}

fn apply(one: &Assessed<'_>, spec: &Spec, goal: &Goal, why: Why) -> Option<Effect> {
    let Fit::Differs { uid, .. } = &one.fit else { return None };
    let mut object = Arc::clone(&one.wanted.object);
    if one.wanted.target.resource == ResourceType::ROLLOUT {
        wanted::stamp(Arc::make_mut(&mut object), &one.wanted.target, Some(&goal.source(spec)));
    }
    let verb = Verb::Apply { object, manager: Manager::Sync, force: true, uid: uid.clone(), actor: spec.actor.clone() };
    Some(Effect { verb, why })
}

/// Wanted objects (once they are applied or about to be), and unwanted ones until they are confirmed gone (G4).
fn keep_inventory(status: &mut ApplicationStatus, seen: &Comparison<'_>, applied: bool) {
    let old = status.inventory.take().unwrap_or_default().entries;
    let mut entries: BTreeMap<String, _> = BTreeMap::new();
    for entry in old {
        let fate = seen.extras.iter().find(|e| e.entry.id == entry.id).map(|e| &e.fate);
        if fate != Some(&Fate::Gone) {
            entries.insert(entry.id.clone(), entry);
        }
    }
    if applied {
        for one in seen.wanted {
            let entry = prune::entry(&one.wanted.target, seen.goal.tree());
            let kept = entries.entry(entry.id.clone()).or_insert_with(|| entry.clone());
            kept.v = entry.v;
        }
    }
    status.inventory = (!entries.is_empty()).then(|| Inventory { entries: entries.into_values().collect() });
}

fn finish(status: &mut ApplicationStatus, goal: &Goal, now: Timestamp) {
    if goal.operation(status).is_none_or(|op| op.phase.as_deref() != Some(phase::RUNNING)) {
        goal.begin(status, if goal.held { BY_RESCUE } else { BY_POLICY }, now);
    }
    if let Some(operation) = status.operation_state.as_mut() {
        operation.phase = Some(phase::SUCCEEDED.to_owned());
        operation.finished_at = Some(now);
        operation.message = None;
        operation.errors = Vec::new();
    }
    // What was healed before has nothing to do with the new revision.
    status.heal = None;
}

/// What is applied from now on; a new tree also enters the history.
fn note_applied(status: &mut ApplicationStatus, goal: &Goal, now: Timestamp) {
    let (revision, old) = (&goal.revision, status.applied.as_ref());
    let same_tree = old.is_some_and(|a| a.tree == revision.tree);
    if same_tree && old.is_some_and(|a| a.revision == revision.revision) {
        return;
    }
    status.applied = Some(RevisionStatus { at: Some(now), ..revision.clone() });
    if same_tree {
        return;
    }
    status.healthy_since = None;
    let operation = status.operation_state.as_ref();
    status.history.push(HistoryEntry {
        id: Some(status.history.last().and_then(|h| h.id).unwrap_or_default() + 1),
        revision: revision.revision.clone(),
        tree: revision.tree.clone(),
        author: revision.author.clone(),
        message: revision.message.clone(),
        deploy_started_at: operation.and_then(|o| o.started_at),
        deployed_at: Some(now),
        initiated_by: operation.and_then(|o| o.initiated_by.clone()),
        verdict: goal.held.then(|| "Good".to_owned()),
    });
}

/// The tree cannot be applied as a whole, so nothing of it is.
pub fn refuse(status: &mut ApplicationStatus, spec: &Spec, goal: &Goal, errors: Vec<ReconcileError>, now: Timestamp) {
    let current = goal.operation(status).and_then(|op| op.phase.as_deref());
    // A tree that was applied already is not failed by a later refusal; it is shown by the conditions.
    let may_begin = goal.held || spec.automated.is_some();
    if current == Some(phase::SUCCEEDED) || (current.is_none() && !may_begin) {
        return;
    }
    if current.is_none() {
        goal.begin(status, if goal.held { BY_RESCUE } else { BY_POLICY }, now);
    }
    if let Some(operation) = status.operation_state.as_mut() {
        if operation.phase.as_deref() != Some(phase::FAILED) {
            operation.phase = Some(phase::FAILED.to_owned());
            operation.finished_at = Some(now);
        }
        operation.message = Some(format!("nothing of this revision is applied: {} problems", errors.len()));
        operation.errors = errors;
        operation.errors.truncate(20);
    }
}
