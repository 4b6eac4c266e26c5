//! The verbs that ask something of a Rollout: each is an annotation, and an answer that the controller records.
//!
//! The rule: what is asked is bound to what was shown. A value carries the hash of the current revision, its step and its
//! attempt, so that it does nothing to a revision that came in between. A scoped value is handled once for ever; where the
//! same words were used before, the value goes without a scope, and is written to the very version that was read.

use super::access::{Cluster, Guarded, Target};
use super::arguments::{Named, limit};
use super::failure::Failure;
use super::output::{Output, print};
use super::show::text::{Line, Tone, plain, toned, word};
use crate::api::{CommandRecord, Rollout, RolloutStatus};
use crate::clock::now;
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use std::time::Duration;

/// Times that a write without a scope is tried when only the status changed in between.
const TRIES: usize = 5;
pub(super) const PREFIX: &str = "tidegate.dev/";

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(super) named: Named,
    /// Longest wait for the controller's answer: 30, 30s, 2m
    #[arg(long, value_name = "TIME", value_parser = limit, default_value = "30s")]
    pub(super) timeout: Duration,
    /// Another form of the controller's record; wide is the same as none here
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

/// `tidegate promote`
#[derive(Debug, Args)]
pub struct Promote {
    #[command(flatten)]
    common: Common,
    /// Skips all that is left: steps, pauses, analyses
    #[arg(long)]
    full: bool,
}

/// `tidegate abort`
#[derive(Debug, Args)]
pub struct Abort {
    #[command(flatten)]
    common: Common,
    /// Why, for the record
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "asked for on the command line")]
    reason: String,
}

/// `tidegate retry`
#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    common: Common,
}

/// `tidegate restart`
#[derive(Debug, Args)]
pub struct Restart {
    #[command(flatten)]
    common: Common,
}

/// `tidegate rollback`
#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    common: Common,
    /// Number or hash of the revision; the stable one, or the last good one, when not given
    #[arg(long, value_name = "REVISION")]
    to_revision: Option<String>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    PromoteStep,
    PromoteFull,
    Abort(String),
    Retry,
    Restart(Timestamp),
    Rollback(String),
}

impl Ask {
    fn name(&self) -> &'static str {
        match self {
            Self::PromoteStep | Self::PromoteFull => "promote",
            Self::Abort(_) => "abort",
            Self::Retry => "retry",
            Self::Restart(_) => "restart",
            Self::Rollback(_) => "rollback",
        }
    }

    /// The value for whatever revision is current.
    fn bare(&self) -> String {
        match self {
            Self::PromoteStep => "step".to_owned(),
            Self::PromoteFull => "full".to_owned(),
            Self::Abort(reason) => reason.clone(),
            Self::Retry => "true".to_owned(),
            Self::Restart(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::Rollback(revision) => revision.clone(),
        }
    }

    /// The value for the revision that this status shows, and for nothing else; none where a value takes no scope.
    fn scoped(&self, status: &RolloutStatus) -> Option<String> {
        let hash = status.current_pod_hash.as_deref()?;
        let attempt = status.attempt.unwrap_or(1);
        let step = match status.current_step_index {
            Some(step) if status.current_step_hash.is_some() => format!("/{step}"),
            _ => String::new(),
        };
        Some(match self {
            Self::PromoteStep => format!("step@hash:{hash}{step}#{attempt}"),
            Self::PromoteFull => format!("full@hash:{hash}#{attempt}"),
            Self::Abort(reason) => format!("@hash:{hash}#{attempt} {reason}"),
            // The attempt that shall come.
            Self::Retry => format!("true@hash:{hash}#{}", attempt + 1),
            Self::Restart(_) | Self::Rollback(_) => return None,
        })
    }

    /// What to write, and whether it is bound to the version that was read.
    fn value(&self, status: &RolloutStatus) -> (String, bool) {
        let used = |value: &String| status.commands.iter().any(|r| r.name == self.name() && r.value == *value);
        match self.scoped(status).filter(|value| !used(value)) {
            Some(value) => (value, false),
            None => (self.bare(), true),
        }
    }
}

