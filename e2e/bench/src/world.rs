//! What is measured in: a namespace on a control plane whose pods are only claimed to run, and the account of the controller.

use crate::table::Table;
use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tidegate_e2e::cluster::{Access, Cluster, Kind};
use tokio::process::{Child, Command};

/// Where everything is, and the controller's account.
pub(crate) const NAMESPACE: &str = "bench";
/// As the audit log names it.
pub(crate) const USER: &str = "system:serviceaccount:bench:tidegate";
/// Between two looks at what the watch brought.
const LOOK: Duration = Duration::from_millis(50);
/// Creations under way at once.
const HANDS: usize = 16;

/// A cluster that is ready to be measured on.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: kube::Client,
    /// Kubeconfig of the controller's own account.
    pub(crate) identity: PathBuf,
    pub(crate) run: PathBuf,
    rollouts: Table,
    /// Claims that pods run; ends with this.
    _kwok: Child,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("cluster", &self.cluster).field("run", &self.run).finish_non_exhaustive()
    }
}

impl World {
    /// On the cluster of bed with this run folder, which has the definitions already.
    pub(crate) async fn open(run: &Path, kwok: &Path) -> anyhow::Result<Self> {
        let known = bed::cluster::Cluster::open(run).map_err(|e| anyhow::anyhow!("{e}"))?;
        let access = Access::foreign(known.kubeconfig.clone(), known.registry, String::new());
        let cluster = Cluster::open(access).await?;
        let config = Kubeconfig::read_from(&known.kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let client = kube::Client::try_from(config)?;
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await?;
        let kwok = claim_pods(&client, &known.kubeconfig, kwok, run).await?;
        let identity = identity(&cluster, &client, &known.kubeconfig, run).await?;
        let rollouts = Table::follow(&client, "tidegate.dev", "v1alpha1", "Rollout", "rollouts");
        Ok(Self { cluster, client, identity, run: run.to_owned(), rollouts, _kwok: kwok })
    }

    /// Applies objects, many at a time.
    pub(crate) async fn apply_all(&self, objects: Vec<Value>) -> anyhow::Result<()> {
        let calls = objects.into_iter().map(|object| async move { self.cluster.apply(&object).await });
        futures::stream::iter(calls).buffer_unordered(HANDS).try_for_each(async |_| Ok(())).await?;
        Ok(())
    }

    /// Changes Rollouts by one merge patch each, many at a time.
    pub(crate) async fn change_all(&self, names: &[String], patch: &Value) -> anyhow::Result<()> {
        let calls = names.iter().map(|name| self.cluster.merge(Kind::ROLLOUT, NAMESPACE, name, patch));
        futures::stream::iter(calls).buffer_unordered(HANDS).try_for_each(async |_| Ok(())).await?;
        Ok(())
    }
}

/// Starts kwok with a node of its own.
async fn claim_pods(client: &kube::Client, kubeconfig: &Path, kwok: &Path, run: &Path) -> anyhow::Result<Child> {
    let log = std::fs::File::create(run.join("log/kwok.log"))?;
    let stages = run.join("config/kwok.yaml");
    std::fs::write(&stages, include_str!("../stages.yaml"))?;
    let child = Command::new(kwok)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--config")
        .arg(&stages)
        .args(["--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--server-address=127.0.0.1:0"])
        // Without a lease the node counts as lost after a minute, and so do all its pods.
        .arg("--node-lease-duration-seconds=40")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("starting kwok")?;
    let pods = json!({"cpu": "1k", "memory": "1Ti", "pods": "100k"});
    let node: k8s_openapi::api::core::v1::Node = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "claimed", "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": {"type": "claimed"}},
        "spec": {"taints": [{"key": "claimed", "effect": "NoSchedule"}]},
        "status": {"allocatable": pods, "capacity": pods}
    }))?;
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(client.clone());
    nodes.create(&PostParams::default(), &node).await?;
    Ok(child)
}

