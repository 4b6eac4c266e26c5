//! What a person asks of an Application by annotation: `sync`, `refresh`, `retry`.
//!
//! A request is recorded in status, carried out, and its annotation taken off. While the annotation is still there the
//! record is `pending`, so the same words written again later are a new request.

use super::rescue::hold;
use crate::api::{ApplicationStatus, CommandRecord};
use crate::core::object::ObjectRef;
use crate::core::plan::{Effect, Verb, Why};
use crate::core::row::ApplicationRow;
use jiff::Timestamp;
use json_patch::{PatchOperation, RemoveOperation, TestOperation};
use serde_json::json;

/// Records kept.
const KEPT: usize = 20;

/// What was asked for in this pass, beyond what is in status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Apply the tip: by whom.
    pub sync: Option<String>,
}

/// Takes the requests in, and takes their annotations off.
pub fn take(
    application: &ApplicationRow,
    target: &ObjectRef,
    status: &mut ApplicationStatus,
    effects: &mut Vec<Effect>,
    now: Timestamp,
) -> Asked {
    let mut asked = Asked::default();
    for name in ["sync", "refresh", "retry"] {
        let key = format!("tidegate.dev/{name}");
        let last = status.commands.iter().rposition(|c| c.name == name);
        let Some(value) = application.meta.annotations.get(&key) else {
            if let Some(i) = last {
                status.commands[i].pending = None;
            }
            continue;
        };
        effects.push(remove(target, &key, value));
        if last.is_some_and(|i| status.commands[i].pending == Some(true) && status.commands[i].value == *value) {
            continue;
        }
        let by = application.annotation_managers.get(&key).cloned();
        let outcome = match name {
            "sync" => sync(status, value).map(|said| {
                asked.sync = Some(by.clone().unwrap_or_else(|| "annotation".to_owned()));
                said
            }),
            "retry" => retry(status),
            _ => Ok("the repository is read now".to_owned()),
        };
        let (outcome, message) = match outcome {
            Ok(said) => ("Accepted", said),
            Err(why) => ("Refused", why),
        };
        status.commands.push(CommandRecord {
            name: name.to_owned(),
            value: value.clone(),
            revision: status.tip.as_ref().and_then(|t| t.revision.clone()),
            time: Some(now),
            field_manager: by,
            outcome: outcome.to_owned(),
            message: Some(message),
            pending: Some(true),
        });
        let surplus = status.commands.len().saturating_sub(KEPT);
        status.commands.drain(..surplus);
    }
    asked
}

fn sync(status: &ApplicationStatus, value: &str) -> Result<String, String> {
    let tip = status.tip.as_ref().and_then(|t| t.revision.as_deref()).unwrap_or_default();
    let wanted = value.trim();
    let is_commit = wanted.len() >= 7 && wanted.chars().all(|c| c.is_ascii_hexdigit());
    if is_commit && !tip.starts_with(&wanted.to_ascii_lowercase()) {
        return Err(format!(
            "{wanted} is not the tip ({tip}); only the tip can be applied: set spec.source.targetRevision to apply another commit"
        ));
    }
    Ok("the tip is applied".to_owned())
}

fn retry(status: &mut ApplicationStatus) -> Result<String, String> {
    let tree = status.tip.as_ref().and_then(|t| t.tree.clone()).unwrap_or_default();
    if hold::retry(status, &tree) {
        // What failed to apply is tried again as well.
        status.operation_state = None;
        Ok("the rejected content is tried again".to_owned())
    } else {
        Err("the tip was not rejected, so there is nothing to try again".to_owned())
    }
}

fn remove(target: &ObjectRef, key: &str, value: &str) -> Effect {
    let path = jsonptr::PointerBuf::from_tokens(["metadata", "annotations", key]);
    let patch = json_patch::Patch(vec![
        PatchOperation::Test(TestOperation { path: path.clone(), value: json!(value) }),
        PatchOperation::Remove(RemoveOperation { path }),
    ]);
    Effect { verb: Verb::Edit { target: target.clone(), patch }, why: Why::CommandDone }
}

/// Changes whenever a person asks to look at the repository again.
pub fn nonce(status: &ApplicationStatus) -> String {
    let last = status.commands.iter().rev().find(|c| matches!(c.name.as_str(), "refresh" | "sync" | "retry"));
    last.and_then(|c| c.time).map(|t| t.to_string()).unwrap_or_default()
}