impl Promote {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let ask = if self.full { Ask::PromoteFull } else { Ask::PromoteStep };
        run(self.common, before, |_| Ok(ask.clone())).await
    }
}

impl Abort {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        run(self.common, before, |_| Ok(Ask::Abort(self.reason.clone()))).await
    }
}

impl Retry {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        run(self.common, before, |_| Ok(Ask::Retry)).await
    }
}

impl Restart {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let time = now();
        run(self.common, before, |_| Ok(Ask::Restart(time))).await
    }
}

impl Rollback {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        run(self.common, before, |rollout| {
            let given = self.to_revision.clone();
            given.or_else(|| goal(rollout)).map(Ask::Rollback).ok_or_else(|| {
                Failure::Refused(format!(
                    "rollback {}: there is neither a stable nor a good revision other than the current one; \
                     name one with --to-revision, see: tidegate history {}",
                    rollout.name_any(),
                    rollout.name_any()
                ))
            })
        })
        .await
    }
}

/// The revision that going back means when none is named.
pub(super) fn goal(rollout: &Rollout) -> Option<String> {
    let status = rollout.status.as_ref()?;
    let good = status.last_good.as_ref().map(|good| good.hash.clone());
    [status.stable_rs.clone(), good].into_iter().flatten().find(|hash| Some(hash) != status.current_pod_hash.as_ref())
}

async fn run(common: Common, before: Target, ask: impl Fn(&Rollout) -> Result<Ask, Failure>) -> Result<(), Failure> {
    let (cluster, name) = common.named.open(before).await?;
    let shown = cluster.rollout(&name).await?;
    let ask = ask(&shown)?;
    let value = write(&cluster, &shown, &ask).await?;
    let old: Vec<CommandRecord> = shown.status.map(|s| s.commands).unwrap_or_default();
    let answer = cluster.until(&name, |rollout| Ok(record(rollout, &ask, &value, &old)));
    let Ok(record) = tokio::time::timeout(common.timeout, answer).await else {
        return Err(unanswered(&format!("{} {}/{name}", ask.name(), cluster.namespace), &ask, common.timeout));
    };
    let record = record?;
    let message = record.message.clone().unwrap_or_default();
    if record.outcome != "Accepted" {
        return Err(Failure::Refused(format!(
            "{} {}/{name} ({}: {value}): {}: {message}",
            ask.name(),
            cluster.namespace,
            key(&ask),
            record.outcome
        )));
    }
    let line = Line(vec![
        toned(format!("{}/{name}", cluster.namespace), Tone::Strong),
        plain(format!("  {}  ", ask.name())),
        word(record.outcome.clone()),
        plain(format!("  {message}")),
    ]);
    print(common.output, &[line], &record)
}

fn key(ask: &Ask) -> String {
    format!("{PREFIX}{}", ask.name())
}

/// The controller's record of what was asked just now.
fn record(rollout: &Rollout, ask: &Ask, value: &str, old: &[CommandRecord]) -> Option<CommandRecord> {
    let commands = rollout.status.iter().flat_map(|s| &s.commands);
    let mut ours = commands.filter(|r| r.name == ask.name() && r.value == value);
    let known = |r: &&CommandRecord| old.iter().any(|o| o.name == r.name && o.value == r.value && o.time == r.time);
    ours.find(|r| !known(r)).cloned()
}

/// Writes the annotation; gives the value.
async fn write(cluster: &Cluster, shown: &Rollout, ask: &Ask) -> Result<String, Failure> {
    let mut rollout = shown.clone();
    for _ in 0..TRIES {
        let (value, as_read) = ask.value(&rollout.status.clone().unwrap_or_default());
        if let Guarded::Written = cluster.annotate(&rollout, &key(ask), Some(&value), as_read).await? {
            return Ok(value);
        }
        rollout = cluster.rollout(&shown.name_any()).await?;
        if !same(shown, &rollout) {
            break;
        }
    }
    Err(Failure::Refused(format!(
        "{} {}/{}: the Rollout went on while this was asked; look at it and ask again: tidegate get rollout {}",
        ask.name(),
        cluster.namespace,
        shown.name_any(),
        shown.name_any()
    )))
}

