//! Leadership: one of the replicas writes, and it knows until when.
//!
//! [`Tenure`] is the right to write. Only this module makes one, and every call that writes takes it and ends before it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The right to write, until it runs out.
#[derive(Debug, Clone)]
pub struct Tenure {
    started: Instant,
    /// Milliseconds after `started`; moved on with each renewal, 0 when the lease was lost.
    until: Arc<AtomicU64>,
}

impl Tenure {
    /// For tests and the simulation, where nobody else writes.
    pub fn without_end() -> Self {
        Self { started: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// How long writes are still allowed; `None` when they are not.
    pub fn remaining(&self) -> Option<Duration> {
        let until = Duration::from_millis(self.until.load(Ordering::Acquire));
        until.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero())
    }
}
