//! The order of one decision. Every step reads what the ones before it found, and the status is written once, at the end.

mod account;

use super::assess::{self, Fit, Live};
use super::commands;
use super::observed::Observed;
use super::project::Fence;
use super::prune::{self, Brakes};
use super::rescue::{good, hold, message::RevertTrailers, phase as rescue_phase, revert, verdict};
use super::spec::{Mode, Spec};
use super::sync::{self, BY_RESCUE, Comparison, Goal, Moves};
use super::wanted::{Kinds, LABEL_APPLICATION, Trouble, digest, kinds_of, owner_label, wanted};
use crate::api::{ApplicationStatus, OperationState, ReconcileError, RevisionStatus, SyncResult};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::{Plan, Why};
use crate::core::question::{
    Ask, LiveObjects, Question, RenderError, RenderQuestion, Rendered, SourceQuestion, SourceTip, Told,
};
use crate::core::row::ApplicationRow;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Decides what is to be done about an Application.
pub fn decide(observed: &Observed, now: Timestamp) -> Plan {
    let Some(application) = observed.application.as_deref() else { return Plan::default() };
    // Its objects stay: deleting an Application must never delete what serves users.
    if application.meta.deleting.is_some() {
        return Plan::default();
    }
    let mut pass = Pass {
        observed,
        application,
        target: application.target(),
        owner: owner_label(&application.meta.namespace, &application.meta.name),
        now,
        status: (*application.status).clone(),
        plan: Plan::default(),
        story: Story::default(),
    };
    pass.run();
    pass.finish()
}

struct Pass<'a> {
    observed: &'a Observed,
    application: &'a ApplicationRow,
    target: ObjectRef,
    owner: String,
    now: Timestamp,
    status: ApplicationStatus,
    plan: Plan,
    story: Story,
}

/// What there is to say at the end: each with its reason and words.
#[derive(Debug, Default)]
struct Story {
    invalid: Option<String>,
    /// The source or its files cannot be read or taken.
    comparison: Option<String>,
    /// Applying failed.
    sync: Option<String>,
    waits: Option<String>,
    /// A question whose answer takes moments: not worth a write of status.
    open: Option<String>,
    in_sync: bool,
    /// What may not be watched.
    blind: Option<String>,
}

