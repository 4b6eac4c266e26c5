//! The decision for an AnalysisRun: what to measure next, what the answers mean, and how the run ends (E1 to E10).

use super::metric::{self, Phase};
use super::spec::{Metric, RunSpec, Ttl};
use crate::api::{AnalysisRunStatus, Condition, MetricResult, RunSummary};
use crate::core::object::{Key, ObjectRef, ResourceType};
use crate::core::plan::{Actor, Effect, Notice, Plan, Propagation, StatusWrite, Verb, Why};
use crate::core::question::{Answer, Ask, Measure, Question, Told};
use crate::core::row::AnalysisRunRow;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that is known when a run is decided.
#[derive(Debug, Clone)]
pub struct Observed {
    pub run: Arc<AnalysisRunRow>,
    /// Answers so far, by the id of their question.
    pub answers: BTreeMap<String, Answer>,
}

/// What to do about a run now.
pub fn decide(observed: &Observed, now: Timestamp) -> Plan {
    let run = &observed.run;
    if run.meta.deleting.is_some() {
        return Plan::default();
    }
    let seen: AnalysisRunStatus = AnalysisRunStatus::deserialize(&*run.status).unwrap_or_default();
    let key = ObjectRef::new(ResourceType::ANALYSIS_RUN, &run.meta.namespace, &run.meta.name);
    // Terminal phases are final (A6): neither a changed spec nor a late answer moves them.
    if Phase::read(seen.phase.as_deref().unwrap_or_default()).is_over() {
        return clean_up(&key, run, &seen, now);
    }
    let mut status = seen.clone();
    let mut plan = Plan::default();
    status.started_at.get_or_insert(now);
    match RunSpec::parse(&run.spec) {
        // E9, put right: such a run is over at once, so that its time to live runs.
        Err(refusals) => {
            let all = refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            finish(&mut status, Phase::Error, format!("the spec is not accepted: {all}"), now);
        }
        Ok(spec) => {
            measure(&key, &spec, observed, &mut status, &mut plan);
            conclude(&spec, &mut status, now);
        }
    }
    status.observed_generation = Some(run.meta.generation);
    let phase = Phase::read(status.phase.as_deref().unwrap_or_default());
    status.conditions = conditions(&seen.conditions, phase, status.message.as_deref(), run.meta.generation, now);
    plan.urgent = matches!(phase, Phase::Failed | Phase::Error);
    plan.notices = notices(&key, &run.meta.uid, &seen, &status);
    let wanted = serde_json::to_value(&status).expect("a status of plain fields is JSON");
    plan.status = StatusWrite::between(key, &run.meta.resource_version, &run.status, &wanted);
    if phase.is_over() {
        plan.ask.retain(|question| observed.answers.contains_key(&question.id));
    }
    plan
}

/// Takes the answers in, and asks for what is missing. Results follow the order of the spec.
///
/// A question whose answer is taken in stays asked in this pass: were its status refused, the answer would be lost otherwise.
fn measure(key: &Key, spec: &RunSpec, observed: &Observed, status: &mut AnalysisRunStatus, plan: &mut Plan) {
    let mut results = std::mem::take(&mut status.metric_results);
    for metric in &spec.metrics {
        let mut result = match results.iter().position(|r| r.name == metric.name) {
            Some(at) => results.swap_remove(at),
            None => MetricResult {
                name: metric.name.clone(),
                phase: Some(Phase::Pending.as_str().to_owned()),
                ..MetricResult::default()
            },
        };
        result.dry_run = metric.dry_run.then_some(true);
        if !phase_of(&result).is_over() {
            let question = question(key, metric, &result, status.started_at);
            if let Some(Told::Measured(measured)) = observed.answers.get(&question.id).map(|a| &a.what) {
                metric::absorb(metric, &mut result, measured);
            }
            plan.ask.push(question);
        }
        status.metric_results.push(result);
    }
}

