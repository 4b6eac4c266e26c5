//! `get rollout`: the Rollout above, and below it a tree of revisions, ReplicaSets, pods and runs.

use super::Observed;
use super::facts::{pod_state, step, step_text};
use super::history::roles;
use super::observed::{hash_of, images, revision};
use super::status::Status;
use super::text::{Line, Piece, Tone, age, columns, heading, plain, toned, word};
use crate::api::{AnalysisRun, TrafficInstance};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt;
use serde::Serialize;

/// What is shown, as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tree {
    #[serde(flatten)]
    pub(crate) status: Status,
    /// The current step in words; empty when there is none.
    pub(crate) now: String,
    /// Instances of the router that do not serve what is asked, with the reason.
    pub(crate) routers: Vec<String>,
    pub(crate) revisions: Vec<Branch>,
}

/// A revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Branch {
    pub(crate) revision: i64,
    pub(crate) hash: String,
    pub(crate) roles: Vec<&'static str>,
    pub(crate) images: Vec<String>,
    /// Its ReplicaSet with the pods, then its runs.
    pub(crate) objects: Vec<Node>,
}

/// An object below a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Node {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) created: Option<Timestamp>,
    pub(crate) info: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pods: Vec<Node>,
}

impl Tree {
    pub(crate) fn of(observed: &Observed) -> Self {
        let status = observed.status();
        let now = step(&observed.rollout, &status).map(|(_, step)| step_text(step)).unwrap_or_default();
        let instances = status.traffic.map(|t| t.instances).unwrap_or_default();
        Self {
            status: Status::of(&observed.rollout),
            now,
            routers: instances.iter().map(instance).collect(),
            revisions: observed.sets.iter().map(|set| branch(observed, set)).collect(),
        }
    }

    /// `wide` adds nodes, and the revisions that have no pods with all that is known of them.
    pub(crate) fn lines(&self, wide: bool, now: Timestamp) -> Vec<Line> {
        let status = &self.status;
        let mut lines = vec![
            Line::field("Rollout", [plain(format!("{}/{}", status.namespace, status.name))]),
            Line::field("Phase", phase(status)),
            Line::field("Strategy", [plain(self.strategy())]),
        ];
        if let Some(text) = status.weight.text() {
            lines.push(Line::field("Weight", [plain(text)]));
        }
        lines.extend(self.routers.iter().map(|router| Line::field("Router", [plain(router.clone())])));
        lines.push(Line::field("Pods", [plain(format!("{} wanted, {} available", status.desired, status.available))]));
        lines.push(Line::default());
        lines.extend(columns(self.rows(wide, now)));
        lines
    }

    fn strategy(&self) -> String {
        let Status { strategy, step, .. } = &self.status;
        match (step.is_empty(), self.now.is_empty()) {
            (true, _) => (*strategy).to_owned(),
            (false, true) => format!("{strategy}, {step} steps done"),
            (false, false) => format!("{strategy}, {step} steps done, now: {}", self.now),
        }
    }

    fn rows(&self, wide: bool, now: Timestamp) -> Vec<Vec<Piece>> {
        let mut names = vec!["NAME", "KIND", "STATE", "AGE", "INFO"];
        if wide {
            names.push("NODE");
        }
        let mut rows = vec![heading(&names)];
        let last = self.revisions.len().saturating_sub(1);
        for (at, branch) in self.revisions.iter().enumerate() {
            let (fork, bar) = if at == last { ("└─", "  ") } else { ("├─", "│ ") };
            let roles = if branch.roles.is_empty() { "old".to_owned() } else { branch.roles.join(", ") };
            rows.push(vec![
                toned(format!("{fork} revision {}", branch.revision), Tone::Strong),
                plain("Revision"),
                plain(roles),
                plain(""),
                plain(branch.images.join(",")),
            ]);
            below(&mut rows, bar, &branch.objects, wide, now);
        }
        rows
    }
}

fn below(rows: &mut Vec<Vec<Piece>>, before: &str, nodes: &[Node], wide: bool, now: Timestamp) {
    let last = nodes.len().saturating_sub(1);
    for (at, node) in nodes.iter().enumerate() {
        let (fork, bar) = if at == last { ("└─", "  ") } else { ("├─", "│ ") };
        let mut row = vec![
            plain(format!("{before} {fork} {}", node.name)),
            plain(node.kind),
            word(node.state.clone()),
            plain(age(node.created, now)),
            plain(node.info.clone()),
        ];
        if wide {
            row.push(plain(node.node.clone().unwrap_or_default()));
        }
        rows.push(row);
        below(rows, &format!("{before} {bar}"), &node.pods, wide, now);
    }
}

fn phase(status: &Status) -> Vec<Piece> {
    let mut pieces = vec![word(status.phase.clone())];
    if !status.message.is_empty() {
        pieces.push(plain(format!("  {}", status.message)));
    }
    pieces
}

fn instance(instance: &TrafficInstance) -> String {
    let serves = instance.canary.map_or_else(|| "not known".to_owned(), |c| format!("serves {c}"));
    match &instance.message {
        Some(message) => format!("{}: {serves}, {message}", instance.name),
        None => format!("{}: {serves}", instance.name),
    }
}

