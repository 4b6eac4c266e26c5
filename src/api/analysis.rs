//! AnalysisTemplate and ClusterAnalysisTemplate: what is measured and what that means.

use super::schema;
use super::{IntOrText, Provider};
use kube::CustomResource;

wire! {
    /// What is measured.
    #[derive(CustomResource)]
    #[kube(
        group = "tidegate.dev",
        version = "v1alpha1",
        kind = "AnalysisTemplate",
        plural = "analysistemplates",
        shortname = "at",
        category = "tidegate",
        namespaced,
        derive = "Default",
        derive = "PartialEq",
        doc = "Metrics and what they mean, for Rollouts of its namespace.",
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct AnalysisTemplateSpec {
        /// The metrics; names are unique.
        pub metrics: Vec<Metric>,
        /// Arguments and their defaults; used as {{args.name}}.
        pub args: Vec<Argument>,
        /// Metrics that are measured and do not count.
        pub dry_run: Vec<DryRun>,
        /// How many measurements are kept.
        pub measurement_retention: Vec<MeasurementRetention>,
        /// Other templates whose metrics are added.
        pub templates: Vec<TemplateRef>,
    }

    /// What is measured, for all namespaces.
    #[derive(CustomResource)]
    #[kube(
        group = "tidegate.dev",
        version = "v1alpha1",
        kind = "ClusterAnalysisTemplate",
        plural = "clusteranalysistemplates",
        shortname = "cat",
        category = "tidegate",
        derive = "Default",
        derive = "PartialEq",
        doc = "Metrics and what they mean, for Rollouts of all namespaces.",
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct ClusterAnalysisTemplateSpec {
        /// The metrics; names are unique.
        pub metrics: Vec<Metric>,
        /// Arguments and their defaults; used as {{args.name}}.
        pub args: Vec<Argument>,
        /// Metrics that are measured and do not count.
        pub dry_run: Vec<DryRun>,
        /// How many measurements are kept.
        pub measurement_retention: Vec<MeasurementRetention>,
        /// Other templates whose metrics are added.
        pub templates: Vec<TemplateRef>,
    }

    /// One metric.
    pub struct Metric {
        /// Unique in the run.
        pub name: String,
        /// Time between two measurements, like 30s.
        #[schemars(schema_with = "schema::int_or_text")]
        pub interval: Option<IntOrText>,
        /// Time before the first measurement, like 1m.
        #[schemars(schema_with = "schema::int_or_text")]
        pub initial_delay: Option<IntOrText>,
        /// How many measurements: 1 without interval, without end with one.
        #[schemars(schema_with = "schema::int_or_text")]
        pub count: Option<IntOrText>,
        /// Expression over `result` that is true for a success.
        pub success_condition: Option<String>,
        /// Expression over `result` that is true for a failure.
        pub failure_condition: Option<String>,
        /// Failures that are tolerated; 0 when not given, -1 for any number.
        #[schemars(schema_with = "schema::int_or_text")]
        pub failure_limit: Option<IntOrText>,
        /// Inconclusive measurements that are tolerated; 0 when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub inconclusive_limit: Option<IntOrText>,
        /// Errors in a row that are tolerated; 4 when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub consecutive_error_limit: Option<IntOrText>,
        /// So many successes in a row end the metric early; 0 (when not given) is off.
        #[schemars(schema_with = "schema::int_or_text")]
        pub consecutive_success_limit: Option<IntOrText>,
        /// Fewer requests than this in the window are no data; 0 when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub min_samples: Option<IntOrText>,
        /// How long a measurement waits for enough data, like 5m; five intervals, at least 2m, when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub sample_timeout: Option<IntOrText>,
        /// What having no data means in the end: Inconclusive (when not given), Success or Failure.
        pub no_data: Option<String>,
        /// `stable` asks the same of the stable revision in the same window.
        pub baseline: Option<String>,
        /// Where the value comes from.
        pub provider: Option<Provider>,
    }

    /// An argument with its default.
    pub struct Argument {
        /// Its name.
        pub name: String,
        /// Its value; may be empty. Without value and valueFrom it must be supplied.
        pub value: Option<String>,
        /// Where the value is taken from.
        pub value_from: Option<ArgumentSource>,
    }

    /// Where the value of an argument is taken from; exactly one field.
    pub struct ArgumentSource {
        /// A key of a Secret.
        pub secret_key_ref: Option<SecretKeyRef>,
        /// A field of the Rollout.
        pub field_ref: Option<FieldRef>,
    }

    /// A key of a Secret in the namespace of the run.
    pub struct SecretKeyRef {
        /// Name of the Secret.
        pub name: String,
        /// The key.
        pub key: String,
    }

    /// A field of the Rollout.
    pub struct FieldRef {
        /// Path like metadata.name or status.phase.
        pub field_path: String,
    }

    /// Metrics that are measured and do not count.
    pub struct DryRun {
        /// Regular expression over names of metrics.
        pub metric_name: String,
    }

    /// How many measurements are kept.
    pub struct MeasurementRetention {
        /// Regular expression over names of metrics.
        pub metric_name: String,
        /// So many; 10 when no entry matches.
        pub limit: Option<i32>,
    }

    /// A template by name.
    pub struct TemplateRef {
        /// Its name.
        pub template_name: String,
        /// A ClusterAnalysisTemplate.
        pub cluster_scope: Option<bool>,
    }
}
