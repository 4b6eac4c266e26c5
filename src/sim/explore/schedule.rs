//! One schedule: drawn from its seed, run to rest, judged.

use super::super::api::{Shared, State};
use super::super::run::{Act, Restart, Run};
use super::super::shop::End;
use super::action::Action;
use super::random::Random;
use super::rest;
use super::script::{self, Line, WATCHED};
use super::world::World;
use crate::core::rollout::Mutant;
use crate::execute::faults::{ANY, Action as FaultAction, Fault};
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Schedules that share a world, since its beginning is run once for all of them.
const SAME_WORLD: u64 = 64;
/// Schedules in which people wish the same, since its run without faults is run once for all of them.
const SAME_WISHES: u64 = 16;
/// What is drawn from a number: worlds, wishes, faults.
const OF_WORLDS: u64 = 1;
const OF_WISHES: u64 = 2;
const OF_FAULTS: u64 = 3;
/// Whatever happens is over by then.
const REST: SignedDuration = SignedDuration::from_hours(3);

/// How a schedule is asked for again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Seed(u64),
    /// One of those within bounds.
    Case(String),
    /// Two of those together.
    Pair(u64),
}

/// All that happens.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub name: Name,
    /// Those with the same number have the same world.
    pub(super) world_number: u64,
    pub(super) world: World,
    pub(super) lines: Vec<Line>,
    /// What happens when so many events have happened.
    pub(super) after: Option<(usize, Action)>,
    /// How late watches are.
    pub(super) lags: Vec<(&'static str, i64)>,
    /// The fault plan of each process in turn.
    pub(super) plans: Vec<Vec<Fault>>,
    /// From nothing, not from where the first revision is served.
    pub(super) from_nothing: bool,
}

/// What came of a schedule.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Equal for two runs in which the same happened in the same order.
    pub order: u64,
    /// A fault was met: without one it counts for nothing.
    pub disturbed: bool,
    /// How often each oracle was asked.
    pub checks: BTreeMap<&'static str, u64>,
    /// What each found broken.
    pub broken: Vec<(&'static str, String)>,
    /// What happened, where it was wanted.
    pub trace: Vec<String>,
}

/// The beginnings of worlds, and the ends without faults, so that each is run once.
#[derive(Debug, Default)]
pub struct Openings {
    of: Option<(u64, World, State)>,
    calm: Option<Calm>,
}

/// The end of a script without faults.
#[derive(Debug)]
struct Calm {
    world: u64,
    from_nothing: bool,
    lines: Vec<Line>,
    after: Option<(usize, Action)>,
    end: End,
}

impl Openings {
    fn of(&mut self, number: u64, world: impl FnOnce() -> World) -> (&World, &State) {
        if self.of.as_ref().is_none_or(|(of, ..)| *of != number) {
            let world = world();
            let state = world.open();
            self.of = Some((number, world, state));
        }
        let (_, world, state) = self.of.as_ref().expect("set above");
        (world, state)
    }
}

impl Schedule {
    pub fn draw(seed: u64, openings: &mut Openings) -> Self {
        let world_number = seed / SAME_WORLD;
        let (world, _) = openings.of(world_number, || World::draw(&mut Random::new(OF_WORLDS, world_number)));
        let mut wishes = Random::new(OF_WISHES, seed / SAME_WISHES);
        let mut lines = script::wishes(&mut wishes, world);
        let from_nothing = wishes.chance(8);
        let mut random = Random::new(OF_FAULTS, seed);
        script::trouble(&mut random, world, &mut lines);
        let mut lags = Vec::new();
        if random.chance(35) {
            for kind in WATCHED {
                if random.chance(50) {
                    lags.push((kind, random.between(1, 2_500)));
                }
            }
        }
        let plans = (0..random.between(0, 2)).map(|_| (0..random.between(1, 2)).map(|_| fault(&mut random)).collect());
        let plans: Vec<Vec<Fault>> = plans.collect();
        let undisturbed = lags.is_empty() && plans.is_empty() && !lines.iter().any(|(_, action)| action.is_a_fault());
        let plans = if undisturbed { vec![vec![fault(&mut random)]] } else { plans };
        let (name, world) = (Name::Seed(seed), world.clone());
        Self { name, world_number, world, lines, after: None, lags, plans, from_nothing }
    }

    /// One that is written down, where the first revision is served.
    pub(super) fn within_bounds(name: Name, world_number: u64, world: World, lines: Vec<Line>) -> Self {
        Self { name, world_number, world, lines, after: None, lags: vec![], plans: vec![], from_nothing: false }
    }

    /// The same with only some of its lines.
    pub(super) fn with_lines(&self, lines: Vec<Line>) -> Self {
        Self { lines, ..self.clone() }
    }

    /// The same with nothing but what people wish.
    fn undisturbed(&self) -> Self {
        let lines = self.lines.iter().filter(|(_, action)| !action.is_a_fault()).cloned().collect();
        let after = self.after.clone().filter(|(_, action)| !action.is_a_fault());
        Self { lines, after, lags: Vec::new(), plans: Vec::new(), ..self.clone() }
    }

