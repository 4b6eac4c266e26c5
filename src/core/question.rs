//! Questions: what a decision needs to know and no watch tells. Their answers are rows like any other.
//!
//! A plan carries the set of all its open questions; workers start new ones, cancel missing ones, and put each answer into a
//! cache, which wakes whoever asked. Nothing about questions is persisted: after a restart `decide` asks again. An abort
//! thereby cancels its measurements.

use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::Actor;
use crate::core::row::WorkloadRow;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A question with its identity: two questions of one key are the same exactly when their ids are.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub id: String,
    pub ask: Ask,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// What every Ready instance of Traefik serves under these names. Answered again and again while asked, at each change.
    Routes { services: Vec<String>, routers: Vec<String> },
    /// Take one measurement, not before `due`.
    Measure(Arc<Measure>),
    /// Would the API server take this object as new, and what would it make of it?
    DryRunCreate { object: Arc<Value> },
    /// Would applying this (forced, as the sync manager) change the live object, and how? A refusal is asked again from time
    /// to time, as rights, quotas and webhooks change without any object of ours changing.
    DryRunApply { object: Arc<Value>, actor: Actor },
    /// Which resources serve these kinds: pairs of `apiVersion` and `kind`. Answered at each change while asked.
    Kinds { kinds: BTreeSet<(String, String)> },
    /// The tip of a branch, tag or commit, and the tree of one path there. Answered at each change while asked.
    Source(SourceQuestion),
    /// The objects that the files of a tree hold.
    Render(RenderQuestion),
    /// The objects that carry a label, as rows of identity, version and health. Answered at each change while asked.
    Objects { resources: Vec<ResourceType>, label: (String, String) },
    /// The workload that a Rollout takes its template from. Answered at each change while asked.
    Workload { target: ObjectRef },
    /// The pods of a selector with what keeps them from being ready. Answered once a second while asked.
    Pods { namespace: String, labels: BTreeMap<String, String> },
}

/// One measurement of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    pub run: ObjectRef,
    pub metric: String,
    /// Provider object with every argument already put in, as in the run's spec; secrets by reference.
    pub provider: Value,
    pub success_condition: String,
    pub failure_condition: String,
    pub due: Timestamp,
}

/// Where manifests come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceQuestion {
    pub url: String,
    /// `HEAD`, a branch, a tag or a commit.
    pub revision: String,
    /// Path inside the repository, empty or `.` for its root.
    pub path: String,
    /// Where the credential for reading lies, if one is needed.
    pub secret: Option<(String, String)>,
    /// Changes when a person asks to look again now.
    pub nonce: String,
}

/// What is rendered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RenderQuestion {
    pub url: String,
    /// The same as in the [`SourceQuestion`]: a tree is read only from the mirror that this credential filled, so that
    /// nobody reads another tenant's repository by naming its URL and a tree.
    pub secret: Option<(String, String)>,
    /// Tree of the path: 40 hex digits.
    pub tree: String,
    pub recurse: bool,
    /// Globs over paths relative to the tree; empty takes all manifests.
    pub include: String,
    pub exclude: String,
}

/// What came back, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub at: Timestamp,
    pub what: Told,
}

/// The answer to each [`Ask`], variant by variant. A question that is still open has no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Routes(Vec<InstanceReading>),
    Measured(Measured),
    DryRun(Result<Arc<Value>, ApiRefusal>),
    DryApplied(Result<Arc<WouldApply>, ApiRefusal>),
    /// `None` for a kind that the cluster does not serve.
    Kinds(Arc<BTreeMap<(String, String), Option<ResourceType>>>),
    Source(Result<Arc<SourceTip>, SourceError>),
    Rendered(Result<Arc<Rendered>, Vec<RenderError>>),
    Objects(Arc<LiveObjects>),
    Pods(Arc<Vec<PodEvidence>>),
    /// `None` when there is no such object.
    Workload(Result<Option<Arc<WorkloadRow>>, ApiRefusal>),
}

/// What one instance of Traefik said.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceReading {
    /// Its pod, or its address where it has none.
    pub instance: String,
    pub at: Timestamp,
    /// How it was read: which rung of the ladder, for status.
    pub rung: &'static str,
    pub seen: Result<RoutesSeen, String>,
}

