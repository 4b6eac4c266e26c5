//! Constructors of the effects that a Rollout needs: patches that test what they replace, and applies of what is ours.

use super::{
    ANNOTATION_FORMER_REPLICAS, ANNOTATION_HANDED_OVER, ANNOTATION_MANAGED_BY, ANNOTATION_REVISION, ANNOTATION_ROLE,
    LABEL_HASH, LABEL_ROLLOUT,
};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::{Actor, Effect, Manager, Propagation, Verb, Why};
use crate::core::question::PodEvidence;
use crate::core::row::{AnalysisRunRow, DeploymentRow, Meta, ReplicaSetRow, ServiceRow, WorkloadRow};
use crate::core::traffic::{Ownership, root::Child};
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation};
use jsonptr::PointerBuf;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When a ReplicaSet goes to 0. Un-prefixed, as users of the field know it.
pub(super) const SCALE_DOWN_DEADLINE: &str = "scale-down-deadline";

fn path(tokens: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(tokens.iter().copied())
}

fn test(at: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: path(at), value })
}

fn replace(at: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation { path: path(at), value })
}

fn add(at: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: path(at), value })
}

fn remove(at: &[&str]) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: path(at) })
}

fn edit(resource: ResourceType, meta: &Meta, mut operations: Vec<PatchOperation>, why: Why) -> Effect {
    // The same name may be another object by now.
    operations.insert(0, test(&["metadata", "uid"], json!(meta.uid)));
    let target = ObjectRef::new(resource, &meta.namespace, &meta.name);
    Effect { verb: Verb::Edit { target, patch: Patch(operations) }, why }
}

/// The size of a ReplicaSet.
pub(super) fn scale(set: &ReplicaSetRow, size: u32) -> Effect {
    let at = ["spec", "replicas"];
    edit(ResourceType::REPLICA_SET, &set.meta, vec![test(&at, json!(set.size)), replace(&at, json!(size))], Why::Scale)
}

/// Sets or takes off an annotation of a ReplicaSet of ours. It always has one, its revision, so the map is there.
pub(super) fn annotate_set(set: &ReplicaSetRow, key: &str, value: Option<String>, why: Why) -> Effect {
    let at = ["metadata", "annotations", key];
    let seen = set.meta.annotations.get(key);
    let mut operations: Vec<PatchOperation> = seen.iter().map(|v| test(&at, json!(v))).collect();
    match (value, seen) {
        (Some(value), _) => operations.push(add(&at, json!(value))),
        (None, Some(_)) => operations.push(remove(&at)),
        (None, None) => {}
    }
    edit(ResourceType::REPLICA_SET, &set.meta, operations, why)
}

/// Puts labels and annotations into a ReplicaSet's template, and beside it what is remembered of it.
pub(super) fn dress(
    set: &ReplicaSetRow,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    memo: Option<String>,
) -> Effect {
    let mut operations = Vec::new();
    for (map, seen, wanted) in [("labels", &set.pod_labels, labels), ("annotations", &set.pod_annotations, annotations)]
    {
        let at = ["spec", "template", "metadata", map];
        if seen == wanted {
            continue;
        }
        if !seen.is_empty() {
            operations.push(test(&at, json!(seen)));
        }
        operations.push(if wanted.is_empty() { remove(&at) } else { add(&at, json!(wanted)) });
    }
    let at = ["metadata", "annotations", ANNOTATION_ROLE];
    let seen = set.meta.annotations.get(ANNOTATION_ROLE);
    operations.extend(seen.map(|value| test(&at, json!(value))));
    match memo {
        Some(memo) => operations.push(add(&at, json!(memo))),
        None if seen.is_some() => operations.push(remove(&at)),
        None => {}
    }
    edit(ResourceType::REPLICA_SET, &set.meta, operations, Why::RoleMetadata)
}

/// Gives a running pod labels and annotations, or takes them off.
pub(super) fn redress(
    namespace: &str,
    pod: &PodEvidence,
    labels: &BTreeMap<String, Option<String>>,
    annotations: &BTreeMap<String, Option<String>>,
) -> Effect {
    let mut operations = Vec::new();
    for (map, seen, wanted) in [("labels", &pod.labels, labels), ("annotations", &pod.annotations, annotations)] {
        if seen.is_empty() && !wanted.is_empty() {
            operations.push(add(&["metadata", map], json!({})));
        }
        for (key, value) in wanted {
            // Without a test of the former value: the key is ours, and an answer about pods may be a second old.
            let at = ["metadata", map, key];
            operations.push(value.as_ref().map_or_else(|| remove(&at), |value| add(&at, json!(value))));
        }
    }
    let meta =
        Meta { namespace: namespace.to_owned(), name: pod.name.clone(), uid: pod.uid.clone(), ..Meta::default() };
    edit(ResourceType::POD, &meta, operations, Why::RoleMetadata)
}

