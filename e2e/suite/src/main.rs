//! `tidegate-e2e`: scenarios and the demo on a cluster that is up.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_e2e::cluster::{Access, Cluster};
#[cfg(feature = "compare")]
use tidegate_e2e::conformance;
use tidegate_e2e::demo::{self, Options, Plan};
use tidegate_e2e::install::{self, Install};
use tidegate_e2e::scenarios::{self, Selection};

/// Scenarios and the demo of Tidegate on a cluster that is up.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the scenarios.
    Verify {
        #[command(flatten)]
        place: Place,
        /// All scenarios, not only those tagged core.
        #[arg(long)]
        wide: bool,
        /// Only scenarios whose family or name holds this; may be given again.
        #[arg(long)]
        only: Vec<String>,
        /// Where the report goes, as JSON.
        #[arg(long, default_value = "target/verify/scenarios.json")]
        report: PathBuf,
        /// Where the evidence of failures goes.
        #[arg(long, default_value = "target/verify/evidence")]
        evidence: PathBuf,
        /// Leaves the namespaces of failed scenarios as they are.
        #[arg(long)]
        keep: bool,
    },
    /// Shows the main job: commits become traffic, a bad one is taken back.
    Demo {
        #[command(flatten)]
        place: Place,
        /// Ends after the last act; without it the stage stays until Ctrl-C.
        #[arg(long)]
        once: bool,
        /// Where the figures go.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Draws names, weights, the way of failing and ten kills of the controller from this seed.
        #[arg(long)]
        chaos: Option<u64>,
        /// With --chaos: the third version is good too, and nothing may be taken back.
        #[arg(long, requires = "chaos")]
        harmless: bool,
        /// Where the evidence of a failure goes.
        #[arg(long, default_value = "target/demo/evidence")]
        evidence: PathBuf,
    },
    /// Installs the product through its chart.
    Install {
        #[command(flatten)]
        place: Place,
    },
    /// Lists the scenarios.
    List,
    /// Prints docs/conformance.md from the report of a wide run.
    #[cfg(feature = "compare")]
    Conformance {
        #[arg(long, default_value = "target/verify/scenarios.json")]
        report: PathBuf,
    },
}

/// On which cluster.
#[derive(Debug, Args)]
struct Place {
    /// Run folder of a cluster that bed brought up.
    #[arg(long, env = "TIDEGATE_E2E_RUN", conflicts_with_all = ["kubeconfig"])]
    run: Option<PathBuf>,
    /// Another cluster.
    #[arg(long, requires_all = ["registry", "entry"])]
    kubeconfig: Option<PathBuf>,
    /// Registry that the cluster pulls from, as host:port.
    #[arg(long)]
    registry: Option<String>,
    /// Address of the router's entry point for users: http://host:port
    #[arg(long)]
    entry: Option<String>,
    /// Image of the product, which the cluster can pull; the one that bed pushed to its cluster when not given.
    #[arg(long)]
    image: Option<String>,
    /// Builds the product's image and pushes it to bed's cluster first.
    #[arg(long, requires = "run", conflicts_with = "image")]
    build: bool,
    /// The chart's folder.
    #[arg(long, default_value = install::CHART)]
    chart: PathBuf,
    /// Uses the product that is installed as it is.
    #[arg(long)]
    no_install: bool,
}

impl Place {
    async fn cluster(&self) -> anyhow::Result<Cluster> {
        if let Some(run) = &self.run {
            return Cluster::of_run(run).await;
        }
        match (&self.kubeconfig, &self.registry, &self.entry) {
            (Some(kubeconfig), Some(registry), Some(entry)) => {
                Cluster::of_others(Access::foreign(kubeconfig.clone(), registry.clone(), entry.clone())).await
            }
            _ => anyhow::bail!(
                "no cluster is named: give --run FOLDER of a cluster that bed brought up, or --kubeconfig FILE with \
                 --registry HOST and --entry URL. The current context is never used unasked"
            ),
        }
    }

    /// The cluster with the product in it.
    async fn open(&self) -> anyhow::Result<(Cluster, Install)> {
        let (cluster, install) = self.prepare().await?;
        if !self.no_install {
            install.run(&cluster, &self.chart).await?;
        }
        Ok((cluster, install))
    }

    /// The cluster, and how the product gets into it.
    async fn prepare(&self) -> anyhow::Result<(Cluster, Install)> {
        let mut cluster = self.cluster().await?;
        if self.build {
            cluster.build_product()?;
        }
        let image = self.image.as_ref().or(cluster.access.images.get("tidegate"));
        let install = Install::shared(image.map_or("", String::as_str));
        anyhow::ensure!(
            self.no_install || !install.image.is_empty(),
            "no image of the product is known: give --build or --image"
        );
        Ok((cluster, install))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::from(2)
        }
    }
}

/// True when all is as it should be.
async fn run(cli: Cli) -> anyhow::Result<bool> {
    match cli.command {
        Command::Verify { place, wide, only, report, evidence, keep } => {
            let (cluster, install) = place.open().await?;
            let selection = Selection { wide, only, evidence, keep, product: install.namespace };
            let found = scenarios::run(&cluster, &selection).await;
            found.write(&report)?;
            println!("{}", found.summary());
            Ok(found.failed == 0)
        }
        Command::Demo { place, once, json, chaos, harmless, evidence } => {
            let plan = chaos.map_or_else(Plan::plain, |seed| Plan::drawn(seed, harmless));
            let (cluster, install) = place.prepare().await?;
            let (chart, installed) = (place.chart, place.no_install);
            demo::run(&cluster, &Options { plan, install, chart, installed, once, json, evidence }).await
        }
        Command::Install { place } => place.open().await.map(|_| true),
        #[cfg(feature = "compare")]
        Command::Conformance { report } => {
            print!("{}", conformance::page_of(&report)?);
            Ok(true)
        }
        Command::List => {
            for s in scenarios::all() {
                println!("{:?}\t{}\t{}\t{}", s.tag, s.family, s.name, s.rules.join(" "));
            }
            Ok(true)
        }
    }
}
