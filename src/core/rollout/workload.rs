//! The workload that a Rollout takes its template from: looking at it, and handing its pods over.
//!
//! The template never enters the Rollout's own spec: it is read anew at each decision. A Deployment that is scaled down keeps
//! its former size in an annotation, so that it is put back when the Rollout is gone; and once its pods were handed over, its
//! size is the user's again: who scales it up wants that.

use super::edits;
use super::pass::Pass;
use super::spec::{ScaleDown, Spec};
use super::{ANNOTATION_FORMER_REPLICAS, ANNOTATION_HANDED_OVER, ANNOTATION_MANAGED_BY, Observed};
use crate::core::object::ObjectRef;
use crate::core::question::{Ask, Question, Told};
use crate::core::refusal::Refusal;
use crate::core::row::{RolloutRow, WorkloadRow};
use std::sync::Arc;

const QUESTION: &str = "workload";

/// What was seen of the workload.
#[derive(Debug)]
pub(super) enum Looked {
    /// The template stands in the spec.
    NotNamed,
    /// It was not told yet.
    Open(Question),
    Found(Question, Arc<WorkloadRow>),
    Refused(Question, Refusal),
}

/// Looks for what the spec names.
pub(super) fn look(observed: &Observed, rollout: &RolloutRow) -> Looked {
    let Some(named) = Spec::workload_of(&rollout.spec) else { return Looked::NotNamed };
    let target = ObjectRef::new(named.kind.resource(), &rollout.meta.namespace, &named.name);
    // The name is part of the id: another name is another question.
    let question = Question { id: format!("{QUESTION} {target}"), ask: Ask::Workload { target: target.clone() } };
    match observed.answers.get(&question.id).map(|a| &a.what) {
        Some(Told::Workload(Ok(Some(row)))) => Looked::Found(question, row.clone()),
        Some(Told::Workload(Ok(None))) => {
            let problem = format!("there is no such {} in the namespace", target.resource.kind);
            let refusal = Refusal::new("spec.workloadRef.name", &named.name, problem, "create it, or name another one");
            Looked::Refused(question, refusal)
        }
        Some(Told::Workload(Err(no))) => {
            let problem = format!("{} cannot be read: {}", target.resource.plural, no.message);
            let remedy = "grant get, list and watch on them to the controller's service account";
            Looked::Refused(question, Refusal::new("spec.workloadRef.kind", &target.resource.kind, problem, remedy))
        }
        _ => Looked::Open(question),
    }
}

impl Looked {
    /// The spec with the template that was found.
    pub(super) fn read(&self, rollout: &RolloutRow) -> Result<Spec, Vec<Refusal>> {
        match self {
            Self::NotNamed => Spec::parse(&rollout.meta.name, &rollout.spec),
            Self::Found(_, row) => Spec::parse_with(&rollout.meta.name, &rollout.spec, Some(row)),
            Self::Open(_) => Err(Vec::new()),
            Self::Refused(_, refusal) => {
                let more = Spec::parse(&rollout.meta.name, &rollout.spec).err().unwrap_or_default();
                Err([vec![refusal.clone()], more].concat())
            }
        }
    }

    /// Nothing is known of it yet, so nothing is said but what cannot wait.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    pub(super) fn found(&self) -> Option<&WorkloadRow> {
        if let Self::Found(_, row) = self { Some(row) } else { None }
    }

    pub(super) fn question(self) -> Option<Question> {
        match self {
            Self::NotNamed => None,
            Self::Open(question) | Self::Found(question, _) | Self::Refused(question, _) => Some(question),
        }
    }
}

/// Scales the Deployment down as the spec says, after everything else was decided.
pub(super) fn hand_over(pass: &mut Pass<'_>, row: &WorkloadRow) {
    pass.next.workload_observed_generation = (row.generation > 0).then_some(row.generation);
    let scale_down = pass.f.spec.workload.as_ref().map_or(ScaleDown::Never, |w| w.scale_down);
    let size = row.size.unwrap_or(0);
    if scale_down == ScaleDown::Never || is_anothers(pass, row) {
        super::conditions::workload_is_up(pass, None);
        return;
    }
    let former = row.annotations.get(ANNOTATION_FORMER_REPLICAS).and_then(|n| n.parse::<i64>().ok());
    if row.annotations.contains_key(ANNOTATION_HANDED_OVER) {
        super::conditions::workload_is_up(pass, (size > 0).then(|| (row.title(), size)));
        return;
    }
    super::conditions::workload_is_up(pass, None);
    let healthy = pass.next.phase.as_deref() == Some("Healthy") && pass.next.stable_proven == Some(true);
    let before = former.unwrap_or(size);
    let wanted = match scale_down {
        _ if healthy => 0,
        // A revision that fails gives back what it took: the next one starts from there (argo-rollouts#4935).
        ScaleDown::Progressively => (before - available(pass)).max(0),
        _ => return,
    };
    if former.is_none() {
        if wanted >= size {
            // It never had pods, or none of ours are there yet.
            return;
        }
        pass.effects.push(edits::mark_workload(row, before, false, &pass.f.whose));
    }
    if wanted != size {
        let text = format!("Scaled {} from {size} to {wanted}", row.title());
        pass.notice(false, "ScalingWorkload", text);
        pass.effects.push(edits::scale_workload(row, size, wanted));
    } else if healthy {
        pass.effects.push(edits::mark_workload(row, before, true, &pass.f.whose));
    }
}