/// The ReplicaSet of a revision, with no regard to whether it may be created.
pub(super) fn replica_set(
    template: &Value,
    selector: &Value,
    hash: &str,
    size: u32,
    revision: i64,
    min_ready_seconds: i64,
    whose: &Ownership,
) -> Value {
    let mut template = template.clone();
    template["metadata"]["labels"][LABEL_HASH] = json!(hash);
    let mut selector = selector.clone();
    selector["matchLabels"][LABEL_HASH] = json!(hash);
    let mut metadata = whose.metadata(&format!("{}-{hash}", whose.rollout));
    let labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    for (key, value) in labels {
        metadata["labels"][key] = value;
    }
    metadata["annotations"] = json!({(ANNOTATION_REVISION): revision.to_string()});
    let mut spec = json!({"replicas": size, "selector": selector, "template": template});
    if min_ready_seconds > 0 {
        spec["minReadySeconds"] = json!(min_ready_seconds);
    }
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec})
}

pub(super) fn create(object: Value, why: Why) -> Effect {
    Effect { verb: Verb::Create { object: Arc::new(object), actor: Actor::Controller }, why }
}

pub(super) fn apply(object: Value, uid: Option<&str>, why: Why) -> Effect {
    let (manager, actor) = (Manager::Rollout, Actor::Controller);
    let uid = uid.map(str::to_owned);
    Effect { verb: Verb::Apply { object: Arc::new(object), manager, force: true, uid, actor }, why }
}

pub(super) fn delete(resource: ResourceType, meta: &Meta, why: Why) -> Effect {
    let target = ObjectRef::new(resource, &meta.namespace, &meta.name);
    let (uid, propagation, actor) = (meta.uid.clone(), Propagation::Background, Actor::Controller);
    Effect { verb: Verb::Delete { target, uid, propagation, actor }, why }
}

/// What a Service selects apart from a revision. Where an Application leaves the selector to us, it is git's, which it
/// passes in an annotation.
pub(super) fn base_selector(service: &ServiceRow) -> BTreeMap<String, String> {
    let passed = service.meta.annotations.get(crate::core::application::wanted::ANNOTATION_SELECTOR);
    let passed = passed.and_then(|text| serde_json::from_str::<BTreeMap<String, String>>(text).ok());
    let mut base = passed.filter(|p| !p.is_empty()).unwrap_or_else(|| service.selector.clone());
    base.remove(LABEL_HASH);
    base
}

/// The selector that points a Service at one revision.
pub(super) fn selector_of(service: &ServiceRow, hash: &str) -> BTreeMap<String, String> {
    let mut wanted = base_selector(service);
    wanted.insert(LABEL_HASH.to_owned(), hash.to_owned());
    wanted
}

/// Points a Service at one revision. The selector is one atomic field: the whole of it is tested and replaced, so that
/// another's change in between is never undone.
pub(super) fn select(service: &ServiceRow, hash: &str) -> Effect {
    edit(ResourceType::SERVICE, &service.meta, reselect(service, &selector_of(service, hash)), Why::SelectPods)
}

fn reselect(service: &ServiceRow, wanted: &BTreeMap<String, String>) -> Vec<PatchOperation> {
    let at = ["spec", "selector"];
    if service.selector.is_empty() {
        vec![add(&at, json!(wanted))]
    } else {
        vec![test(&at, json!(service.selector)), replace(&at, json!(wanted))]
    }
}

/// Gives a Service back that a Rollout steered which is gone: it selects by the user's labels alone, and our marks go.
pub(super) fn release(service: &ServiceRow) -> Effect {
    let mut operations = Vec::new();
    let base = base_selector(service);
    if base != service.selector {
        operations.extend(reselect(service, &base));
    }
    operations.extend(unmark(&service.meta));
    edit(ResourceType::SERVICE, &service.meta, operations, Why::RouteTakeDown)
}