fn branch(observed: &Observed, set: &ReplicaSet) -> Branch {
    let hash = hash_of(set);
    let mut objects = vec![replica_set(observed, set)];
    objects.extend(observed.runs_of(hash).map(run));
    Branch {
        revision: revision(set),
        hash: hash.to_owned(),
        roles: roles(observed, hash),
        images: images(set),
        objects,
    }
}

fn replica_set(observed: &Observed, set: &ReplicaSet) -> Node {
    let wanted = set.spec.replicas.unwrap_or_default();
    let status = set.status.clone().unwrap_or_default();
    let available = status.available_replicas.unwrap_or_default();
    let state = match () {
        () if wanted == 0 && status.replicas == 0 => "ScaledDown",
        () if available >= wanted => "Healthy",
        () => "Progressing",
    };
    let pod = |pod: &k8s_openapi::api::core::v1::Pod| {
        let (state, info) = pod_state(pod);
        Node {
            kind: "Pod",
            name: pod.name_any(),
            state,
            created: pod.creation_timestamp().map(|t| t.0),
            info,
            node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
            pods: Vec::new(),
        }
    };
    Node {
        kind: "ReplicaSet",
        name: set.name_any(),
        state: state.to_owned(),
        created: set.creation_timestamp().map(|t| t.0),
        info: if state == "ScaledDown" { String::new() } else { format!("{available}/{wanted} available") },
        node: None,
        pods: observed.pods_of(set).map(pod).collect(),
    }
}

fn run(run: &AnalysisRun) -> Node {
    let status = run.status.clone().unwrap_or_default();
    Node {
        kind: "AnalysisRun",
        name: run.name_any(),
        state: status.phase.clone().unwrap_or_else(|| "Pending".to_owned()),
        created: run.creation_timestamp().map(|t| t.0),
        info: measured(run),
        node: None,
        pods: Vec::new(),
    }
}

/// `errors: 3 of 4 good, 1 failed`, for each metric; the run's message when it has one.
pub(super) fn measured(run: &AnalysisRun) -> String {
    let status = run.status.clone().unwrap_or_default();
    let metric = |m: &crate::api::MetricResult| {
        let good = m.successful.unwrap_or_default();
        let counted = m.count.unwrap_or_default();
        let mut text = format!("{}: {good} of {counted} good", m.name);
        for (count, what) in [(m.failed, "failed"), (m.inconclusive, "inconclusive"), (m.error, "broken")] {
            if let Some(count) = count.filter(|c| *c > 0) {
                text = format!("{text}, {count} {what}");
            }
        }
        text
    };
    let mut parts: Vec<String> = status.metric_results.iter().map(metric).collect();
    parts.extend(status.message.filter(|m| !m.is_empty()));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::text::paint;
    use super::*;
    use serde_json::json;

    fn shown(observed: &Observed, wide: bool) -> String {
        paint(&Tree::of(observed).lines(wide, sample::NOW), false)
    }

    #[test]
    fn a_paused_canary_shows_both_weights_and_everything_below_it() {
        let golden = "\
Rollout     shop/web
Phase       Paused  CanaryPauseStep
Strategy    canary, 1/3 steps done, now: pause until promoted
Weight      20 set, 20 live
Pods        2 wanted, 3 available

NAME                KIND         STATE              AGE  INFO
├─ revision 2       Revision     current                 app:2
│  ├─ web-new       ReplicaSet   Healthy            5m   1/1 available
│  │  └─ web-new-c  Pod          Running            5m   1/1 ready
│  └─ web-new-2-0   AnalysisRun  Running            3m   errors: 3 of 4 good, 1 failed
└─ revision 1       Revision     stable, last good       app:1
   └─ web-old       ReplicaSet   Healthy            16m  2/2 available
      ├─ web-old-a  Pod          Running            5m   1/1 ready
      └─ web-old-b  Pod          Running            5m   1/1 ready
";
        assert_eq!(shown(&sample::paused(), false), golden);
    }

    #[test]
    fn a_weight_that_is_not_live_names_the_instance_that_lags() {
        let status = json!({"traffic": {"live": {"canary": 0}, "instances": [{"name": "traefik-1", "canary": 0, "message": "does not serve 20 yet"}]}});
        let text = shown(&sample::with(&status, &json!({})), false);
        assert!(text.contains("Weight      20 set, 0 live\nRouter      traefik-1: serves 0, does not serve 20 yet\n"));
    }

    #[test]
    fn a_pod_that_crashes_says_why_and_wide_says_where() {
        let mut observed = sample::paused();
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        observed.pods[0] = serde_json::from_value(sample::pod("new", "c", &waiting, false)).expect("a pod");
        let text = shown(&observed, true);
        assert!(text.contains("CrashLoopBackOff   5m   0/1 ready: back-off 10s"), "{text}");
        assert!(text.lines().any(|l| l.contains("web-old-a") && l.ends_with("node-1")), "{text}");
    }

    #[test]
    fn data_has_the_weights_under_their_names() {
        let data = serde_json::to_value(Tree::of(&sample::paused())).expect("JSON");
        assert_eq!(data["weight"], json!({"set": 20, "live": 20}));
        assert_eq!(data["revisions"][0]["objects"][0]["pods"][0]["name"], "web-new-c");
    }
}
