//! Fault points of the shipped controller: which write of it ends the process.
//!
//! The plan is a file that the controller reads at its start, so it is mounted into the installed Deployment, and taken out
//! again once a process has ended by it: each new process counts anew, and would end at the same point for ever.

use crate::cluster::{Cluster, Kind};
use crate::install::{NAMESPACE, RELEASE};
use crate::wait;
use serde_json::{Value, json};
use std::time::Duration;

const CONFIG: &str = "faults-of-a-scenario";
/// Two pods, one after the other, on a busy node.
const UPDATE: Duration = Duration::from_secs(120);

/// One end of the process: `kind` of the key that writes, `why` of the write, before or after it.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    pub kind: &'static str,
    pub why: &'static str,
    pub nth: u32,
    pub after: bool,
}

impl Kill {
    fn plan(self) -> Value {
        let action = if self.after { "kill-after" } else { "kill-before" };
        json!([{"kind": self.kind, "why": self.why, "nth": self.nth, "action": action}])
    }
}

/// Restarts the controller with this plan, and waits until it is ready.
///
/// # Errors
/// When the API server refuses or the controller does not come up.
pub async fn arm(cluster: &Cluster, kill: Kill) -> anyhow::Result<()> {
    cluster
        .apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "name": CONFIG},
            "data": {"plan.json": kill.plan().to_string()}
        }))
        .await?;
    let container = json!({
        "name": "controller",
        "env": [{"name": "TIDEGATE_FAULT_PLAN", "value": "/faults/plan.json"}],
        "volumeMounts": [{"name": "faults", "mountPath": "/faults"}]
    });
    let pod = json!({"containers": [container], "volumes": [{"name": "faults", "configMap": {"name": CONFIG}}]});
    update(cluster, &pod).await
}

/// Restarts the controller without a plan, and waits until it is ready.
///
/// # Errors
/// When the API server refuses or the controller does not come up.
pub async fn disarm(cluster: &Cluster) -> anyhow::Result<()> {
    let container = json!({
        "name": "controller",
        "env": [{"name": "TIDEGATE_FAULT_PLAN", "$patch": "delete"}],
        "volumeMounts": [{"mountPath": "/faults", "$patch": "delete"}]
    });
    let pod = json!({"containers": [container], "volumes": [{"name": "faults", "$patch": "delete"}]});
    update(cluster, &pod).await?;
    cluster.delete(Kind::CONFIG_MAP, NAMESPACE, CONFIG).await?;
    Ok(())
}

async fn update(cluster: &Cluster, pod: &Value) -> anyhow::Result<()> {
    cluster.patch_pods(NAMESPACE, RELEASE, pod).await?;
    wait::until(cluster, (Kind::DEPLOYMENT, NAMESPACE, RELEASE), UPDATE, "the controller updated", |deployment| {
        let (status, wanted) = (&deployment["status"], &deployment["spec"]["replicas"]);
        (wait::observed(deployment)
            && status["updatedReplicas"] == *wanted
            && status["availableReplicas"] == *wanted
            && status["replicas"] == *wanted)
            .then_some(())
    })
    .await?;
    Ok(())
}

/// Waits until a process of the controller has ended since it was armed.
///
/// # Errors
/// When none does within `limit`: the point was not passed.
pub async fn struck(cluster: &Cluster, limit: Duration) -> anyhow::Result<()> {
    wait::poll(limit, "the controller's process ended at its fault point", || async {
        let labels = format!("app.kubernetes.io/instance={RELEASE}");
        let pods = cluster.list(Kind::POD, NAMESPACE, &labels).await.map_err(|e| e.to_string())?;
        let ended = pods.iter().any(|pod| {
            let container = &pod["status"]["containerStatuses"][0];
            container["restartCount"].as_u64().is_some_and(|n| n > 0) || !container["state"]["terminated"].is_null()
        });
        if ended { Ok(()) } else { Err("no process has ended".to_owned()) }
    })
    .await
}