/// Takes our marks off an object that is not ours.
fn unmark(meta: &Meta) -> Vec<PatchOperation> {
    let mut operations = Vec::new();
    let annotations = [ANNOTATION_MANAGED_BY, ANNOTATION_FORMER_REPLICAS, ANNOTATION_HANDED_OVER];
    let marks = annotations.map(|key| ("annotations", key, meta.annotations.get(key)));
    for (map, key, value) in marks.into_iter().chain([("labels", LABEL_ROLLOUT, meta.labels.get(LABEL_ROLLOUT))]) {
        if let Some(value) = value {
            let at = ["metadata", map, key];
            operations.push(test(&at, json!(value)));
            operations.push(remove(&at));
        }
    }
    operations
}

/// Notes on a Deployment who takes its pods over and how many it had, and owns nothing else of it.
pub(super) fn mark_workload(row: &WorkloadRow, former: i64, handed_over: bool, whose: &Ownership) -> Effect {
    let mut annotations =
        json!({(ANNOTATION_MANAGED_BY): whose.rollout, (ANNOTATION_FORMER_REPLICAS): former.to_string()});
    if handed_over {
        annotations[ANNOTATION_HANDED_OVER] = json!("true");
    }
    let resource = &row.target.resource;
    let object = json!({
        "apiVersion": resource.api_version(), "kind": resource.kind,
        "metadata": {
            "name": row.target.name, "namespace": row.target.namespace,
            "labels": {(LABEL_ROLLOUT): whose.rollout}, "annotations": annotations,
        },
    });
    apply(object, Some(&row.uid), Why::HandOver)
}

/// The size of a Deployment whose pods are taken over.
pub(super) fn scale_workload(row: &WorkloadRow, from: i64, to: i64) -> Effect {
    let at = ["spec", "replicas"];
    let operations = vec![test(&["metadata", "uid"], json!(row.uid)), test(&at, json!(from)), replace(&at, json!(to))];
    Effect { verb: Verb::Edit { target: row.target.clone(), patch: Patch(operations) }, why: Why::HandOver }
}

/// Gives a Deployment its pods back whose Rollout is gone, unless somebody scaled it up since.
pub(super) fn give_back(row: &DeploymentRow) -> Effect {
    let at = ["spec", "replicas"];
    let former = row.meta.annotations.get(ANNOTATION_FORMER_REPLICAS).and_then(|n| n.parse::<i64>().ok());
    let handed_over = row.meta.annotations.contains_key(ANNOTATION_HANDED_OVER);
    let mut operations = Vec::new();
    if let Some(former) = former.filter(|f| *f > row.size && (row.size == 0 || !handed_over)) {
        operations = vec![test(&at, json!(row.size)), replace(&at, json!(former))];
    }
    operations.extend(unmark(&row.meta));
    edit(ResourceType::DEPLOYMENT, &row.meta, operations, Why::HandOver)
}

/// Whether a Service carries our marks.
pub(super) fn is_marked(service: &ServiceRow, whose: &Ownership) -> bool {
    let is_ours = |value: Option<&String>| value.is_some_and(|v| *v == whose.rollout);
    is_ours(service.meta.labels.get(LABEL_ROLLOUT)) && is_ours(service.meta.annotations.get(ANNOTATION_MANAGED_BY))
}

/// Puts our marks on a Service of the user, and owns nothing else of it.
pub(super) fn mark(service: &ServiceRow, whose: &Ownership) -> Effect {
    let object = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": service.meta.name, "namespace": service.meta.namespace,
            "labels": {(LABEL_ROLLOUT): whose.rollout},
            "annotations": {(ANNOTATION_MANAGED_BY): whose.rollout},
        },
    });
    apply(object, Some(&service.meta.uid), Why::RouteSetUp)
}

/// A Service of ours with the ports of `like` and its selector narrowed to one revision.
pub(super) fn own_service(name: &str, like: &ServiceRow, port: &Child, hash: &str, whose: &Ownership) -> Value {
    let mut selector: BTreeMap<String, String> = like.selector.clone();
    selector.insert(LABEL_HASH.to_owned(), hash.to_owned());
    let mut metadata = whose.metadata(name);
    metadata["annotations"] = json!({(ANNOTATION_MANAGED_BY): whose.rollout});
    let ports = like.ports.iter().map(|p| {
        let mut port = json!({"port": p.port, "targetPort": p.target.clone().unwrap_or_else(|| json!(p.port))});
        for (key, value) in [("name", &p.name), ("protocol", &p.protocol), ("appProtocol", &p.app_protocol)] {
            if let Some(value) = value {
                port[key] = json!(value);
            }
        }
        port
    });
    let ports: Vec<Value> = ports.collect();
    debug_assert!(!port.port.is_empty(), "a backend has a port");
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports, "selector": selector}})
}

