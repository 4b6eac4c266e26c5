//! Fault plans: which write of this run fails, and how. The simulation and the binary read the same file.
//!
//! ```json
//! [{"kind": "Rollout", "why": "raise-weight", "nth": 1, "action": "kill-after"},
//!  {"kind": "Application", "why": "revert", "action": "delay-ms:500"}]
//! ```
//!
//! `kind` is that of the key that writes; `why` one of [`crate::core::plan::Why`], `status`, or `any`; `nth` counts from 1
//! (the default) over the writes of that kind and reason in this process. With `namespace` only the writes of keys in it are
//! counted, so that on a cluster with more on it the point is still one known write. A plan is inert without its file.

use crate::cluster::{WriteError, Written};
use crate::core::object::Key;
use serde::Deserialize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// In the place of a reason: every write counts.
pub const ANY: &str = "any";

/// What happens at a fault point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Action {
    /// The process ends before the write is sent.
    KillBefore,
    /// The process ends after the write was answered.
    KillAfter,
    /// The write happens and its answer is lost.
    LoseAnswer,
    /// The write is not sent and counts as refused.
    Refuse,
    /// The write is not sent, and counts as one that came too late for the version that it was decided on.
    Conflict,
    /// The write is not sent: the API server is away.
    Unavailable,
    /// The write is sent late.
    Delay(Duration),
}

impl TryFrom<String> for Action {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "kill-before" => Self::KillBefore,
            "kill-after" => Self::KillAfter,
            "lose-answer" => Self::LoseAnswer,
            "refuse" => Self::Refuse,
            "conflict" => Self::Conflict,
            "unavailable" => Self::Unavailable,
            other => {
                let ms = other.strip_prefix("delay-ms:").and_then(|ms| ms.parse().ok());
                Self::Delay(Duration::from_millis(ms.ok_or_else(|| {
                    format!(
                        "action: {other}: unknown; write kill-before, kill-after, lose-answer, refuse, conflict, unavailable or delay-ms:N"
                    )
                })?))
            }
        })
    }
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: String,
    #[serde(default)]
    pub namespace: Option<String>,
    pub why: String,
    #[serde(default = "first")]
    pub nth: u32,
    pub action: Action,
}

fn first() -> u32 {
    1
}

impl Fault {
    fn is_about(&self, key: &Key, why: &str) -> bool {
        let here = self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace);
        here && self.kind == key.resource.kind && (self.why == why || self.why == ANY)
    }
}

/// What ending the process means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kill {
    /// The process ends at once, as by SIGKILL: nothing is flushed, released or answered.
    #[default]
    Process,
    /// The pass ends with [`WriteError::Killed`]; the simulation throws the controller away.
    Simulated,
}

/// A fault plan that is run, with its counts.
#[derive(Debug, Default)]
pub struct Faults {
    plan: Vec<Fault>,
    kill: Kill,
    /// How many writes each line of the plan is about, so far.
    counts: Mutex<Vec<u32>>,
    /// How long the write that is held back now is to wait, in a simulation.
    held: Mutex<Option<Duration>>,
}

/// A fault plan that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultPlanError {
    #[error("fault plan {path}: {source}; give the path of a readable JSON file")]
    Unreadable { path: String, source: std::io::Error },
    #[error("fault plan {path}: {source}")]
    Malformed { path: String, source: serde_json::Error },
}

impl Faults {
    pub fn new(plan: Vec<Fault>, kill: Kill) -> Self {
        let counts = Mutex::new(vec![0; plan.len()]);
        Self { plan, kill, counts, held: Mutex::default() }
    }

    /// Reads the plan of a real process.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a plan.
    pub fn load(path: &Path) -> Result<Self, FaultPlanError> {
        let shown = path.display().to_string();
        let text = std::fs::read(path).map_err(|source| FaultPlanError::Unreadable { path: shown.clone(), source })?;
        let plan = serde_json::from_slice(&text).map_err(|source| FaultPlanError::Malformed { path: shown, source })?;
        Ok(Self::new(plan, Kill::Process))
    }

    /// Counts a write, and says what shall happen to it.
    pub(super) fn next(&self, key: &Key, why: &str) -> Option<Action> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut action = None;
        for (fault, count) in self.plan.iter().zip(counts.iter_mut()).filter(|(fault, _)| fault.is_about(key, why)) {
            *count += 1;
            if *count == fault.nth {
                action = action.or(Some(fault.action));
            }
        }
        action
    }

    /// How many faults of the plan have had their turn.
    pub fn met(&self) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.plan.iter().zip(counts.iter()).filter(|(fault, count)| **count >= fault.nth).count()
    }

    pub(super) fn kill(&self) -> Result<Written, WriteError> {
        match self.kill {
            Kill::Simulated => Err(WriteError::Killed),
            Kill::Process => {
                tracing::error!("the process ends here by its fault plan");
                std::process::abort()
            }
        }
    }

    /// Holds a write back. A simulation has its own time: there the pass pauses once, and goes on when it is polled again.
    pub(super) async fn wait(&self, time: Duration) {
        match self.kill {
            Kill::Process => tokio::time::sleep(time).await,
            Kill::Simulated => {
                let mut paused = false;
                std::future::poll_fn(|_| {
                    if std::mem::replace(&mut paused, true) {
                        return Poll::Ready(());
                    }
                    *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
                    Poll::Pending
                })
                .await;
            }
        }
    }

    /// How long the pass that just paused is to wait.
    pub fn take_held(&self) -> Option<Duration> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::ResourceType;

    fn key(resource: ResourceType, namespace: &str) -> Key {
        Key::new(resource, namespace, "web")
    }

    #[test]
    fn the_nth_write_of_its_kind_and_reason_is_hit_and_no_other() {
        let text = r#"[{"kind": "Rollout", "why": "scale", "nth": 2, "action": "refuse"},
                       {"kind": "Rollout", "why": "status", "action": "delay-ms:50"}]"#;
        let faults = Faults::new(serde_json::from_str(text).expect("a plan"), Kill::Simulated);
        let rollout = key(ResourceType::ROLLOUT, "shop");
        assert_eq!(faults.next(&rollout, "scale"), None);
        assert_eq!(faults.next(&key(ResourceType::APPLICATION, "shop"), "scale"), None);
        assert_eq!(faults.next(&rollout, "scale"), Some(Action::Refuse));
        assert_eq!(faults.next(&rollout, "scale"), None);
        assert_eq!(faults.next(&rollout, "status"), Some(Action::Delay(Duration::from_millis(50))));
        assert_eq!(faults.met(), 2);
    }

    #[test]
    fn writes_of_other_namespaces_are_not_counted_where_one_is_named() {
        let text = r#"[{"kind": "Rollout", "namespace": "shop", "why": "scale", "action": "refuse"}]"#;
        let faults = Faults::new(serde_json::from_str(text).expect("a plan"), Kill::Simulated);
        assert_eq!(faults.next(&key(ResourceType::ROLLOUT, "other"), "scale"), None);
        assert_eq!(faults.next(&key(ResourceType::ROLLOUT, "shop"), "scale"), Some(Action::Refuse));
    }

    #[test]
    fn an_unknown_action_is_refused_with_the_known_ones() {
        let error = serde_json::from_str::<Vec<Fault>>(r#"[{"kind": "a", "why": "b", "action": "explode"}]"#);
        assert!(error.unwrap_err().to_string().contains("write kill-before"));
    }
}
