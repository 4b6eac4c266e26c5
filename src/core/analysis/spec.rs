//! The spec of a run, parsed once: metrics that cannot be wrong, or everything that is wrong with them.

use super::args::substitute;
use super::{condition, provider};
use crate::api;
use crate::core::refusal::Refusal;
use crate::core::scalar::Span;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a run measures.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSpec {
    /// In the order of the manifest; names are unique.
    pub metrics: Vec<Metric>,
    pub terminate: bool,
    pub ttl: Ttl,
}

/// One metric with all its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub name: String,
    pub interval: Option<Span>,
    pub initial_delay: Span,
    /// Measurements that count until it is over; `None` is endless.
    pub count: Option<u64>,
    pub success_condition: String,
    pub failure_condition: String,
    /// Tolerated failures; `None` is any number.
    pub failure_limit: Option<u64>,
    pub inconclusive_limit: u64,
    pub consecutive_error_limit: u64,
    /// 0 is off.
    pub consecutive_success_limit: u64,
    pub no_data: NoData,
    /// How long one measurement waits for data.
    pub sample_timeout: Span,
    /// Measured, but without influence.
    pub dry_run: bool,
    /// Measurements that status keeps; at least one.
    pub retention: usize,
    /// With arguments put in: `{prometheus: {...}}`.
    pub provider: Value,
}

/// What having no data means once a measurement has waited long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoData {
    Inconclusive,
    Success,
    Failure,
}

/// Seconds from the end of a run to its deletion (E10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ttl {
    pub after_completion: Option<u64>,
    pub after_failure: Option<u64>,
    pub after_success: Option<u64>,
}

impl RunSpec {
    /// Reads the `spec` of an AnalysisRun.
    ///
    /// # Errors
    /// All that is wrong with it, together, with paths from `spec` on.
    pub fn parse(spec: &Value) -> Result<Self, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let args = arguments(spec, &mut refusals);
        let mut names = BTreeSet::new();
        let mut metrics = Vec::new();
        let raw = spec["metrics"].as_array().map_or(&[][..], Vec::as_slice);
        if raw.is_empty() {
            refusals.push(Refusal::new("spec.metrics", &"", "there is no metric", "add at least one"));
        }
        for (i, raw) in raw.iter().enumerate() {
            let field = format!("spec.metrics[{i}]");
            let name = raw["name"].as_str().unwrap_or_default().to_owned();
            if !names.insert(name.clone()) {
                refusals.push(Refusal::new(
                    format!("{field}.name"),
                    &name,
                    "another metric has this name",
                    "rename one",
                ));
            }
            let parsed = substitute(&field, raw, &args).and_then(|raw| MetricReader::read(&field, &raw));
            match parsed {
                Ok(metric) => metrics.push(metric),
                Err(found) => refusals.extend(found),
            }
        }
        mark(spec, "dryRun", &names, &mut refusals, |name, _| {
            metrics.iter_mut().filter(|m| m.name == name).for_each(|m| m.dry_run = true);
        });
        mark(spec, "measurementRetention", &names, &mut refusals, |name, entry| {
            let limit = entry["limit"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(DEFAULT_RETENTION);
            metrics.iter_mut().filter(|m| m.name == name).for_each(|m| m.retention = limit.clamp(1, MAX_RETENTION));
        });
        let ttl = ttl(&spec["ttlStrategy"], &mut refusals);
        if refusals.is_empty() {
            Ok(Self { metrics, terminate: spec["terminate"].as_bool().unwrap_or_default(), ttl })
        } else {
            Err(refusals)
        }
    }

    /// Metrics that never end by themselves (E4): only a background run may have them. A dry run's are among them, as a run is
    /// over only when every metric is.
    pub fn endless(&self) -> impl Iterator<Item = &str> {
        let ends = |m: &Metric| m.count.is_some() || m.consecutive_success_limit > 0;
        self.metrics.iter().filter(move |m| !ends(m)).map(|m| m.name.as_str())
    }
}

