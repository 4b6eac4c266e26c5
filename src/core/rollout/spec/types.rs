//! What a Rollout's spec means, in types that cannot be wrong.

use crate::core::analysis::template::TemplateRef;
use crate::core::object::ResourceType;
use crate::core::scalar::{CountOrShare, Span, Weight};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A spec that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// N: pods wanted.
    pub replicas: u32,
    /// The selector as it stands in the object; non-empty, and it matches the template's labels.
    pub selector: Arc<Value>,
    /// The pod template as stored; its labels are checked, the rest is proven by the API server. Null while a workload that
    /// has it was not looked at.
    pub template: Arc<Value>,
    /// Where the template is taken from, unless it stands in the spec.
    pub workload: Option<WorkloadRef>,
    /// How long a pod must be ready before it is available; whole seconds.
    pub min_ready: Span,
    pub strategy: Strategy,
    /// Old ReplicaSets that are kept.
    pub history_limit: usize,
    /// Steps and switches are stopped.
    pub paused: bool,
    /// Longest time without progress; longer than `min_ready`.
    pub progress_deadline: Span,
    pub deadline_abort: DeadlineAbort,
    /// So many revisions back a return skips steps and analysis; 0: none.
    pub rollback_window: usize,
    /// Pods that are older are replaced, once this time has come.
    pub restart_at: Option<Timestamp>,
    pub run_history: RunHistory,
}

/// The object of the same namespace whose template is rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRef {
    pub kind: WorkloadKind,
    pub name: String,
    /// Only a Deployment is scaled down.
    pub scale_down: ScaleDown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    Deployment,
    ReplicaSet,
    PodTemplate,
}

impl WorkloadKind {
    pub fn resource(self) -> ResourceType {
        match self {
            Self::Deployment => ResourceType::DEPLOYMENT,
            Self::ReplicaSet => ResourceType::REPLICA_SET,
            Self::PodTemplate => ResourceType::POD_TEMPLATE,
        }
    }
}

/// What becomes of the Deployment's own pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScaleDown {
    /// They are the user's matter.
    #[default]
    Never,
    /// They go when the Rollout is Healthy.
    OnSuccess,
    /// One goes for each available pod of the Rollout, the rest when it is Healthy.
    Progressively,
}

/// What exceeding the progress deadline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeadlineAbort {
    /// Aborts when the revision is the cause, not when the cluster is.
    #[default]
    Auto,
    Always,
    Never,
}

/// Finished AnalysisRuns that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunHistory {
    pub successful: usize,
    pub unsuccessful: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Strategy {
    Canary(Canary),
    BlueGreen(BlueGreen),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    pub steps: Vec<Step>,
    /// `None`: shares are numbers of pods.
    pub traffic: Option<Traffic>,
    /// With traffic always both; without it what the user named. Never the same Service.
    pub stable_service: Option<ServiceName>,
    pub canary_service: Option<ServiceName>,
    pub background: Option<Background>,
    /// At least one of the two is not zero.
    pub max_surge: CountOrShare,
    pub max_unavailable: CountOrShare,
    /// How long the former stable stays up after the last step; zero: it goes at once. Only with traffic.
    pub scale_down_delay: Span,
    /// Old revisions that may wait in that delay; `None`: all.
    pub scale_down_delay_revisions: Option<usize>,
    pub after_abort: AfterAbort,
    /// Whether stable has the pods of its share only. Only with traffic.
    pub dynamic_stable: DynamicStable,
    /// A count of pods that is not zero is raised to this; 0: not at all. Only with traffic.
    pub min_pods: u32,
    pub threshold: Threshold,
    pub anti_affinity: Option<AntiAffinity>,
    /// Of the pods while they are the canary, and while they are stable.
    pub canary_metadata: RoleMetadata,
    pub stable_metadata: RoleMetadata,
}

/// What pods carry for as long as their revision has a role. Not part of the hash, and never of what is selected by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleMetadata {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// Keeps the pods of a new revision off the nodes that have pods of stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AntiAffinity {
    Required,
    /// With this weight, 1 to 100.
    Preferred(u32),
}

impl Strategy {
    /// Names of the Services that it points at revisions.
    pub fn services(&self) -> Vec<&str> {
        match self {
            Self::Canary(canary) => [&canary.stable_service, &canary.canary_service]
                .into_iter()
                .flatten()
                .map(|s| s.name.as_str())
                .collect(),
            Self::BlueGreen(blue_green) => [Some(&blue_green.active_service), blue_green.preview_service.as_ref()]
                .into_iter()
                .flatten()
                .map(|s| s.name.as_str())
                .collect(),
        }
    }

