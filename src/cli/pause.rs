//! `pause` and `resume`: an annotation that holds while it is there. The controller's answer is the phase.

use super::access::{Cluster, Guarded, Target};
use super::command::{Common, PREFIX, no_answer};
use super::failure::Failure;
use super::output::print;
use super::owner::{git_owner, place};
use super::show::status::Status;
use crate::api::Rollout;
use clap::Args;
use kube::ResourceExt;

/// How the controller's message of this pause begins.
const SAID: &str = "paused by annotation";

/// `tidegate pause`
#[derive(Debug, Args)]
pub struct Pause {
    #[command(flatten)]
    common: Common,
    /// Why, for those who find it paused
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "asked for on the command line")]
    reason: String,
}

/// `tidegate resume`
#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    common: Common,
}

impl Pause {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let reason = self.reason;
        annotate(self.common, before, Some(&reason), |rollout| held_by(rollout, &reason)).await
    }
}

impl Resume {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        annotate(self.common, before, None, |rollout| !Status::of(rollout).message.starts_with(SAID)).await
    }
}

/// What was asked for is in force, or the Rollout is in a state that outranks it.
fn held_by(rollout: &Rollout, reason: &str) -> bool {
    let status = Status::of(rollout);
    let manual = rollout.spec.paused == Some(true) && status.phase == "Paused";
    manual || status.phase == "Degraded" || status.message == format!("{SAID}: {reason}")
}

/// Why taking the annotation off would change nothing; none when it is there.
fn not_ours(rollout: &Rollout) -> Option<String> {
    let name = rollout.name_any();
    if rollout.annotations().contains_key(&format!("{PREFIX}pause")) {
        return None;
    }
    let status = rollout.status.clone().unwrap_or_default();
    Some(if rollout.spec.paused == Some(true) {
        "it is paused by spec.paused: set it to false, in git if the Rollout is in git".to_owned()
    } else if let Some(pause) = status.pause_conditions.first() {
        format!("it waits for {}: tidegate promote {name}", pause.reason)
    } else {
        "it is not paused".to_owned()
    })
}

async fn annotate(
    common: Common,
    before: Target,
    value: Option<&str>,
    done: impl Fn(&Rollout) -> bool,
) -> Result<(), Failure> {
    let verb = if value.is_some() { "pause" } else { "resume" };
    let (cluster, name) = common.named.open(before).await?;
    let what = format!("{verb} {}/{name}", cluster.namespace);
    let key = format!("{PREFIX}pause");
    let rollout = cluster.rollout(&name).await?;
    if let Some(owner) = git_owner(&rollout, &["metadata", "annotations", &key]) {
        let place = place(&rollout);
        return Err(Failure::Refused(format!("{what}: {owner} writes the annotation {key}; change it {place}")));
    }
    if let (None, Some(why)) = (value, not_ours(&rollout)) {
        return Err(Failure::Refused(format!("{what}: {why}")));
    }
    if let Guarded::Changed = cluster.annotate(&rollout, &key, value, false).await? {
        return Err(Failure::Refused(format!(
            "{what}: it was deleted and made again in this moment; look at it first"
        )));
    }
    let seen = wait(&cluster, &name, done);
    match tokio::time::timeout(common.timeout, seen).await {
        Ok(status) => {
            let status = status?;
            print(None, &[status.line()], &status)
        }
        Err(_) => Err(no_answer(&what, &key, common.timeout)),
    }
}

async fn wait(cluster: &Cluster, name: &str, done: impl Fn(&Rollout) -> bool) -> Result<Status, Failure> {
    cluster.until(name, |rollout| Ok(done(rollout).then(|| Status::of(rollout)))).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rollout(annotations: &Value, spec: &Value, status: &Value) -> Rollout {
        serde_json::from_value(json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "web", "annotations": annotations}, "spec": spec, "status": status}))
        .expect("a Rollout")
    }

    #[test]
    fn resume_says_what_else_holds_it() {
        let none = json!({});
        let step = json!({"pauseConditions": [{"reason": "CanaryPauseStep"}]});
        assert_eq!(not_ours(&rollout(&json!({"tidegate.dev/pause": "x"}), &none, &none)), None);
        for (spec, status, why) in [
            (json!({"paused": true}), none.clone(), "it is paused by spec.paused"),
            (none.clone(), step, "it waits for CanaryPauseStep: tidegate promote web"),
            (none.clone(), none.clone(), "it is not paused"),
        ] {
            let found = not_ours(&rollout(&none, &spec, &status)).expect("a reason");
            assert!(found.starts_with(why), "{found}");
        }
    }

    #[test]
    fn a_pause_is_in_force_when_the_controller_says_its_reason() {
        let none = json!({});
        let of = |message: &str| rollout(&none, &none, &json!({"phase": "Paused", "message": message}));
        assert!(held_by(&of("paused by annotation: tea"), "tea"));
        assert!(!held_by(&of("paused by annotation: lunch"), "tea"));
        assert!(!held_by(&of("CanaryPauseStep"), "tea"));
    }
}
