//! Many schedules on several threads, and what came of them.

use super::bounds::Bounds;
use super::schedule::{Name, Openings, Outcome, Schedule};
use crate::core::rollout::Mutant;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Findings that are kept; more say nothing new.
const KEPT: usize = 20;
/// Seeds that a thread takes at once: those of one world. Pairs too: those of one story.
const BATCH: u64 = 64;
/// Cases that a thread takes at once: few, as those of one story take as long.
const BATCH_OF_CASES: usize = 32;
/// From one schedule in which a broken rule is hunted to the next.
const STRIDE: usize = 16;

/// When to stop, and where to start.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The first seed, or number of a pair.
    pub first: u64,
    pub schedules: u64,
    pub time: Duration,
    pub threads: usize,
}

/// A broken oracle with how to see it again.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What shows it again, as options of the explorer.
    pub again: String,
    pub broken: Vec<String>,
    /// The shortest script that still breaks the same oracle.
    pub schedule: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    pub total: u64,
    pub kept: Vec<Finding>,
}

/// What was explored.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub run: u64,
    /// With another order of events than every other one, and with a fault that was met.
    pub distinct: u64,
    pub seconds: f64,
    pub per_second: f64,
    /// By id: how often it was judged, and in how many schedules it was broken.
    pub oracles: BTreeMap<String, Judged>,
    pub findings: Findings,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Judged {
    pub checks: u64,
    pub broken: u64,
}

/// What all threads count together.
#[derive(Debug)]
struct Sum {
    start: Instant,
    counts: Mutex<Counts>,
}

impl Default for Sum {
    fn default() -> Self {
        Self { start: Instant::now(), counts: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Counts {
    report: Report,
    orders: HashSet<u64>,
}

/// Runs schedules of seeds until one of the budgets is used up.
pub fn explore(budget: Budget) -> Report {
    budget.spend(Schedule::draw)
}

/// Runs pairs of faults within bounds until one of the budgets is used up.
pub fn pairs(budget: Budget) -> Report {
    let bounds = Bounds::new();
    budget.spend(|number, _| bounds.pair(number))
}

impl Budget {
    fn spend(self, schedule: impl Fn(u64, &mut Openings) -> Schedule + Sync) -> Report {
        let (next, sum) = (AtomicU64::new(self.first), Sum::default());
        let end = self.first.saturating_add(self.schedules);
        sum.on_threads(self.threads, |sum, openings| {
            while sum.start.elapsed() < self.time {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= end {
                    return;
                }
                for number in (first..end.min(first + BATCH)).take_while(|_| sum.start.elapsed() < self.time) {
                    let schedule = schedule(number, openings);
                    sum.add(schedule, openings);
                }
            }
        })
    }
}

/// Runs every schedule within bounds, of the first stories or of all, whatever time it takes.
pub fn exhaust(threads: usize, of_all: bool) -> Report {
    let (cases, next) = (Bounds::new().cases(of_all), AtomicUsize::new(0));
    Sum::default().on_threads(threads, |sum, openings| {
        while let Some(first) = Some(next.fetch_add(BATCH_OF_CASES, Ordering::Relaxed)).filter(|f| *f < cases.len()) {
            for case in &cases[first..cases.len().min(first + BATCH_OF_CASES)] {
                sum.add(case.clone(), openings);
            }
        }
    })
}

impl Sum {
    fn on_threads(self, threads: usize, work: impl Fn(&Self, &mut Openings) + Sync) -> Report {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| work(&self, &mut Openings::default()));
            }
        });
        let seconds = self.start.elapsed().as_secs_f64();
        let counts = self.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut report = counts.report;
        report.distinct = u64::try_from(counts.orders.len()).unwrap_or(u64::MAX);
        report.seconds = seconds;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let run = report.run as f64;
        report.per_second = run / seconds.max(0.001);
        report.findings.kept.sort_by(|one, other| one.again.cmp(&other.again));
        report
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a schedule and counts what came of it.
    fn add(&self, schedule: Schedule, openings: &mut Openings) {
        let outcome = schedule.run(openings, None, false);
        let is_kept = self.counts().note(&outcome);
        if is_kept {
            let finding = shrink(schedule, &outcome, openings);
            self.counts().report.findings.kept.push(finding);
        }
    }
}

