//! From a snapshot to a plan.

use super::facts::{self, Facts};
use super::pass::{Pass, Phase};
use super::spec::Strategy;
use super::{Mutant, Observed, blue_green, canary, conditions, deletion, edits, frozen, revisions, workload};
use crate::core::plan::{Plan, Why};
use crate::core::question::{Ask, Question};
use crate::core::row::{Meta, ServiceRow};
use jiff::Timestamp;
use std::sync::Arc;

/// What this Rollout wants next. Total and deterministic; deciding on one's own result gives no effects.
pub fn decide(observed: &Observed, now: Timestamp) -> Plan {
    let Some(rollout) = observed.rollout.as_deref() else { return after_the_end(observed) };
    let seen = facts::read_status(&rollout.status);
    if rollout.meta.deleting.is_some() {
        let spec = frozen::placeholder(rollout);
        let f = frozen::facts(observed, rollout, &spec, &seen, now);
        let mut pass = Pass::new(&f);
        deletion::decide(&mut pass);
        return finish(pass);
    }
    let looked = workload::look(observed, rollout);
    let mut plan = match looked.read(rollout) {
        Ok(spec) => {
            let f = Facts::derive(observed, rollout, &spec, &seen, now);
            let mut pass = Pass::new(&f);
            try_template(&mut pass);
            match &spec.strategy {
                Strategy::Canary(strategy) => canary::decide(&mut pass, strategy),
                Strategy::BlueGreen(strategy) => blue_green::decide(&mut pass, strategy),
            }
            give_back_former(&mut pass);
            deletion::adopt(&mut pass);
            if let Some(row) = looked.found() {
                workload::hand_over(&mut pass, row);
            }
            finish(pass)
        }
        Err(refusals) => {
            let spec = frozen::placeholder(rollout);
            let f = frozen::facts(observed, rollout, &spec, &seen, now);
            let mut pass = Pass::new(&f);
            frozen::decide(&mut pass, refusals);
            finish(pass)
        }
    };
    if looked.is_open() {
        plan = only_what_cannot_wait(plan);
    }
    plan.ask.extend(looked.question());
    plan
}

/// What was changed in objects of others is put back when the Rollout is gone; what was ours goes by owner references.
fn after_the_end(observed: &Observed) -> Plan {
    // With `--cascade=orphan` its pods go on to serve: then who is served by which stays as it is, until they go too.
    let orphans: Vec<&str> = (observed.replica_sets.iter().filter(|s| s.meta.deleting.is_none() && s.size > 0))
        .filter_map(|s| s.meta.labels.get(super::LABEL_HASH).map(String::as_str))
        .collect();
    let serves =
        |s: &ServiceRow| s.selector.get(super::LABEL_HASH).is_some_and(|hash| orphans.contains(&hash.as_str()));
    let kept = observed.settings.breaks(Mutant::KeepsServices);
    let steered = steered_services(observed).filter(|s| !serves(s) && !kept);
    let taken_over = observed.deployments.iter().filter(|d| is_managed(observed, &d.meta) && orphans.is_empty());
    let effects = steered.map(edits::release).chain(taken_over.map(|d| edits::give_back(d)));
    Plan { effects: effects.collect(), ..Plan::default() }
}

/// Services that the strategy no longer names, and that carry nobody's share any more, are given back (V2).
fn give_back_former(pass: &mut Pass<'_>) {
    let f = pass.f;
    if pass.phase() != Phase::Settled {
        return;
    }
    let mut named: Vec<String> = f.spec.strategy.services().into_iter().map(str::to_owned).collect();
    let objects = pass.next.traffic.as_ref().and_then(|t| t.objects.as_ref());
    named.extend(objects.into_iter().flat_map(|o| [&o.stable_service, &o.canary_service]).flatten().cloned());
    let former = steered_services(f.observed).filter(|s| !named.contains(&s.meta.name));
    pass.effects.extend(former.map(edits::release));
}

/// Services of others that this Rollout points at revisions.
fn steered_services(observed: &Observed) -> impl Iterator<Item = &ServiceRow> {
    let steered = |s: &&ServiceRow| is_managed(observed, &s.meta) && s.meta.owner.is_none();
    observed.services.iter().map(AsRef::as_ref).filter(steered)
}

/// Whether an object carries this Rollout's mark, and stays.
fn is_managed(observed: &Observed, meta: &Meta) -> bool {
    let marked = meta.annotations.get(super::ANNOTATION_MANAGED_BY).is_some_and(|name| *name == observed.name);
    marked && meta.deleting.is_none()
}

/// A template is proven by the API server before anything moves: its ReplicaSet is tried, until it is there.
fn try_template(pass: &mut Pass<'_>) {
    let f = pass.f;
    let spec = f.spec;
    if f.rollback.is_some() || revisions::known_hashes(&spec.template).iter().any(|h| f.sets.contains_key(h)) {
        return;
    }
    let hash = revisions::template_hash(&spec.template);
    let min_ready = spec.min_ready.as_duration().as_secs();
    let set = edits::replica_set(&spec.template, &spec.selector, &hash, 0, 1, min_ready, &f.whose);
    let ask = Ask::DryRunCreate { object: Arc::new(set) };
    pass.ask.push(Question { id: facts::try_question_id(&hash), ask });
}

/// What is done though it is not yet known what the template is: the way back, and an abort that was asked for just now.
fn only_what_cannot_wait(plan: Plan) -> Plan {
    if plan.status.as_ref().is_some_and(|status| status.patch.get("abort").is_some()) {
        return plan;
    }
    let switches = plan.effects.into_iter().filter(|effect| effect.why == Why::SelectPods);
    let effects = if plan.urgent { switches.collect() } else { Vec::new() };
    Plan { safety: plan.safety, effects, ask: plan.ask, wake: plan.wake, urgent: plan.urgent, ..Plan::default() }
}

fn finish(mut pass: Pass<'_>) -> Plan {
    let status = conditions::status_write(&mut pass);
    let proof = deletion::proof(&pass).filter(|_| status.is_none());
    // What is told once is told with the status that says it; without a write there is nothing new.
    let notices = if status.is_some() || !pass.effects.is_empty() { pass.notices } else { Vec::new() };
    let finalizer = pass.finalizer.filter(|_| status.is_none());
    Plan {
        safety: pass.safety,
        status,
        effects: proof.into_iter().chain(finalizer).chain(pass.effects).collect(),
        ask: pass.ask,
        notices,
        wake: pass.wake,
        urgent: pass.urgent,
    }
}