/// Measurements kept per metric (E8).
const DEFAULT_RETENTION: usize = 10;
/// An object must fit into etcd, with room for other metrics.
const MAX_RETENTION: usize = 200;
/// Shortest wait for data that is the default; five intervals may be less.
const SHORTEST_SAMPLE_TIMEOUT: Span = Span::from_secs(120);
/// Tolerated errors in a row when nothing is said: the fifth ends the metric.
const DEFAULT_ERROR_LIMIT: u64 = 4;

fn arguments(spec: &Value, refusals: &mut Vec<Refusal>) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (i, arg) in spec["args"].as_array().into_iter().flatten().enumerate() {
        let field = format!("spec.args[{i}]");
        let name = arg["name"].as_str().unwrap_or_default();
        match (&arg["value"], &arg["valueFrom"]) {
            (Value::String(value), _) => _ = args.insert(name.to_owned(), value.clone()),
            (_, Value::Null) => {
                refusals.push(Refusal::new(field, &name, "the argument has no value", "give it a value"));
            }
            (_, from) => refusals.push(Refusal::new(
                format!("{field}.valueFrom"),
                from,
                "values from Secrets and fields are not supported in a run yet",
                "give the argument a value",
            )),
        }
    }
    args
}

/// Applies the entries of `dryRun` or `measurementRetention` to the metrics that their pattern matches (E7).
fn mark(
    spec: &Value,
    list: &str,
    names: &BTreeSet<String>,
    refusals: &mut Vec<Refusal>,
    mut apply: impl FnMut(&str, &Value),
) {
    for (i, entry) in spec[list].as_array().into_iter().flatten().enumerate() {
        let field = format!("spec.{list}[{i}].metricName");
        let pattern = entry["metricName"].as_str().unwrap_or_default();
        let mut matched = false;
        for name in names {
            match condition::matches(pattern, name) {
                Ok(false) => {}
                Ok(true) => {
                    matched = true;
                    apply(name, entry);
                }
                Err(error) => {
                    let problem = format!("it is no regular expression: {error}");
                    refusals.push(Refusal::new(field.clone(), &pattern, problem, "write one, such as `.*`"));
                    matched = true;
                    break;
                }
            }
        }
        if !matched {
            refusals.push(Refusal::new(field, &pattern, "it matches no metric", "name a metric of this run"));
        }
    }
}

fn ttl(value: &Value, refusals: &mut Vec<Refusal>) -> Ttl {
    let mut seconds = |name: &str| match &value[name] {
        Value::Null => None,
        given => {
            let read = whole_number(given).and_then(|n| u64::try_from(n).ok());
            if read.is_none() {
                refusals.push(Refusal::new(
                    format!("spec.ttlStrategy.{name}"),
                    given,
                    "not a number of seconds",
                    "write a whole number, 0 or more",
                ));
            }
            read
        }
    };
    Ttl {
        after_completion: seconds("secondsAfterCompletion"),
        after_failure: seconds("secondsAfterFailure"),
        after_success: seconds("secondsAfterSuccess"),
    }
}

fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

struct MetricReader<'a> {
    field: &'a str,
    raw: &'a Value,
    refusals: Vec<Refusal>,
}