/// An account of the controller's own, so that the audit log tells its requests from all others.
async fn identity(cluster: &Cluster, client: &kube::Client, kubeconfig: &Path, run: &Path) -> anyhow::Result<PathBuf> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": "tidegate", "namespace": NAMESPACE}});
    cluster.apply(&account).await?;
    // All rights: which of them are needed is the chart's matter, and tested with it.
    let binding: k8s_openapi::api::rbac::v1::ClusterRoleBinding = serde_json::from_value(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "tidegate-bench"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "tidegate", "namespace": NAMESPACE}]
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &binding).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let spec = TokenRequestSpec { expiration_seconds: Some(6 * 3600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let answer = accounts.create_token_request("tidegate", &PostParams::default(), &request).await?;
    let token = answer.status.context("the API server gave no token")?.token;
    let mut config = serde_json::to_value(Kubeconfig::read_from(kubeconfig)?)?;
    for user in config["users"].as_array_mut().into_iter().flatten() {
        user["user"] = json!({"token": token});
    }
    let path = run.join("controller.kubeconfig");
    // JSON is YAML, too.
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

/// Objects of one Rollout: two Services and itself, in pods that are claimed to run.
pub(crate) fn shop(name: &str, replicas: u32, steps: &Value) -> Vec<Value> {
    let meta = |name: &str| json!({"namespace": NAMESPACE, "name": name});
    let service = |name: String| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(&name),
               "spec": {"selector": {"app": name.rsplit_once('-').map_or("", |(app, _)| app)}, "ports": [{"port": 80}]}})
    };
    let (stable, canary) = (format!("{name}-stable"), format!("{name}-canary"));
    let rollout = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": meta(name),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "nodeSelector": {"type": "claimed"},
                    "tolerations": [{"key": "claimed", "operator": "Exists"}],
                    "containers": [{"name": "app", "image": "app:1", "ports": [{"containerPort": 80}]}]
                }
            },
            "strategy": {"canary": {
                "stableService": stable, "canaryService": canary, "steps": steps,
                "trafficRouting": {"traefik": {"weightedTraefikServiceName": name}}
            }}
        }
    });
    vec![service(stable), service(canary), rollout]
}

/// A merge patch that gives the Rollout a new version.
pub(crate) fn version(number: usize) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {"version": number.to_string()}}}}})
}

/// Waits until the Rollouts `names`, with the template of this version if one is given, satisfy `done`.
pub(crate) async fn until(
    world: &World,
    limit: Duration,
    what: &str,
    names: &[String],
    version: Option<usize>,
    done: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let start = std::time::Instant::now();
    let mut open: BTreeSet<&String> = names.iter().collect();
    loop {
        let first = {
            let rows = world.rollouts.rows();
            // What they were given may not be seen yet.
            let is_given = |row: &DynamicObject| {
                let given = &row.data["spec"]["template"]["metadata"]["annotations"]["version"];
                version.is_none_or(|version| given.as_str().is_some_and(|given| *given == version.to_string()))
            };
            let row = |name: &str| rows.get(&(NAMESPACE.to_owned(), name.to_owned()));
            let is_done = |name: &str| row(name).is_some_and(|row| is_given(row) && done(&whole(row)));
            open.retain(|name| !is_done(name));
            let Some(first) = open.first() else { return Ok(()) };
            row(first).map(|row| row.data["status"].clone())
        };
        if start.elapsed() > limit {
            anyhow::bail!(
                "{what}: not for {} of {} after {} s; the first is {} with status {first:?}",
                open.len(),
                names.len(),
                limit.as_secs(),
                open.first().map_or("", |name| name.as_str()),
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn whole(rollout: &DynamicObject) -> Value {
    json!({"metadata": {"name": rollout.metadata.name, "generation": rollout.metadata.generation},
           "status": rollout.data["status"]})
}

/// Healthy on its current template, with no share left at the canary.
pub(crate) fn settled(rollout: &Value) -> bool {
    let (status, generation) = (&rollout["status"], &rollout["metadata"]["generation"]);
    status["phase"] == "Healthy"
        && status["observedGeneration"] == *generation
        && status["stableRS"] == status["currentPodHash"]
        && status["traffic"]["want"]["canary"].as_i64().unwrap_or(0) == 0
}
