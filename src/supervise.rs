//! Wires the rooms together, keeps every long task in sight, and ends them in order.
//!
//! The rule: a task that should live as long as the process and ends takes the process with it, by name; a process that lost
//! its lease writes nothing more and exits. On SIGTERM: no new passes, those in flight end (a write has its deadline), the lease
//! is released, then the rest stops.

use crate::cluster::cache::Change;
use crate::cluster::client::ConnectError;
use crate::cluster::events::Events;
use crate::cluster::lease::{Candidate, Ended};
use crate::cluster::{Client, KubeApi, Objects, watch};
use crate::controllers::pusher::GitPusher;
use crate::controllers::questions::Workers;
use crate::controllers::rooms::Rooms;
use crate::controllers::secrets::ClusterSecrets;
use crate::controllers::{Controller, Home, Wakeups, World, routes, run as passes};
use crate::execute::Executor;
use crate::execute::faults::{FaultPlanError, Faults};
use crate::git::{MirrorConfig, Mirrors};
use crate::http::{Destinations, HttpError};
use crate::measure::{self, Measurer};
use crate::telemetry::{self, Health, Metrics};
use crate::traefik::{self, Traefik};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Passes in flight get so long to end: a write's deadline, and well within a pod's grace of 20 s.
const DRAIN: Duration = Duration::from_secs(11);
/// Between two looks at the caches for metrics.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the command line says.
#[derive(Debug)]
pub struct Settings {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// Empty: the whole cluster.
    pub namespaces: Vec<String>,
    pub lease_namespace: Option<String>,
    pub lease_name: String,
    pub listen: SocketAddr,
    pub traefik: traefik::Settings,
    pub measure: measure::Settings,
    pub mirror_dir: PathBuf,
    pub git_poll: Duration,
    pub allow_local_repositories: bool,
    pub instance: String,
    pub fault_plan: Option<PathBuf>,
}

/// Why the process ended though nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    FaultPlan(#[from] FaultPlanError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("--listen {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
    #[error("the task '{0}' ended, which it never should")]
    TaskEnded(String),
    #[error("this process no longer leads: {0}")]
    NoLongerLeads(Ended),
}

/// Runs the controller until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, when a task ends that should not, or when the lease is lost.
pub async fn run(settings: Settings) -> Result<(), SuperviseError> {
    let client = Client::connect(settings.kubeconfig.as_deref(), settings.context.as_deref()).await?;
    let faults = settings.fault_plan.as_deref().map_or_else(|| Ok(Faults::default()), Faults::load)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|source| SuperviseError::Listen { address: settings.listen, source })?;
    let stop = CancellationToken::new();
    let asked_to_stop = until_asked(&stop)?;

    let metrics = Arc::new(Metrics::default());
    let home = settings.lease_namespace.clone().unwrap_or_else(|| client.kube().default_namespace().to_owned());
    let home = Home { controller: format!("tidegate/{home}"), namespace: home };
    let world = Arc::new(World { home: home.clone(), ..World::default() });
    let started = crate::clock::now().as_microsecond();
    let wakeups = Arc::new(Wakeups::new(started.unsigned_abs()));
    let mut tasks = Tasks::default();
    // Ends only after the lease was released.
    let late_stop = CancellationToken::new();

    tasks.start("signals", asked_to_stop);
    let state = Arc::new(State { world: world.clone() });
    let serve = telemetry::serve(listener, metrics.clone(), state, late_stop.clone());
    tasks.start("http", async {
        if let Err(error) = serve.await {
            tracing::error!(%error, "the port for probes and metrics failed");
        }
    });
    tasks.start("cache metrics", look(world.clone(), metrics.clone()));
    let on_change: watch::OnChange = {
        let (world, wakeups) = (world.clone(), wakeups.clone());
        Arc::new(move |change: Change| {
            for (key, lane) in routes::keys(&world.caches, &change) {
                wakeups.add(&key, lane);
            }
        })
    };
    for (name, watch) in watch::all(&client, &world.caches, &settings.namespaces, &metrics, &on_change) {
        tasks.start(name, watch);
    }
    let (events, write_events) = Events::new(client.clone(), settings.instance.clone());
    tasks.start("events", write_events);

    let traefik = Traefik::start(settings.traefik, Some(client.kube()), late_stop.clone())?;
    let mirrors = MirrorConfig {
        data: settings.mirror_dir,
        poll: settings.git_poll,
        destinations: if settings.allow_local_repositories { Destinations::Trusted } else { Destinations::Guarded },
        ..MirrorConfig::default()
    };
    let mirrors = Arc::new(Mirrors::new(mirrors, Arc::new(ClusterSecrets(client.clone()))));
    let pusher = Box::new(GitPusher(mirrors.clone()));
    let objects = Objects::new(client.clone(), settings.namespaces.clone());
    let rooms = Arc::new(Rooms::new(client.clone(), traefik, Measurer::new(settings.measure)?, mirrors, objects));
    let controller = Arc::new(Controller {
        desk: Workers::new(rooms, world.clone(), wakeups.clone(), metrics.clone()),
        executor: Executor {
            api: KubeApi::new(client.clone(), events, Some(pusher)),
            faults,
            metrics: metrics.clone(),
        },
        world,
    });

    let candidate = Candidate {
        namespace: home.namespace,
        client,
        name: settings.lease_name,
        identity: format!("{}_{started:x}", settings.instance),
    };
    let outcome = tokio::select! {
        ended = tasks.first_to_end(&stop) => Err(SuperviseError::TaskEnded(ended)),
        outcome = lead(&candidate, controller, wakeups, metrics, &stop) => outcome,
    };
    late_stop.cancel();
    match &outcome {
        Ok(()) => tracing::info!("ended in order"),
        Err(error) => tracing::error!(%error, "ended"),
    }
    outcome
}