fn question(key: &Key, metric: &Metric, result: &MetricResult, started: Option<Timestamp>) -> Question {
    Question {
        id: metric::question_id(result),
        ask: Ask::Measure(Arc::new(Measure {
            run: key.clone(),
            metric: metric.name.clone(),
            provider: metric.provider.clone(),
            success_condition: metric.success_condition.clone(),
            failure_condition: metric.failure_condition.clone(),
            due: metric::due(metric, result, started.unwrap_or(Timestamp::UNIX_EPOCH)),
        })),
    }
}

fn phase_of(result: &MetricResult) -> Phase {
    Phase::read(result.phase.as_deref().unwrap_or_default())
}

/// E5: one bad metric ends all; the run is over when every metric is, with the phase of the worst.
fn conclude(spec: &RunSpec, status: &mut AnalysisRunStatus, now: Timestamp) {
    let bad = |r: &MetricResult| r.dry_run != Some(true) && phase_of(r).is_over() && phase_of(r) != Phase::Successful;
    if spec.terminate || status.metric_results.iter().any(bad) {
        for result in status.metric_results.iter_mut().filter(|r| !phase_of(r).is_over()) {
            metric::terminate(result);
        }
    }
    status.run_summary = summary(status.metric_results.iter().filter(|r| r.dry_run != Some(true)));
    status.dry_run_summary = summary(status.metric_results.iter().filter(|r| r.dry_run == Some(true)));
    if status.metric_results.iter().all(|r| phase_of(r).is_over()) {
        let counting = status.metric_results.iter().filter(|r| r.dry_run != Some(true));
        let worst = counting.max_by_key(|r| phase_of(r)).filter(|r| phase_of(r) != Phase::Successful);
        let phase = worst.map_or(Phase::Successful, phase_of);
        let message = match worst {
            Some(r) => format!("Metric {:?} {}", r.name, r.message.as_deref().unwrap_or_default()),
            None if spec.terminate => "Run Terminated".to_owned(),
            None => String::new(),
        };
        finish(status, phase, message, now);
    } else {
        status.phase = Some(Phase::Running.as_str().to_owned());
        status.message = None;
    }
}

fn finish(status: &mut AnalysisRunStatus, phase: Phase, message: String, now: Timestamp) {
    status.phase = Some(phase.as_str().to_owned());
    status.message = Some(message).filter(|m| !m.is_empty());
    status.completed_at = Some(now);
}

fn summary<'a>(results: impl Iterator<Item = &'a MetricResult>) -> Option<RunSummary> {
    let phases: Vec<_> = results.map(phase_of).collect();
    let of = |phase| i32::try_from(phases.iter().filter(|p| **p == phase).count()).ok().filter(|n| *n > 0);
    (!phases.is_empty()).then(|| RunSummary {
        count: i32::try_from(phases.len()).ok(),
        successful: of(Phase::Successful),
        failed: of(Phase::Failed),
        inconclusive: of(Phase::Inconclusive),
        error: of(Phase::Error),
    })
}

