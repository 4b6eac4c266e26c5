//! Each schedule again, with a fault at each of its writes: the process killed before or after it, its answer lost, it
//! refused. The end must be that of the undisturbed run.

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

/// Every write of the undisturbed run, by reason and number.
fn writes(shop: &Shop) -> Vec<(String, u32)> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let state = shop.run.shared.state();
    let of = |line: &String| {
        if line.contains(" status {") { "status".to_owned() } else { line.rsplit(' ').next().unwrap_or("").to_owned() }
    };
    let mut all = Vec::new();
    for why in state.writes.iter().map(of) {
        let count = counts.entry(why.clone()).or_default();
        *count += 1;
        all.push((why, *count));
    }
    all
}

pub(super) fn survives(schedule: Schedule) {
    let calm = play(schedule, vec![]);
    assert_eq!(calm.run.oracle.broken(), Vec::<String>::new(), "{}", calm.story());
    let wanted = calm.end();
    let mut wrong = Vec::new();
    let mut met = 0;
    for (why, nth) in writes(&calm) {
        for action in [Action::KillBefore, Action::KillAfter, Action::LoseAnswer, Action::Refuse] {
            let fault = Fault { kind: "Rollout".to_owned(), namespace: None, why: why.clone(), nth, action };
            let shop = play(schedule, vec![fault]);
            met += usize::from(shop.run.fault_was_met());
            let (end, broken) = (shop.end(), shop.run.oracle.broken());
            if end != wanted || !broken.is_empty() {
                wrong.push(format!("{action:?} at {why} {nth}: {broken:?}\n  wanted {wanted:?}\n  got    {end:?}"));
            }
        }
    }
    assert!(met > 0, "no fault was met");
    assert!(wrong.is_empty(), "{} of the runs ended elsewhere:\n{}", wrong.len(), wrong.join("\n"));
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
