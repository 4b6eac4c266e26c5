//! `release`: takes the finalizer off Rollouts whose canary has a share, where no controller is left to do it.

use super::access::{Cluster, Guarded, Target};
use super::failure::Failure;
use super::output::print;
use super::show::text::Line;
use crate::api::Rollout;
use crate::core::rollout::FINALIZER;
use clap::Args;
use json_patch::{Patch, PatchOperation, RemoveOperation, TestOperation};
use jsonptr::PointerBuf;
use kube::ResourceExt;
use serde_json::json;

/// A Rollout that changes while it is read is read again so often.
const TRIES: usize = 5;

/// `tidegate release`
#[derive(Debug, Args)]
pub struct Release {
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    target: Target,
}

impl Release {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let cluster = self.target.or(before).open().await?;
        let mut lines = Vec::new();
        for rollout in cluster.list(self.all_namespaces).await? {
            let name = format!("{}/{}", rollout.namespace().unwrap_or_default(), rollout.name_any());
            if let_go(&cluster, rollout).await? {
                lines.push(Line::text(format!("Rollout {name} is held no longer.")));
            }
        }
        if lines.is_empty() {
            lines.push(Line::text("No Rollout is held.".to_owned()));
        }
        print(None, &lines, &())
    }
}

/// Whether it was held.
async fn let_go(cluster: &Cluster, mut rollout: Rollout) -> Result<bool, Failure> {
    let mut cluster = cluster.clone();
    cluster.namespace = rollout.namespace().unwrap_or_default();
    for _ in 0..TRIES {
        let Some(operations) = removal(&rollout) else { return Ok(false) };
        match cluster.edit(&rollout, operations).await? {
            Guarded::Written => return Ok(true),
            Guarded::Changed => rollout = cluster.rollout(&rollout.name_any()).await?,
        }
    }
    let what = format!("Rollout {}/{}", cluster.namespace, rollout.name_any());
    Err(Failure::Refused(format!("{what} changes all the time; is a controller still running?")))
}

/// The finalizer goes if it is still where it was read.
fn removal(rollout: &Rollout) -> Option<Patch> {
    let place = rollout.finalizers().iter().position(|f| f == FINALIZER)?.to_string();
    let path = PointerBuf::from_tokens(["metadata", "finalizers", place.as_str()]);
    let test = TestOperation { path: path.clone(), value: json!(FINALIZER) };
    Some(Patch(vec![PatchOperation::Test(test), PatchOperation::Remove(RemoveOperation { path })]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_finalizer_goes() {
        let rollout = |finalizers: &[&str]| -> Rollout {
            serde_json::from_value(json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "spec": {},
                "metadata": {"name": "web", "finalizers": finalizers}}))
            .expect("a Rollout")
        };
        assert_eq!(removal(&rollout(&["example.com/backup"])), None);
        let held = rollout(&["example.com/backup", FINALIZER]);
        let mut object = serde_json::to_value(&held).expect("JSON");
        json_patch::patch(&mut object, &removal(&held).expect("it is held")).expect("as read");
        assert_eq!(object["metadata"]["finalizers"], json!(["example.com/backup"]));
    }
}