/// Ready, Reconciling and Stalled, as kstatus reads them; the time changes only with the status.
fn conditions(
    seen: &[Condition],
    phase: Phase,
    message: Option<&str>,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let (ready, reconciling, stalled) = match phase {
        Phase::Pending | Phase::Running => ("Unknown", "True", "False"),
        Phase::Successful => ("True", "False", "False"),
        Phase::Failed | Phase::Error | Phase::Inconclusive => ("False", "False", "True"),
    };
    let each = [("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)];
    each.into_iter()
        .map(|(kind, status)| {
            let before = seen.iter().find(|c| c.kind == kind);
            let since = before.filter(|c| c.status == status).and_then(|c| c.last_transition_time);
            Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason: phase.as_str().to_owned(),
                message: message.unwrap_or_default().to_owned(),
                last_transition_time: Some(since.unwrap_or(now)),
                last_update_time: None,
                observed_generation: Some(generation),
            }
        })
        .collect()
}

/// One event for each metric that ended, and one for the run.
fn notices(key: &Key, uid: &str, seen: &AnalysisRunStatus, status: &AnalysisRunStatus) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut notice = |phase: Phase, reasons: [&'static str; 4], message: String| {
        let [successful, failed, error, inconclusive] = reasons;
        let reason = match phase {
            Phase::Failed => failed,
            Phase::Error => error,
            Phase::Inconclusive => inconclusive,
            _ => successful,
        };
        let warning = phase != Phase::Successful;
        notices.push(Notice { on: key.clone(), uid: uid.to_owned(), warning, reason, message });
    };
    for result in status.metric_results.iter().filter(|r| phase_of(r).is_over()) {
        let before = seen.metric_results.iter().find(|r| r.name == result.name);
        if !before.is_some_and(|r| phase_of(r).is_over()) {
            let reasons = ["MetricSuccessful", "MetricFailed", "MetricError", "MetricInconclusive"];
            let message = result.message.as_deref().unwrap_or("done");
            notice(phase_of(result), reasons, format!("Metric {:?}: {message}", result.name));
        }
    }
    let phase = Phase::read(status.phase.as_deref().unwrap_or_default());
    if phase.is_over() {
        let reasons = ["AnalysisRunSuccessful", "AnalysisRunFailed", "AnalysisRunError", "AnalysisRunInconclusive"];
        notice(phase, reasons, status.message.clone().unwrap_or_else(|| format!("Run is {}", phase.as_str())));
    }
    notices
}

/// E10: a run that is over is deleted when its time to live is.
fn clean_up(key: &Key, run: &AnalysisRunRow, status: &AnalysisRunStatus, now: Timestamp) -> Plan {
    let ttl = RunSpec::parse(&run.spec).map_or_else(|_| Ttl::of(&run.spec), |s| s.ttl);
    let seconds = match Phase::read(status.phase.as_deref().unwrap_or_default()) {
        Phase::Successful => ttl.after_success.or(ttl.after_completion),
        Phase::Failed => ttl.after_failure.or(ttl.after_completion),
        _ => ttl.after_completion,
    };
    let (Some(seconds), Some(completed)) = (seconds, status.completed_at) else {
        return Plan::default();
    };
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let end = completed.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    if now <= end {
        return Plan { wake: Some(end.checked_add(SignedDuration::from_secs(1)).unwrap_or(end)), ..Plan::default() };
    }
    let verb = Verb::Delete {
        target: key.clone(),
        uid: run.meta.uid.clone(),
        propagation: Propagation::Background,
        actor: Actor::Controller,
    };
    Plan { effects: vec![Effect { verb, why: Why::HistoryLimit }], ..Plan::default() }
}

