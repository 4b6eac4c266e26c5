//! The explorer of the simulated cluster as a program of its own, as it is built optimised and runs for minutes.

use clap::Parser;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tidegate::core::rollout::Mutant;
use tidegate::sim::explore::{Budget, Name, Report, Verdict, exhaust, explore, find, hunt, pairs, replay};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs schedules of the simulated cluster, and breaks rules to see that the oracles notice.
#[derive(Debug, Parser)]
struct Options {
    /// How long schedules are run.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// At most so many schedules by chance.
    #[arg(long, default_value_t = u64::MAX)]
    schedules: u64,
    /// Explores all stories within bounds in full, not only the first ones: some 90,000 cases.
    #[arg(long)]
    all_stories: bool,
    /// How long pairs of what goes wrong within bounds are run.
    #[arg(long, default_value_t = 30)]
    pair_seconds: u64,
    /// At most so many pairs.
    #[arg(long, default_value_t = u64::MAX)]
    pairs: u64,
    /// Schedules in which a broken rule must be noticed; 0 breaks none.
    #[arg(long, default_value_t = 3_000)]
    mutants: u64,
    /// Leaves out what is explored exhaustively, within bounds.
    #[arg(long)]
    seeds_only: bool,
    /// Only this seed, with everything that was written.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this case within bounds, by the name that a finding prints.
    #[arg(long, conflicts_with = "seed")]
    case: Option<String>,
    /// Only this pair within bounds.
    #[arg(long, conflicts_with_all = ["seed", "case"])]
    pair: Option<u64>,
    /// A file for the report as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// What `report.json` of a verification has of it.
#[derive(Debug, Serialize)]
struct Whole {
    within_bounds: Report,
    pairs: Report,
    schedules: Report,
    mutants: Vec<Verdict>,
}

/// Says nothing of the panics of a mutant that panics by hundreds: they are what is asked for.
fn quiet_where_asked() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(Mutant::PANIC) {
            usual(panic);
        }
    }));
}

fn main() -> ExitCode {
    let options = Options::parse();
    quiet_where_asked();
    if let Some(name) = options.seed.map(Name::Seed).or(options.case.map(Name::Case)).or(options.pair.map(Name::Pair)) {
        let Some(schedule) = find(&name) else {
            eprintln!(
                "there is no case {name}: cargo run --profile explore --package explore prints names of findings"
            );
            return ExitCode::FAILURE;
        };
        println!("{schedule}");
        let (text, broken) = replay(&schedule);
        println!("{text}");
        return verdict(!broken);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut within_bounds, mut in_pairs) = (Report::default(), Report::default());
    let budget = |schedules, seconds| {
        let time = Duration::from_secs(seconds);
        Budget { first: options.from, schedules, time, threads }
    };
    if !options.seeds_only {
        within_bounds = exhaust(threads, options.all_stories);
        println!("everything within bounds, one by one (src/sim/explore/bounds.rs):");
        show(&within_bounds);
        in_pairs = pairs(budget(options.pairs, options.pair_seconds));
        println!("within bounds in pairs, from {}:", options.from);
        show(&in_pairs);
    }
    let schedules = explore(budget(options.schedules, options.seconds));
    println!("by chance, from seed {}:", options.from);
    show(&schedules);
    let mutants = if options.mutants > 0 { hunt(options.from, options.mutants) } else { Vec::new() };
    show_mutants(&mutants);
    let found: u64 = [&within_bounds, &in_pairs, &schedules].iter().map(|report| report.findings.total).sum();
    let passed = found == 0 && mutants.iter().all(|m| m.caught.is_some());
    if let Some(path) = options.report {
        let text = serde_json::to_string_pretty(&Whole { within_bounds, pairs: in_pairs, schedules, mutants })
            .expect("a report is plain JSON");
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    verdict(passed)
}

fn verdict(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(report: &Report) {
    for finding in &report.findings.kept {
        println!("{}\n{}", finding.broken.join("\n"), finding.schedule);
        println!("again: cargo run --profile explore --package explore -- {}\n", finding.again);
    }
    println!("{:<6} {:>14} {:>8}", "oracle", "judged", "broken");
    for (id, judged) in &report.oracles {
        println!("{id:<6} {:>14} {:>8}", judged.checks, judged.broken);
    }
    println!(
        "{} schedules, {} distinct with a fault that was met, in {:.0} s ({:.0} per second); {} broke an oracle",
        report.run, report.distinct, report.seconds, report.per_second, report.findings.total
    );
}

fn show_mutants(mutants: &[Verdict]) {
    for mutant in mutants {
        match &mutant.caught {
            Some(caught) => println!("{:<24} noticed at {:>5}: {}", mutant.mutant, mutant.schedules, caught.broken[0]),
            None => println!("{:<24} NOT NOTICED in {}", mutant.mutant, mutant.schedules),
        }
    }
}
