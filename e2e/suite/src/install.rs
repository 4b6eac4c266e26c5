//! The product into the cluster, through its chart, as a user installs it.

use crate::cluster::{Cluster, Kind};
use crate::wait;
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Name of the release that serves all namespaces, and of its Deployment.
pub const RELEASE: &str = "tidegate";
/// Its namespace.
pub const NAMESPACE: &str = "tidegate-system";
/// The chart's folder, from the checkout's root.
pub const CHART: &str = "charts/tidegate";
/// A pod that starts or goes on a busy node.
pub(crate) const UPDATE: Duration = Duration::from_secs(120);

/// How an instance of the product is installed.
#[derive(Debug, Clone)]
pub struct Install {
    /// Name of the release and of the Deployment.
    pub release: String,
    pub namespace: String,
    /// Image with its tag.
    pub image: String,
    /// More `--set` of helm.
    pub settings: Vec<String>,
}

impl Install {
    /// The one for all namespaces.
    pub fn shared(image: &str) -> Self {
        Self {
            release: RELEASE.to_owned(),
            namespace: NAMESPACE.to_owned(),
            image: image.to_owned(),
            settings: Vec::new(),
        }
    }

    /// Installs or upgrades the release and waits until all its pods are ready.
    ///
    /// # Errors
    /// What helm says, or what the Deployment looked like in the end.
    pub async fn run(&self, cluster: &Cluster, chart: &Path) -> anyhow::Result<()> {
        let (repository, tag) = self.image.rsplit_once(':').unwrap_or((&self.image, "latest"));
        let mut arguments = vec![
            "upgrade".to_owned(),
            "--install".to_owned(),
            self.release.clone(),
            chart.to_string_lossy().into_owned(),
            format!("--kubeconfig={}", cluster.access.kubeconfig.display()),
            format!("--namespace={}", self.namespace),
            "--create-namespace".to_owned(),
            format!("--set=image.repository={repository}"),
            format!("--set-string=image.tag={tag}"),
            format!("--set=traefik.namespace={}", cluster.access.traefik_namespace),
        ];
        arguments.extend(self.settings.iter().map(|s| format!("--set={s}")));
        helm(cluster, &arguments).await?;
        rolled_out(cluster, &self.namespace, &self.release).await
    }

    /// The release as it is installed in the cluster: the image that runs, and no settings of its own.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn installed(cluster: &Cluster) -> anyhow::Result<Self> {
        let deployment = cluster.get(Kind::DEPLOYMENT, NAMESPACE, RELEASE).await?.context("no controller installed")?;
        let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
        Ok(Self::shared(image.context("the controller's container has no image")?))
    }

    /// Takes the release out of the cluster, as its user does, and waits for what the chart does last.
    ///
    /// # Errors
    /// What helm says.
    pub async fn remove(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let arguments = [
            "uninstall".to_owned(),
            self.release.clone(),
            format!("--kubeconfig={}", cluster.access.kubeconfig.display()),
            format!("--namespace={}", self.namespace),
        ];
        helm(cluster, &arguments).await
    }

    /// So many replicas of the shared release, all of them available.
    ///
    /// # Errors
    /// When the API server refuses, or what the Deployment looked like in the end.
    pub async fn scale(cluster: &Cluster, replicas: &Value) -> anyhow::Result<()> {
        let patch = json!({"spec": {"replicas": replicas}});
        cluster.merge(Kind::DEPLOYMENT, NAMESPACE, RELEASE, &patch).await?;
        let place = (Kind::DEPLOYMENT, NAMESPACE, RELEASE);
        wait::until(cluster, place, UPDATE, &format!("{replicas} replicas"), |deployment| {
            let status = &deployment["status"];
            // Zero is left out of the status.
            let is = |field: &str| status[field].as_u64().unwrap_or_default() == replicas.as_u64().unwrap_or_default();
            (wait::observed(deployment) && is("replicas") && is("availableReplicas")).then_some(())
        })
        .await?;
        Ok(())
    }

    /// Replaces every pod of the shared release, as an upgrade to another image does.
    ///
    /// # Errors
    /// When the API server refuses, or what the Deployment looked like in the end.
    pub async fn replace_pods(cluster: &Cluster) -> anyhow::Result<()> {
        let now = jiff::Timestamp::now().to_string();
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"tidegate-e2e/replaced-at": now}}}}});
        cluster.merge(Kind::DEPLOYMENT, NAMESPACE, RELEASE, &patch).await?;
        rolled_out(cluster, NAMESPACE, RELEASE).await
    }
}

/// One call of helm.
async fn helm(cluster: &Cluster, arguments: &[String]) -> anyhow::Result<()> {
    let tools = &cluster.access.tools;
    let helm = if tools.as_os_str().is_empty() { "helm".into() } else { tools.join("helm") };
    let output = Command::new(&helm)
        .args(arguments)
        .env("HELM_NO_PLUGINS", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(UPDATE, output).await??;
    anyhow::ensure!(
        output.status.success(),
        "{} {}: {}",
        helm.display(),
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Waits until all pods of a Deployment are those of its template, and available.
async fn rolled_out(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<()> {
    let what = "all pods of the controller updated and available";
    wait::until(cluster, (Kind::DEPLOYMENT, namespace, name), UPDATE, what, |deployment| {
        let status = &deployment["status"];
        let wanted = &deployment["spec"]["replicas"];
        let is = |field: &str| status[field] == *wanted;
        (wait::observed(deployment) && is("updatedReplicas") && is("availableReplicas") && is("replicas")).then_some(())
    })
    .await?;
    Ok(())
}
