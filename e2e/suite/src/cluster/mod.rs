//! A cluster to work on.
//!
//! Either the one that bed brought up, known by its run folder, or any other by a kubeconfig that was named on the command
//! line: the user's current context is never used unasked. Everything goes over the API server, except the requests of users,
//! which go to the router's address.

mod api;
mod kind;

pub use api::{ApiError, Cluster};
pub use kind::Kind;

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What is known of a cluster before the first request to it.
#[derive(Debug, Clone, Deserialize)]
pub struct Access {
    /// Path of the kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where images are pushed from here, as `host:port`.
    pub registry: String,
    /// The router's entry point for users as seen from here: `http://127.0.0.1:38080`.
    pub entry: String,
    /// The forge as seen from here, and who administers it. Without it the scenarios about git do not run.
    #[serde(default)]
    pub forge: Option<ForgeAccess>,
    /// Prometheus as seen from here, for people, and as seen from pods, for analysis.
    #[serde(default)]
    pub prometheus: Option<Endpoint>,
    /// Folder of kubectl and helm; empty takes those of the PATH.
    #[serde(default)]
    pub tools: PathBuf,
    /// Namespace of the router's pods.
    #[serde(default = "traefik")]
    pub traefik_namespace: String,
}

/// A server in the cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct Endpoint {
    /// As seen from here: `http://127.0.0.1:39090`.
    pub url: String,
    /// As seen from pods: `http://10.96.0.40:9090`.
    pub cluster_url: String,
}

/// The forge of a cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct ForgeAccess {
    /// As seen from here: `http://127.0.0.1:33000`.
    pub url: String,
    /// As seen from pods: `http://10.96.0.30:3000`.
    pub cluster_url: String,
    pub user: String,
    pub password: String,
}

fn traefik() -> String {
    "traefik".to_owned()
}

/// Why a cluster could not be opened.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    cause: String,
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}; name the run folder of a cluster that bed brought up, or a kubeconfig with its registry and entry",
            self.path.display(),
            self.cause
        )
    }
}

impl std::error::Error for OpenError {}

impl Access {
    /// Reads `cluster.json` of a run folder of bed.
    ///
    /// # Errors
    /// When the file is missing, or not as it should be.
    pub fn of_run(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("cluster.json");
        let refused = |cause: String| OpenError { path: path.clone(), cause };
        let text = std::fs::read_to_string(&path).map_err(|e| refused(e.to_string()))?;
        serde_json::from_str(&text).map_err(|e| refused(e.to_string()))
    }
}

impl Access {
    /// A cluster that others brought up: no forge, no Prometheus, tools from the PATH.
    pub fn foreign(kubeconfig: PathBuf, registry: String, entry: String) -> Self {
        Self {
            kubeconfig,
            registry,
            entry,
            forge: None,
            prometheus: None,
            tools: PathBuf::new(),
            traefik_namespace: traefik(),
        }
    }
}
