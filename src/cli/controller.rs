//! `tidegate controller`: its arguments, and nothing of what it does.

use crate::supervise::{self, Settings};
use crate::telemetry::{self, LogFormat};
use crate::{measure, traefik};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Controller {
    /// A kubeconfig; without it this must be a pod of the cluster. The user's own kubeconfig is never taken unasked.
    #[arg(long, env = "TIDEGATE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than its current one.
    #[arg(long, requires = "kubeconfig", value_name = "NAME")]
    context: Option<String>,
    /// Serve only this namespace; may be given several times. Without it the whole cluster is served.
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// Where the Lease is by which one of the replicas leads; this pod's own namespace when not given.
    #[arg(long, value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// The Lease's name. Two controllers with different leases must not serve the same namespace.
    #[arg(long, default_value = "tidegate", value_name = "NAME")]
    lease_name: String,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where Traefik's pods are; all namespaces when not given.
    #[arg(long, value_name = "NAMESPACE")]
    traefik_namespace: Option<String>,
    /// Labels of Traefik's pods.
    #[arg(long, default_value = "app.kubernetes.io/name=traefik", value_name = "SELECTOR")]
    traefik_selector: String,
    /// Address of an instance's API, http://HOST:PORT; may be given several times. No pods are looked for then.
    #[arg(long, value_name = "URL")]
    traefik_api: Vec<String>,
    /// The Prometheus to ask when a metric names no address.
    #[arg(long, env = "TIDEGATE_PROMETHEUS_ADDRESS", value_name = "URL")]
    prometheus_address: Option<String>,
    /// Allow metrics to be read from loopback, link-local and metadata addresses.
    #[arg(long)]
    allow_local_metric_addresses: bool,
    /// Where bare mirrors of repositories are kept; they can always be fetched again.
    #[arg(long, default_value = "/var/mirror", value_name = "FOLDER")]
    mirror_dir: PathBuf,
    /// Seconds between two looks at a repository, give or take a tenth.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600), value_name = "SECONDS")]
    git_poll_seconds: u64,
    /// Allow repositories at loopback, link-local and metadata addresses.
    #[arg(long)]
    allow_local_repositories: bool,
    /// This process's name in the Lease and in events; its pod's name.
    #[arg(long, env = "POD_NAME", default_value = "tidegate", hide_env_values = true, value_name = "NAME")]
    instance: String,
    /// A file of faults to inject into writes, for tests only: see src/execute/faults.rs.
    #[arg(long, env = "TIDEGATE_FAULT_PLAN", hide = true, value_name = "FILE")]
    fault_plan: Option<PathBuf>,
    /// error, warn, info, debug, or a filter such as info,tidegate=debug
    #[arg(long, env = "TIDEGATE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

impl Controller {
    pub(super) fn run(self) -> anyhow::Result<()> {
        telemetry::init(&self.log, self.log_format)
            .map_err(|error| anyhow::anyhow!("--log {}: {error}; write a level such as info", self.log))?;
        let settings = Settings {
            kubeconfig: self.kubeconfig,
            context: self.context,
            namespaces: self.namespaces,
            lease_namespace: self.lease_namespace,
            lease_name: self.lease_name,
            listen: self.listen,
            traefik: traefik::Settings {
                addresses: self.traefik_api,
                namespace: self.traefik_namespace,
                selector: self.traefik_selector,
            },
            measure: measure::Settings {
                prometheus_address: self.prometheus_address,
                allow_local_addresses: self.allow_local_metric_addresses,
            },
            mirror_dir: self.mirror_dir,
            git_poll: Duration::from_secs(self.git_poll_seconds),
            allow_local_repositories: self.allow_local_repositories,
            instance: self.instance,
            fault_plan: self.fault_plan,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(supervise::run(settings));
        // Blocking work (a fetch, an evaluation) is not waited for: its own deadline may be longer than a pod's grace.
        runtime.shutdown_background();
        Ok(ended?)
    }
}