/// Whether a person would take both for the same situation.
fn same(shown: &Rollout, found: &Rollout) -> bool {
    let place = |r: &Rollout| {
        let s = r.status.clone().unwrap_or_default();
        (r.uid(), r.metadata.generation, s.current_pod_hash, s.current_step_index, s.attempt, s.abort)
    };
    place(shown) == place(found)
}

pub(super) fn no_answer(what: &str, key: &str, limit: Duration) -> Failure {
    Failure::Timeout {
        what: format!("{what}: an answer of the controller"),
        limit,
        remedy: format!(
            "the annotation {key} is written and is carried out once a controller serves this namespace; \
             is one running? kubectl get pods -A -l app.kubernetes.io/name=tidegate"
        ),
    }
}

fn unanswered(what: &str, ask: &Ask, limit: Duration) -> Failure {
    no_answer(what, &key(ask), limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(more: &Value) -> RolloutStatus {
        let mut status = json!({"currentPodHash": "abc", "currentStepIndex": 1, "currentStepHash": "s", "attempt": 2});
        json_patch::merge(&mut status, more);
        serde_json::from_value(status).expect("a status")
    }

    #[test]
    fn a_value_is_bound_to_the_revision_the_step_and_the_attempt_that_were_shown() {
        let canary = status(&json!({}));
        for (ask, value) in [
            (Ask::PromoteStep, "step@hash:abc/1#2"),
            (Ask::PromoteFull, "full@hash:abc#2"),
            (Ask::Abort("too slow".into()), "@hash:abc#2 too slow"),
            (Ask::Retry, "true@hash:abc#3"),
        ] {
            assert_eq!(ask.value(&canary), (value.to_owned(), false));
        }
        let blue_green = status(&json!({"currentStepHash": null, "currentStepIndex": null}));
        assert_eq!(Ask::PromoteStep.value(&blue_green).0, "step@hash:abc#2");
    }

    #[test]
    fn words_that_were_used_go_without_a_scope_and_bound_to_what_was_read() {
        let used =
            status(&json!({"commands": [{"name": "promote", "value": "step@hash:abc/1#2", "outcome": "Refused"}]}));
        assert_eq!(Ask::PromoteStep.value(&used), ("step".to_owned(), true));
        assert_eq!(Ask::PromoteFull.value(&used), ("full@hash:abc#2".to_owned(), false));
        assert_eq!(Ask::PromoteStep.value(&RolloutStatus::default()), ("step".to_owned(), true));
        let time = Timestamp::from_second(1_767_324_000).expect("a time");
        assert_eq!(Ask::Restart(time).value(&used), ("2026-01-02T03:20:00Z".to_owned(), true));
    }

    #[test]
    fn only_a_record_that_is_new_is_the_answer() {
        let one = json!({"name": "promote", "value": "step", "outcome": "Accepted", "time": "2026-01-02T03:00:00Z"});
        let two = json!({"name": "promote", "value": "step", "outcome": "Refused", "time": "2026-01-02T03:01:00Z"});
        let rollout = |commands: &[&Value]| Rollout {
            status: Some(status(&json!({"commands": commands}))),
            ..Rollout::default()
        };
        let old = rollout(&[&one]).status.expect("a status").commands;
        assert_eq!(record(&rollout(&[&one]), &Ask::PromoteStep, "step", &old), None);
        let found = record(&rollout(&[&one, &two]), &Ask::PromoteStep, "step", &old);
        assert_eq!(found.map(|r| r.outcome).as_deref(), Some("Refused"));
    }

    #[test]
    fn going_back_means_stable_or_the_last_good_revision_and_never_the_current_one() {
        let goal_of = |more: Value| goal(&Rollout { status: Some(status(&more)), ..Rollout::default() });
        assert_eq!(goal_of(json!({"stableRS": "old", "lastGood": {"hash": "older"}})).as_deref(), Some("old"));
        assert_eq!(goal_of(json!({"stableRS": "abc", "lastGood": {"hash": "older"}})).as_deref(), Some("older"));
        assert_eq!(goal_of(json!({"stableRS": "abc"})), None);
    }
}
