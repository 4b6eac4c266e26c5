//! Carries single writes out: the only place from which anything is written, and the only one with fault points.
//!
//! The rule it keeps: it decides nothing and remembers nothing. Each write is counted and logged here, with why it was made.

pub mod faults;

use crate::cluster::{Api, Tenure, WriteError, Written};
use crate::core::object::{Key, ObjectRef};
use crate::core::plan::{Effect, Lane, Notice, StatusWrite};
use crate::core::question::ApiRefusal;
use crate::telemetry::{Metrics, Outcome};
use faults::{Action, Faults};
use std::sync::Arc;

/// The `why` of a status write, for metrics, logs and fault plans.
pub const WHY_STATUS: &str = "status";

/// The writer.
#[derive(Debug)]
pub struct Executor<A> {
    pub api: A,
    pub faults: Faults,
    pub metrics: Arc<Metrics>,
}

impl<A: Api> Executor<A> {
    /// Carries one effect out on behalf of `key`.
    pub async fn effect(&self, tenure: &Tenure, lane: Lane, key: &Key, effect: &Effect) -> Result<Written, WriteError> {
        let (target, why) = (effect.target(), effect.why.as_str());
        self.through(tenure, key, &target, why, || self.api.write(tenure, lane, effect)).await
    }

    /// Writes a status on behalf of `key`.
    pub async fn status(
        &self,
        tenure: &Tenure,
        lane: Lane,
        key: &Key,
        status: &StatusWrite,
    ) -> Result<Written, WriteError> {
        self.through(tenure, key, &status.target, WHY_STATUS, || self.api.write_status(tenure, lane, status)).await
    }

    pub async fn notice(&self, tenure: &Tenure, notice: &Notice) {
        tracing::info!(on = %notice.on, reason = notice.reason, warning = notice.warning, "{}", notice.message);
        self.api.notice(tenure, notice).await;
    }

    /// The one await that every write goes through, with its fault points around it.
    async fn through<F>(
        &self,
        tenure: &Tenure,
        key: &Key,
        target: &ObjectRef,
        why: &'static str,
        call: impl FnOnce() -> F + Send,
    ) -> Result<Written, WriteError>
    where
        F: Future<Output = Result<Written, WriteError>> + Send,
    {
        if tenure.remaining().is_none() {
            return Err(WriteError::LostTenure);
        }
        let action = self.faults.next(key, why);
        let outcome = match action {
            None => call().await,
            Some(Action::KillBefore) => self.faults.kill(),
            Some(Action::KillAfter) => {
                let _ = call().await;
                self.faults.kill()
            }
            Some(Action::LoseAnswer) => call().await.and(Err(WriteError::Unknown("lost by a fault plan".to_owned()))),
            Some(Action::Refuse) => Err(WriteError::Refused(ApiRefusal {
                code: 403,
                reason: "Forbidden".to_owned(),
                message: "refused by a fault plan".to_owned(),
                causes: Vec::new(),
            })),
            Some(Action::Conflict) => Err(WriteError::Conflict("a newer version, by a fault plan".to_owned())),
            Some(Action::Unavailable) => Err(WriteError::Unavailable("away by a fault plan".to_owned())),
            Some(Action::Delay(time)) => {
                self.faults.wait(time).await;
                call().await
            }
        };
        let counted = outcome.as_ref().map_or_else(WriteError::outcome, |_| Outcome::Done);
        self.metrics.wrote(&target.resource.kind, why, counted);
        match &outcome {
            Ok(_) => tracing::info!(%key, %target, why, "written"),
            Err(error) => tracing::warn!(%key, %target, why, %error, "not written"),
        }
        outcome
    }
}