    /// The end of the same without faults.
    fn calm<'o>(&self, openings: &'o mut Openings) -> &'o End {
        let calm = self.undisturbed();
        let known = openings.calm.take().filter(|known| {
            known.world == calm.world_number
                && known.from_nothing == calm.from_nothing
                && known.lines == calm.lines
                && known.after == calm.after
        });
        let known = known.unwrap_or_else(|| {
            let end = End::of(&calm.play(openings, None, false).shared.state());
            let Self { world_number: world, from_nothing, lines, after, .. } = calm;
            Calm { world, from_nothing, lines, after, end }
        });
        &openings.calm.insert(known).end
    }

    /// The end is settled by what was wished last, whatever happened when.
    fn has_one_end(&self) -> bool {
        // A wish after so many events comes at another moment where there are more of them, or never.
        let wish_after = self.after.as_ref().is_some_and(|(_, action)| !action.is_a_fault());
        // Which revision is the first depends on when the first process looks.
        !self.from_nothing && !wish_after && !self.actions().any(Action::is_about_a_moment)
    }

    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.lines.iter().map(|(_, action)| action).chain(self.after.iter().map(|(_, action)| action))
    }

    /// `mutant`: the rule that the process breaks.
    pub fn run(&self, openings: &mut Openings, mutant: Option<Mutant>, traced: bool) -> Outcome {
        let mut run = self.play(openings, mutant, traced);
        let mut happened = self.lines.iter().map(|(_, action)| action);
        let disturbed = happened.any(Action::is_a_fault)
            || !run.give_up() && self.after.as_ref().is_some_and(|(_, action)| action.is_a_fault());
        let mut outcome = Outcome {
            order: run.order.digest(),
            disturbed: disturbed || !self.lags.is_empty() || run.faults_met() > 0,
            checks: BTreeMap::new(),
            broken: Vec::new(),
            trace: Vec::new(),
        };
        if run.oracle.broken().is_empty() {
            rest::judge(&mut run, &self.world);
            if self.has_one_end() && run.oracle.broken().is_empty() {
                rest::compare(&mut run, &self.world, self.calm(openings));
            }
        }
        outcome.trace = run.order.trace.take().unwrap_or_default();
        outcome.checks.clone_from(run.oracle.checks());
        outcome.broken = run.oracle.broken_by_id();
        outcome
    }

    /// Runs it to rest.
    pub(super) fn play(&self, openings: &mut Openings, mutant: Option<Mutant>, traced: bool) -> Run {
        let mut run = if self.from_nothing {
            self.world.run()
        } else {
            let (_, state) = openings.of(self.world_number, || self.world.clone());
            Run::from(Shared::of(state.clone()), self.world.oracle())
        };
        run = run.with_mutant(mutant);
        if traced {
            run.order.trace = Some(Vec::new());
        }
        for plan in &self.plans {
            run = run.with_faults(plan.clone());
        }
        for (kind, ms) in &self.lags {
            run = run.with_lag(kind, SignedDuration::from_millis(*ms));
        }
        for (at, action) in &self.lines {
            for (after, act) in action.acts(&self.world) {
                run.then(SignedDuration::from_millis(at + after), act);
            }
        }
        if let Some((events, action)) = &self.after {
            let acts = action.acts(&self.world).into_iter();
            run.after(*events, acts.map(|(ms, act)| (SignedDuration::from_millis(ms), act)).collect());
        }
        let end = run.now() + REST;
        run.pass_until(end);
        run
    }
}

/// A fault at some write of a process.
fn fault(random: &mut Random) -> Fault {
    let action = match random.between(1, 100) {
        1..=25 => FaultAction::KillBefore,
        26..=45 => FaultAction::KillAfter,
        46..=60 => FaultAction::LoseAnswer,
        61..=68 => FaultAction::Refuse,
        69..=76 => FaultAction::Conflict,
        77..=82 => FaultAction::Unavailable,
        _ => FaultAction::Delay(Duration::from_millis(u64::try_from(random.between(1, 4_000)).unwrap_or(1))),
    };
    at_write(action, u32::try_from(random.between(1, 25)).unwrap_or(1))
}

/// A fault at the write of a Rollout that has this number in its process.
pub(super) fn at_write(action: FaultAction, nth: u32) -> Fault {
    Fault { kind: "Rollout".to_owned(), namespace: None, why: ANY.to_owned(), nth, action }
}

/// A fresh process at the end writes nothing.
pub(super) fn look_again(run: &mut Run) {
    run.then(SignedDuration::ZERO, Act::End(Restart::default()));
    let end = run.now() + SignedDuration::from_mins(2);
    run.pass_until(end);
}

impl fmt::Display for Name {
    /// As options of the explorer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed(seed) => write!(f, "--seed {seed}"),
            Self::Case(name) => write!(f, "--case '{name}'"),
            Self::Pair(number) => write!(f, "--pair {number}"),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        writeln!(f, "world {:?} {}", self.world.strategy, self.world.spec)?;
        if self.from_nothing {
            writeln!(f, "from nothing")?;
        }
        if !self.lags.is_empty() {
            writeln!(f, "late watches, in ms: {:?}", self.lags)?;
        }
        for (number, plan) in self.plans.iter().enumerate() {
            for fault in plan {
                writeln!(f, "process {number}: {:?} at write {}", fault.action, fault.nth)?;
            }
        }
        for (at, action) in &self.lines {
            writeln!(f, "{at:>7} ms  {action:?}")?;
        }
        if let Some((events, action)) = &self.after {
            writeln!(f, "after event {events}  {action:?}")?;
        }
        Ok(())
    }
}
