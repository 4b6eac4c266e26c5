//! `cargo demo`: checks, builds, brings a cluster up, and hands over to the suite, which tells the story.
//!
//! Rule: the cluster belongs to this process. However it ends, by itself, by Ctrl-C or by a kill, the cluster ends with it and is
//! cleaned up by its keeper; only `--keep` leaves it.

use std::process::{Command, ExitCode};

use crate::cache::{self, Cache};
use crate::failure::{Doing, Failure, Result};
use crate::{check, manifests, node, programs, say};

/// How the demo is run.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Only lists what the machine has and lacks.
    pub check: bool,
    /// Leaves the cluster when the demo has ended.
    pub keep: bool,
    /// Passed on to the suite as they are: `--once`, `--json FILE`, `--chaos SEED`.
    pub story: Vec<String>,
    /// Another cluster, if it is not to be one of ours.
    pub foreign: Option<Foreign>,
}

/// A cluster that others brought up. Nothing is built for it but the images.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// Kubeconfig; the user's current context is never used unasked.
    pub kubeconfig: String,
    /// Registry, `HOST:PORT` over plain HTTP, from which the cluster pulls by this same name.
    pub registry: String,
    /// Address of the router's entry point.
    pub entry: Option<String>,
}

/// Runs the demo; the exit code is the suite's.
pub fn run(options: &Options) -> Result<ExitCode> {
    let cache = Cache::open()?;
    if options.check {
        let items = check::look(&cache);
        check::print(&items);
        return Ok(if items.iter().all(|i| i.found.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if let Some(foreign) = &options.foreign {
        return on_foreign(&cache, foreign, "demo", &options.story);
    }
    say::phase("checking the machine");
    check::ensure(&cache)?;
    say::phase("building");
    programs::build_all(&cache)?;
    say::phase("bringing up the cluster");
    let mut running = node::up(&cache, &node::Options { name: None, owned: !options.keep })?;
    let code = story(&cache, &mut running, options);
    if options.keep {
        say::line(&format!(
            "kept: cargo bed down {} ends it; its run folder is {}",
            running.cluster.name,
            running.cluster.run.display()
        ));
    } else {
        let name = running.cluster.name.clone();
        running.end(&cache)?;
        say::line(&format!("the cluster {name} is gone"));
    }
    code
}

fn story(cache: &Cache, running: &mut node::Running, options: &Options) -> Result<ExitCode> {
    manifests::push_images(cache, &mut running.cluster)?;
    // Before the product is built: the pods start meanwhile.
    manifests::apply(cache, &running.cluster)?;
    let image = manifests::push_product(cache, &mut running.cluster)?;
    let run = running.cluster.run.display().to_string();
    say::phase("the demo");
    let mut words = vec!["demo".to_owned(), "--run".to_owned(), run, "--image".to_owned(), image];
    words.extend(options.story.iter().cloned());
    suite(&words)
}

/// Pushes the images to a registry that a foreign cluster pulls from, and lets the suite work on that cluster.
pub fn on_foreign(cache: &Cache, foreign: &Foreign, verb: &str, more: &[String]) -> Result<ExitCode> {
    let entry = foreign.entry.as_ref().ok_or_else(|| {
        Failure::new("using another cluster", "where its router answers is not known")
            .remedy("add --entry http://HOST:PORT, the address of Traefik's entry point")
    })?;
    let image = manifests::push_to(cache, &foreign.registry)?;
    manifests::complete(cache, foreign)?;
    let mut words: Vec<String> = [
        verb,
        "--kubeconfig",
        &foreign.kubeconfig,
        "--registry",
        &foreign.registry,
        "--entry",
        entry,
        "--image",
        &image,
    ]
    .map(str::to_owned)
    .into();
    words.extend(more.iter().cloned());
    // A user's machine need not have helm and kubectl; a cluster of ours has them in its run folder.
    let mut path = programs::folders(cache, &["helm", "kubectl"])?;
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(path).doing(|| "finding helm".to_owned())?;
    in_foreground(suite_command(&words).env("PATH", path))
}

/// Runs the suite in the foreground.
pub fn suite(words: &[String]) -> Result<ExitCode> {
    in_foreground(&mut suite_command(words))
}

fn suite_command(words: &[String]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(cache::checkout()).args(["run", "--quiet", "--package", "tidegate-e2e"]);
    if words.first().is_some_and(|verb| verb == "demo") {
        // Its features are for scenarios that need the product's code: minutes of building that nobody sees anything of.
        command.arg("--no-default-features");
    }
    command.arg("--").args(words);
    command
}

/// Runs a program of the checkout and passes its exit code on.
pub(crate) fn in_foreground(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().doing(|| "starting the suite".to_owned())?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::FAILURE,
    })
}