/// Takes a command off the Rollout, if it still says what was read.
pub(super) fn remove_annotation(meta: &Meta, key: &str, value: &str) -> Effect {
    let at = ["metadata", "annotations", key];
    let operations = vec![test(&at, json!(value)), remove(&at)];
    edit(ResourceType::ROLLOUT, meta, operations, Why::CommandDone)
}

/// Puts a finalizer on. Where there is none the list is made, which must not wipe one that came in between.
pub(super) fn add_finalizer(meta: &Meta, name: &str) -> Effect {
    let operations = if meta.finalizers.is_empty() {
        let same = test(&["metadata", "resourceVersion"], json!(meta.resource_version));
        vec![same, add(&["metadata", "finalizers"], json!([name]))]
    } else {
        vec![add(&["metadata", "finalizers", "-"], json!(name))]
    };
    edit(ResourceType::ROLLOUT, meta, operations, Why::Finalizer)
}

/// Takes a finalizer off that is there.
pub(super) fn remove_finalizer(meta: &Meta, name: &str) -> Option<Effect> {
    let place = meta.finalizers.iter().position(|f| f == name)?.to_string();
    let at = ["metadata", "finalizers", place.as_str()];
    let operations = vec![test(&at, json!(name)), remove(&at)];
    Some(edit(ResourceType::ROLLOUT, meta, operations, Why::Finalizer))
}

/// Makes an object ours again that a former Rollout of this name left behind, if nobody took it since it was read.
pub(super) fn adopt(resource: ResourceType, meta: &Meta, whose: &Ownership) -> Effect {
    let same = test(&["metadata", "resourceVersion"], json!(meta.resource_version));
    let owner = add(&["metadata", "ownerReferences"], json!([whose.reference()]));
    edit(resource, meta, vec![same, owner], Why::NewRevision)
}

/// Changes nothing, and is refused when the Rollout is no longer as it was seen.
pub(super) fn unchanged(rollout: &Meta) -> Effect {
    let same = test(&["metadata", "resourceVersion"], json!(rollout.resource_version));
    edit(ResourceType::ROLLOUT, rollout, vec![same], Why::NewRevision)
}

/// Lets a pod go as a disruption budget allows.
pub(super) fn evict(namespace: &str, pod: &PodEvidence) -> Effect {
    let target = ObjectRef::new(ResourceType::POD, namespace, &pod.name);
    Effect { verb: Verb::Evict { pod: target, uid: pod.uid.clone() }, why: Why::Restart }
}

/// Asks a run to stop.
pub(super) fn terminate(run: &AnalysisRunRow) -> Effect {
    edit(ResourceType::ANALYSIS_RUN, &run.meta, vec![add(&["spec", "terminate"], json!(true))], Why::Analysis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose() -> Ownership {
        Ownership { namespace: "shop".into(), rollout: "web".into(), uid: "u".into() }
    }

    #[test]
    fn a_replica_set_selects_its_own_pods_only_and_keeps_unknown_fields() {
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"futureField": 1}});
        let set = replica_set(&template, &json!({"matchLabels": {"app": "web"}}), "h", 3, 2, 5, &whose());
        assert_eq!(set["metadata"]["name"], "web-h");
        assert_eq!(set["spec"]["selector"]["matchLabels"], json!({"app": "web", "rollouts-pod-template-hash": "h"}));
        assert_eq!(set["spec"]["template"]["metadata"]["labels"]["rollouts-pod-template-hash"], "h");
        assert_eq!(set["spec"]["template"]["spec"]["futureField"], 1);
        assert_eq!(set["metadata"]["annotations"]["tidegate.dev/revision"], "2");
    }

    #[test]
    fn a_selector_is_tested_as_a_whole_before_it_is_replaced() {
        let service = ServiceRow { selector: BTreeMap::from([("app".into(), "web".into())]), ..ServiceRow::default() };
        let Verb::Edit { patch, .. } = select(&service, "h").verb else { panic!("an edit") };
        let mut object = json!({"metadata": {"uid": ""}, "spec": {"selector": {"app": "web"}}});
        json_patch::patch(&mut object, &patch).expect("as seen");
        assert_eq!(object["spec"]["selector"], json!({"app": "web", "rollouts-pod-template-hash": "h"}));
        let mut other = json!({"metadata": {"uid": ""}, "spec": {"selector": {"app": "other"}}});
        json_patch::patch(&mut other, &patch).expect_err("changed by another");
    }
}
