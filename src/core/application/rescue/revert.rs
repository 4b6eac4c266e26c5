//! Level 2: git is made to say good again, by a commit that puts the path back to its good tree.
//!
//! One revert per rejected tree, never more than a few in a window, never over a branch that moved. What keeps it from
//! being written ends with a person who is told why; the hold stands meanwhile.

use super::hold::Held;
use super::message::RevertMessage;
use super::{phase, remember};
use crate::api::{ApplicationStatus, RescueCommit, RescueStatus};
use crate::core::application::spec::{Mode, Spec, Writer};
use crate::core::object::ObjectRef;
use crate::core::plan::{Effect, Push, RefusalClass, RefusedEffect, Verb, Why};
use crate::core::question::SourceTip;
use crate::core::scalar::Span;
use jiff::Timestamp;
use std::sync::Arc;

/// A branch that moves on each of so many attempts is somebody else's to calm down.
const MAX_ATTEMPTS: i32 = 10;
/// A push whose outcome was not seen is made again after so long: the very same commit, so that it can stand only once.
const REPEAT_SECONDS: u32 = 15;

/// What the next step needs besides the status.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub application: &'a ObjectRef,
    pub spec: &'a Spec,
    pub controller: &'a str,
    /// The tip as the repository has it now; never one that is only remembered.
    pub tip: &'a SourceTip,
    pub refused: Option<&'a RefusedEffect>,
}

/// What comes of a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    pub push: Option<Effect>,
    pub wake: Option<Timestamp>,
}

/// Goes one step, once the good revision is applied.
pub fn step(status: &mut ApplicationStatus, held: &Held, scene: &Scene<'_>, now: Timestamp) -> Step {
    let writer = match &scene.spec.rescue.mode {
        Mode::Push(writer) => writer,
        Mode::Hold { missing_credential } => {
            let why = if *missing_credential {
                "spec.rescue.push.secretRef names no credential for writing, so nothing is pushed; git still has the rejected revision"
            } else {
                "spec.rescue.mode is Hold; git still has the rejected revision"
            };
            super::rescue(status).message = Some(why.to_owned());
            return Step::default();
        }
        Mode::Off => return Step::default(),
    };
    let state = super::rescue(status);
    match state.phase.as_deref() {
        Some(phase::HOLDING) => begin(state, held, scene, writer, now),
        Some(phase::REVERT_PENDING) => go_on(state, held, scene, writer, now),
        _ => Step::default(),
    }
}

fn begin(state: &mut RescueStatus, held: &Held, scene: &Scene<'_>, writer: &Writer, now: Timestamp) -> Step {
    if let Some(reason) = forbidden(state, held, scene, writer, now) {
        return needs_human(state, reason);
    }
    state.phase = Some(phase::REVERT_PENDING.to_owned());
    state.attempts = None;
    remember(&mut state.reverts, RescueCommit { time: Some(now), ..held.bad.clone() });
    attempt(state, held, scene, writer, now)
}

/// Why no revert may be written at all.
fn forbidden(state: &RescueStatus, held: &Held, scene: &Scene<'_>, writer: &Writer, now: Timestamp) -> Option<String> {
    let Some(branch) = scene.tip.reference.as_deref().and_then(|r| r.strip_prefix("refs/heads/")) else {
        return Some(format!(
            "spec.source.targetRevision {} is no branch: nothing can be pushed to it; point it to a good revision",
            scene.spec.source.revision
        ));
    };
    if let Some(other) = writer.branch.as_deref().filter(|b| *b != branch) {
        return Some(format!(
            "spec.rescue.push.branch is {other}, and {branch} is followed; use the branch that is followed"
        ));
    }
    if state.reverts.iter().any(|r| r.tree == held.bad.tree) {
        return Some("the same content came back after its revert; it is held, and not reverted again".to_owned());
    }
    let window = scene.spec.rescue.window;
    let recent = state.reverts.iter().filter(|r| r.time.is_some_and(|t| window.after(t) > now)).count();
    if recent >= scene.spec.rescue.max_reverts {
        return Some(format!("{recent} reverts within {window} are as many as spec.rescue.maxReverts allows"));
    }
    None
}

