//! Where a Rollout names analysis: steps, background, before and after a promotion.

use super::{DryRun, FieldRef, MeasurementRetention, ObjectMetadata, TemplateRef};

wire! {
    /// Templates to run, with their arguments.
    pub struct RolloutAnalysis {
        /// The templates; their metrics run side by side.
        pub templates: Vec<TemplateRef>,
        /// Arguments; they win over defaults in the templates.
        pub args: Vec<AnalysisRunArgument>,
        /// Metrics that are measured and do not count.
        pub dry_run: Vec<DryRun>,
        /// How many measurements are kept.
        pub measurement_retention: Vec<MeasurementRetention>,
        /// Labels and annotations of the AnalysisRun.
        pub analysis_run_metadata: Option<ObjectMetadata>,
    }

    /// Analysis that runs beside the steps.
    pub struct BackgroundAnalysis {
        /// The templates; their metrics run side by side.
        pub templates: Vec<TemplateRef>,
        /// Arguments; they win over defaults in the templates.
        pub args: Vec<AnalysisRunArgument>,
        /// Metrics that are measured and do not count.
        pub dry_run: Vec<DryRun>,
        /// How many measurements are kept.
        pub measurement_retention: Vec<MeasurementRetention>,
        /// Labels and annotations of the AnalysisRun.
        pub analysis_run_metadata: Option<ObjectMetadata>,
        /// Index of the step with which it starts; 0 when not given.
        pub starting_step: Option<i32>,
    }

    /// One argument; exactly one of value and valueFrom.
    pub struct AnalysisRunArgument {
        /// Name as the templates use it.
        pub name: String,
        /// Its value; may be empty.
        pub value: Option<String>,
        /// Where the value is taken from.
        pub value_from: Option<AnalysisRunArgumentSource>,
    }

    /// Where the value of an argument is taken from; exactly one field.
    pub struct AnalysisRunArgumentSource {
        /// Stable or Latest: the hash of that revision.
        pub pod_template_hash_value: Option<String>,
        /// A field of the Rollout.
        pub field_ref: Option<FieldRef>,
    }
}
