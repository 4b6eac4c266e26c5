//! What a pass says of what it found: sync, health, the objects that are not as they should be, conditions, events.

use super::{Pass, rescue_phase};
use crate::api::{ApplicationHealth, ApplicationStatus, ResourceStatus, SyncStatus};
use crate::core::application::assess::{self, Fit, Live};
use crate::core::application::conditions;
use crate::core::application::health::{Health, HealthStatus, worst};
use crate::core::application::prune::{self, Extra, Fate};
use crate::core::application::sync::{self, Goal, Moves};
use crate::core::object::ObjectRef;
use crate::core::plan::{Notice, Plan, StatusWrite, Why};
use jiff::Timestamp;

/// Objects that are listed in status because they are not as they should be.
const MAX_LISTED: usize = 50;

impl Pass<'_> {
    pub(super) fn out_of_sync(&mut self, goal: &Goal) {
        let revision = goal.revision.revision.clone();
        self.status.sync = Some(SyncStatus { status: Some("OutOfSync".to_owned()), revision, out_of_sync: None });
    }

    pub(super) fn note(&mut self, goal: &Goal, moves: &Moves, all: &[assess::Assessed<'_>], extras: &[Extra<'_>]) {
        let differ = all.iter().filter(|a| a.fit != Fit::InSync).count()
            + extras.iter().filter(|e| !matches!(e.fate, Fate::Gone)).count();
        let in_sync = differ == 0 && !goal.held;
        self.story.in_sync = in_sync;
        self.story.waits = moves.waits.clone();
        self.story.open = None;
        let tip = self.status.tip.as_ref().and_then(|t| t.revision.clone());
        self.status.sync = Some(SyncStatus {
            status: Some(if in_sync { "Synced" } else { "OutOfSync" }.to_owned()),
            revision: if goal.held { tip } else { goal.revision.revision.clone() },
            out_of_sync: (differ > 0).then(|| i32::try_from(differ).unwrap_or(i32::MAX)),
        });
        if let Some(at) = moves.wake {
            self.wake(at);
        }
        let writes = [Why::SyncApply, Why::SyncPrune, Why::SelfHeal, Why::Hold];
        let refused: Vec<_> = self
            .observed
            .refused
            .iter()
            .filter(|r| writes.contains(&r.why))
            .map(|r| format!("{}: {}", r.target, r.message))
            .collect();
        let running = self.status.operation_state.as_mut().filter(|o| o.phase.as_deref() == Some(sync::phase::RUNNING));
        if let Some(operation) = running {
            operation.message = refused.first().cloned().or_else(|| moves.waits.clone());
        }
        if !refused.is_empty() {
            self.story.sync = Some(refused.join("\n"));
        }
    }

    /// Health of what the goal wants.
    pub(super) fn judge_wanted(&mut self, all: &[assess::Assessed<'_>]) {
        let parts = all.iter().map(|a| (a.wanted.target.to_string(), &a.health));
        let whole = worst(parts);
        self.health(&whole);
    }

    /// Health of what is there, while nothing is known of what is wanted.
    pub(super) fn judge_live(&mut self, inventory: &[crate::api::InventoryEntry], live: &Live<'_>) {
        let ours = live.values().filter(|l| inventory.iter().any(|e| e.id == prune::entry_id(&l.target)));
        let whole = worst(ours.map(|l| (l.target.to_string(), &l.health)));
        self.health(&whole);
    }

    fn health(&mut self, whole: &Health) {
        let status = whole.status.as_str().to_owned();
        let old = self.status.health.as_ref();
        let since = old.filter(|h| h.status.as_deref() == Some(&status)).and_then(|h| h.last_transition_time);
        self.status.health = Some(ApplicationHealth {
            status: Some(status),
            message: (!whole.message.is_empty()).then(|| whole.message.chars().take(500).collect()),
            last_transition_time: since.or(Some(self.now)),
        });
    }

    /// The objects that are not as they should be.
    pub(super) fn list(&mut self, all: &[assess::Assessed<'_>], extras: &[Extra<'_>]) {
        let mut listed = Vec::new();
        for one in all {
            let health = one.health.status;
            if one.fit == Fit::InSync && health == HealthStatus::Healthy {
                continue;
            }
            let message = match (&one.fit, one.live) {
                (Fit::Refused(refusal), _) => Some(refusal.message.clone()),
                (Fit::Differs { changes, .. }, Some(_)) => {
                    let shown = changes.iter().take(3).map(|c| format!("{}: {} is not {}", c.path, c.live, c.wanted));
                    Some(shown.collect::<Vec<_>>().join("; "))
                }
                (_, Some(live)) => Some(live.health.message.clone()),
                _ => None,
            };
            let status = if one.fit == Fit::InSync { "Synced" } else { "OutOfSync" };
            listed.push(resource(&one.wanted.target, status, health.as_str(), message));
        }
        for extra in extras {
            let (object, message) = match &extra.fate {
                Fate::Kept(object, reason) => (object, reason.clone()),
                Fate::Prunable(object) => (object, "git no longer has it".to_owned()),
                Fate::Gone | Fate::Going | Fate::Unseen => continue,
            };
            let status = resource(&object.target, "OutOfSync", object.health.status.as_str(), Some(message));
            listed.push(ResourceStatus { requires_pruning: Some(true), ..status });
        }
        listed.truncate(MAX_LISTED);
        self.status.resources = listed;
    }

    pub(super) fn finish(mut self) -> Plan {
        let generation = self.application.meta.generation;
        let now = self.now;
        self.say(generation, now);
        let seen = serde_json::to_value(&*self.application.status).expect("wire types have string keys");
        let wanted = serde_json::to_value(&self.status).expect("wire types have string keys");
        let version = &self.application.meta.resource_version;
        self.plan.status = StatusWrite::between(self.target.clone(), version, &seen, &wanted);
        self.notices();
        self.plan
    }

    fn say(&mut self, generation: i64, now: Timestamp) {
        let status = &mut self.status;
        let story = &self.story;
        let nothing_wrong = story.invalid.is_none() && story.comparison.is_none() && story.sync.is_none();
        if story.open.is_some() && nothing_wrong && !status.conditions.is_empty() {
            return;
        }
        let health = status.health.as_ref().and_then(|h| h.status.clone()).unwrap_or_default();
        let running = status.operation_state.as_ref().is_some_and(|o| o.phase.as_deref() == Some(sync::phase::RUNNING));
        let rescue = status.rescue.clone().unwrap_or_default();
        let held = match rescue.phase.as_deref() {
            Some(rescue_phase::HOLDING | rescue_phase::REVERT_PENDING | rescue_phase::NEEDS_HUMAN) => {
                let reason = rescue.reason.clone().unwrap_or_default();
                let message = rescue.message.clone().map(|m| format!("; {m}")).unwrap_or_default();
                Some(format!("{reason}{message}"))
            }
            _ => None,
        };
        let needs_human = rescue.phase.as_deref() == Some(rescue_phase::NEEDS_HUMAN);
        let problem = story.invalid.clone().or_else(|| story.comparison.clone()).or_else(|| story.sync.clone());
        let (ready, reason, message) = if let Some(problem) = &problem {
            let reason = match (&story.invalid, &story.comparison) {
                (Some(_), _) => "InvalidSpec",
                (None, Some(_)) => "ComparisonError",
                (None, None) => "SyncError",
            };
            (false, reason, problem.clone())
        } else if let Some(held) = &held {
            (false, "Held", held.clone())
        } else if story.in_sync && health == "Healthy" {
            (true, "Synced", String::new())
        } else {
            let said = status.health.as_ref().and_then(|h| h.message.clone()).unwrap_or_default();
            let reason = if story.in_sync { "NotHealthy" } else { "OutOfSync" };
            (false, reason, story.waits.clone().or_else(|| story.open.clone()).unwrap_or(said))
        };
        let message: String = message.chars().take(2000).collect();
        status.message = (!message.is_empty()).then(|| message.clone());
        conditions::set(status, "Ready", ready, reason, &message, generation, now);
        let stalled = story.invalid.is_some() || needs_human || (story.comparison.is_some() && !running);
        let busy = !ready && !stalled;
        conditions::set(status, "Reconciling", busy, if busy { "Progressing" } else { reason }, "", generation, now);
        conditions::set(status, "Stalled", stalled, reason, if stalled { &message } else { "" }, generation, now);
        for (kind, text) in [
            ("InvalidSpec", &story.invalid),
            ("ComparisonError", &story.comparison),
            ("SyncError", &story.sync),
            ("Held", &held),
            ("ObjectsUnreadable", &story.blind),
        ] {
            match text {
                Some(text) => {
                    let text: String = text.chars().take(2000).collect();
                    conditions::set(status, kind, true, kind, &text, generation, now);
                }
                None => conditions::clear(status, kind),
            }
        }
        if status.sync.is_none() {
            status.sync = Some(SyncStatus { status: Some("Unknown".to_owned()), ..SyncStatus::default() });
        }
        status.source_type = Some("Directory".to_owned());
    }

    /// Events for what this pass changed.
    fn notices(&mut self) {
        let (old, new) = (&*self.application.status, &self.status);
        let phase = |s: &ApplicationStatus| s.operation_state.as_ref().map(|o| (o.phase.clone(), o.started_at));
        let revision =
            new.operation_state.as_ref().and_then(|o| o.sync_result.as_ref()).and_then(|r| r.revision.clone());
        let revision: String = revision.unwrap_or_default().chars().take(7).collect();
        let mut said: Vec<(bool, &'static str, String)> = Vec::new();
        if phase(old) != phase(new) {
            match new.operation_state.as_ref().and_then(|o| o.phase.as_deref()) {
                Some(sync::phase::RUNNING) => said.push((false, "OperationStarted", format!("applies {revision}"))),
                Some(sync::phase::SUCCEEDED) => said.push((false, "OperationCompleted", format!("applied {revision}"))),
                Some(_) => said.push((true, "OperationFailed", new.message.clone().unwrap_or_default())),
                None => {}
            }
        }
        let rescue = |s: &ApplicationStatus| s.rescue.as_ref().and_then(|r| r.phase.clone());
        if rescue(old) != rescue(new)
            && let Some(state) = &new.rescue
        {
            let detail = state.message.clone().or_else(|| state.reason.clone()).unwrap_or_default();
            let good: String =
                state.good.as_ref().and_then(|g| g.commit.clone()).unwrap_or_default().chars().take(7).collect();
            match state.phase.as_deref() {
                Some(rescue_phase::HOLDING) => said.push((true, "RevisionRejected", format!("holds {good}: {detail}"))),
                Some(rescue_phase::REVERT_PENDING) => {
                    said.push((false, "RevertStarted", format!("git goes back to {good}")))
                }
                Some(rescue_phase::REVERTED) => said.push((false, "Reverted", format!("git has {good} again"))),
                Some(rescue_phase::NEEDS_HUMAN) => said.push((true, "RescueNeedsHuman", detail)),
                _ => {}
            }
        }
        let uid = self.application.meta.uid.clone();
        self.plan.notices.extend(said.into_iter().map(|(warning, reason, message)| Notice {
            on: self.target.clone(),
            uid: uid.clone(),
            warning,
            reason,
            message: message.chars().take(900).collect(),
        }));
    }
}

fn resource(target: &ObjectRef, status: &str, health: &str, message: Option<String>) -> ResourceStatus {
    ResourceStatus {
        group: Some(target.resource.group.to_string()).filter(|g| !g.is_empty()),
        version: Some(target.resource.version.to_string()),
        kind: Some(target.resource.kind.to_string()),
        namespace: Some(target.namespace.clone()).filter(|n| !n.is_empty()),
        name: Some(target.name.clone()),
        status: Some(status.to_owned()),
        health: Some(health.to_owned()),
        message: message.filter(|m| !m.is_empty()).map(|m| m.chars().take(300).collect()),
        requires_pruning: None,
    }
}
