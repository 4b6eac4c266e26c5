//! `cargo verify`: everything that must pass, part by part, each with its budget and its time.
//!
//! Parts go on after one failed, so that one run shows all that is wrong. Where no cluster is possible the rest is run, what was
//! left out is listed, and the exit code says so.

use std::fs;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::cache::{self, Cache};
use crate::demo::{self, Foreign};
use crate::failure::{Doing, Result};
use crate::report::{Part, Report};
use crate::{check, manifests, node, process, programs, say};

/// What is run.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Every scenario, and longer fuzzing.
    pub wide: bool,
    /// Scenarios whose name holds this; all parts but the cluster's are left out then.
    pub only: Vec<String>,
    /// Another cluster than one of ours.
    pub foreign: Option<Foreign>,
}

/// The suite's report of the run that knows our cluster only as another one.
const AS_FOREIGN: &str = "target/verify/scenarios-as-another.json";
/// The explorer's report.
const EXPLORATION: &str = "target/verify/exploration.json";

/// Runs all parts. The exit code is 0 when all passed, 3 when a part could not be run and the others passed.
pub fn run(options: &Options) -> Result<ExitCode> {
    let folder = cache::checkout().join("target/verify");
    fs::create_dir_all(&folder).doing(|| format!("creating {}", folder.display()))?;
    let mut report = Report::default();
    // What an old run reported is not this run's.
    let reports = ["target/verify/scenarios.json", AS_FOREIGN, EXPLORATION].map(|path| cache::checkout().join(path));
    for old in &reports {
        let _ = fs::remove_file(old);
    }
    if let Some(short) = check::room_to_build() {
        say::line(&format!("note: {short}"));
    }
    if options.only.is_empty() {
        for (name, budget, arguments, environment) in cargo_parts(options) {
            report.parts.push(timed(name, budget, || cargo(&arguments, &environment)));
        }
    }
    let cache = Cache::open()?;
    match &options.foreign {
        Some(foreign) => report.parts.push(timed("another cluster", 600, || on_another(&cache, foreign, options))),
        None => match check::ensure(&cache) {
            Ok(()) => report.parts.push(timed("real cluster", 600, || on_a_cluster(&cache, options))),
            Err(failure) => report.not_run.push(format!("real cluster (all scenarios): {failure}")),
        },
    }
    // What the programs reported themselves; there is none of what did not run.
    let [scenarios, as_another, exploration] =
        reports.map(|path| fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()));
    (report.scenarios, report.scenarios_as_another, report.exploration) = (scenarios, as_another, exploration);
    report.write(&folder.join("report.json"))
}

type Arguments = Vec<&'static str>;
type Environment = Vec<(&'static str, &'static str)>;

/// The parts that are a call of cargo, with their budgets on a warm machine in seconds.
fn cargo_parts(options: &Options) -> Vec<(&'static str, u64, Arguments, Environment)> {
    // The same seeds each time: what they find is a change of ours. Others are run by hand (`docs/contributing.md`).
    let (fuzz_seconds, within_bounds, by_chance) = if options.wide {
        ("60", ["--pair-seconds", "300", "--pairs", "75000"], ["--seconds", "600", "--schedules", "100000"])
    } else {
        ("15", ["--pair-seconds", "90", "--pairs", "16000"], ["--seconds", "90", "--schedules", "9600"])
    };
    vec![
        ("format", 10, vec!["fmt", "--all", "--check"], vec![]),
        ("lints", 110, lints(), vec![]),
        (
            "docs",
            60,
            vec![
                "doc",
                "--quiet",
                "--no-deps",
                "--package",
                "tidegate",
                "--package",
                "bed",
                "--package",
                "tidegate-e2e",
            ],
            vec![("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links")],
        ),
        ("unit, property, simulation", 360, vec!["test", "--quiet", "--workspace", "--lib", "--bins"], vec![]),
        (
            "exploration",
            300,
            [
                ["run", "--quiet", "--profile", "explore", "--package"].as_slice(),
                &["explore", "--", "--report", EXPLORATION],
                &within_bounds,
                &by_chance,
            ]
            .concat(),
            vec![],
        ),
        (
            "fuzzing",
            60,
            vec!["test", "--quiet", "--package", "tidegate", "--test", "fuzz"],
            vec![("TIDEGATE_FUZZ_SECONDS", fuzz_seconds)],
        ),
    ]
}

