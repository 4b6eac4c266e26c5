//! A cluster to work on.
//!
//! Either the one that bed brought up, known by its run folder, or any other by a kubeconfig that was named on the command
//! line: the user's current context is never used unasked. Everything goes over the API server, except the requests of users,
//! which go to the router's address.

mod api;
mod kind;
mod reach;

pub use api::{ApiError, Cluster};
pub use kind::Kind;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is known of a cluster before the first request to it.
#[derive(Debug, Clone)]
pub struct Access {
    pub kubeconfig: PathBuf,
    /// Where images are pushed from here, as `host:port`.
    pub registry: String,
    /// The router's entry point for users as seen from here: `http://127.0.0.1:38080`.
    pub entry: String,
    /// The forge and its administrator. Without it the scenarios about git fail, and say so.
    pub forge: Option<Forge>,
    /// Prometheus. Without it the scenarios about analysis fail, and say so.
    pub prometheus: Option<Endpoint>,
    /// Folder of kubectl and helm; empty takes those of the PATH.
    pub tools: PathBuf,
    /// Namespace of the router's pods.
    pub traefik_namespace: String,
    /// Run folder of bed, when it is one of bed's clusters.
    pub run: Option<PathBuf>,
    /// Images that were pushed, by short name.
    pub images: BTreeMap<String, String>,
}

/// A server in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As seen from here: `http://127.0.0.1:39090`.
    pub url: String,
    /// As seen from pods: `http://10.96.0.40:9090`.
    pub cluster_url: String,
}

/// The forge of a cluster, and who administers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forge {
    pub endpoint: Endpoint,
    pub user: String,
    pub password: String,
}

impl Forge {
    /// As bed's manifest says: an account that exists inside this cluster only.
    fn of_bed(endpoint: Endpoint) -> Self {
        Self { endpoint, user: "gitea-admin".to_owned(), password: "gitea-admin".to_owned() }
    }
}

const TRAEFIK: &str = "traefik";

impl Access {
    /// A cluster that others brought up, of which no more is known yet; tools are those of the PATH.
    pub fn foreign(kubeconfig: PathBuf, registry: String, entry: String) -> Self {
        Self {
            kubeconfig,
            registry,
            entry,
            forge: None,
            prometheus: None,
            tools: PathBuf::new(),
            traefik_namespace: TRAEFIK.to_owned(),
            run: None,
            images: BTreeMap::new(),
        }
    }

    /// Where pods pull the suite's images from: a name that only bed's nodes know, or the registry of another cluster.
    pub fn image_host(&self) -> &str {
        if self.run.is_some() { "tidegate.test" } else { &self.registry }
    }
}

impl Cluster {
    /// Opens the cluster whose run folder this is, with forwards to its router, its Prometheus and its forge.
    ///
    /// # Errors
    /// When it is not there, or its router is not.
    pub async fn of_run(run: &Path) -> anyhow::Result<Self> {
        let known = bed::cluster::Cluster::open(run).map_err(|e| anyhow::anyhow!("{e}"))?;
        let mut access = Access::foreign(known.kubeconfig.clone(), known.registry.clone(), String::new());
        access.tools = run.join("bin");
        access.run = Some(run.to_owned());
        access.images = known.images.clone();
        let mut forwards = Vec::new();
        let bare = Self::open(access.clone()).await?;
        let (router, open) = bare.by_node(&known, TRAEFIK, TRAEFIK).await?.ok_or_else(|| {
            anyhow::anyhow!(
                "the cluster {} has no Service {TRAEFIK}/{TRAEFIK}: was it brought up to the end?",
                known.name
            )
        })?;
        access.entry = router.url;
        forwards.push(open);
        if let Some((prometheus, open)) = bare.by_node(&known, "monitoring", "prometheus").await? {
            access.prometheus = Some(prometheus);
            forwards.push(open);
        }
        if let Some((endpoint, open)) = bare.by_node(&known, "gitea", "gitea").await? {
            access.forge = Some(Forge::of_bed(endpoint));
            forwards.push(open);
        }
        Self::open(access).await.map(|cluster| cluster.holding(forwards))
    }

    /// Opens another cluster, with ways to the Prometheus and the forge that bed put there.
    ///
    /// # Errors
    /// When the kubeconfig is not usable, or kubectl is not there.
    pub async fn of_others(mut access: Access) -> anyhow::Result<Self> {
        let bare = Self::open(access.clone()).await?;
        let mut ways = Vec::new();
        if let Some((prometheus, way)) = bare.by_kubectl("monitoring", "prometheus").await? {
            access.prometheus = Some(prometheus);
            ways.push(way);
        }
        if let Some((endpoint, way)) = bare.by_kubectl("gitea", "gitea").await? {
            access.forge = Some(Forge::of_bed(endpoint));
            ways.push(way);
        }
        Self::open(access).await.map(|cluster| cluster.holding(ways))
    }

    /// Builds the product's image from this checkout and pushes it to the cluster.
    ///
    /// # Errors
    /// When it is not one of bed's clusters, or the build fails.
    pub fn build_product(&mut self) -> anyhow::Result<()> {
        let failed = |e: bed::failure::Failure| anyhow::anyhow!("{e}");
        let run = self
            .access
            .run
            .as_deref()
            .ok_or_else(|| anyhow::anyhow!("only to a cluster of bed is the image pushed"))?;
        let mut known = bed::cluster::Cluster::open(run).map_err(failed)?;
        let cache = bed::cache::Cache::open().map_err(failed)?;
        bed::manifests::push_product(&cache, &mut known).map_err(failed)?;
        std::sync::Arc::make_mut(&mut self.access).images = known.images;
        Ok(())
    }
}
