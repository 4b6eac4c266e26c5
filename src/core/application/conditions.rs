//! Conditions: Ready, Reconciling and Stalled on every Application as kstatus reads them, others only while they are true.

use crate::api::{ApplicationStatus, Condition};
use jiff::Timestamp;

/// Sets a condition; its times move only when it changes.
pub fn set(
    status: &mut ApplicationStatus,
    kind: &str,
    state: bool,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    let value = if state { "True" } else { "False" };
    let old = status.conditions.iter().position(|c| c.kind == kind);
    let same_status = old.is_some_and(|i| status.conditions[i].status == value);
    let since = old.filter(|_| same_status).and_then(|i| status.conditions[i].last_transition_time);
    let condition = Condition {
        kind: kind.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since.or(Some(now)),
        last_update_time: None,
        observed_generation: Some(generation),
    };
    match old {
        Some(i) => status.conditions[i] = condition,
        None => status.conditions.push(condition),
    }
}

/// Takes a condition away.
pub fn clear(status: &mut ApplicationStatus, kind: &str) {
    status.conditions.retain(|c| c.kind != kind);
}
