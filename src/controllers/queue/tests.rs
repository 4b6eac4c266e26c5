//! Laws of the queue: nothing in flight twice, nothing lost, urgent keys first, failures back off by themselves.

use super::*;
use crate::core::object::{ObjectRef, ResourceType};
use proptest::prelude::*;

fn key(n: u8) -> Key {
    ObjectRef::new(ResourceType::ROLLOUT, "shop", format!("r{n}"))
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("a time after 1970")
}

#[test]
fn urgent_keys_pass_normal_ones_and_have_passes_of_their_own() {
    let mut queue = Queue::new(1);
    queue.add(&key(1), Lane::Normal);
    queue.add(&key(2), Lane::Normal);
    queue.add(&key(3), Lane::Urgent);
    queue.add(&key(2), Lane::Urgent);
    assert_eq!(queue.take(at(0), false), Some((key(3), Lane::Urgent)));
    assert_eq!(queue.take(at(0), false), Some((key(2), Lane::Urgent)), "it moved to the faster lane");
    assert_eq!(queue.take(at(0), false), None);
    assert_eq!(queue.take(at(0), true), Some((key(1), Lane::Normal)));
    assert_eq!(queue.take(at(0), true), None, "a moved key is given once");
}

#[test]
fn a_change_in_flight_makes_the_key_due_again_after_its_pass() {
    let mut queue = Queue::new(1);
    queue.add(&key(1), Lane::Normal);
    queue.take(at(0), true);
    queue.add(&key(1), Lane::Urgent);
    assert_eq!(queue.take(at(0), true), None);
    queue.rest(&key(1), Lane::Normal, None);
    assert_eq!(queue.take(at(0), true), Some((key(1), Lane::Urgent)));
}

/// A key fails in this lane, as often as it is due. Returns how long it waits, in ms, and when it is due again.
fn fails(queue: &mut Queue, lane: Lane, now: Timestamp) -> (i128, Timestamp) {
    // What is urgent is not held back.
    queue.add(&key(1), Lane::Urgent);
    queue.take(now, true).expect("due");
    queue.back_off(&key(1), lane, now);
    let wake = queue.next_wake().expect("it waits");
    (wake.duration_since(now).as_millis(), wake)
}

#[test]
fn failures_back_off_and_success_ends_that() {
    let mut queue = Queue::new(7);
    let mut now = at(0);
    for doublings in 0..12 {
        let (wait, wake) = fails(&mut queue, Lane::Normal, now);
        let full = (200 << doublings).min(60_000);
        assert!(wait >= full / 2 && wait <= full, "{wait} after {doublings} doublings");
        now = wake;
    }
    queue.take(now, true).expect("due");
    queue.rest(&key(1), Lane::Normal, None);
    assert_eq!(queue.next_wake(), None);
}

#[test]
fn what_is_urgent_is_tried_again_within_seconds_however_often_it_failed() {
    let mut queue = Queue::new(7);
    let mut now = at(0);
    for _ in 0..12 {
        let (wait, wake) = fails(&mut queue, Lane::Urgent, now);
        assert!(wait <= 2_000, "{wait}");
        now = wake;
    }
}

#[test]
fn a_key_that_keeps_failing_is_not_spun_by_its_own_changes_but_an_abort_still_passes() {
    let mut queue = Queue::new(7);
    for _ in 0..2 {
        queue.add(&key(1), Lane::Urgent);
        queue.take(at(0), true).expect("due");
        queue.back_off(&key(1), Lane::Normal, at(0));
    }
    queue.add(&key(1), Lane::Normal);
    assert_eq!(queue.take(at(0), true), None);
    assert!(queue.next_wake().is_some_and(|t| t <= at(1_000)), "held back for a second at most");
    queue.add(&key(1), Lane::Urgent);
    assert_eq!(queue.take(at(0), true), Some((key(1), Lane::Urgent)));
}

#[test]
fn a_forgotten_key_comes_back_only_when_something_happened_to_it() {
    let mut queue = Queue::new(1);
    for change in [false, true] {
        queue.add(&key(1), Lane::Normal);
        queue.take(at(0), true).expect("due");
        if change {
            queue.add(&key(1), Lane::Normal);
        }
        queue.forget(&key(1));
        assert_eq!(queue.take(at(0), true).is_some(), change);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8, bool),
    Take(bool),
    Rest(Option<i64>),
    BackOff,
    Behind,
    Quarantine,
    Forget,
    Later(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4u8, any::<bool>()).prop_map(|(k, u)| Step::Add(k, u)),
        any::<bool>().prop_map(Step::Take),
        proptest::option::of(0..5_000i64).prop_map(Step::Rest),
        Just(Step::BackOff),
        Just(Step::Behind),
        Just(Step::Quarantine),
        Just(Step::Forget),
        (0..3_000i64).prop_map(Step::Later),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens in whatever order: a key is never in flight twice, and a change is never lost.
    #[test]
    fn no_key_is_in_flight_twice_and_no_change_is_lost(steps in proptest::collection::vec(step(), 1..60), seed in any::<u64>()) {
        let mut queue = Queue::new(seed);
        let mut now = 0i64;
        let mut flying: Vec<Key> = Vec::new();
        let mut changed: BTreeSet<Key> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Add(k, urgent) => {
                    queue.add(&key(k), if urgent { Lane::Urgent } else { Lane::Normal });
                    changed.insert(key(k));
                }
                Step::Take(normal) => if let Some((taken, _)) = queue.take(at(now), normal) {
                    prop_assert!(!flying.contains(&taken));
                    changed.remove(&taken);
                    flying.push(taken);
                },
                Step::Later(ms) => now += ms,
                ended => if let Some(done) = flying.pop() {
                    match ended {
                        Step::Rest(wake) => queue.rest(&done, Lane::Normal, wake.map(|ms| at(now + ms))),
                        Step::BackOff => queue.back_off(&done, Lane::Normal, at(now)),
                        Step::Behind => queue.behind(&done, Lane::Normal, at(now)),
                        Step::Quarantine => queue.quarantine(&done, at(now)),
                        _ => queue.forget(&done),
                    }
                },
            }
        }
        for done in flying.drain(..) {
            queue.rest(&done, Lane::Normal, None);
        }
        let later = at(now + 120_000);
        while let Some((taken, _)) = queue.take(later, true) {
            changed.remove(&taken);
            queue.rest(&taken, Lane::Normal, None);
        }
        prop_assert!(changed.is_empty(), "never decided again: {changed:?}");
        prop_assert_eq!(queue.depth(), 0);
    }
}
