//! How each wanted object relates to what is there: asked of the API server by a dry run, once per state of the object.
//!
//! The identity of a dry run is (uid, generation, digest of the rest, digest of what is wanted): churn of a status asks
//! nothing, a change of anything else asks anew.

use super::observed::Observed;
use super::wanted::{Trouble, TroubleClass, Wanted, digest, template_probe};
use crate::api::ReconcileError;
use crate::core::application::health::{Health, HealthStatus};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::Actor;
use crate::core::question::{ApiRefusal, Ask, FieldChange, LiveObject, Question, Told};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A wanted object beside the live one.
#[derive(Debug, Clone)]
pub struct Assessed<'a> {
    pub wanted: &'a Wanted,
    pub live: Option<&'a LiveObject>,
    pub fit: Fit,
    /// Its own health when it is seen, `Missing` when it is not there; one that we may not look at counts as healthy once it
    /// is in sync.
    pub health: Health,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// Cannot be asked about before something else of the same tree is there.
    Later,
    /// Asked; no answer yet.
    Asking,
    Refused(ApiRefusal),
    /// Another Application has it.
    Taken(String),
    /// An apply would change it, or create it (no uid).
    Differs {
        uid: Option<String>,
        changes: Vec<FieldChange>,
    },
    InSync,
}

/// Live objects by name.
pub type Live<'a> = BTreeMap<&'a ObjectRef, &'a LiveObject>;

/// Compares all wanted objects with what is there, and asks what is not known.
pub fn assess<'a>(
    observed: &Observed,
    wanted: &'a [Wanted],
    live: &Live<'a>,
    actor: &Actor,
    owner: &str,
    unreadable: &[(ResourceType, String)],
    ask: &mut Vec<Question>,
) -> Vec<Assessed<'a>> {
    let one = |wanted: &'a Wanted| {
        let live = live.get(&wanted.target).copied();
        let fit = if wanted.later { Fit::Later } else { fit(observed, wanted, live, actor, owner, ask) };
        let blind = unreadable.iter().any(|(resource, _)| *resource == wanted.target.resource);
        let health = match live {
            Some(live) => live.health.clone(),
            None if blind && fit == Fit::InSync => Health::healthy(),
            None => Health::new(HealthStatus::Missing, "is not there"),
        };
        Assessed { wanted, live, fit, health }
    };
    wanted.iter().map(one).collect()
}

fn fit(
    observed: &Observed,
    wanted: &Wanted,
    live: Option<&LiveObject>,
    actor: &Actor,
    owner: &str,
    ask: &mut Vec<Question>,
) -> Fit {
    let state = live.map_or_else(String::new, |l| format!("{}/{}/{}", l.uid, l.generation, l.metadata_digest));
    let id = format!("apply/{}/{}/{state}/{}", wanted.target.resource.api_version(), wanted.target, wanted.digest);
    let told = observed.told(&id);
    ask.push(Question { id, ask: Ask::DryRunApply { object: wanted.object.clone(), actor: actor.clone() } });
    match told {
        Some(Told::DryApplied(Err(refusal))) => Fit::Refused(refusal.clone()),
        Some(Told::DryApplied(Ok(would))) => {
            if let Some(other) = would.owner.as_ref().filter(|o| *o != owner) {
                return Fit::Taken(other.clone());
            }
            if would.uid.is_some() && would.changes.is_empty() {
                return Fit::InSync;
            }
            // Nobody looks into the template of a Rollout until pods are made of it; by then a bad one would be applied.
            match probe(observed, wanted, ask) {
                None => Fit::Asking,
                Some(Err(refusal)) => Fit::Refused(refusal),
                Some(Ok(())) => Fit::Differs { uid: would.uid.clone(), changes: would.changes.clone() },
            }
        }
        _ => Fit::Asking,
    }
}

fn probe(observed: &Observed, wanted: &Wanted, ask: &mut Vec<Question>) -> Option<Result<(), ApiRefusal>> {
    let resource = &wanted.target.resource;
    if resource.kind != "Rollout" || resource.group != "tidegate.dev" {
        return Some(Ok(()));
    }
    let Some(probe) = template_probe(&wanted.target, &wanted.object) else { return Some(Ok(())) };
    let id = format!("template/{}/{}", wanted.target, digest(probe.to_string().as_bytes()));
    let told = observed.told(&id);
    ask.push(Question { id, ask: Ask::DryRunCreate { object: Arc::new(probe) } });
    match told {
        Some(Told::DryRun(Ok(_))) => Some(Ok(())),
        Some(Told::DryRun(Err(refusal))) => Some(Err(refusal.clone())),
        _ => None,
    }
}

/// What the refused ones of a tree are refused for; empty when none is.
pub fn troubles(all: &[Assessed<'_>]) -> Vec<Trouble> {
    let mut found = Vec::new();
    for one in all {
        match &one.fit {
            Fit::Refused(refusal) => found.extend(refused(one.wanted, refusal)),
            Fit::Taken(other) => found.push(Trouble::surroundings(
                &one.wanted.file,
                one.wanted.target.to_string(),
                "metadata.labels[\"tidegate.dev/application\"]",
                format!("belongs to Application {}; remove it from one of the two", other.replacen('_', "/", 1)),
            )),
            Fit::Later | Fit::Asking | Fit::Differs { .. } | Fit::InSync => {}
        }
    }
    found
}

/// One trouble per cause that the API server names.
fn refused(wanted: &Wanted, refusal: &ApiRefusal) -> Vec<Trouble> {
    let class = match refusal.code {
        400 | 422 => TroubleClass::Manifest,
        _ => TroubleClass::Surroundings,
    };
    let causes = if refusal.causes.is_empty() { strict_causes(&refusal.message) } else { refusal.causes.clone() };
    let trouble = |field: Option<String>, message: String| Trouble {
        class,
        error: ReconcileError {
            file: Some(wanted.file.clone()),
            object: Some(wanted.target.to_string()),
            field,
            message,
        },
    };
    if causes.is_empty() {
        return vec![trouble(None, refusal.message.clone())];
    }
    causes.into_iter().map(|(field, message)| trouble((!field.is_empty()).then_some(field), message)).collect()
}

/// `strict decoding error: unknown field "spec.x", unknown field "spec.y"` names its fields only in words.
fn strict_causes(message: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (kind, what) in [("unknown field \"", "is no field of this kind"), ("duplicate field \"", "is there twice")] {
        for part in message.split(kind).skip(1) {
            if let Some((field, _)) = part.split_once('"') {
                found.push((field.to_owned(), format!("{what}; correct or remove it")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_named_one_by_one() {
        let message = r#"Deployment in version "v1" cannot be handled: strict decoding error: unknown field "spec.foo", unknown field "spec.template.bar""#;
        let fields: Vec<_> = strict_causes(message).into_iter().map(|c| c.0).collect();
        assert_eq!(fields, ["spec.foo", "spec.template.bar"]);
    }
}
