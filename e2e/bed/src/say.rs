//! One line per step: how long the run has lasted, what happens, how long it took, what to expect.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static START: OnceLock<Instant> = OnceLock::new();

/// Time since the first line of this run.
pub fn elapsed() -> Duration {
    START.get_or_init(Instant::now).elapsed()
}

/// Prints one line with the time since the start.
pub fn line(text: &str) {
    eprintln!("[{:>7.1}s] {text}", elapsed().as_secs_f64());
}

/// Prints a headline of a phase.
pub fn phase(text: &str) {
    eprintln!("[{:>7.1}s] == {text}", elapsed().as_secs_f64());
}

/// A step that takes long enough to be announced.
#[derive(Debug)]
pub struct Step {
    what: String,
    start: Instant,
}

impl Step {
    /// Announces `what`; `expect` says how long it usually takes.
    pub fn begin(what: &str, expect: &str) -> Self {
        line(&format!("{what} … ({expect})"));
        Self { what: what.to_owned(), start: Instant::now() }
    }

    /// Announces that it is done, and returns how long it took.
    pub fn done(self) -> Duration {
        let took = self.start.elapsed();
        line(&format!("{} done in {:.1} s", self.what, took.as_secs_f64()));
        took
    }
}
