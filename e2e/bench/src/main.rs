//! What the controller costs, on a real control plane with pods that are only claimed to run.
//!
//! ```text
//! world        the namespace, kwok's node, the controller's own account, Rollouts to measure on
//! table        objects of one kind, as a watch brings them
//! mirror       a Traefik that loads at once
//! metric       a Prometheus that turns bad when it is told to
//! controller   the product as an ordinary process
//! audit        its requests, from the API server's audit log
//! measures     what is measured, in order
//! report       figures beside the incumbent's and the targets
//! ```

mod audit;
mod controller;
mod measures;
mod metric;
mod mirror;
mod report;
mod table;
mod world;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures memory, requests and times of the controller on a cluster that bed brought up.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run folder of the cluster.
    #[arg(long)]
    run: PathBuf,
    /// The product's program.
    #[arg(long)]
    product: PathBuf,
    /// kwok's program.
    #[arg(long)]
    kwok: PathBuf,
    /// Rollouts at the end, at least 100.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(100..=5000))]
    rollouts: u16,
    /// Measures to take, all by default; memory and restarts are always measured.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<measures::Measure>,
    /// Where the figures go, as JSON.
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let world = world::World::open(&arguments.run, &arguments.kwok).await?;
    let traefik = mirror::start(&world.client).await?;
    let program = controller::Program {
        binary: arguments.product,
        kubeconfig: world.identity.clone(),
        traefik,
        log: arguments.run.join("log/controller.log"),
    };
    let audit = audit::Audit::open(arguments.run.join("log/audit.log"), world::USER.to_owned());
    let metric = metric::Metric::start().await?;
    let report =
        measures::Measures::new(world, program, audit, metric, arguments.only).run(arguments.rollouts.into()).await?;
    std::fs::write(&arguments.json, serde_json::to_string_pretty(&report)?)?;
    let missed = report.missed().count();
    println!(
        "{missed} of {} figures missed their target; all are in {}",
        report.figures.len(),
        arguments.json.display()
    );
    Ok(ExitCode::SUCCESS)
}
