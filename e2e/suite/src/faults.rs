//! Ends of the shipped controller at named points: which write of it ends the process, and who goes on.
//!
//! The plan is a file that a process reads at its start, and a process counts its writes anew. So one pod more is made, from
//! the installed template and with the plan mounted, and the lease is given to it by taking the others away for a moment.
//! From its end until its lease has run out nobody writes: what the point left behind stays to be looked at.

use crate::cluster::{Cluster, Kind};
use crate::install::{Install, NAMESPACE, RELEASE, UPDATE};
use crate::{signal, wait};
use anyhow::Context;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The pod with the plan, and the ConfigMap with its file.
const ARMED: &str = "tidegate-to-be-killed";
/// What a process writes before it ends by its plan. Its exit code does not tell: as the first process of its pod it ends by
/// SIGSEGV where SIGABRT is not heard.
const LAST_WORDS: &str = "the process ends here by its fault plan";
/// They are told a moment after its end is.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(5);
/// Lines of its log that are kept.
const LINES: u32 = 1_000;

/// Who goes on after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heir {
    /// The replicas that stood by. The pod that ended stays ended.
    Replica,
    /// The same pod, whose container kubelet starts again; there is no other. Should it reach the point before its plan is
    /// seen to be empty, it ends once more, and kubelet waits longer.
    Kubelet,
}

/// One end of the process: at the `nth` write of this kind of key for this reason, just before or just after it.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    pub kind: &'static str,
    pub why: &'static str,
    pub nth: u32,
    pub after: bool,
    pub heir: Heir,
}

impl Kill {
    fn plan(self, namespace: &str) -> Value {
        let action = if self.after { "kill-after" } else { "kill-before" };
        json!([{"kind": self.kind, "namespace": namespace, "why": self.why, "nth": self.nth, "action": action}])
    }
}

/// A controller that leads and will end; [`Armed::disarm`] gives the cluster the installed one back.
#[derive(Debug)]
pub struct Armed {
    cluster: Cluster,
    heir: Heir,
    /// What the Deployment had.
    replicas: Value,
}

impl Armed {
    /// Makes the pod and waits until it leads. The plan is about objects of `namespace` only.
    ///
    /// # Errors
    /// When the API server refuses, or the pod does not come to lead.
    pub async fn new(cluster: &Cluster, namespace: &str, kill: Kill) -> anyhow::Result<Self> {
        Self::with(cluster, kill.heir, &kill.plan(namespace)).await
    }

