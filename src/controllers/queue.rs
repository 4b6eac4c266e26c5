//! Which key is decided next. Pure: time and the seed of its jitter are arguments.
//!
//! A key is waiting, due or in flight, and never in flight twice. What happens to it while it is in flight makes it due again
//! when its pass ends. Failures of a key back off by themselves and leave other keys alone.

use crate::core::object::Key;
use crate::core::plan::Lane;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// First wait after a failure; each further one doubles it.
const FIRST_BACKOFF_MS: i64 = 200;
/// Longest time that a change of its object is held back after a key failed twice: a key whose own writes wake it must not spin.
const LONGEST_HOLD_MS: i64 = 1_000;
/// Longest wait after failures of what is urgent.
const LONGEST_URGENT_BACKOFF_MS: i64 = 2_000;
/// Longest wait after failures: as long as a person who mended the cause likes to wait.
const LONGEST_BACKOFF_MS: i64 = 60_000;

/// The queue of one process.
#[derive(Debug)]
pub struct Queue {
    /// Due keys, first come first served, by lane.
    due: [VecDeque<Key>; 2],
    /// How many keys are due: those lists hold places that were left, too.
    depth: usize,
    /// Everything that is known of a key; due, waiting or in flight.
    keys: BTreeMap<Key, State>,
    /// Keys that become due at a time.
    waiting: BTreeSet<(Timestamp, Key)>,
    jitter: u64,
}

#[derive(Debug, Clone, Default)]
struct State {
    lane: Lane,
    /// Its place in `waiting`.
    wake: Option<Timestamp>,
    is_due: bool,
    in_flight: bool,
    /// It was added while in flight.
    again: Option<Lane>,
    failures: u32,
    /// After failures: until then only an urgent change makes it due.
    hold: Option<Timestamp>,
}

impl Queue {
    /// `seed` only spreads waits, so that keys that failed together do not come back together.
    pub fn new(seed: u64) -> Self {
        Self {
            due: [VecDeque::new(), VecDeque::new()],
            depth: 0,
            keys: BTreeMap::new(),
            waiting: BTreeSet::new(),
            jitter: seed | 1,
        }
    }

    /// Something changed: the key is due now, whatever it waits for.
    pub fn add(&mut self, key: &Key, lane: Lane) {
        let state = self.keys.entry(key.clone()).or_default();
        if state.in_flight {
            state.again = Some(state.again.map_or(lane, |l| l.max(lane)));
            return;
        }
        if let Some(at) = state.wake.take() {
            self.waiting.remove(&(at, key.clone()));
        }
        if let (Lane::Normal, false, Some(until)) = (lane, state.is_due, state.hold) {
            state.wake = Some(until);
            self.waiting.insert((until, key.clone()));
            return;
        }
        if state.is_due {
            if lane > state.lane {
                // It moves to the faster lane; its place in the slower one is skipped when it comes up.
                state.lane = lane;
                self.due[lane as usize].push_back(key.clone());
            }
            return;
        }
        state.is_due = true;
        state.lane = lane;
        self.depth += 1;
        self.due[lane as usize].push_back(key.clone());
    }

    /// The next key, urgent ones first. Without `normal` only urgent ones are given: the rest of the passes is kept for them.
    pub fn take(&mut self, now: Timestamp, normal: bool) -> Option<(Key, Lane)> {
        self.wake_waiting(now);
        for lane in if normal { &[Lane::Urgent, Lane::Normal][..] } else { &[Lane::Urgent][..] } {
            while let Some(key) = self.due[*lane as usize].pop_front() {
                let Some(state) = self.keys.get_mut(&key) else { continue };
                if state.is_due && state.lane == *lane {
                    state.is_due = false;
                    state.in_flight = true;
                    self.depth -= 1;
                    return Some((key, *lane));
                }
            }
        }
        None
    }

    /// The pass of a key ended well; it is due again at `wake`, or when something changes.
    pub fn rest(&mut self, key: &Key, lane: Lane, wake: Option<Timestamp>) {
        self.ended(key, lane, wake, |state| {
            state.failures = 0;
            state.hold = None;
        });
    }

    /// The pass failed: again after a backoff. A change of its object makes it due sooner.
    pub fn back_off(&mut self, key: &Key, lane: Lane, now: Timestamp) {
        let failures = self.keys.get(key).map_or(0, |s| s.failures).saturating_add(1);
        let wait = self.backoff(failures);
        let wait = match lane {
            Lane::Urgent => wait.min(SignedDuration::from_millis(LONGEST_URGENT_BACKOFF_MS)),
            Lane::Normal => wait,
        };
        let hold = now + wait.min(SignedDuration::from_millis(LONGEST_HOLD_MS));
        self.ended(key, lane, Some(now + wait), |state| {
            state.failures = failures;
            state.hold = (failures > 1).then_some(hold);
        });
    }

    /// The caches are behind: again when they move, or after a while; not a failure of the key.
    pub fn behind(&mut self, key: &Key, lane: Lane, now: Timestamp) {
        let wait = self.backoff(2);
        self.ended(key, lane, Some(now + wait), |_| ());
    }

    /// The decision panicked: the key waits as long as any may, unless something urgent happens to it.
    pub fn quarantine(&mut self, key: &Key, now: Timestamp) {
        let until = now + SignedDuration::from_millis(LONGEST_BACKOFF_MS);
        self.ended(key, Lane::Normal, Some(until), |state| {
            state.failures = state.failures.saturating_add(1);
            state.hold = Some(until);
        });
    }

    /// The object is gone. If something happened to it since, it is due once more.
    pub fn forget(&mut self, key: &Key) {
        let again = self.keys.remove(key).and_then(|s| s.again);
        if let Some(lane) = again {
            self.add(key, lane);
        }
    }

    /// When a waiting key becomes due; `None` when nothing waits.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// How many keys are due.
    pub fn depth(&self) -> usize {
        self.depth
    }

    fn ended(&mut self, key: &Key, lane: Lane, wake: Option<Timestamp>, note: impl FnOnce(&mut State)) {
        let state = self.keys.entry(key.clone()).or_default();
        state.in_flight = false;
        state.lane = lane;
        note(state);
        if let Some(again) = state.again.take() {
            self.add(key, again.max(lane));
        } else if let Some(at) = wake {
            state.wake = Some(at);
            self.waiting.insert((at, key.clone()));
        }
    }

    fn wake_waiting(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.waiting.first().cloned() {
            if at > now {
                return;
            }
            self.waiting.remove(&(at, key.clone()));
            if let Some(state) = self.keys.get_mut(&key) {
                state.wake = None;
                state.hold = None;
                let lane = state.lane;
                self.add(&key, lane);
            }
        }
    }

    /// Doubles with each failure up to the longest wait, and is spread over its upper half.
    fn backoff(&mut self, failures: u32) -> SignedDuration {
        let doublings = failures.saturating_sub(1).min(16);
        let full = (FIRST_BACKOFF_MS << doublings).min(LONGEST_BACKOFF_MS);
        // xorshift64: enough to spread, and the same for the same seed.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let half = full / 2;
        let spread = i64::try_from(self.jitter >> 1).unwrap_or(0) % half.max(1);
        SignedDuration::from_millis(half + spread)
    }
}

#[cfg(test)]
mod tests;