    pub fn anti_affinity(&self) -> Option<AntiAffinity> {
        match self {
            Self::Canary(canary) => canary.anti_affinity,
            Self::BlueGreen(blue_green) => blue_green.anti_affinity,
        }
    }

    /// What the pods of a new revision carry, and those of the stable one.
    pub fn roles(&self) -> (&RoleMetadata, &RoleMetadata) {
        match self {
            Self::Canary(canary) => (&canary.canary_metadata, &canary.stable_metadata),
            Self::BlueGreen(blue_green) => (&blue_green.preview_metadata, &blue_green.active_metadata),
        }
    }
}

/// A Service of a role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceName {
    pub name: String,
    /// The user named none (only with [`Way::Ingress`]): we make it, and it goes with the Rollout.
    pub ours: bool,
}

/// Whether stable shrinks as the canary's share grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DynamicStable {
    /// It has all pods, always.
    #[default]
    Off,
    /// It does; after an abort the canary shrinks with its share.
    On,
    /// It does; after an abort the canary is held for the time that was given for it.
    HoldsCanary,
}

/// What becomes of the new revision's pods after an abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterAbort {
    ScaleDownAfter(Span),
    Keep,
}

/// Which part of a step's pods must be available for the step to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Threshold {
    #[default]
    All,
    /// 0 to 100.
    Percent(u32),
    Pods(u32),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    SetWeight(Weight),
    /// `None`: until promoted.
    Pause(Option<Span>),
    SetCanaryScale(CanaryScale),
    Analysis(Arc<Analysis>),
}

/// The number of canary pods apart from the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryScale {
    /// Percent of N; may exceed 100.
    Share(u32),
    Pods(u32),
    /// What the weight needs.
    MatchTrafficWeight,
}

/// How Traefik splits the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    pub way: Way,
    pub shield: Shield,
    /// A route to stable below every weighted route.
    pub net: bool,
    /// Longest wait until a written weight is seen; at least a second. `None`: as the installation says.
    pub live_timeout: Option<Span>,
}

/// What the user has in git.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Way {
    /// Routes whose backend is the TraefikService of this name, which is ours or adopted.
    WeightedService(String),
    /// An Ingress of this name, which is left as it is. Services that the user did not name are ours.
    Ingress(String),
}

/// Which requests stable answers when the canary fails with 502 to 504.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shield {
    None,
    /// GET, HEAD and OPTIONS.
    #[default]
    Idempotent,
    All,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BlueGreen {
    /// Never the same as the preview Service.
    pub active_service: ServiceName,
    /// With traffic always there.
    pub preview_service: Option<ServiceName>,
    /// The switch is a 0/100 write; `None`: it is the active Service's selector.
    pub traffic: Option<Traffic>,
    /// Pods of the new revision until it may be switched to; `None`: all.
    pub preview_replicas: Option<u32>,
    pub promotion: Promotion,
    pub pre_promotion: Option<Arc<Analysis>>,
    pub post_promotion: Option<Arc<Analysis>>,
    /// How long the former revision stays up after the switch; zero: it goes at once. `None`: not given, then 30 s, and with
    /// a post-promotion analysis not before its end (B8).
    pub scale_down_delay: Option<Span>,
    /// Old revisions that may wait in that delay; `None`: all.
    pub scale_down_delay_revisions: Option<usize>,
    pub after_abort: AfterAbort,
    pub max_unavailable: CountOrShare,
    pub anti_affinity: Option<AntiAffinity>,
    /// Of the pods while they are in preview, and while they are active.
    pub preview_metadata: RoleMetadata,
    pub active_metadata: RoleMetadata,
}

impl BlueGreen {
    /// The delay with its default.
    pub fn scale_down_delay(&self) -> Span {
        self.scale_down_delay.unwrap_or(Span::from_secs(30))
    }
}

/// When users are switched to the new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promotion {
    /// So long after it is complete and checked.
    Automatic(Span),
    /// When promoted.
    Manual,
}

/// Analysis beside the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    pub analysis: Arc<Analysis>,
    /// Index of the step with which it starts; below the number of steps, or 0.
    pub starting_step: usize,
}

/// Templates to run, with what the Rollout adds to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// At least one.
    pub templates: Vec<TemplateRef>,
    pub args: BTreeMap<String, ArgumentValue>,
    /// Entries `{metricName}` and `{metricName, limit}`, as `core::analysis::template::Given` takes them.
    pub dry_run: Vec<Value>,
    pub measurement_retention: Vec<Value>,
    /// Labels and annotations of the AnalysisRun.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// Where the value of an argument comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ArgumentValue {
    Text(String),
    StableHash,
    LatestHash,
    /// A field of the Rollout: `metadata.labels['app']`, `status.currentRevision`.
    Field(String),
}
