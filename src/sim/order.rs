//! The order of what happened in a run, as one number: two runs with the same number are the same schedule.

use super::api::Wrote;
use jiff::Timestamp;

/// A digest (FNV-1a) of events in their order, without their times.
#[derive(Debug, Clone)]
pub struct Order {
    digest: u64,
    /// How many events, writes among them, are in the digest.
    pub(super) events: usize,
    /// How many writes are in the digest.
    written: usize,
    /// The events in words, where they are wanted.
    pub trace: Option<Vec<String>>,
    now: Timestamp,
}

impl Default for Order {
    fn default() -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, events: 0, written: 0, trace: None, now: Timestamp::UNIX_EPOCH }
    }
}

impl Order {
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// What is noted from here on happens at this time, which is no part of the digest.
    pub(super) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    pub(super) fn note(&mut self, words: &[&str]) {
        self.add(words);
        if self.trace.is_some() {
            self.say(&words.join(" "));
        }
    }

    /// For the trace alone.
    pub(super) fn say(&mut self, text: &str) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{} {text}", self.now));
        }
    }

    fn add(&mut self, words: &[&str]) {
        self.events += 1;
        for byte in words.iter().flat_map(|word| word.bytes().chain([0])) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Notes the writes that came since.
    pub(super) fn writes(&mut self, writes: &[Wrote]) {
        for wrote in &writes[self.written.min(writes.len())..] {
            self.add(&["write", &wrote.target.resource.kind, &wrote.target.name, wrote.why]);
            if let Some(trace) = &mut self.trace {
                trace.push(wrote.to_string());
            }
        }
        self.written = writes.len();
    }
}
