//! The main job, told as it happens: a commit becomes traffic, a bad one is taken back, in traffic and in git.
//!
//! Everything goes through the real product, from outside. What is told was seen; what is asserted is what a user could
//! complain about. The acts are in `acts`, what a seed draws in `plan`, figures and their table in `figures`.

mod acts;
mod chaos;
mod figures;
mod plan;
mod stay;

pub use plan::{Failing, Plan};

use crate::cluster::Cluster;
use crate::evidence::Evidence;
use crate::install::Install;
use crate::stand::Stand;
use figures::Figures;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is shown, and what of it is kept.
#[derive(Debug, Clone)]
pub struct Options {
    pub plan: Plan,
    pub install: Install,
    pub chart: PathBuf,
    /// The product is there already.
    pub installed: bool,
    /// Ends after the last act.
    pub once: bool,
    /// Where the figures go, as JSON.
    pub json: Option<PathBuf>,
    /// Where the evidence of a failure goes.
    pub evidence: PathBuf,
}

/// Tells what happens, each line with the time since the beginning.
#[derive(Debug)]
pub(crate) struct Story {
    begun: Instant,
}

impl Story {
    fn act(&self, title: &str) {
        println!("\n{:>7.1} s  \u{2500}\u{2500} {title}", self.begun.elapsed().as_secs_f64());
    }

    fn tell(&self, line: &str) {
        println!("{:>7.1} s     {line}", self.begun.elapsed().as_secs_f64());
    }
}

/// Shows it. True when all of it happened as told.
///
/// # Errors
/// When the stage itself cannot be set up or cleaned.
pub async fn run(cluster: &Cluster, options: &Options) -> anyhow::Result<bool> {
    let story = Story { begun: Instant::now() };
    let mut figures = Figures::of(&options.plan);
    story.act("Tidegate into the cluster, through its chart");
    if options.installed {
        story.tell("it is there already");
    } else {
        let begun = Instant::now();
        options.install.run(cluster, &options.chart).await?;
        figures.time("install through the chart", begun.elapsed());
        story.tell(&format!("two replicas of {} are ready", options.install.image));
    }
    let mut stand = Stand::new(cluster, &options.plan.name).await?;
    stand.app.name.clone_from(&options.plan.app);
    stand.app.replicas = options.plan.replicas;

    let shown = acts::all(&story, &stand, options, &mut figures).await;
    let good = match &shown {
        Ok(_) => true,
        Err(e) => {
            println!("\n{:>7.1} s  NOT AS IT SHOULD BE: {e:#}", story.begun.elapsed().as_secs_f64());
            keep_evidence(&stand, options, &format!("{e:?}")).await;
            false
        }
    };
    figures.finish(good, story.begun.elapsed());
    println!("\n{}", figures.table());
    if let Some(path) = &options.json {
        figures.write(path)?;
        println!("figures in {}", path.display());
    }
    match shown {
        Ok(stage) if !options.once => stay::stay(cluster, &stand, &stage).await?,
        _ => {}
    }
    if good || options.once {
        stand.remove().await?;
    }
    Ok(good)
}

/// Of the place where the story broke off.
async fn keep_evidence(stand: &Stand, options: &Options, error: &str) {
    let folder = options.evidence.join(stand.namespace());
    let folder: &Path = &folder;
    if let Ok(mut evidence) = Evidence::in_folder(folder) {
        evidence.requests(&stand.records());
        evidence.gather(&stand.cluster, stand.namespace(), &options.install.namespace, error).await;
        println!("{:>11}evidence in {}", "", folder.display());
    }
}
