//! The metrics, one field each.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// How a pass or a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    Done,
    /// Dropped because what was observed is no longer true; decided again at once.
    Conflict,
    /// Could not be decided yet: a cache is behind.
    Waiting,
    /// Refused by the other side.
    Refused,
    /// No answer within the deadline: it may have happened.
    Unknown,
    /// A bug was caught; the key is tried again with backoff.
    Panicked,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: String,
    why: &'static str,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    kind: String,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

/// All metrics of the process, and the registry that they are written out from.
pub struct Metrics {
    registry: Registry,
    writes: Family<WriteLabels, Counter>,
    passes: Family<PassLabels, Counter>,
    pass_seconds: Histogram,
    queued: Gauge,
    questions: Family<KindLabel, Gauge>,
    events_skipped: Family<KindLabel, Counter>,
    watch_errors: Family<KindLabel, Counter>,
    rows: Family<KindLabel, Gauge>,
    watch_age: Family<KindLabel, Gauge>,
    leading: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tidegate"),
            writes: Family::default(),
            passes: Family::default(),
            // From half a millisecond to 16 s.
            pass_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            queued: Gauge::default(),
            questions: Family::default(),
            events_skipped: Family::default(),
            watch_errors: Family::default(),
            rows: Family::default(),
            watch_age: Family::default(),
            leading: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("writes", "Writes by kind of object, reason and outcome", metrics.writes.clone());
        registry.register("passes", "Passes of the loop by kind and outcome", metrics.passes.clone());
        registry.register_with_unit("pass", "Time of a pass", Unit::Seconds, metrics.pass_seconds.clone());
        registry.register("queued_keys", "Keys that wait for a pass", metrics.queued.clone());
        registry.register("open_questions", "Questions under way, by what is asked", metrics.questions.clone());
        let skipped = metrics.events_skipped.clone();
        registry.register("skipped_objects", "Watched objects that could not be read, by kind", skipped);
        registry.register("watch_errors", "Errors of watches, each tried again", metrics.watch_errors.clone());
        registry.register("rows", "Objects held, by kind", metrics.rows.clone());
        let age = metrics.watch_age.clone();
        registry.register_with_unit("watch_age", "Time since the last event, by kind", Unit::Seconds, age);
        registry.register("leading", "1 while this process holds the lease", metrics.leading.clone());
        metrics
    }
}

impl Metrics {
    /// A write ended. `why` is one of the fixed reasons.
    pub fn wrote(&self, kind: &str, why: &'static str, outcome: Outcome) {
        self.writes.get_or_create(&WriteLabels { kind: kind.to_owned(), why, outcome }).inc();
    }

    /// A pass over a key of this kind ended.
    pub fn passed(&self, kind: &str, outcome: Outcome, took: Duration) {
        self.passes.get_or_create(&PassLabels { kind: kind.to_owned(), outcome }).inc();
        self.pass_seconds.observe(took.as_secs_f64());
    }

    pub fn queue_is(&self, keys: usize) {
        self.queued.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// A question of this sort was begun (`1`) or ended (`-1`).
    pub fn questions_changed(&self, ask: &str, by: i64) {
        self.questions.get_or_create(&KindLabel { kind: ask.to_owned() }).inc_by(by);
    }

    pub fn skipped_object(&self, kind: &str) {
        self.events_skipped.get_or_create(&KindLabel { kind: kind.to_owned() }).inc();
    }

    pub fn watch_failed(&self, kind: &str) {
        self.watch_errors.get_or_create(&KindLabel { kind: kind.to_owned() }).inc();
    }

    /// The state of a kind's cache; `age` in seconds, `None` before its first event.
    pub fn cache_is(&self, kind: &str, rows: usize, age: Option<i64>) {
        let label = KindLabel { kind: kind.to_owned() };
        self.rows.get_or_create(&label).set(i64::try_from(rows).unwrap_or(i64::MAX));
        if let Some(age) = age {
            self.watch_age.get_or_create(&label).set(age);
        }
    }

    pub fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// The metrics as `OpenMetrics` text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing to a String does not fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_counted_under_its_kind_reason_and_outcome() {
        let metrics = Metrics::default();
        metrics.wrote("ReplicaSet", "scale", Outcome::Done);
        let line = r#"tidegate_writes_total{kind="ReplicaSet",why="scale",outcome="Done"} 1"#;
        assert!(metrics.text().contains(line), "{}", metrics.text());
    }
}
