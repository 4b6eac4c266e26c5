//! Ways from here to a server inside the cluster.

use super::{Cluster, Endpoint, Kind};
use anyhow::Context;
use bed::forward::Forward;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A port of this machine that leads to a server in the cluster, as long as this lives.
#[derive(Debug)]
pub(super) enum Way {
    /// Into the network of one of bed's clusters.
    Node(#[expect(dead_code, reason = "held, not read: it closes when it is dropped")] Forward),
    /// Through the API server, as it works on every cluster; ends when it is dropped.
    Kubectl(#[expect(dead_code, reason = "held, not read: it ends when it is dropped")] Child),
}

/// How long `kubectl port-forward` may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

impl Cluster {
    /// Address of the first port of a Service; `None` when there is no such Service.
    async fn address(&self, namespace: &str, name: &str) -> anyhow::Result<Option<SocketAddr>> {
        let Some(service) = self.get(Kind::SERVICE, namespace, name).await? else { return Ok(None) };
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        let port = service["spec"]["ports"][0]["port"].as_u64().and_then(|p| u16::try_from(p).ok());
        let (Ok(ip), Some(port)) = (address.parse::<IpAddr>(), port) else {
            anyhow::bail!("Service {namespace}/{name}: clusterIP {address} cannot be forwarded to")
        };
        Ok(Some(SocketAddr::new(ip, port)))
    }

    /// A way into a cluster of bed; `None` when there is no such Service.
    pub(super) async fn by_node(
        &self,
        known: &bed::cluster::Cluster,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Option<(Endpoint, Way)>> {
        let Some(target) = self.address(namespace, name).await? else { return Ok(None) };
        let forward = known.forward(target).map_err(|e| anyhow::anyhow!("{e}"))?;
        let endpoint = Endpoint { url: format!("http://{}", forward.local()), cluster_url: format!("http://{target}") };
        Ok(Some((endpoint, Way::Node(forward))))
    }

    /// A way into any cluster; `None` when there is no such Service.
    pub(super) async fn by_kubectl(&self, namespace: &str, name: &str) -> anyhow::Result<Option<(Endpoint, Way)>> {
        let Some(target) = self.address(namespace, name).await? else { return Ok(None) };
        let what = format!("kubectl port-forward -n {namespace} service/{name}");
        let mut child = Command::new(self.access.tools.join("kubectl"))
            .arg("--kubeconfig")
            .arg(&self.access.kubeconfig)
            .args(["port-forward", "-n", namespace, &format!("service/{name}"), &format!(":{}", target.port())])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {what}"))?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let first =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.with_context(|| format!("{what}: silent"))??;
        let said = first.unwrap_or_default();
        // "Forwarding from 127.0.0.1:40123 -> 3000"
        let local = said.split_whitespace().find_map(|word| word.parse::<SocketAddr>().ok());
        let local = local.with_context(|| format!("{what} does not say where it listens: {said:?}"))?;
        // It writes a line for each connection, and would wait for somebody to read them.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut errors = BufReader::new(child.stderr.take().context("its errors")?).lines();
        tokio::spawn(async move { while let Ok(Some(_)) = errors.next_line().await {} });
        let endpoint = Endpoint { url: format!("http://{local}"), cluster_url: format!("http://{target}") };
        Ok(Some((endpoint, Way::Kubectl(child))))
    }
}