/// Available pods of all revisions.
fn available(pass: &Pass<'_>) -> i64 {
    pass.f.sets.values().map(|set| set.available).sum()
}

/// Another Rollout scales it.
fn is_anothers(pass: &Pass<'_>, row: &WorkloadRow) -> bool {
    let other = row.annotations.get(ANNOTATION_MANAGED_BY).filter(|name| **name != pass.f.whose.rollout);
    other.is_some_and(|name| pass.f.observed.others.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::ResourceType;
    use crate::core::plan::{Effect, Verb};
    use crate::core::question::Answer;
    use crate::core::rollout::{LABEL_HASH, decide, revisions};
    use crate::core::row::{Owner, ReplicaSetRow, Row};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    /// A Rollout in its first revision with `available` pods of 4, and a Deployment that has `size`.
    fn observed(scale_down: &str, available: i64, size: u32, annotations: &Value) -> Observed {
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}});
        let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": scale_down});
        let rollout = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "1", "generation": 1},
            "spec": {"replicas": 4, "workloadRef": workload, "strategy": {"canary": {}}}});
        let deployment = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "d", "resourceVersion": "1",
                "annotations": annotations},
            "spec": {"replicas": size, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
        let mut set = ReplicaSetRow { size: 4, created: 4, available, ..ReplicaSetRow::default() };
        set.meta.labels.insert(LABEL_HASH.to_owned(), revisions::template_hash(&template));
        set.meta.owner = Some(Owner { kind: "Rollout".into(), name: "web".into(), uid: "u".into() });
        let row = WorkloadRow::read(&ResourceType::DEPLOYMENT, &deployment).expect("a Deployment");
        let answer = Answer { at: Timestamp::UNIX_EPOCH, what: Told::Workload(Ok(Some(Arc::new(row)))) };
        Observed {
            name: "web".into(),
            rollout: Some(Arc::new(RolloutRow::read(&rollout).expect("a Rollout"))),
            replica_sets: vec![Arc::new(set)],
            answers: [("workload Deployment shop/web".to_owned(), answer)].into(),
            ..Observed::default()
        }
    }

    /// The size that the Deployment gets.
    fn sized(observed: &Observed) -> Option<Value> {
        let effects = decide(observed, Timestamp::UNIX_EPOCH).effects;
        let edits = effects.into_iter().filter(|e| e.target().resource == ResourceType::DEPLOYMENT);
        let patches = edits.filter_map(|Effect { verb, .. }| match verb {
            Verb::Edit { patch, .. } => Some(serde_json::to_value(patch).expect("JSON")),
            _ => None,
        });
        patches.last().map(|patch| patch[2]["value"].clone())
    }

    /// Q4, argo-rollouts#4935: each available pod takes one, and one that goes gives it back.
    #[test]
    fn progressively_follows_the_available_pods_down_and_up() {
        let former = json!({"tidegate.dev/former-replicas": "4", "tidegate.dev/managed-by": "web"});
        assert_eq!(sized(&observed("progressively", 0, 4, &json!({}))), None);
        assert_eq!(sized(&observed("progressively", 1, 4, &json!({}))), Some(json!(3)));
        assert_eq!(sized(&observed("progressively", 3, 3, &former)), Some(json!(1)));
        assert_eq!(sized(&observed("progressively", 0, 1, &former)), Some(json!(4)));
        assert_eq!(sized(&observed("onsuccess", 3, 4, &json!({}))), None);
        assert_eq!(sized(&observed("never", 3, 4, &json!({}))), None);
    }

    #[test]
    fn a_right_that_is_missing_is_named_with_its_remedy() {
        let mut observed = observed("never", 0, 4, &json!({}));
        let no = crate::core::question::ApiRefusal {
            code: 403,
            reason: "Forbidden".into(),
            message: "deployments.apps is forbidden".into(),
            causes: vec![],
        };
        let answer = Answer { at: Timestamp::UNIX_EPOCH, what: Told::Workload(Err(no)) };
        observed.answers.insert("workload Deployment shop/web".to_owned(), answer);
        let status = decide(&observed, Timestamp::UNIX_EPOCH).status.expect("it is said");
        let message = status.patch["message"].as_str().expect("text");
        assert!(message.starts_with("InvalidSpec: spec.workloadRef.kind"), "{message}");
        assert!(
            message.contains("deployments.apps is forbidden") && message.contains("grant get, list and watch"),
            "{message}"
        );
    }
}