impl Counts {
    /// Returns whether the schedule is to be shown.
    fn note(&mut self, outcome: &Outcome) -> bool {
        let report = &mut self.report;
        report.run += 1;
        if outcome.disturbed {
            self.orders.insert(outcome.order);
        }
        for (id, checks) in &outcome.checks {
            report.oracles.entry((*id).to_owned()).or_default().checks += checks;
        }
        let ids = ids_of(outcome);
        for id in &ids {
            report.oracles.entry((*id).to_owned()).or_default().broken += 1;
        }
        report.findings.total += u64::from(!ids.is_empty());
        !ids.is_empty() && report.findings.kept.len() < KEPT
    }
}

fn ids_of(outcome: &Outcome) -> BTreeSet<&'static str> {
    outcome.broken.iter().map(|(id, _)| *id).collect()
}

/// Leaves out line by line what is not needed to break the same oracle.
fn shrink(schedule: Schedule, outcome: &Outcome, openings: &mut Openings) -> Finding {
    let (mut schedule, mut outcome) = (schedule, outcome.clone());
    let wanted = ids_of(&outcome);
    let mut at = 0;
    while at < schedule.lines.len() {
        let mut lines = schedule.lines.clone();
        lines.remove(at);
        let shorter = schedule.with_lines(lines);
        let tried = shorter.run(openings, None, false);
        if ids_of(&tried).is_disjoint(&wanted) {
            at += 1;
        } else {
            (schedule, outcome) = (shorter, tried);
        }
    }
    let broken = outcome.broken.iter().map(|(id, what)| format!("{id}: {what}")).collect();
    Finding { again: schedule.name.to_string(), broken, schedule: schedule.to_string() }
}

/// Whether the oracles notice a broken rule.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub mutant: String,
    /// The first schedule in which it was noticed, and by which oracles.
    pub caught: Option<Caught>,
    /// Schedules until then.
    pub schedules: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Caught {
    /// What shows it, as options of the explorer; without the mutant it breaks nothing.
    pub again: String,
    pub broken: Vec<String>,
}

/// Breaks each rule in turn, until an oracle notices: in `most` schedules by chance, then in those within bounds.
pub fn hunt(first_seed: u64, most: u64) -> Vec<Verdict> {
    let (next, cases) = (Mutex::new(Mutant::ALL.iter()), OnceLock::new());
    let verdicts = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(mutant) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { return };
                    let verdict = hunted(*mutant, first_seed, most, &cases);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdicts.sort_by(|one, other| one.mutant.cmp(&other.mutant));
    verdicts
}

fn hunted(mutant: Mutant, first_seed: u64, most: u64, cases: &OnceLock<Vec<Schedule>>) -> Verdict {
    let mut openings = Openings::default();
    let mut schedules = 0;
    let mut try_on = |schedule: &Schedule, openings: &mut Openings| {
        schedules += 1;
        let outcome = schedule.run(openings, Some(mutant), false);
        // What breaks by itself proves nothing.
        let broken = !outcome.broken.is_empty() && schedule.run(openings, None, false).broken.is_empty();
        broken.then(|| Caught {
            again: schedule.name.to_string(),
            broken: outcome.broken.iter().map(|(id, what)| format!("{id}: {what}")).collect(),
        })
    };
    // Other wishes each time: a rule is broken by what people do, and not by which write is lost.
    let seeds = (first_seed..).step_by(STRIDE).take(usize::try_from(most).unwrap_or(usize::MAX));
    let mut caught = None;
    for seed in seeds {
        let schedule = Schedule::draw(seed, &mut openings);
        caught = try_on(&schedule, &mut openings);
        if caught.is_some() {
            break;
        }
    }
    let caught = caught.or_else(|| {
        cases.get_or_init(|| Bounds::new().cases(false)).iter().find_map(|schedule| try_on(schedule, &mut openings))
    });
    Verdict { mutant: format!("{mutant:?}"), caught, schedules }
}

/// The schedule of this name; `None` when there is no such case.
pub fn find(name: &Name) -> Option<Schedule> {
    match name {
        Name::Seed(seed) => Some(Schedule::draw(*seed, &mut Openings::default())),
        Name::Case(_) => Bounds::new().cases(true).into_iter().find(|case| case.name == *name),
        Name::Pair(number) => Some(Bounds::new().pair(*number)),
    }
}

/// A schedule again: everything that was written, and whether it breaks an oracle.
pub fn replay(schedule: &Schedule) -> (String, bool) {
    let outcome = schedule.run(&mut Openings::default(), None, true);
    let broken: Vec<String> = outcome.broken.iter().map(|(id, what)| format!("BROKEN {id}: {what}")).collect();
    (format!("{}\n{}\n", outcome.trace.join("\n"), broken.join("\n")), !broken.is_empty())
}