    /// The same without a plan: who wants its end brings it about.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub async fn to_lead(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::with(cluster, Heir::Replica, &json!([])).await
    }

    async fn with(cluster: &Cluster, heir: Heir, plan: &Value) -> anyhow::Result<Self> {
        let deployment = cluster.get(Kind::DEPLOYMENT, NAMESPACE, RELEASE).await?.context("no controller installed")?;
        let armed = Self { cluster: cluster.clone(), heir, replicas: deployment["spec"]["replicas"].clone() };
        match armed.lead(&deployment, plan).await {
            Ok(()) => Ok(armed),
            Err(error) => {
                armed.disarm().await?;
                Err(error)
            }
        }
    }

    async fn lead(&self, deployment: &Value, plan: &Value) -> anyhow::Result<()> {
        // A run that was interrupted leaves its own.
        self.remove().await?;
        self.plan(plan).await?;
        self.cluster.create(&pod(deployment, self.heir)).await?;
        wait::until(&self.cluster, (Kind::POD, NAMESPACE, ARMED), UPDATE, "ready", |pod| {
            wait::condition(pod, "Ready", "True")
        })
        .await?;
        Install::scale(&self.cluster, &json!(0)).await?;
        let what = "the lease held by the pod that shall end";
        wait::until(&self.cluster, (Kind::LEASE, NAMESPACE, RELEASE), UPDATE, what, |lease| {
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
            holder.starts_with(ARMED).then_some(())
        })
        .await?;
        match self.heir {
            Heir::Replica => Install::scale(&self.cluster, &self.replicas).await,
            Heir::Kubelet => Ok(()),
        }
    }

    async fn plan(&self, plan: &Value) -> anyhow::Result<()> {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "name": ARMED},
            "data": {"plan.json": plan.to_string()}
        });
        self.cluster.apply(&object).await?;
        Ok(())
    }

    /// Waits until the process has ended, by itself and nothing else.
    ///
    /// # Errors
    /// When it does not within `limit` (the point was not passed), or ended in another way.
    pub async fn struck(&self, limit: Duration) -> anyhow::Result<()> {
        let what = "the process ended at its point";
        let ended = wait::until(&self.cluster, (Kind::POD, NAMESPACE, ARMED), limit, what, |pod| {
            let container = &pod["status"]["containerStatuses"][0];
            let ended = ["state", "lastState"].map(|state| container[state]["terminated"].clone());
            ended.into_iter().find(|state| !state.is_null())
        })
        .await?;
        if self.heir == Heir::Kubelet {
            self.plan(&json!([])).await?;
        }
        let until = Instant::now() + LAST_WORDS_WITHIN;
        while !self.log().await.contains(LAST_WORDS) {
            anyhow::ensure!(Instant::now() < until, "the process ended, and not by its plan: {ended}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// The pod, for a wait on it.
    pub fn pod(&self) -> (Kind, &'static str, &'static str) {
        (Kind::POD, NAMESPACE, ARMED)
    }

    /// Whether this is its name, or one that the process in it has in a Lease.
    pub fn is(&self, name: &str) -> bool {
        name.starts_with(ARMED)
    }

    /// Ends it as pods are ended; does not wait for it.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self) -> anyhow::Result<()> {
        Ok(self.cluster.delete(Kind::POD, NAMESPACE, ARMED).await?)
    }

    /// Sends its process a signal.
    ///
    /// # Errors
    /// As [`signal::send`].
    pub async fn signal(&self, what: Signal) -> anyhow::Result<()> {
        signal::send(&self.cluster, NAMESPACE, ARMED, "tidegate", what).await
    }

    /// What the pod wrote, before and after a restart.
    pub async fn log(&self) -> String {
        let logs = [true, false].map(|previous| self.cluster.logs(NAMESPACE, ARMED, LINES, previous));
        // There is no previous one before a restart.
        futures::future::join_all(logs).await.into_iter().flatten().collect()
    }

    /// The installed replicas again, and nothing else.
    ///
    /// # Errors
    /// When the API server refuses, or the replicas do not come.
    pub async fn disarm(&self) -> anyhow::Result<()> {
        Install::scale(&self.cluster, &self.replicas).await?;
        self.remove().await
    }

    async fn remove(&self) -> anyhow::Result<()> {
        self.cluster.delete(Kind::POD, NAMESPACE, ARMED).await?;
        self.cluster.delete(Kind::CONFIG_MAP, NAMESPACE, ARMED).await?;
        let gone = |pod: &Value| pod.is_null().then_some(());
        wait::until(&self.cluster, (Kind::POD, NAMESPACE, ARMED), UPDATE, "the pod gone", gone).await?;
        Ok(())
    }
}

/// The installed pod with the plan. No ReplicaSet adopts it: it has no hash of one.
fn pod(deployment: &Value, heir: Heir) -> Value {
    let template = &deployment["spec"]["template"];
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": NAMESPACE, "name": ARMED, "labels": template["metadata"]["labels"]},
        "spec": template["spec"]
    });
    pod["spec"]["restartPolicy"] = match heir {
        Heir::Replica => "Never".into(),
        Heir::Kubelet => "Always".into(),
    };
    // Its end is what the scenario is about, and nobody else's affair: kubelet would end one that stands still.
    if let Some(container) = pod.pointer_mut("/spec/containers/0").and_then(Value::as_object_mut) {
        container.remove("livenessProbe");
    }
    let mut add = |pointer: &str, entry: Value| {
        if let Some(list) = pod.pointer_mut(pointer).and_then(Value::as_array_mut) {
            list.push(entry);
        }
    };
    add("/spec/containers/0/env", json!({"name": "TIDEGATE_FAULT_PLAN", "value": "/faults/plan.json"}));
    add("/spec/containers/0/volumeMounts", json!({"name": "faults", "mountPath": "/faults"}));
    add("/spec/volumes", json!({"name": "faults", "configMap": {"name": ARMED}}));
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_the_installed_one_with_the_plan() {
        let container = json!({"name": "controller", "livenessProbe": {}, "env": [{"name": "A"}], "volumeMounts": [{"name": "mirror"}]});
        let deployment = json!({"spec": {"template": {
            "metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container], "volumes": [{"name": "mirror"}]}
        }}});
        let pod = pod(&deployment, Heir::Replica);
        assert_eq!(pod["metadata"]["labels"], json!({"app": "x"}));
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
        let container = &pod["spec"]["containers"][0];
        assert!(container["livenessProbe"].is_null());
        assert_eq!(
            (&container["env"][0]["name"], &container["env"][1]["name"]),
            (&json!("A"), &json!("TIDEGATE_FAULT_PLAN"))
        );
        assert_eq!(container["volumeMounts"][1]["name"], pod["spec"]["volumes"][1]["name"]);
    }
}
