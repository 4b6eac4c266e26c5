//! One metric of a run: what a finished measurement adds to its counts, and when it is over (E2, E3, E6, E8).
//!
//! All of it is in the metric's result in status, so that any process can go on with it. A measurement that waits for data
//! is the last of the list, in phase Running with `resumeAt`: not counted, and finished by data or by its time-out.

use super::spec::{Metric, NoData};
use crate::api::{Measurement, MetricResult};
use crate::core::question::{Measured, Verdict};
use crate::core::scalar::Span;
use jiff::Timestamp;

/// Phase of a metric and of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    // In the order of E5: the phase of a run is that of its worst metric.
    Successful,
    Running,
    Pending,
    Inconclusive,
    Error,
    Failed,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Successful => "Successful",
            Self::Running => "Running",
            Self::Pending => "Pending",
            Self::Inconclusive => "Inconclusive",
            Self::Error => "Error",
            Self::Failed => "Failed",
        }
    }

    /// Anything unknown is a run that has not begun.
    pub fn read(text: &str) -> Self {
        match text {
            "Successful" => Self::Successful,
            "Running" => Self::Running,
            "Inconclusive" => Self::Inconclusive,
            "Error" => Self::Error,
            "Failed" => Self::Failed,
            _ => Self::Pending,
        }
    }

    pub fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// Wait after an error, whatever the interval (E1).
const AFTER_ERROR: Span = Span::from_secs(10);
/// Longest wait until a measurement without data is tried again.
const LOOK_AGAIN: Span = Span::from_secs(10);

/// Identity of the measurement that is due: another one for each attempt, the same one after a restart.
pub(super) fn question_id(result: &MetricResult) -> String {
    let finished = i64::from(result.count.unwrap_or_default()) + i64::from(result.error.unwrap_or_default());
    let looks = open(result).and_then(|m| m.metadata.get(LOOKS)).map_or("0", String::as_str);
    format!("measure/{}/{finished}.{looks}", result.name)
}

/// Under this key an open measurement counts how often it found no data.
const LOOKS: &str = "looks";

/// The measurement that waits for data.
fn open(result: &MetricResult) -> Option<&Measurement> {
    result.measurements.last().filter(|m| m.phase.as_deref() == Some(Phase::Running.as_str()))
}

/// When the next measurement is to be taken.
pub(super) fn due(metric: &Metric, result: &MetricResult, run_started: Timestamp) -> Timestamp {
    match result.measurements.last() {
        None => metric.initial_delay.after(run_started),
        Some(last) if last.phase.as_deref() == Some(Phase::Running.as_str()) => last.resume_at.unwrap_or(run_started),
        Some(last) => {
            let wait = if last.phase.as_deref() == Some(Phase::Error.as_str()) {
                AFTER_ERROR
            } else {
                metric.interval.unwrap_or_default()
            };
            wait.after(last.finished_at.unwrap_or(run_started))
        }
    }
}

