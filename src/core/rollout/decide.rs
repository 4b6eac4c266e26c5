//! From a snapshot to a plan.

use super::edits;
use super::facts::{self, Facts};
use super::pass::Pass;
use super::spec::Strategy;
use super::{Observed, blue_green, canary, conditions, frozen, revisions, workload};
use crate::core::plan::Plan;
use crate::core::question::{Ask, Question};
use jiff::Timestamp;
use std::sync::Arc;

/// What this Rollout wants next. Total and deterministic; deciding on one's own result gives no effects.
pub fn decide(observed: &Observed, now: Timestamp) -> Plan {
    let Some(rollout) = observed.rollout.as_deref() else { return after_the_end(observed) };
    if rollout.meta.deleting.is_some() {
        // What belongs to it goes with it, by owner references.
        return Plan::default();
    }
    let seen = facts::read_status(&rollout.status);
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
            if let Some(row) = looked.found() {
                workload::hand_over(&mut pass, row);
            }
            finish(pass)
        }
        Err(refusals) => {
            let spec = frozen::placeholder(rollout);
            let mut f = Facts::derive(observed, rollout, &spec, &seen, now);
            f.hash.clone_from(&seen.current_pod_hash);
            f.pending = None;
            let mut pass = Pass::new(&f);
            frozen::decide(&mut pass, refusals);
            finish(pass)
        }
    };
    if looked.is_open() && !plan.urgent {
        plan = Plan { safety: plan.safety, ask: plan.ask, wake: plan.wake, ..Plan::default() };
    }
    plan.ask.extend(looked.question());
    plan
}

/// What was changed in objects of others is put back when the Rollout is gone; what was ours goes by owner references.
fn after_the_end(observed: &Observed) -> Plan {
    let steered = observed.services.iter().filter(|s| {
        let ours = s.meta.annotations.get(super::ANNOTATION_MANAGED_BY).is_some_and(|name| *name == observed.name);
        ours && s.meta.owner.is_none() && s.meta.deleting.is_none()
    });
    let taken_over = observed.deployments.iter().filter(|d| {
        let ours = d.meta.annotations.get(super::ANNOTATION_MANAGED_BY).is_some_and(|name| *name == observed.name);
        ours && d.meta.deleting.is_none()
    });
    let effects = steered.map(|s| edits::release(s)).chain(taken_over.map(|d| edits::give_back(d)));
    Plan { effects: effects.collect(), ..Plan::default() }
}

/// A template is proven by the API server before anything moves: its ReplicaSet is tried, until it is there.
fn try_template(pass: &mut Pass<'_>) {
    let f = pass.f;
    let spec = f.spec;
    if revisions::known_hashes(&spec.template).iter().any(|h| f.sets.contains_key(h)) {
        return;
    }
    let hash = revisions::template_hash(&spec.template);
    let min_ready = spec.min_ready.as_duration().as_secs();
    let set = edits::replica_set(&spec.template, &spec.selector, &hash, 0, 1, min_ready, &f.whose);
    let ask = Ask::DryRunCreate { object: Arc::new(set) };
    pass.ask.push(Question { id: facts::try_question_id(&hash), ask });
}

fn finish(pass: Pass<'_>) -> Plan {
    let status = conditions::status_write(&pass);
    // What is told once is told with the status that says it; without a write there is nothing new.
    let notices = if status.is_some() || !pass.effects.is_empty() { pass.notices } else { Vec::new() };
    Plan {
        safety: pass.safety,
        status,
        effects: pass.effects,
        ask: pass.ask,
        notices,
        wake: pass.wake,
        urgent: pass.urgent,
    }
}