impl Ttl {
    /// The time to live of a spec that is wrong elsewhere.
    fn of(spec: &Value) -> Self {
        let alone = serde_json::json!({"metrics": [{"name": "m", "provider": {"prometheus": {"query": "up"}}}],
            "ttlStrategy": spec["ttlStrategy"]});
        RunSpec::parse(&alone).map(|s| s.ttl).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::question::{Measured, Verdict};
    use crate::core::row::Row;
    use serde_json::json;

    /// A run as the API server would hold it, with the answers to its questions.
    struct Bench {
        object: Value,
        answers: BTreeMap<String, Answer>,
        now: Timestamp,
    }

    impl Bench {
        fn new(metrics: &Value) -> Self {
            Self {
                object: json!({"metadata": {"name": "r", "namespace": "shop", "uid": "u", "resourceVersion": "1", "generation": 1},
                               "spec": {"metrics": metrics}}),
                answers: BTreeMap::new(),
                now: Timestamp::from_second(1_000_000).expect("in range"),
            }
        }

        fn plan(&self) -> Plan {
            let run = AnalysisRunRow::read(&self.object).expect("a whole run");
            decide(&Observed { run: Arc::new(run), answers: self.answers.clone() }, self.now)
        }

        /// Carries the plan's status out and decides on the result, until there is nothing to write. The plan that is
        /// returned has the notices of all, and the questions of the last.
        fn step(&mut self) -> Plan {
            let mut plan = self.plan();
            let mut notices = std::mem::take(&mut plan.notices);
            let urgent = plan.urgent;
            while let Some(write) = &plan.status {
                json_patch::merge(&mut self.object, &json!({"status": write.patch}));
                plan = self.plan();
                notices.append(&mut plan.notices);
            }
            self.answers.retain(|id, _| plan.ask.iter().any(|q| q.id == *id));
            Plan { notices, urgent, ..plan }
        }

        fn answer(&mut self, id: &str, verdict: Verdict) {
            let measured = Measured {
                started: self.now,
                finished: self.now,
                verdict,
                value: "1".to_owned(),
                message: String::new(),
                metadata: BTreeMap::new(),
            };
            self.answers.insert(id.to_owned(), Answer { at: self.now, what: Told::Measured(measured) });
        }

        fn pass_seconds(&mut self, seconds: i64) {
            self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).expect("in range");
        }

        fn phase(&self) -> &str {
            self.object["status"]["phase"].as_str().unwrap_or_default()
        }
    }

    fn metric(name: &str) -> Value {
        json!({"name": name, "interval": "10s", "count": 2,
               "provider": {"prometheus": {"address": "http://p:9090", "query": "up"}}})
    }

    fn ids(plan: &Plan) -> Vec<&str> {
        plan.ask.iter().map(|q| q.id.as_str()).collect()
    }

    #[test]
    fn e1_all_metrics_are_measured_at_once_and_again_after_the_interval() {
        let mut bench = Bench::new(&json!([metric("a"), metric("b")]));
        assert_eq!(ids(&bench.step()), ["measure/a/0.0", "measure/b/0.0"]);
        bench.answer("measure/a/0.0", Verdict::Successful);
        let plan = bench.step();
        assert_eq!(ids(&plan), ["measure/a/1.0", "measure/b/0.0"]);
        let Ask::Measure(next) = &plan.ask[0].ask else { panic!("a measurement is asked for") };
        assert_eq!(next.due, bench.now.checked_add(SignedDuration::from_secs(10)).expect("in range"));
    }

    #[test]
    fn deciding_on_ones_own_result_changes_nothing() {
        let mut bench = Bench::new(&json!([metric("a"), metric("b")]));
        bench.step();
        bench.answer("measure/a/0.0", Verdict::NoData);
        bench.step();
        bench.pass_seconds(3);
        let again = bench.plan();
        assert_eq!((again.status, again.effects.len(), again.notices.len()), (None, 0, 0));
    }

    #[test]
    fn a5_a_new_process_asks_the_same_question_again() {
        let mut bench = Bench::new(&json!([metric("a")]));
        bench.step();
        bench.answer("measure/a/0.0", Verdict::Successful);
        let before = bench.step();
        bench.answers.clear();
        assert_eq!(ids(&bench.plan()), ids(&before));
    }

    #[test]
    fn an_answer_stays_asked_for_until_the_status_that_holds_it_is_written() {
        let mut bench = Bench::new(&json!([metric("a"), metric("b")]));
        bench.step();
        bench.answer("measure/a/0.0", Verdict::Failed);
        let before_the_write = bench.plan();
        assert_eq!(ids(&before_the_write), ["measure/a/0.0"]);
        assert!(ids(&bench.step()).is_empty());
    }

