//! The order of what happened in a run, as one number: two runs with the same number are the same schedule.

use super::api::Wrote;

/// A digest (FNV-1a) of events in their order, without their times.
#[derive(Debug, Clone)]
pub struct Order {
    digest: u64,
    /// How many writes are in the digest.
    written: usize,
    /// The events in words, where they are wanted.
    pub trace: Option<Vec<String>>,
}

impl Default for Order {
    fn default() -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, written: 0, trace: None }
    }
}

impl Order {
    pub fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn note(&mut self, words: &[&str]) {
        for byte in words.iter().flat_map(|word| word.bytes().chain([0])) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(trace) = &mut self.trace {
            trace.push(words.join(" "));
        }
    }

    /// Notes the writes that came since.
    pub(super) fn writes(&mut self, writes: &[Wrote]) {
        for wrote in &writes[self.written.min(writes.len())..] {
            self.note(&["write", &wrote.target.resource.kind, &wrote.target.name, wrote.why]);
        }
        self.written = writes.len();
    }
}
