//! Each schedule again, with a fault at each of its writes: the process killed before or after it, its answer lost, it
//! refused. The end must be that of the undisturbed run.

use super::super::shop::End;
use super::shop::Shop;
use crate::execute::faults::{Action, Fault};
use std::collections::BTreeMap;

/// What people do, from the first second on; and how long it takes until all is at rest, with a process's death on the way.
pub(super) type Schedule = (fn(&mut Shop), i64);

const UPDATE: Schedule = (|shop| shop.deploy(60, "web:2"), 360);

const SUPERSEDED: Schedule = (
    |shop| {
        shop.deploy(60, "web:2");
        shop.deploy(85, "web:3");
    },
    500,
);

const ABORT: Schedule = (
    |shop| {
        shop.deploy(60, "web:2");
        shop.annotate(90, "abort", "slow");
    },
    360,
);

const CANARY_LOST: Schedule = (
    |shop| {
        shop.deploy(60, "web:2");
        shop.strike(90, "web:2", true);
    },
    1500,
);

fn play(schedule: Schedule, faults: Vec<Fault>) -> Shop {
    let mut shop = Shop::open(faults);
    schedule.0(&mut shop);
    shop.run.pass_time(schedule.1);
    shop
}

/// Every write of the undisturbed run from this second on, by reason and number.
fn writes(shop: &Shop, from: i64) -> Vec<(String, u32)> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let state = shop.run.shared.state();
    let first = state.writes.first().map(|wrote| wrote.at);
    let mut all = Vec::new();
    for wrote in &state.writes {
        let count = counts.entry(wrote.why.to_owned()).or_default();
        *count += 1;
        let after = first.map_or(0, |first| wrote.at.duration_since(first).as_secs());
        if after >= from {
            all.push((wrote.why.to_owned(), *count));
        }
    }
    all
}

/// A fault at each write, and the end is the same.
pub(super) fn survives(schedule: Schedule) {
    survives_from(schedule, 0);
}

/// The same, with faults from this second on only.
pub(super) fn survives_from(schedule: Schedule, from: i64) {
    let calm = play(schedule, vec![]);
    assert_eq!(calm.run.oracle.broken(), Vec::<String>::new(), "{}", calm.story());
    let wanted = calm.end();
    let actions = [Action::KillBefore, Action::KillAfter, Action::LoseAnswer, Action::Refuse];
    let faults: Vec<Fault> = writes(&calm, from)
        .into_iter()
        .flat_map(|(why, nth)| {
            let fault = move |action| (why.clone(), nth, action);
            actions.map(fault)
        })
        .map(|(why, nth, action)| Fault { kind: "Rollout".to_owned(), namespace: None, why, nth, action })
        .collect();
    // On all cores: these are the longest of all tests, and each of their runs is on its own.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = faults.len().div_ceil(cores).max(1);
    let (mut met, mut wrong) = (0, Vec::new());
    std::thread::scope(|scope| {
        let judge = |part: &[Fault]| -> Vec<(bool, Option<String>)> {
            part.iter().map(|fault| judged(schedule, fault, &wanted)).collect()
        };
        let parts: Vec<_> = faults.chunks(share).map(|part| scope.spawn(move || judge(part))).collect();
        for (was_met, problem) in parts.into_iter().flat_map(|part| part.join().expect("a run does not panic")) {
            met += usize::from(was_met);
            wrong.extend(problem);
        }
    });
    assert!(met > 0, "no fault was met");
    assert!(wrong.is_empty(), "{} of the runs ended elsewhere:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether the fault was met, and what was other than wanted.
fn judged(schedule: Schedule, fault: &Fault, wanted: &End) -> (bool, Option<String>) {
    let shop = play(schedule, vec![fault.clone()]);
    let (end, broken) = (shop.end(), shop.run.oracle.broken());
    let problem = (end != *wanted || !broken.is_empty()).then(|| {
        let (action, why, nth) = (fault.action, &fault.why, fault.nth);
        format!("{action:?} at {why} {nth}: {broken:?}\n  wanted {wanted:?}\n  got    {end:?}")
    });
    (shop.run.fault_was_met(), problem)
}

#[test]
fn a_process_may_die_at_any_write_of_an_update() {
    survives(UPDATE);
}

#[test]
fn a_process_may_die_at_any_write_of_an_abort() {
    survives(ABORT);
}

#[test]
fn a_process_may_die_at_any_write_while_the_canary_is_lost() {
    survives(CANARY_LOST);
}

#[test]
fn a_process_may_die_at_any_write_while_a_revision_is_superseded() {
    survives(SUPERSEDED);
}