    #[test]
    fn e5_a_failing_metric_ends_the_run_and_every_other_measurement_at_once() {
        let mut bench = Bench::new(&json!([metric("a"), metric("b")]));
        bench.step();
        bench.answer("measure/a/0.0", Verdict::Failed);
        let plan = bench.step();
        assert_eq!(bench.phase(), "Failed");
        assert!(plan.ask.is_empty() && plan.urgent);
        let status = &bench.object["status"];
        assert_eq!(status["message"], "Metric \"a\" assessed Failed due to failed (1) > failureLimit (0)");
        assert_eq!(status["metricResults"][1]["phase"], "Successful");
        assert_eq!(status["completedAt"], json!(bench.now));
        assert_eq!(plan.notices.last().map(|n| n.reason), Some("AnalysisRunFailed"));
    }

    #[test]
    fn e5_the_worst_metric_names_the_phase_when_all_are_over() {
        let mut bench = Bench::new(&json!([metric("a"), metric("b")]));
        bench.step();
        for n in 0..2 {
            bench.answer(&format!("measure/a/{n}.0"), Verdict::Successful);
            bench.answer(&format!("measure/b/{n}.0"), Verdict::Successful);
            bench.step();
            bench.pass_seconds(10);
        }
        assert_eq!(bench.phase(), "Successful");
        assert_eq!(bench.object["status"]["runSummary"], json!({"count": 2, "successful": 2}));
    }

    #[test]
    fn e7_a_dry_run_metric_fails_without_influence() {
        let mut bench = Bench::new(&json!([metric("a"), metric("b")]));
        bench.object["spec"]["dryRun"] = json!([{"metricName": "b"}]);
        bench.step();
        bench.answer("measure/b/0.0", Verdict::Failed);
        bench.step();
        assert_eq!(bench.phase(), "Running");
        for n in 0..2 {
            bench.answer(&format!("measure/a/{n}.0"), Verdict::Successful);
            bench.step();
        }
        assert_eq!(bench.phase(), "Successful");
    }

    #[test]
    fn e6_terminate_ends_a_run_and_its_questions() {
        let mut bench = Bench::new(&json!([metric("a")]));
        bench.step();
        bench.object["spec"]["terminate"] = json!(true);
        let plan = bench.step();
        assert!(plan.ask.is_empty());
        assert_eq!(bench.phase(), "Successful");
        assert_eq!(bench.object["status"]["message"], "Run Terminated");
    }

    #[test]
    fn a6_a_finished_run_stays_as_it_is_whatever_is_answered_or_changed() {
        let mut bench = Bench::new(&json!([metric("a")]));
        bench.step();
        bench.answer("measure/a/0.0", Verdict::Failed);
        bench.step();
        bench.object["spec"]["metrics"] = json!([metric("other")]);
        bench.answer("measure/a/1.0", Verdict::Successful);
        assert_eq!(bench.plan(), Plan::default());
    }

    #[test]
    fn e9_a_spec_that_is_not_accepted_ends_the_run_with_every_reason() {
        let mut bench = Bench::new(&json!([{"name": "a", "provider": {"datadog": {}}}, {"name": "b", "provider": {}}]));
        bench.step();
        assert_eq!(bench.phase(), "Error");
        let message = bench.object["status"]["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("metrics[0].provider.datadog") && message.contains("metrics[1].provider"),
            "{message}"
        );
        assert!(!bench.object["status"]["completedAt"].is_null());
    }

    #[test]
    fn e10_a_run_is_deleted_when_its_time_to_live_is_over() {
        let mut bench = Bench::new(&json!([metric("a")]));
        bench.object["spec"]["ttlStrategy"] = json!({"secondsAfterCompletion": 1000, "secondsAfterFailure": 60});
        bench.step();
        bench.answer("measure/a/0.0", Verdict::Failed);
        bench.step();
        assert!(bench.plan().effects.is_empty() && bench.plan().wake.is_some());
        bench.pass_seconds(61);
        assert!(matches!(bench.plan().effects[0].verb, Verb::Delete { ref uid, .. } if uid == "u"));
    }
}