/// Services and routers as Traefik has them loaded. Names that it does not know are absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RoutesSeen {
    pub services: BTreeMap<String, ServiceSeen>,
    pub routers: BTreeMap<String, RouterSeen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceSeen {
    pub enabled: bool,
    /// Children with their weights; for a load balancer none.
    pub children: Vec<(String, i64)>,
    /// Addresses of a load balancer: `http://10.0.0.7:8080`.
    pub servers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterSeen {
    pub enabled: bool,
    pub rule: String,
    pub priority: i64,
    pub service: String,
    pub errors: Vec<String>,
}

/// The outcome of one measurement. A query without usable data is none of the three verdicts: `NoData`.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub started: Timestamp,
    pub finished: Timestamp,
    pub verdict: Verdict,
    /// The value as text, as it is shown in status.
    pub value: String,
    pub message: String,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    Successful,
    Failed,
    Inconclusive,
    Error,
    NoData,
}

/// The API server's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRefusal {
    /// HTTP status: 403, 409, 422 …
    pub code: u16,
    pub reason: String,
    pub message: String,
    /// Field path and text of each cause.
    pub causes: Vec<(String, String)>,
}

/// The tip of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTip {
    /// Full name of what was followed: `refs/heads/main`; `None` for a bare commit.
    pub reference: Option<String>,
    pub commit: String,
    pub author: String,
    pub time: Timestamp,
    /// The whole message; the first line is its subject.
    pub message: String,
    /// The tree of the path; `None` when the commit has no such directory.
    pub tree: Option<String>,
    /// Newest first, as far as the mirror has them (at most 50): commit, tree of the path, message.
    pub history: Vec<PastCommit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCommit {
    pub commit: String,
    pub tree: Option<String>,
    pub message: String,
}

/// Why a source could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    pub class: SourceErrorClass,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorClass {
    /// Network, time-out, server error: tried again by itself.
    Unreachable,
    /// The credential was refused or is missing.
    Unauthorized,
    /// The branch, tag or commit is not there.
    NoSuchRevision,
    /// The URL, the secret or the repository cannot be used at all.
    Unusable,
}

/// The objects of a tree, in file order.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    pub objects: Vec<RenderedObject>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RenderedObject {
    /// Path of the file, relative to the tree.
    pub file: String,
    pub object: Arc<Value>,
}

/// A file that could not be read as manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    pub file: String,
    /// 1-based; 0 when it is about the whole file.
    pub line: u64,
    pub message: String,
}

/// What an apply would do to the live object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldApply {
    /// Of what is there; `None` when the apply would create it.
    pub uid: Option<String>,
    /// The value of the Application label that the live object carries.
    pub owner: Option<String>,
    /// Fields that would change, at most 20 and one line each; empty means in sync.
    pub changes: Vec<FieldChange>,
}

/// One field that differs. Values are JSON, shortened; those of Secrets are never in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// `spec.template.spec.containers[0].image`
    pub path: String,
    /// Empty when the field is not there.
    pub live: String,
    pub wanted: String,
}

/// The objects with the label that was asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LiveObjects {
    pub objects: Vec<LiveObject>,
    /// Resources that could not be listed, and why: nothing is known of their objects.
    pub unreadable: Vec<(ResourceType, String)>,
}

/// A live object of an Application.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveObject {
    pub target: ObjectRef,
    pub uid: String,
    pub resource_version: String,
    pub generation: i64,
    /// Digest of its labels and annotations, which change without the generation.
    pub metadata_digest: String,
    pub deleting: bool,
    /// Has owner references: somebody else made it.
    pub owned: bool,
    pub health: crate::core::application::health::Health,
    /// A Service whose selector holds a pod template hash: a Rollout steers it.
    pub steered: bool,
    /// Which pods run it (`spec.selector.matchLabels` of a workload); empty for others.
    pub pods: BTreeMap<String, String>,
    /// Those that say something about pruning and waves (`tidegate.dev/…`, `argocd.argoproj.io/…`).
    pub annotations: BTreeMap<String, String>,
}

/// What a pod says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodEvidence {
    pub name: String,
    pub uid: String,
    /// Uid of the owner that controls it.
    pub owner: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub ready: bool,
    /// Since when it is ready, if it is.
    pub ready_since: Option<Timestamp>,
    /// On its way out.
    pub deleting: bool,
    pub created: Option<Timestamp>,
    /// `ErrImagePull`, `CrashLoopBackOff`, `Unschedulable`, `OOMKilled` …; empty when nothing is wrong.
    pub reason: String,
    pub message: String,
    pub restarts: i64,
}
