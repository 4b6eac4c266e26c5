//! AnalysisRun: one execution of templates.

use super::schema;
use super::{Argument, Condition, DryRun, IntOrText, MeasurementRetention, Metric};
use jiff::Timestamp;
use kube::CustomResource;
use std::collections::BTreeMap;

wire! {
    /// What is measured, with all templates and arguments put together.
    #[derive(CustomResource)]
    #[kube(
        group = "tidegate.dev",
        version = "v1alpha1",
        kind = "AnalysisRun",
        plural = "analysisruns",
        shortname = "ar",
        category = "tidegate",
        namespaced,
        status = "AnalysisRunStatus",
        derive = "Default",
        derive = "PartialEq",
        doc = "One execution of analysis templates.",
        printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Pending, Running, Successful, Failed, Error or Inconclusive"),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1, description = "Why"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct AnalysisRunSpec {
        /// The metrics; names are unique.
        pub metrics: Vec<Metric>,
        /// Arguments; used as {{args.name}}.
        pub args: Vec<Argument>,
        /// Metrics that are measured and do not count.
        pub dry_run: Vec<DryRun>,
        /// How many measurements are kept.
        pub measurement_retention: Vec<MeasurementRetention>,
        /// Asks the run to end.
        pub terminate: Option<bool>,
        /// When the run is deleted.
        pub ttl_strategy: Option<TtlStrategy>,
    }

    /// Seconds from the end of a run until it is deleted.
    pub struct TtlStrategy {
        /// For any end that has no field of its own here.
        #[schemars(schema_with = "schema::int_or_text")]
        pub seconds_after_completion: Option<IntOrText>,
        /// For Failed.
        #[schemars(schema_with = "schema::int_or_text")]
        pub seconds_after_failure: Option<IntOrText>,
        /// For Successful.
        #[schemars(schema_with = "schema::int_or_text")]
        pub seconds_after_success: Option<IntOrText>,
    }

    /// How far the run is.
    pub struct AnalysisRunStatus {
        /// Generation of the object that the rest of the status speaks of.
        pub observed_generation: Option<i64>,
        /// Pending, Running, Successful, Failed, Error or Inconclusive.
        pub phase: Option<String>,
        /// Why.
        pub message: Option<String>,
        /// Ready, Reconciling and Stalled.
        pub conditions: Vec<Condition>,
        /// One entry per metric.
        pub metric_results: Vec<MetricResult>,
        /// Begin.
        #[schemars(schema_with = "schema::time")]
        pub started_at: Option<Timestamp>,
        /// End.
        #[schemars(schema_with = "schema::time")]
        pub completed_at: Option<Timestamp>,
        /// Counts of metrics that count.
        pub run_summary: Option<RunSummary>,
        /// Counts of metrics that do not.
        pub dry_run_summary: Option<RunSummary>,
    }

    /// Counts of metrics by phase.
    pub struct RunSummary {
        /// All.
        pub count: Option<i32>,
        /// Successful ones.
        pub successful: Option<i32>,
        /// Failed ones.
        pub failed: Option<i32>,
        /// Inconclusive ones.
        pub inconclusive: Option<i32>,
        /// Broken ones.
        pub error: Option<i32>,
    }

    /// Results of one metric.
    pub struct MetricResult {
        /// The metric.
        pub name: String,
        /// Pending, Running, Successful, Failed, Error or Inconclusive.
        pub phase: Option<String>,
        /// Why.
        pub message: Option<String>,
        /// The last measurements, oldest first.
        pub measurements: Vec<Measurement>,
        /// Measurements that counted.
        pub count: Option<i32>,
        /// Successful ones.
        pub successful: Option<i32>,
        /// Failed ones.
        pub failed: Option<i32>,
        /// Inconclusive ones.
        pub inconclusive: Option<i32>,
        /// Errors.
        pub error: Option<i32>,
        /// Errors since the last measurement that was none.
        pub consecutive_error: Option<i32>,
        /// Successes since the last measurement that was none.
        pub consecutive_success: Option<i32>,
        /// It does not count.
        pub dry_run: Option<bool>,
        /// Like the query with its arguments put in.
        pub metadata: BTreeMap<String, String>,
    }

    /// One measurement.
    pub struct Measurement {
        /// Running, Successful, Failed, Error or Inconclusive.
        pub phase: Option<String>,
        /// Why.
        pub message: Option<String>,
        /// Begin.
        #[schemars(schema_with = "schema::time")]
        pub started_at: Option<Timestamp>,
        /// End.
        #[schemars(schema_with = "schema::time")]
        pub finished_at: Option<Timestamp>,
        /// The value, as text.
        pub value: Option<String>,
        /// What the provider had to say.
        pub metadata: BTreeMap<String, String>,
        /// When it is looked at again.
        #[schemars(schema_with = "schema::time")]
        pub resume_at: Option<Timestamp>,
    }
}
