//! A cluster to work on.
//!
//! Either the one that bed brought up, known by its run folder, or any other by a kubeconfig that was named on the command
//! line: the user's current context is never used unasked. Everything goes over the API server, except the requests of users,
//! which go to the router's address.

mod api;
mod kind;

pub use api::{ApiError, Cluster};
pub use kind::Kind;

use bed::forward::Forward;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
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

const TRAEFIK: &str = "traefik";

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
            traefik_namespace: TRAEFIK.to_owned(),
            run: None,
            images: BTreeMap::new(),
        }
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
        let (router, open) = bare.reach(&known, TRAEFIK, TRAEFIK).await?.ok_or_else(|| {
            anyhow::anyhow!(
                "the cluster {} has no Service {TRAEFIK}/{TRAEFIK}: was it brought up to the end?",
                known.name
            )
        })?;
        access.entry = router.url;
        forwards.push(open);
        if let Some((prometheus, open)) = bare.reach(&known, "monitoring", "prometheus").await? {
            access.prometheus = Some(prometheus);
            forwards.push(open);
        }
        if let Some((endpoint, open)) = bare.reach(&known, "gitea", "gitea").await? {
            // As bed's manifest says: an account that exists inside this cluster only.
            let (user, password) = ("gitea-admin".to_owned(), "gitea-admin".to_owned());
            access.forge = Some(Forge { endpoint, user, password });
            forwards.push(open);
        }
        Self::open(access).await.map(|cluster| cluster.holding(forwards))
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

    /// A forward to the first port of a Service; `None` when there is no such Service.
    async fn reach(
        &self,
        known: &bed::cluster::Cluster,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Option<(Endpoint, Forward)>> {
        let Some(service) = self.get(Kind::SERVICE, namespace, name).await? else { return Ok(None) };
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        let port = service["spec"]["ports"][0]["port"].as_u64().and_then(|p| u16::try_from(p).ok());
        let (Ok(ip), Some(port)) = (address.parse::<IpAddr>(), port) else {
            anyhow::bail!("Service {namespace}/{name}: clusterIP {address} cannot be forwarded to")
        };
        let target = SocketAddr::new(ip, port);
        let forward = known.forward(target).map_err(|e| anyhow::anyhow!("{e}"))?;
        let endpoint = Endpoint { url: format!("http://{}", forward.local()), cluster_url: format!("http://{target}") };
        Ok(Some((endpoint, forward)))
    }
}