/// Adds what one attempt brought, and decides the metric's phase.
pub(super) fn absorb(metric: &Metric, result: &mut MetricResult, measured: &Measured) {
    let waiting = open(result).cloned();
    if waiting.is_some() {
        result.measurements.pop();
    }
    let mut metadata = measured.metadata.clone();
    if let Some(query) = metadata.remove("ResolvedPrometheusQuery") {
        result.metadata.insert("ResolvedPrometheusQuery".to_owned(), query);
    }
    let since = waiting.as_ref().and_then(|m| m.started_at).unwrap_or(measured.started);
    let mut message = measured.message.clone();
    let phase = match measured.verdict {
        Verdict::Successful => Phase::Successful,
        Verdict::Failed => Phase::Failed,
        Verdict::Inconclusive => Phase::Inconclusive,
        Verdict::Error => Phase::Error,
        Verdict::NoData if measured.finished < metric.sample_timeout.after(since) => {
            let looks: u64 = waiting.and_then(|m| m.metadata.get(LOOKS)?.parse().ok()).unwrap_or_default();
            metadata.insert(LOOKS.to_owned(), (looks + 1).to_string());
            let again = metric.interval.unwrap_or(LOOK_AGAIN).clamp(Span::from_secs(1), LOOK_AGAIN);
            result.measurements.push(Measurement {
                phase: Some(Phase::Running.as_str().to_owned()),
                message: Some(format!("{message}; waiting for data for at most {}", metric.sample_timeout)),
                started_at: Some(since),
                resume_at: Some(again.after(measured.finished)),
                metadata,
                ..Measurement::default()
            });
            set_phase(result, Phase::Running, None);
            return;
        }
        Verdict::NoData => {
            let (phase, word) = match metric.no_data {
                NoData::Inconclusive => (Phase::Inconclusive, "Inconclusive"),
                NoData::Success => (Phase::Successful, "Success"),
                NoData::Failure => (Phase::Failed, "Failure"),
            };
            message = format!("{message}, for {}; noData says {word}", metric.sample_timeout);
            phase
        }
    };
    result.measurements.push(Measurement {
        phase: Some(phase.as_str().to_owned()),
        message: Some(message).filter(|m| !m.is_empty()),
        started_at: Some(since),
        finished_at: Some(measured.finished),
        value: Some(measured.value.clone()).filter(|v| !v.is_empty()),
        metadata,
        resume_at: None,
    });
    let surplus = result.measurements.len().saturating_sub(metric.retention);
    result.measurements.drain(..surplus);
    count(result, phase);
    let (phase, message) = assess(metric, result);
    set_phase(result, phase, message);
}

fn set_phase(result: &mut MetricResult, phase: Phase, message: Option<String>) {
    result.phase = Some(phase.as_str().to_owned());
    result.message = message;
}

/// E2: errors do not count as measurements, and everything else ends a row of errors.
fn count(result: &mut MetricResult, phase: Phase) {
    let increment = |n: &mut Option<i32>| *n = Some(n.unwrap_or_default().saturating_add(1));
    match phase {
        Phase::Successful => increment(&mut result.successful),
        Phase::Failed => increment(&mut result.failed),
        Phase::Inconclusive => increment(&mut result.inconclusive),
        _ => {
            increment(&mut result.error);
            increment(&mut result.consecutive_error);
            result.consecutive_success = None;
            return;
        }
    }
    increment(&mut result.count);
    result.consecutive_error = None;
    if phase == Phase::Successful {
        increment(&mut result.consecutive_success);
    } else {
        result.consecutive_success = None;
    }
}

/// E3: phase and message after a finished measurement.
fn assess(metric: &Metric, result: &MetricResult) -> (Phase, Option<String>) {
    let n = |field: Option<i32>| u64::try_from(field.unwrap_or_default()).unwrap_or_default();
    let (failed, inconclusive, errors) = (n(result.failed), n(result.inconclusive), n(result.consecutive_error));
    let assessed = |phase: Phase, what: &str, seen: u64, limit_name: &str, limit: u64| {
        let last = result.measurements.last().and_then(|m| m.message.as_deref()).map(|m| format!(": {m}"));
        let last = last.unwrap_or_default();
        (phase, Some(format!("assessed {} due to {what} ({seen}) > {limit_name} ({limit}){last}", phase.as_str())))
    };
    if errors > metric.consecutive_error_limit {
        return assessed(
            Phase::Error,
            "consecutiveErrors",
            errors,
            "consecutiveErrorLimit",
            metric.consecutive_error_limit,
        );
    }
    if inconclusive > metric.inconclusive_limit {
        return assessed(
            Phase::Inconclusive,
            "inconclusive",
            inconclusive,
            "inconclusiveLimit",
            metric.inconclusive_limit,
        );
    }
    if let Some(limit) = metric.failure_limit.filter(|limit| failed > *limit) {
        return assessed(Phase::Failed, "failed", failed, "failureLimit", limit);
    }
    let wanted = metric.consecutive_success_limit;
    if wanted > 0 && n(result.consecutive_success) >= wanted {
        return (Phase::Successful, Some(format!("{wanted} successes in a row")));
    }
    let Some(limit) = metric.count.filter(|limit| n(result.count) >= *limit) else {
        return (Phase::Running, None);
    };
    if wanted > 0 {
        let message = format!("{limit} measurements without {wanted} successes in a row");
        let phase = if metric.failure_limit.is_some() { Phase::Inconclusive } else { Phase::Failed };
        return (phase, Some(message));
    }
    evidence(result)
}