type Shipped = Controller<KubeApi, Workers>;

/// Waits for the lease, then runs passes for as long as it is held.
async fn lead(
    candidate: &Candidate,
    controller: Arc<Shipped>,
    wakeups: Arc<Wakeups>,
    metrics: Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<(), SuperviseError> {
    let Some(tenure) = candidate.acquire(stop).await else { return Ok(()) };
    metrics.leads(true);
    let release = CancellationToken::new();
    let working = async {
        let passes = passes::run(controller, wakeups, tenure.clone(), metrics.clone(), stop.clone());
        tokio::pin!(passes);
        tokio::select! {
            () = &mut passes => {}
            () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => {
                tracing::warn!("passes did not end in time and are dropped");
            }
        }
        release.cancel();
    };
    let (ended, ()) = {
        let keeping = candidate.keep(&tenure, &release);
        tokio::pin!(keeping);
        tokio::select! {
            // The lease is lost: whatever is in flight is dropped with this future.
            ended = &mut keeping => (ended, ()),
            () = working => (keeping.await, ()),
        }
    };
    metrics.leads(false);
    match ended {
        Ended::Released => Ok(()),
        lost => Err(SuperviseError::NoLongerLeads(lost)),
    }
}

/// Long tasks by name.
#[derive(Default)]
struct Tasks {
    running: JoinSet<String>,
    names: std::collections::HashMap<tokio::task::Id, String>,
}

impl Tasks {
    fn start(&mut self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let name = name.into();
        let ended = name.clone();
        let handle = self.running.spawn(async move {
            task.await;
            ended
        });
        self.names.insert(handle.id(), name);
    }

    /// The name of the first task that ends while nobody asked for it. Never ends after that.
    async fn first_to_end(&mut self, stop: &CancellationToken) -> String {
        let ended = self.running.join_next_with_id().await;
        if stop.is_cancelled() {
            return std::future::pending().await;
        }
        match ended {
            Some(Ok((_, name))) => name,
            Some(Err(error)) => {
                let name = self.names.get(&error.id()).cloned().unwrap_or_default();
                format!("{name} ({error})")
            }
            None => "none was started".to_owned(),
        }
    }
}

/// Cancels `stop` on SIGTERM or SIGINT.
fn until_asked(stop: &CancellationToken) -> Result<impl Future<Output = ()> + Send + 'static, SuperviseError> {
    let mut term = signal(SignalKind::terminate()).map_err(SuperviseError::Signals)?;
    let mut int = signal(SignalKind::interrupt()).map_err(SuperviseError::Signals)?;
    let stop = stop.clone();
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("asked to stop: no new passes, then the lease is released");
        stop.cancel();
    })
}

async fn look(world: Arc<World>, metrics: Arc<Metrics>) {
    loop {
        let now = crate::clock::now();
        let mut by_kind: std::collections::BTreeMap<String, (usize, Option<i64>)> = std::collections::BTreeMap::new();
        for state in world.caches.states() {
            let (rows, oldest) = by_kind.entry(state.resource.kind.to_string()).or_default();
            *rows += state.rows;
            let age = state.last_event.map(|at| now.duration_since(at).as_secs());
            *oldest = (*oldest).max(age);
        }
        for (kind, (rows, age)) in by_kind {
            metrics.cache_is(&kind, rows, age);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the probes see. A standby is as ready as the leader: its caches are warm.
struct State {
    world: Arc<World>,
}

impl Health for State {
    fn ailments(&self) -> Vec<String> {
        Vec::new()
    }

    fn missing(&self) -> Vec<String> {
        let states = self.world.caches.states();
        let missing = states.into_iter().filter(|s| !s.listed || s.trouble.is_some()).map(|s| {
            s.trouble.unwrap_or_else(|| {
                let place = s.scope.map_or_else(String::new, |namespace| format!(" in {namespace}"));
                format!("{}{place} has not been listed yet", s.resource.plural)
            })
        });
        missing.collect()
    }
}