impl Pass<'_> {
    fn run(&mut self) {
        let meta = &self.application.meta;
        let generation_is_new = self.status.observed_generation != Some(meta.generation);
        self.status.observed_generation = Some(meta.generation);
        let spec = match Spec::parse(&self.application.spec, &meta.namespace, &meta.finalizers) {
            Ok(spec) => spec,
            Err(refusals) => return self.invalid(&refusals),
        };
        let fence = Fence {
            project: self.observed.project.as_deref(),
            own: &meta.namespace,
            control: &self.observed.control_namespace,
        };
        let refusals = fence.refusals(&spec);
        if !refusals.is_empty() {
            return self.invalid(&refusals);
        }
        let asked = commands::take(self.application, &self.target, &mut self.status, &mut self.plan.effects, self.now);
        let tip = self.follow_source(&spec);
        if let Some(by) = asked.sync {
            self.request_sync(&spec, by);
        }
        if generation_is_new {
            self.try_rescue_again();
        }
        let Some(remembered) = self.status.tip.clone().filter(|t| t.tree.is_some()) else { return };
        let held = match spec.rescue.mode {
            Mode::Off => None,
            _ => hold::follow(&mut self.status, &remembered, self.now),
        };
        let goal = self.goal(&spec, &remembered, held.as_ref());
        let settled = self.towards(&spec, &fence, &goal, &remembered, tip.as_deref());
        if let (Some(held), Some(tip), true) = (&held, &tip, settled) {
            self.revert(&spec, held, tip);
        }
    }

    fn invalid(&mut self, refusals: &[crate::core::refusal::Refusal]) {
        let text: Vec<_> = refusals.iter().map(ToString::to_string).collect();
        self.story.invalid = Some(text.join("\n"));
    }

    fn ask(&mut self, id: String, ask: Ask) -> Option<Told> {
        let told = self.observed.told(&id).cloned();
        self.plan.ask.push(Question { id, ask });
        told
    }

    /// Where the branch is. The answer is also remembered, so that the cluster is kept right while the repository is away.
    fn follow_source(&mut self, spec: &Spec) -> Option<Arc<SourceTip>> {
        let mut nonce = commands::nonce(&self.status);
        if let Some(moved) = self.refused_push().filter(|r| r.class == crate::core::plan::RefusalClass::Moved) {
            nonce = format!("{nonce} {}", moved.at);
        }
        let question = SourceQuestion {
            url: spec.source.url.clone(),
            revision: spec.source.revision.clone(),
            path: spec.source.path.clone(),
            secret: spec.source.secret.clone(),
            nonce,
        };
        let id = format!("source/{}", digest(format!("{question:?}").as_bytes()));
        match self.ask(id, Ask::Source(question)) {
            Some(Told::Source(Ok(tip))) => {
                if tip.tree.is_none() {
                    self.story.comparison = Some(format!(
                        "commit {} has no directory {:?}; see spec.source.path",
                        tip.commit, spec.source.path
                    ));
                }
                let known = self
                    .status
                    .tip
                    .as_ref()
                    .filter(|t| t.revision.as_deref() == Some(&tip.commit) && t.tree == tip.tree);
                let at = known.and_then(|t| t.at).or(Some(self.now));
                self.status.tip = Some(RevisionStatus {
                    revision: Some(tip.commit.clone()),
                    tree: tip.tree.clone(),
                    reference: tip.reference.clone(),
                    author: Some(tip.author.clone()),
                    message: Some(tip.message.lines().next().unwrap_or_default().chars().take(200).collect()),
                    committed_at: Some(tip.time),
                    at,
                });
                Some(tip)
            }
            Some(Told::Source(Err(error))) => {
                self.story.comparison = Some(format!("the repository cannot be read: {}", error.message));
                None
            }
            _ => {
                self.story.open = Some("the repository is being read".to_owned());
                None
            }
        }
    }

    /// A person asked for a sync: it is in status before anything of it is done, so that it cannot get lost.
    fn request_sync(&mut self, spec: &Spec, by: String) {
        let tip = self.status.tip.clone().unwrap_or_default();
        self.status.operation_state = Some(OperationState {
            phase: Some(sync::phase::RUNNING.to_owned()),
            started_at: Some(self.now),
            initiated_by: Some(by),
            sync_result: Some(SyncResult {
                revision: tip.revision,
                tree: tip.tree,
                parameters: Some(parameters(spec)),
                resources: Vec::new(),
            }),
            ..OperationState::default()
        });
    }

    /// A changed spec may have mended what kept the revert from being written.
    fn try_rescue_again(&mut self) {
        let Some(rescue) = self.status.rescue.as_mut() else { return };
        if rescue.phase.as_deref() == Some(rescue_phase::NEEDS_HUMAN) && rescue.good.is_some() {
            rescue.phase = Some(rescue_phase::HOLDING.to_owned());
            rescue.message = None;
        }
    }

    fn goal(&self, spec: &Spec, tip: &RevisionStatus, held: Option<&hold::Held>) -> Goal {
        let parameters = parameters(spec);
        if let Some(held) = held {
            let known = [&self.status.good, &self.status.applied];
            let good = known.into_iter().flatten().find(|r| r.tree == held.good.tree).cloned();
            let revision = good.unwrap_or_else(|| RevisionStatus {
                revision: held.good.commit.clone(),
                tree: held.good.tree.clone(),
                message: held.good.subject.clone(),
                ..RevisionStatus::default()
            });
            return Goal { revision, parameters, held: true };
        }
        // A sync that a person asked for goes on with the commit that was the tip then; by policy a newer one always wins.
        let asked = self.status.operation_state.as_ref().filter(|_| spec.automated.is_none());
        let asked =
            asked.filter(|op| op.phase.as_deref() == Some(sync::phase::RUNNING)).and_then(|op| op.sync_result.as_ref());
        match asked.filter(|r| r.tree.is_some() && r.tree != tip.tree && r.parameters.as_deref() == Some(&parameters)) {
            Some(result) => {
                let revision = RevisionStatus {
                    revision: result.revision.clone(),
                    tree: result.tree.clone(),
                    ..RevisionStatus::default()
                };
                Goal { revision, parameters, held: false }
            }
            None => Goal { revision: tip.clone(), parameters, held: false },
        }
    }

    /// Compares the goal with the cluster and does what follows. Gives whether all of it is applied.
    fn towards(
        &mut self,
        spec: &Spec,
        fence: &Fence<'_>,
        goal: &Goal,
        tip: &RevisionStatus,
        fresh: Option<&SourceTip>,
    ) -> bool {
        let rendered = self.render(spec, goal);
        let inventory = self.status.inventory.clone().unwrap_or_default().entries;
        let mut kinds: BTreeSet<_> = inventory.iter().filter_map(prune::kind_of).collect();
        if let Some(Ok(rendered)) = &rendered {
            kinds.extend(kinds_of(rendered, spec));
        }
        let Some(kinds) = self.kinds(kinds) else { return false };
        let Some(live) = self.objects(&kinds) else { return false };
        let unreadable: Vec<_> = live.unreadable.iter().map(|(_, why)| why.as_str()).collect();
        self.story.blind = (!unreadable.is_empty())
            .then(|| format!("drift and health are not seen of what may not be watched: {}", unreadable.join("; ")));
        let by_name: Live<'_> = live.objects.iter().map(|l| (&l.target, l)).collect();
        let rendered = match rendered {
            None => return false,
            Some(Err(errors)) => {
                let troubles = render_troubles(&errors);
                self.judge_live(&inventory, &by_name);
                self.refuse(spec, goal, tip, fresh, &troubles);
                return false;
            }
            Some(Ok(rendered)) => rendered,
        };
        let find = |target: &ObjectRef| by_name.get(target).map(|l| (*l).clone());
        let wanted = match wanted(&rendered, &kinds, &find, spec, fence, &self.owner, &goal.source(spec)) {
            Ok(wanted) => wanted,
            Err(troubles) => {
                self.judge_live(&inventory, &by_name);
                self.refuse(spec, goal, tip, fresh, &troubles);
                return false;
            }
        };
        let mut questions = Vec::new();
        let all = assess::assess(
            self.observed,
            &wanted,
            &by_name,
            &spec.actor,
            &self.owner,
            &live.unreadable,
            &mut questions,
        );
        self.plan.ask.append(&mut questions);
        self.judge_wanted(&all);
        if let Some(open) = all.iter().find(|a| a.fit == Fit::Asking) {
            self.story.open = Some(format!("the dry run of {} is open", open.wanted.target));
            return false;
        }
        let troubles = assess::troubles(&all);
        if !troubles.is_empty() {
            self.list(&all, &[]);
            self.refuse(spec, goal, tip, fresh, &troubles);
            return false;
        }
        let rejected = self.status.rescue.as_ref().and_then(|r| r.bad.as_ref()).and_then(|b| b.tree.clone());
        let brakes = Brakes {
            allowed: spec.automated.is_some_and(|a| a.prune),
            emptied: wanted.is_empty() && !spec.automated.is_some_and(|a| a.allow_empty),
            rejected: rejected.as_deref().filter(|_| goal.held),
        };
        let ids: BTreeSet<_> = wanted.iter().map(|w| prune::entry_id(&w.target)).collect();
        let known = |entry: &crate::api::InventoryEntry| match prune::kind_of(entry).map(|k| kinds.get(&k)) {
            Some(Some(Some(resource))) => !live.unreadable.iter().any(|(r, _)| r == resource),
            Some(Some(None)) => true,
            _ => false,
        };
        let extras = prune::extras(&inventory, &ids, &by_name, &known, brakes);
        let comparison = Comparison { spec, goal, wanted: &all, extras: &extras };
        let moves = sync::advance(&mut self.status, &comparison, self.now);
        self.list(&all, &extras);
        self.note(goal, &moves, &all, &extras);
        if goal.held {
            self.standing(spec, goal, &moves);
        } else if !self.blame(spec, goal, tip, fresh, &all) {
            self.standing(spec, goal, &moves);
        }
        let settled = moves.settled;
        self.plan.effects.extend(moves.effects);
        settled
    }

    fn render(&mut self, spec: &Spec, goal: &Goal) -> Option<Result<Arc<Rendered>, Vec<RenderError>>> {
        let question = RenderQuestion {
            url: spec.source.url.clone(),
            secret: spec.source.secret.clone(),
            tree: goal.tree().to_owned(),
            recurse: spec.source.recurse,
            include: spec.source.include.clone(),
            exclude: spec.source.exclude.clone(),
        };
        let id = format!("render/{}", digest(format!("{question:?}").as_bytes()));
        match self.ask(id, Ask::Render(question)) {
            Some(Told::Rendered(answer)) => Some(answer),
            _ => {
                self.story.open = Some("the manifests are being read".to_owned());
                None
            }
        }
    }

    fn kinds(&mut self, kinds: BTreeSet<(String, String)>) -> Option<Arc<Kinds>> {
        if kinds.is_empty() {
            return Some(Arc::default());
        }
        let id = format!("kinds/{}", digest(format!("{kinds:?}").as_bytes()));
        match self.ask(id, Ask::Kinds { kinds }) {
            Some(Told::Kinds(answer)) => Some(answer),
            _ => {
                self.story.open = Some("the kinds of the cluster are being read".to_owned());
                None
            }
        }
    }

    fn objects(&mut self, kinds: &Kinds) -> Option<Arc<LiveObjects>> {
        let resources: BTreeSet<ResourceType> = kinds.values().flatten().cloned().collect();
        if resources.is_empty() {
            return Some(Arc::default());
        }
        let id = format!("objects/{}", digest(format!("{resources:?}").as_bytes()));
        let label = (LABEL_APPLICATION.to_owned(), self.owner.clone());
        match self.ask(id, Ask::Objects { resources: resources.into_iter().collect(), label }) {
            Some(Told::Objects(answer)) => Some(answer),
            _ => {
                self.story.open = Some("the live objects are being read".to_owned());
                None
            }
        }
    }

    /// A tree that cannot be applied whole: nothing of it is, and it may be taken back.
    fn refuse(
        &mut self,
        spec: &Spec,
        goal: &Goal,
        tip: &RevisionStatus,
        fresh: Option<&SourceTip>,
        troubles: &[Trouble],
    ) {
        let errors: Vec<ReconcileError> = troubles.iter().map(|t| in_repository(&t.error, spec)).collect();
        self.story.comparison = Some(errors.iter().take(10).map(told).collect::<Vec<_>>().join("\n"));
        sync::refuse(&mut self.status, spec, goal, errors, self.now);
        self.out_of_sync(goal);
        if let Some(failure) = verdict::of_manifests(troubles)
            && self.may_blame(spec, goal, tip)
        {
            self.take_back(tip, fresh, &failure);
        }
    }

    fn may_blame(&self, spec: &Spec, goal: &Goal, tip: &RevisionStatus) -> bool {
        // Only what this controller itself began to apply, and only while the branch still has it.
        let begun = goal.operation(&self.status).is_some();
        begun && !goal.held && !spec.suspend && spec.rescue.mode != Mode::Off && goal.revision.tree == tip.tree
    }

    /// Whether the revision broke something. Gives whether it is taken back.
    fn blame(
        &mut self,
        spec: &Spec,
        goal: &Goal,
        tip: &RevisionStatus,
        fresh: Option<&SourceTip>,
        all: &[assess::Assessed<'_>],
    ) -> bool {
        if !self.may_blame(spec, goal, tip) {
            return false;
        }
        let Some(operation) = goal.operation(&self.status) else { return false };
        let started = operation.started_at.unwrap_or(self.now);
        let late = operation.finished_at.is_some_and(|end| spec.rescue.window.after(end) <= self.now)
            || self.status.good.as_ref().is_some_and(|g| g.tree == goal.revision.tree && late_since(g, spec, self.now));
        let is_good = self.status.good.as_ref().is_some_and(|g| g.tree == goal.revision.tree);
        if late && is_good {
            return false;
        }
        let mut questions = Vec::new();
        let failure = verdict::of_workloads(self.observed, all, started, late, &mut questions);
        self.plan.ask.append(&mut questions);
        match failure {
            Some(failure) => {
                self.take_back(tip, fresh, &failure);
                true
            }
            None => false,
        }
    }

    fn take_back(&mut self, tip: &RevisionStatus, fresh: Option<&SourceTip>, failure: &verdict::Failure) {
        let ours = fresh.and_then(|t| RevertTrailers::read(&t.message)).is_some();
        let restored = self.status.rescue.as_ref().is_some_and(|r| r.phase.as_deref() == Some(rescue_phase::REVERTED));
        let by_rescue =
            self.status.operation_state.as_ref().is_some_and(|o| o.initiated_by.as_deref() == Some(BY_RESCUE));
        if ours || restored || by_rescue {
            // What a revert restored fails as well: going further back on our own would only add to the damage.
            let state = self.status.rescue.get_or_insert_default();
            state.phase = Some(rescue_phase::NEEDS_HUMAN.to_owned());
            state.message = Some(format!("what the revert restored fails as well: {}", failure.reason));
            return;
        }
        if hold::reject(&mut self.status, tip, failure, self.now).is_some() {
            self.plan.urgent = true;
            // Decided again at once: the hold begins with the next pass, after this one is written.
            self.wake(self.now);
        }
    }

    fn revert(&mut self, spec: &Spec, held: &hold::Held, tip: &SourceTip) {
        let scene = revert::Scene {
            application: &self.target,
            spec,
            controller: &self.observed.controller,
            tip,
            refused: self.refused_push(),
        };
        let step = revert::step(&mut self.status, held, &scene, self.now);
        self.plan.effects.extend(step.push);
        if let Some(at) = step.wake {
            self.wake(at);
        }
    }

    fn refused_push<'b>(&self) -> Option<&'b crate::core::plan::RefusedEffect>
    where
        Self: 'b,
    {
        let observed: &'b Observed = self.observed;
        observed.refused.iter().find(|r| r.why == Why::Revert)
    }

    fn wake(&mut self, at: Timestamp) {
        self.plan.wake = Some(self.plan.wake.map_or(at, |w| w.min(at)));
    }

    /// Whether the applied revision stands, and becomes good by it.
    fn standing(&mut self, spec: &Spec, goal: &Goal, moves: &Moves) {
        let healthy = self.status.health.as_ref().is_some_and(|h| h.status.as_deref() == Some("Healthy"));
        let applied = self.status.applied.as_ref().is_some_and(|a| a.tree == goal.revision.tree);
        let stands = moves.in_sync && healthy && applied;
        if let Some(at) = good::soak(&mut self.status, stands, spec.rescue.soak, self.now) {
            self.wake(at);
        }
    }
}