/// Success needs one success: a metric that only ever failed within its limits has shown nothing (A6).
fn evidence(result: &MetricResult) -> (Phase, Option<String>) {
    if result.successful.unwrap_or_default() > 0 {
        (Phase::Successful, None)
    } else {
        (Phase::Inconclusive, Some("no measurement was a success, though no limit was passed".to_owned()))
    }
}

/// Ends a metric that is not over, because its run ends (E6). A measurement that waits for data is dropped uncounted.
pub(super) fn terminate(result: &mut MetricResult) {
    if open(result).is_some() {
        result.measurements.pop();
    }
    let (phase, message) = if result.measurements.is_empty() {
        (Phase::Successful, Some("Run Terminated".to_owned()))
    } else {
        evidence(result)
    };
    set_phase(result, phase, message);
}

#[cfg(test)]
mod tests {
    use super::super::spec::RunSpec;
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn metric(fields: &Value) -> Metric {
        let mut metric = json!({"name": "m", "provider": {"prometheus": {"address": "http://p:9090", "query": "up"}}});
        metric.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
        RunSpec::parse(&json!({"metrics": [metric]})).expect("a good metric").metrics.remove(0)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("in range")
    }

    /// Absorbs one measurement per letter, one second apart: s, f, i, e, n(o data); stops when the metric is over.
    fn after(fields: &Value, letters: &str) -> MetricResult {
        let metric = metric(fields);
        let mut result = MetricResult { name: "m".to_owned(), ..MetricResult::default() };
        for (second, letter) in (0..).zip(letters.chars()) {
            if result.phase.as_deref().is_some_and(|p| Phase::read(p).is_over()) {
                break;
            }
            let verdict = match letter {
                's' => Verdict::Successful,
                'f' => Verdict::Failed,
                'i' => Verdict::Inconclusive,
                'e' => Verdict::Error,
                _ => Verdict::NoData,
            };
            absorb(
                &metric,
                &mut result,
                &Measured {
                    started: at(second),
                    finished: at(second),
                    verdict,
                    value: "1".to_owned(),
                    message: String::new(),
                    metadata: BTreeMap::new(),
                },
            );
        }
        result
    }

    fn phase(result: &MetricResult) -> &str {
        result.phase.as_deref().unwrap_or_default()
    }

    #[test]
    fn e3_the_phase_after_each_sequence() {
        let limits = json!({"interval": "1s", "count": 5, "failureLimit": 1, "inconclusiveLimit": 1});
        let in_a_row = json!({"interval": "1s", "count": 5, "failureLimit": 2, "consecutiveSuccessLimit": 3});
        let only_success = json!({"interval": "1s", "count": 4, "failureLimit": -1, "consecutiveSuccessLimit": 2});
        for (fields, letters, wanted) in [
            (json!({}), "s", "Successful"),
            (json!({}), "f", "Failed"),
            (json!({}), "i", "Inconclusive"),
            (json!({}), "eeee", "Running"),
            (json!({}), "eeeee", "Error"),
            (json!({}), "eees", "Successful"),
            (json!({"consecutiveErrorLimit": 0}), "e", "Error"),
            (limits.clone(), "sfs", "Running"),
            (limits.clone(), "sff", "Failed"),
            (limits.clone(), "sisi", "Inconclusive"),
            (limits.clone(), "sfsis", "Successful"),
            (in_a_row.clone(), "fsss", "Successful"),
            (in_a_row.clone(), "fssfs", "Inconclusive"),
            (in_a_row, "fff", "Failed"),
            (only_success.clone(), "ffss", "Successful"),
            (only_success, "sfsf", "Failed"),
            (json!({"interval": "1s"}), "ssssssssss", "Running"),
            (json!({"interval": "1s"}), "sssf", "Failed"),
        ] {
            assert_eq!(phase(&after(&fields, letters)), wanted, "{letters} with {fields}");
        }
    }

