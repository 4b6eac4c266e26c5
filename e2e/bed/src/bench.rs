//! `cargo bed bench`: a control plane without workloads, the product as a program, kwok, and the measures of `e2e/bench`.

use std::process::{Command, ExitCode};

use crate::cache::{self, Cache};
use crate::debian::Unpacked;
use crate::demo::in_foreground;
use crate::failure::Result;
use crate::images::recipes;
use crate::{check, manifests, node, programs, say};

/// Optimised where it reads JSON: it shares its cores with what it measures.
const BENCH: [&str; 8] = ["run", "--quiet", "--profile", "explore", "--package", "tidegate-bench", "--", "--run"];

/// Builds what is missing, measures, and ends the cluster; `words` go to the measures.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let cache = Cache::open()?;
    check::ensure(&cache)?;
    say::phase("building");
    programs::build_all(&cache)?;
    let debian = Unpacked::open(&cache)?;
    programs::build(&cache, &debian, &[programs::KWOK])?;
    // What is measured is what is published.
    let product = recipes::product_program(&cache, "dist")?;
    say::phase("bringing up the control plane");
    let running = node::up(&cache, &node::Options { name: None, owned: true })?;
    let cluster = &running.cluster;
    let traefik = programs::traefik_crds(&cache)?;
    let ours = cache::checkout().join("crds");
    for (what, file) in [("applying Traefik's definitions", &traefik), ("applying crds/", &ours)] {
        manifests::kubectl(cluster, what, &["apply", "--server-side", "-f"], Some(file))?;
    }
    say::phase("measuring, about 20 min");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(cache::checkout()).args(BENCH);
    command.arg(&cluster.run).arg("--product").arg(product);
    command.arg("--kwok").arg(programs::KWOK.path(&cache)?).args(words);
    let code = in_foreground(&mut command);
    running.end(&cache)?;
    code
}