fn go_on(state: &mut RescueStatus, held: &Held, scene: &Scene<'_>, writer: &Writer, now: Timestamp) -> Step {
    let moved = state.expected_tip.as_deref() != Some(&scene.tip.commit);
    if moved {
        // Somebody pushed beside the path: the same revert on top of that. A change of the path itself would have lifted the hold.
        return attempt(state, held, scene, writer, now);
    }
    let attempted = state.attempted_at.unwrap_or(now);
    match scene.refused.filter(|r| r.at >= attempted) {
        Some(refused) if matches!(refused.class, RefusalClass::Forbidden | RefusalClass::Invalid) => {
            // It was certainly not written, so another attempt, once a person has mended the cause, is the first again.
            state.reverts.retain(|r| r.tree != held.bad.tree);
            needs_human(state, format!("the push was refused: {}", refused.message))
        }
        Some(refused) if refused.class == RefusalClass::Moved => {
            state.message = Some("the branch moved; its new tip is awaited".to_owned());
            Step { push: None, wake: Some(Span::from_secs(REPEAT_SECONDS).after(now)) }
        }
        // It may have happened or not: the same commit again is the same commit.
        Some(_) => Step { push: push(state, held, scene, writer), wake: None },
        None => {
            let again = Span::from_secs(REPEAT_SECONDS).after(attempted);
            if again > now {
                return Step { push: None, wake: Some(again) };
            }
            Step { push: push(state, held, scene, writer), wake: Some(Span::from_secs(REPEAT_SECONDS).after(now)) }
        }
    }
}

fn attempt(state: &mut RescueStatus, held: &Held, scene: &Scene<'_>, writer: &Writer, now: Timestamp) -> Step {
    let attempts = state.attempts.unwrap_or_default() + 1;
    if attempts > MAX_ATTEMPTS {
        return needs_human(state, format!("the branch moved under each of {MAX_ATTEMPTS} attempts"));
    }
    state.attempts = Some(attempts);
    state.attempted_at = Some(now);
    state.expected_tip = Some(scene.tip.commit.clone());
    state.message = None;
    Step { push: push(state, held, scene, writer), wake: Some(Span::from_secs(REPEAT_SECONDS).after(now)) }
}

fn needs_human(state: &mut RescueStatus, reason: String) -> Step {
    state.phase = Some(phase::NEEDS_HUMAN.to_owned());
    state.message = Some(reason);
    Step::default()
}

/// Made of status and tip alone, so that a second process makes the very same commit.
fn push(state: &RescueStatus, held: &Held, scene: &Scene<'_>, writer: &Writer) -> Option<Effect> {
    let (good, tree) = (held.good.commit.as_deref()?, held.good.tree.clone()?);
    let until = scene.tip.history.iter().position(|c| c.commit == good || c.tree.as_deref() == Some(&tree));
    let undone: Vec<_> = scene.tip.history[..until.unwrap_or(scene.tip.history.len())]
        .iter()
        .enumerate()
        // Commits that left the path as it was are not taken back.
        .filter(|(i, c)| scene.tip.history.get(i + 1).is_none_or(|older| older.tree != c.tree))
        .map(|(_, c)| c.clone())
        .collect();
    let reason = state.reason.clone().unwrap_or_default();
    let message = RevertMessage {
        namespace: &scene.application.namespace,
        application: &scene.application.name,
        path: &scene.spec.source.path,
        good,
        tip: &scene.tip.commit,
        undone: &undone,
        failure: &reason,
        evidence: &[],
        controller: scene.controller,
    };
    let push = Push {
        by: scene.application.clone(),
        url: scene.spec.source.url.clone(),
        reference: scene.tip.reference.clone()?,
        expected: scene.tip.commit.clone(),
        path: scene.spec.source.path.clone(),
        tree,
        message: message.text(),
        time: state.attempted_at?,
        secret: writer.secret.clone(),
    };
    Some(Effect { verb: Verb::Push(Arc::new(push)), why: Why::Revert })
}