    #[test]
    fn e2_an_error_is_not_counted_and_a_failure_ends_a_row_of_successes() {
        let result = after(&json!({"interval": "1s", "count": 9, "failureLimit": 3}), "ssesf");
        assert_eq!((result.count, result.error, result.consecutive_error), (Some(4), Some(1), None));
        assert_eq!(result.consecutive_success, None);
        assert_eq!(after(&json!({"interval": "1s"}), "sse").consecutive_success, None);
    }

    #[test]
    fn a6_failures_within_the_limit_alone_are_no_success() {
        assert_eq!(phase(&after(&json!({"interval": "1s", "count": 2, "failureLimit": 2}), "ff")), "Inconclusive");
    }

    #[test]
    fn no_data_is_not_counted_until_its_time_is_over() {
        let open = after(&json!({"interval": "1s", "sampleTimeout": "3s"}), "nnn");
        assert_eq!((phase(&open), open.count, open.measurements.len()), ("Running", None, 1));
        assert_eq!(question_id(&open), "measure/m/0.3");
        assert_eq!(open.measurements[0].started_at, Some(at(0)), "it waits since the first look");
        assert_eq!(phase(&after(&json!({"interval": "1s", "sampleTimeout": "3s"}), "nnnn")), "Inconclusive");
        let failure = after(&json!({"interval": "1s", "sampleTimeout": "3s", "noData": "Failure"}), "nnnn");
        assert_eq!((phase(&failure), failure.count), ("Failed", Some(1)));
        let success = after(&json!({"sampleTimeout": "3s", "noData": "Success"}), "nnnn");
        assert_eq!(phase(&success), "Successful");
    }

    #[test]
    fn data_that_comes_in_time_ends_the_wait_as_any_measurement() {
        let result = after(&json!({"interval": "1s", "count": 2}), "nns");
        assert_eq!((phase(&result), result.count, result.measurements.len()), ("Running", Some(1), 1));
        assert_eq!(question_id(&result), "measure/m/1.0");
    }

    #[test]
    fn e1_the_next_measurement_follows_the_last_finish() {
        let metric = metric(&json!({"interval": "30s", "initialDelay": "5s"}));
        let fresh = MetricResult::default();
        assert_eq!(due(&metric, &fresh, at(0)), at(5));
        assert_eq!(due(&metric, &after(&json!({"interval": "30s"}), "s"), at(0)), at(30));
        assert_eq!(due(&metric, &after(&json!({"interval": "30s"}), "e"), at(0)), at(10));
        assert_eq!(due(&metric, &after(&json!({"interval": "30s"}), "n"), at(0)), at(10));
    }

    #[test]
    fn e8_ten_measurements_are_kept_and_all_are_counted() {
        let result = after(&json!({"interval": "1s"}), &"s".repeat(13));
        assert_eq!((result.measurements.len(), result.count), (10, Some(13)));
        assert_eq!(result.measurements[0].finished_at, Some(at(3)));
    }

    #[test]
    fn e6_a_terminated_metric_is_successful_when_nothing_speaks_against_it() {
        for (letters, wanted) in
            [("", "Successful"), ("n", "Successful"), ("s", "Successful"), ("f", "Inconclusive"), ("fs", "Successful")]
        {
            let mut result = after(&json!({"interval": "1s", "failureLimit": 5}), letters);
            terminate(&mut result);
            assert_eq!(phase(&result), wanted, "{letters}");
        }
    }
}
