//! The explorer: all schedules within bounds, pairs of them by number, and beyond them schedules drawn by chance from a seed, by the
//! hundred thousand.
//!
//! A schedule is a world (strategy, steps, sizes, delays), a script of what people and programs do at which moment, and at
//! least one fault: a process killed before or after a write, an answer lost, a conflict, a delay, watches that are late, broken
//! or repeat themselves, a standby whose caches are behind, another writer. Each is run to rest and judged by the oracles at
//! every step, and by what must hold at rest. Everything follows from one number, so a finding is replayed by its seed.

mod action;
mod bounds;
mod random;
mod report;
mod rest;
mod schedule;
mod script;
mod world;

pub use report::{Budget, Finding, Findings, Judged, Report, Verdict, exhaust, explore, find, hunt, pairs, replay};
pub use schedule::{Name, Openings, Outcome, Schedule};
pub use world::World;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_the_same_schedule_again() {
        for seed in [1, 77, 4711] {
            let order = |openings: &mut Openings| Schedule::draw(seed, openings).run(openings, None, false).order;
            assert_eq!(order(&mut Openings::default()), order(&mut Openings::default()), "seed {seed}");
        }
    }
}