/// Every lint of the workspace is shown; these fail the run. The others of `pedantic` follow when the last of them is mended.
fn lints() -> Arguments {
    const DENIED: [&str; 9] = [
        "unused",
        "clippy::correctness",
        "clippy::suspicious",
        "clippy::unwrap_used",
        "clippy::panic",
        "clippy::todo",
        "clippy::unimplemented",
        "clippy::dbg_macro",
        "clippy::exit",
    ];
    let mut arguments = vec!["clippy", "--quiet", "--workspace", "--all-targets", "--"];
    arguments.extend(DENIED.iter().flat_map(|lint| ["--deny", lint]));
    arguments
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<bool> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).envs(environment.iter().copied()).current_dir(cache::checkout());
    let status = command.status().doing(|| format!("running cargo {}", arguments.join(" ")))?;
    Ok(status.success())
}

/// Brings a cluster up, runs the scenarios on it, and takes it down, whatever came of them.
fn on_a_cluster(cache: &Cache, options: &Options) -> Result<bool> {
    programs::build_all(cache)?;
    let mut running = node::up(cache, &node::Options { name: None, owned: true })?;
    let passed = scenarios(cache, &mut running, options);
    running.end(cache)?;
    passed
}

fn scenarios(cache: &Cache, running: &mut node::Running, options: &Options) -> Result<bool> {
    manifests::push_images(cache, &mut running.cluster)?;
    manifests::apply(cache, &running.cluster)?;
    if options.wide {
        manifests::add_metrics(cache, &mut running.cluster)?;
    }
    let image = manifests::push_product(cache, &mut running.cluster)?;
    let run = running.cluster.run.display().to_string();
    let mut words = ["verify", "--run", &run, "--image", &image].map(str::to_owned).to_vec();
    words.extend(selection(options));
    let passed = demo::suite(&words)? == ExitCode::SUCCESS;
    if !options.wide || !options.only.is_empty() {
        return Ok(passed);
    }
    Ok(as_foreign(cache, running)? && passed)
}

/// The same cluster once more, known only by its kubeconfig, its registry and its router's address, as another one would be.
fn as_foreign(cache: &Cache, running: &node::Running) -> Result<bool> {
    const ONE_OF_EACH: [&str; 3] = [
        "shares_follow_the_weights_behind_a_plain_ingress",
        "a_good_version_is_promoted_by_its_metrics",
        "a_bad_revision_is_held_and_reverted_once",
    ];
    say::phase("the same cluster as another one: --kubeconfig, --registry, --entry");
    let cluster = &running.cluster;
    let address =
        ["get", "service", "traefik", "-n", "traefik", "-o", "jsonpath={.spec.clusterIP}:{.spec.ports[0].port}"];
    let mut kubectl = Command::new(cluster.kubectl());
    let address = process::output(
        "asking for the router's address",
        kubectl.arg("--kubeconfig").arg(&cluster.kubeconfig).args(address),
    )?;
    let target = address.parse().doing(|| format!("reading the router's address {address:?}"))?;
    let forward = cluster.forward(target)?;
    let foreign = Foreign {
        kubeconfig: cluster.kubeconfig.display().to_string(),
        registry: cluster.registry.clone(),
        entry: Some(format!("http://{}", forward.local())),
    };
    let selection = ONE_OF_EACH.iter().flat_map(|name| ["--only".to_owned(), (*name).to_owned()]);
    let report = ["--wide", "--report", AS_FOREIGN].map(str::to_owned);
    let words: Vec<_> = report.into_iter().chain(selection).collect();
    Ok(demo::on_foreign(cache, &foreign, "verify", &words)? == ExitCode::SUCCESS)
}

fn on_another(cache: &Cache, foreign: &Foreign, options: &Options) -> Result<bool> {
    Ok(demo::on_foreign(cache, foreign, "verify", &selection(options))? == ExitCode::SUCCESS)
}

/// Which scenarios, in the suite's words.
fn selection(options: &Options) -> Vec<String> {
    let wide = options.wide.then(|| "--wide".to_owned());
    wide.into_iter().chain(options.only.iter().flat_map(|name| ["--only".to_owned(), name.clone()])).collect()
}

fn timed(name: &'static str, budget: u64, part: impl FnOnce() -> Result<bool>) -> Part {
    say::phase(name);
    let start = Instant::now();
    let passed = part().unwrap_or_else(|failure| {
        eprintln!("\n{failure}");
        false
    });
    let took = start.elapsed();
    say::line(&format!("{name}: {} in {:.0} s", if passed { "passed" } else { "FAILED" }, took.as_secs_f64()));
    Part { name, passed, seconds: took.as_secs_f64(), budget_seconds: budget }
}
