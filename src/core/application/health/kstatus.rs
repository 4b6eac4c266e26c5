//! Kinds that we have no rule for, read as kstatus reads them.

use super::{Fault, Health, condition, observed};
use serde_json::Value;

pub(super) fn judge(object: &Value) -> Health {
    if observed(object) == Some(false) {
        return Health::progressing("its newest generation was not observed yet");
    }
    if let Some(("True", reason, message)) = condition(object, "Stalled") {
        return Health::degraded(said(reason, message), Fault::None);
    }
    if let Some(("True", reason, message)) = condition(object, "Reconciling") {
        return Health::progressing(said(reason, message));
    }
    match condition(object, "Ready") {
        Some(("True", ..)) | None => Health::healthy(),
        Some((_, reason, message)) => Health::progressing(said(reason, message)),
    }
}

/// The message, or the reason where there is none.
pub(super) fn said(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { message.to_owned() }
}
