//! `status` of a Rollout: what the next pass, and the next process, goes on from.

use super::Condition;
use super::schema;
use jiff::Timestamp;

wire! {
    /// What is known of the Rollout.
    pub struct RolloutStatus {
        /// Generation of the object that the rest of the status speaks of.
        pub observed_generation: Option<i64>,
        /// Healthy, Progressing, Paused or Degraded.
        pub phase: Option<String>,
        /// Why the phase is what it is.
        pub message: Option<String>,
        /// Ready, Reconciling, Stalled, and Available, Progressing, Paused, Completed, Healthy, InvalidSpec.
        pub conditions: Vec<Condition>,
        /// Pods of all revisions.
        pub replicas: Option<i32>,
        /// Pods of the current revision.
        pub updated_replicas: Option<i32>,
        /// Ready pods; with blueGreen those of the active revision.
        pub ready_replicas: Option<i32>,
        /// Available pods; with blueGreen those of the active revision.
        pub available_replicas: Option<i32>,
        /// Pods as the autoscaler counts them.
        #[serde(rename = "HPAReplicas")]
        pub hpa_replicas: Option<i32>,
        /// Selector for the autoscaler, as text.
        pub selector: Option<String>,
        /// Hash of the current revision: of the template in spec, or what was rolled back to.
        pub current_pod_hash: Option<String>,
        /// Number of the current revision, from 1.
        pub current_revision: Option<i64>,
        /// Hash of the steps in spec; empty for blueGreen.
        pub current_step_hash: Option<String>,
        /// Index of the current step; the number of steps when all are done.
        pub current_step_index: Option<i32>,
        /// Since when the current step is current.
        #[schemars(schema_with = "schema::time")]
        pub current_step_started_at: Option<Timestamp>,
        /// Hash of the stable revision; none before the first completion.
        #[serde(rename = "stableRS")]
        pub stable_rs: Option<String>,
        /// False while the stable revision never had an available pod.
        pub stable_proven: Option<bool>,
        /// Pods that were wanted when the update began: stable keeps as many until it has ended.
        pub update_replicas: Option<i32>,
        /// Salt of the hash.
        pub collision_count: Option<i32>,
        /// The current revision was aborted.
        pub abort: Option<bool>,
        /// Since when.
        #[schemars(schema_with = "schema::time")]
        pub aborted_at: Option<Timestamp>,
        /// Revisions that are not started again without a retry; the last 20.
        pub aborted: Vec<AbortedRevision>,
        /// Why it waits.
        pub pause_conditions: Vec<PauseCondition>,
        /// The controller, not a person, added the pause.
        pub controller_pause: Option<bool>,
        /// All that is left is skipped.
        pub promote_full: Option<bool>,
        /// A former revision that runs although spec has another template.
        pub rollback: Option<RollbackStatus>,
        /// Attempt at the current revision, from 1; a retry is the next one.
        pub attempt: Option<i32>,
        /// Progress of the current revision, which only grows.
        pub progress: Option<ProgressStatus>,
        /// What is asked of Traefik, and what it serves.
        pub traffic: Option<TrafficStatus>,
        /// The last revision that was complete and healthy.
        pub last_good: Option<LastGood>,
        /// What was asked by annotation, and what became of it; the last 20.
        pub commands: Vec<CommandRecord>,
        /// Of the canary strategy.
        pub canary: Option<CanaryStatus>,
        /// Of the blueGreen strategy.
        pub blue_green: Option<BlueGreenStatus>,
        /// Pods older than this are being replaced, as a command asked for.
        #[schemars(schema_with = "schema::time")]
        pub restart_at: Option<Timestamp>,
        /// Pods older than this were replaced: the last restart that was carried out, or that a new template made needless.
        #[schemars(schema_with = "schema::time")]
        pub restarted_at: Option<Timestamp>,
        /// Generation of the referenced workload.
        pub workload_observed_generation: Option<i64>,
        /// When the update began and ended.
        pub duration: Option<DurationStatus>,
    }

    /// A reason to wait.
    pub struct PauseCondition {
        /// CanaryPauseStep, BlueGreenPause, InconclusiveAnalysisRun or PausedByAnnotation.
        pub reason: String,
        /// Since when.
        #[schemars(schema_with = "schema::time")]
        pub start_time: Option<Timestamp>,
    }

    /// A revision that was aborted.
    pub struct AbortedRevision {
        /// Hash of its template.
        pub hash: String,
        /// When it was aborted.
        #[schemars(schema_with = "schema::time")]
        pub time: Option<Timestamp>,
        /// Why.
        pub cause: String,
        /// Class of the cause: Command, Analysis, Deadline, Guard, Traffic.
        pub class: Option<String>,
    }

    /// A former revision that was asked for by command. It ends with the next template.
    pub struct RollbackStatus {
        /// Hash of the revision that runs.
        pub hash: String,
        /// Hash of the template in spec, which is not run for as long as it stays.
        pub template: String,
        /// When it was asked for.
        #[schemars(schema_with = "schema::time")]
        pub since: Option<Timestamp>,
    }

    /// High-water mark of available pods, so that a crash loop is no progress.
    pub struct ProgressStatus {
        /// Revision that is counted.
        pub hash: String,
        /// Most pods that were available at once.
        pub available: Option<i32>,
        /// Last time that counted as progress.
        #[schemars(schema_with = "schema::time")]
        pub at: Option<Timestamp>,
        /// Times that the canary lost all ready pods while it had a share.
        pub losses: Option<i32>,
        /// Since when it has lost them.
        #[schemars(schema_with = "schema::time")]
        pub lost_at: Option<Timestamp>,
        /// Since when no pod of stable answers.
        #[schemars(schema_with = "schema::time")]
        pub stable_lost_at: Option<Timestamp>,
    }

    /// What is asked of the router and what it serves.
    pub struct TrafficStatus {
        /// weightedTraefikServiceName, ingress, or service for a switch by selector.
        pub way: Option<String>,
        /// Names of the objects that were applied last; abort uses these, whatever spec says now.
        pub objects: Option<TrafficObjects>,
        /// The shares that were asked for last.
        pub want: Option<TrafficShare>,
        /// The shares that every instance was seen to serve last.
        pub live: Option<TrafficShare>,
        /// How it was seen: address, entrypoint, api-route, reload-metric or bound.
        pub rung: Option<String>,
        /// Instances that do not serve what is asked, with the reason.
        pub instances: Vec<TrafficInstance>,
        /// What stands in the way.
        pub message: Option<String>,
    }

    /// Names of routing objects in the Rollout's namespace.
    pub struct TrafficObjects {
        /// The weighted TraefikService.
        pub traefik_service: Option<String>,
        /// The Ingress that was shadowed.
        pub ingress: Option<String>,
        /// Our IngressRoute.
        pub ingress_route: Option<String>,
        /// Service of the stable revision.
        pub stable_service: Option<String>,
        /// Service of the new revision.
        pub canary_service: Option<String>,
    }

    /// A split of the requests.
    pub struct TrafficShare {
        /// Percent for the new revision.
        pub canary: Option<i32>,
        /// Percent for the stable revision.
        pub stable: Option<i32>,
        /// Hash of the revision behind the canary's share.
        pub canary_hash: Option<String>,
        /// Hash of the revision behind stable's share.
        pub stable_hash: Option<String>,
        /// Since when.
        #[schemars(schema_with = "schema::time")]
        pub since: Option<Timestamp>,
    }

    /// One instance of the router.
    pub struct TrafficInstance {
        /// Pod or address.
        pub name: String,
        /// Percent for the new revision that it serves.
        pub canary: Option<i32>,
        /// Why it does not serve what is asked.
        pub message: Option<String>,
    }

    /// A revision to which going back is right.
    pub struct LastGood {
        /// Hash of its template.
        pub hash: String,
        /// Images of its containers, in order.
        pub images: Vec<String>,
        /// Where it came from, when an Application applied it.
        pub source: Option<LastGoodSource>,
        /// Since when it is good.
        #[schemars(schema_with = "schema::time")]
        pub since: Option<Timestamp>,
    }

    /// A directory of a repository at a commit.
    pub struct LastGoodSource {
        /// URL of the repository, without credentials.
        pub repo: String,
        /// The commit.
        pub revision: String,
        /// The directory.
        pub path: String,
    }

    /// One command and its outcome.
    pub struct CommandRecord {
        /// promote, abort, retry, pause, restart or rollback.
        pub name: String,
        /// The annotation's value.
        pub value: String,
        /// Hash of the revision that it was about.
        pub revision: Option<String>,
        /// When it was handled.
        #[schemars(schema_with = "schema::time")]
        pub time: Option<Timestamp>,
        /// Who wrote the annotation.
        pub field_manager: Option<String>,
        /// Accepted or Refused.
        pub outcome: String,
        /// Why it was refused, or what it did.
        pub message: Option<String>,
        /// Its annotation is still to be taken off; so the same words written again later are a new command.
        pub pending: Option<bool>,
    }

    /// Of the canary strategy.
    pub struct CanaryStatus {
        /// Run of the current analysis step.
        pub current_step_analysis_run_status: Option<RunStatus>,
        /// Run beside the steps.
        pub current_background_analysis_run_status: Option<RunStatus>,
        /// Shares as upstream shows them.
        pub weights: Option<CanaryWeights>,
    }

    /// Shares as upstream shows them.
    pub struct CanaryWeights {
        /// Of the new revision.
        pub canary: Option<WeightDestination>,
        /// Of the stable revision.
        pub stable: Option<WeightDestination>,
        /// Seen in the router.
        pub verified: Option<bool>,
    }

    /// One receiver of requests.
    pub struct WeightDestination {
        /// Percent.
        pub weight: Option<i32>,
        /// Its Service.
        pub service_name: Option<String>,
        /// Its revision.
        pub pod_template_hash: Option<String>,
    }

    /// Of the blueGreen strategy.
    pub struct BlueGreenStatus {
        /// Hash that the preview Service selects.
        pub preview_selector: Option<String>,
        /// Hash that the active Service selects.
        pub active_selector: Option<String>,
        /// The preview is finished; the new revision may go to full size.
        pub scale_up_preview_check_point: Option<bool>,
        /// Run before the switch.
        pub pre_promotion_analysis_run_status: Option<RunStatus>,
        /// Run after the switch.
        pub post_promotion_analysis_run_status: Option<RunStatus>,
    }

    /// An AnalysisRun of this Rollout.
    pub struct RunStatus {
        /// Its name.
        pub name: String,
        /// Its phase.
        pub status: Option<String>,
        /// Its message.
        pub message: Option<String>,
    }

    /// When the update began and ended.
    pub struct DurationStatus {
        /// Begin.
        #[schemars(schema_with = "schema::time")]
        pub rollout_started_at: Option<Timestamp>,
        /// Since when it waits for a person, while it does.
        #[schemars(schema_with = "schema::time")]
        pub manual_pause_started_at: Option<Timestamp>,
        /// How long it waited for a person before.
        pub total_manual_pause_duration_seconds: Option<i64>,
        /// End.
        #[schemars(schema_with = "schema::time")]
        pub finished_at: Option<Timestamp>,
        /// Promoted, FastPromoted, Aborted, RolledBack or FastRolledBack.
        pub completion_status: Option<String>,
    }
}