fn late_since(good: &RevisionStatus, spec: &Spec, now: Timestamp) -> bool {
    good.at.is_some_and(|at| spec.rescue.window.after(at) <= now)
}

/// Digest of what the objects depend on besides the tree.
fn parameters(spec: &Spec) -> String {
    let source = &spec.source;
    let all = (&source.path, source.recurse, &source.include, &source.exclude, &spec.namespace, &spec.create_namespace);
    digest(format!("{all:?} {:?}", spec.actor).as_bytes())
}

fn render_troubles(errors: &[RenderError]) -> Vec<Trouble> {
    let place = |e: &RenderError| if e.line > 0 { format!("{}:{}", e.file, e.line) } else { e.file.clone() };
    errors.iter().map(|error| Trouble::manifest(&place(error), "", "", &*error.message)).collect()
}

/// The error with its file as a path in the repository.
fn in_repository(error: &ReconcileError, spec: &Spec) -> ReconcileError {
    let file = error.file.as_ref().filter(|f| !f.starts_with("spec.")).filter(|_| !spec.source.path.is_empty());
    let file = file.map(|f| format!("{}/{f}", spec.source.path));
    ReconcileError { file: file.or_else(|| error.file.clone()), ..error.clone() }
}

/// One line: file, object, field, what is wrong.
fn told(error: &ReconcileError) -> String {
    let parts = [error.file.as_deref(), error.object.as_deref(), error.field.as_deref(), Some(error.message.as_str())];
    parts.into_iter().flatten().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(": ")
}