impl MetricReader<'_> {
    fn read(field: &str, raw: &Value) -> Result<Metric, Vec<Refusal>> {
        let mut reader = MetricReader { field, raw, refusals: Vec::new() };
        let metric = reader.metric();
        if reader.refusals.is_empty() { Ok(metric) } else { Err(reader.refusals) }
    }

    fn metric(&mut self) -> Metric {
        if let Err(error) = serde_json::from_value::<api::Metric>(self.raw.clone()) {
            self.refuse(
                "",
                "",
                format!("it does not fit the schema: {error}"),
                "see `kubectl explain analysisrun.spec.metrics`",
            );
        }
        let name = self.text("name");
        if name.is_empty() {
            self.refuse("name", "", "a metric without a name", "give it one");
        }
        let interval = self.span("interval");
        let endless = self.raw["count"].is_null() && interval.is_some();
        let count = self.number("count", u64::from(!endless), 0);
        let failure_limit = self.number("failureLimit", 0, -1);
        let inconclusive_limit = self.unsigned("inconclusiveLimit", 0);
        let consecutive_success_limit = self.unsigned("consecutiveSuccessLimit", 0);
        let consecutive_error_limit = self.unsigned("consecutiveErrorLimit", DEFAULT_ERROR_LIMIT);
        let count = (!endless && (count > 0 || interval.is_none())).then(|| count.max(1).unsigned_abs());
        let metric = Metric {
            initial_delay: self.span("initialDelay").unwrap_or_default(),
            count,
            success_condition: self.condition("successCondition"),
            failure_condition: self.condition("failureCondition"),
            failure_limit: u64::try_from(failure_limit).ok(),
            inconclusive_limit,
            consecutive_error_limit,
            consecutive_success_limit,
            no_data: self.no_data(),
            sample_timeout: self
                .span("sampleTimeout")
                .unwrap_or_else(|| interval.unwrap_or_default().times(5).max(SHORTEST_SAMPLE_TIMEOUT)),
            dry_run: false,
            retention: DEFAULT_RETENTION,
            provider: self.raw["provider"].clone(),
            interval,
            name,
        };
        self.limits_fit(&metric);
        for field in ["baseline", "minSamples"] {
            if !self.raw[field].is_null() {
                let shown = self.raw[field].to_string();
                self.refuse(field, &shown, "it is not supported yet", "remove it, or compare and count in the query");
            }
        }
        let found = provider::check(&format!("{}.provider", self.field), &metric.provider);
        self.refusals.extend(found);
        metric
    }

    fn limits_fit(&mut self, metric: &Metric) {
        if metric.count.is_some_and(|n| n > 1) && metric.interval.is_none() {
            self.refuse(
                "count",
                &self.raw["count"].to_string(),
                "more than one measurement needs an interval",
                "add interval, such as 30s",
            );
        }
        if metric.failure_limit.is_none() && metric.consecutive_success_limit == 0 {
            self.refuse(
                "failureLimit",
                "-1",
                "without a limit for failures and one for successes nothing could end it",
                "set consecutiveSuccessLimit too, or another failureLimit",
            );
        }
        let Some(count) = metric.count else { return };
        let needed = metric.failure_limit.unwrap_or_default() + metric.consecutive_success_limit;
        for (field, needed) in [("failureLimit", needed), ("inconclusiveLimit", metric.inconclusive_limit)] {
            if needed > count {
                let problem = format!("with the other limits it needs {needed} measurements, count is {count}");
                self.refuse(field, &self.raw[field].to_string(), problem, "raise count or lower the limit");
            }
        }
    }

    fn refuse(&mut self, field: &str, value: &str, problem: impl Into<String>, remedy: &str) {
        let path = if field.is_empty() { self.field.to_owned() } else { format!("{}.{field}", self.field) };
        self.refusals.push(Refusal::new(path, &value, problem, remedy));
    }

    fn text(&self, field: &str) -> String {
        self.raw[field].as_str().unwrap_or_default().to_owned()
    }

    fn span(&mut self, field: &str) -> Option<Span> {
        let value = &self.raw[field];
        // Upstream's own type is a string whose empty value means not given.
        if value.is_null() || value == "" {
            return None;
        }
        match Span::read(value) {
            Ok(span) => Some(span),
            Err(error) => {
                self.refuse(field, &value.to_string(), error.to_string(), "write it like 30s");
                None
            }
        }
    }

    fn number(&mut self, field: &str, default: u64, least: i64) -> i64 {
        let value = &self.raw[field];
        if value.is_null() || value == "" {
            return i64::try_from(default).unwrap_or(i64::MAX);
        }
        if let Some(n) = whole_number(value).filter(|n| (least..=i64::from(i32::MAX)).contains(n)) {
            return n;
        }
        let problem = format!("not a whole number from {least} on");
        self.refuse(field, &value.to_string(), problem, "write one, or an argument that holds one");
        i64::try_from(default).unwrap_or(i64::MAX)
    }

    fn unsigned(&mut self, field: &str, default: u64) -> u64 {
        self.number(field, default, 0).unsigned_abs()
    }

    fn condition(&mut self, field: &str) -> String {
        let text = self.text(field);
        if let Err(error) = condition::check(&text) {
            self.refuse(field, &text, error.to_string(), "write a condition such as `result[0] >= 0.95`");
        }
        text
    }

    fn no_data(&mut self) -> NoData {
        match self.raw["noData"].as_str() {
            None | Some("" | "Inconclusive") => NoData::Inconclusive,
            Some("Success") => NoData::Success,
            Some("Failure") => NoData::Failure,
            Some(other) => {
                self.refuse("noData", other, "not a verdict", "write Inconclusive, Success or Failure");
                NoData::Inconclusive
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(fields: &Value) -> Value {
        let mut metric = json!({"name": "m", "provider": {"prometheus": {"address": "http://p:9090", "query": "up"}}});
        metric.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
        json!({"metrics": [metric]})
    }

    fn parse(fields: &Value) -> Result<Metric, Vec<String>> {
        RunSpec::parse(&with(fields))
            .map(|mut spec| spec.metrics.remove(0))
            .map_err(|refusals| refusals.into_iter().map(|r| r.field).collect())
    }

    #[test]
    fn e4_count_follows_from_the_interval() {
        for (fields, count) in [
            (json!({}), Some(1)),
            (json!({"interval": "10s"}), None),
            (json!({"interval": "10s", "count": 3}), Some(3)),
            (json!({"interval": "10s", "count": "3"}), Some(3)),
        ] {
            assert_eq!(parse(&fields).map(|m| m.count), Ok(count), "{fields}");
        }
    }

    #[test]
    fn the_wait_for_data_is_five_intervals_and_at_least_two_minutes() {
        for (fields, wait) in [
            (json!({}), 120),
            (json!({"interval": "1m"}), 300),
            (json!({"interval": "1s"}), 120),
            (json!({"sampleTimeout": "5s"}), 5),
        ] {
            assert_eq!(parse(&fields).map(|m| m.sample_timeout), Ok(Span::from_secs(wait)));
        }
    }

    #[test]
    fn limits_that_cannot_be_met_are_refused() {
        for (fields, field) in [
            (json!({"count": 2}), "count"),
            (json!({"failureLimit": -1}), "failureLimit"),
            (json!({"failureLimit": -2, "interval": "1s"}), "failureLimit"),
            (json!({"failureLimit": 2, "count": 1}), "failureLimit"),
            (json!({"failureLimit": 1, "consecutiveSuccessLimit": 2, "interval": "1s", "count": 2}), "failureLimit"),
            (json!({"inconclusiveLimit": 2, "count": 1}), "inconclusiveLimit"),
            (json!({"interval": "soon"}), "interval"),
            (json!({"successCondition": "result[0"}), "successCondition"),
            (json!({"noData": "Maybe"}), "noData"),
            (json!({"baseline": "stable"}), "baseline"),
        ] {
            assert_eq!(parse(&fields).map(drop), Err(vec![format!("spec.metrics[0].{field}")]), "{fields}");
        }
    }

    #[test]
    fn everything_wrong_is_found_together() {
        let spec = json!({
            "metrics": [
                {"name": "a", "interval": "x", "provider": {"datadog": {}}},
                {"name": "a", "provider": {"prometheus": {"query": "{{args.q}}"}}},
            ],
            "dryRun": [{"metricName": "nothing"}],
        });
        let refusals = RunSpec::parse(&spec).expect_err("much is wrong");
        let fields: Vec<_> = refusals.iter().map(|r| r.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.metrics[0].interval",
                "spec.metrics[0].provider.datadog",
                "spec.metrics[1].name",
                "spec.metrics[1].provider.prometheus.query",
                "spec.dryRun[0].metricName",
            ]
        );
    }

    #[test]
    fn e7_dry_run_and_retention_go_by_pattern() {
        let mut spec = with(&json!({}));
        spec["dryRun"] = json!([{"metricName": "^m$"}]);
        spec["measurementRetention"] = json!([{"metricName": ".*", "limit": 3}]);
        let metric = RunSpec::parse(&spec).expect("fine").metrics.remove(0);
        assert_eq!((metric.dry_run, metric.retention), (true, 3));
    }
}
