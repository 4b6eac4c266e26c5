//! Which cluster and which namespace: kubectl's own rules.

use crate::api::{AnalysisRun, Rollout};
use crate::cli::failure::Failure;
use clap::Args;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::PathBuf;
use std::time::Duration;

/// Longest that one call may take; a person waits for it.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// Longer than a watch lives when nothing happens.
const SILENCE: Duration = Duration::from_secs(310);

/// Where to look.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Target {
    /// A kubeconfig instead of $KUBECONFIG and ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A context other than the current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// A namespace other than the context's
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

impl Target {
    /// These, and where they say nothing what was said before the verb.
    #[must_use]
    pub(crate) fn or(self, before: Self) -> Self {
        Self {
            kubeconfig: self.kubeconfig.or(before.kubeconfig),
            context: self.context.or(before.context),
            namespace: self.namespace.or(before.namespace),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kubeconfig.is_none() && self.context.is_none() && self.namespace.is_none()
    }

    /// The cluster that is meant. Nothing is asked of it yet.
    pub(crate) async fn open(self) -> Result<Cluster, Failure> {
        // A second caller finds the provider of the first; both are ring.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(path) => {
                let named = |e: kube::config::KubeconfigError| Failure::Config(format!("{}: {e}", path.display()));
                let file = Kubeconfig::read_from(path).map_err(named)?;
                kube::Config::from_custom_kubeconfig(file, &options).await.map_err(named)
            }
            None => kube::Config::from_kubeconfig(&options)
                .await
                .map_err(|e| Failure::Config(format!("{e}; pass --kubeconfig FILE, or set KUBECONFIG"))),
        };
        let mut config = match (config, self.context.is_none() && self.kubeconfig.is_none()) {
            (Ok(config), _) => config,
            // As kubectl in a pod does.
            (Err(failure), true) => kube::Config::incluster().map_err(|_| failure)?,
            (Err(failure), false) => return Err(failure),
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        let namespace = self.namespace.unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let client = kube::Client::try_from(config).map_err(|e| Failure::Config(e.to_string()))?;
        Ok(Cluster { client, namespace, server })
    }
}

/// An open cluster, looked at in one namespace.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(super) client: kube::Client,
    pub(crate) namespace: String,
    pub(super) server: String,
}

impl Cluster {
    pub(super) fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) fn all_rollouts(&self) -> Api<Rollout> {
        Api::all(self.client.clone())
    }

    pub(super) fn sets(&self) -> Api<ReplicaSet> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) fn runs(&self) -> Api<AnalysisRun> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}
