//! All that one decision is made from, as a file: what a person sends with a question, and what a test decides on again.
//!
//! The file holds objects as the API server gives them, without what no decision reads, and the moment at which they were
//! read. What only the controller knows (answers to its questions, writes that were refused to it) is named as missing.

use super::spec::Spec;
use super::{LABEL_ROLLOUT, Observed};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::question::{Answer, Ask, Told};
use crate::core::row::{RolloutRow, Row, RowError, WorkloadRow};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// What was read for one decision about one Rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dump {
    /// The decision's `now`.
    pub taken_at: Timestamp,
    pub namespace: String,
    pub name: String,
    /// What a decision reads and is not here, in words.
    pub missing: Vec<String>,
    pub objects: Vec<Value>,
}

impl Dump {
    /// What is read, Rollouts first; true: in the whole cluster, not in the Rollout's namespace alone.
    pub const SOURCES: [(ResourceType, bool); 11] = [
        (ResourceType::ROLLOUT, false),
        (ResourceType::REPLICA_SET, false),
        (ResourceType::SERVICE, false),
        (ResourceType::ENDPOINT_SLICE, false),
        (ResourceType::TRAEFIK_SERVICE, false),
        (ResourceType::SERVERS_TRANSPORT, false),
        (ResourceType::INGRESS_ROUTE, true),
        (ResourceType::INGRESS, true),
        (ResourceType::ANALYSIS_TEMPLATE, false),
        (ResourceType::CLUSTER_ANALYSIS_TEMPLATE, true),
        (ResourceType::ANALYSIS_RUN, false),
    ];

    /// A dump of these objects, each with `apiVersion` and `kind`; `missing` names what could not be read.
    ///
    /// # Errors
    /// When an object is none that an API server stores.
    pub fn of(
        rollout: &ObjectRef,
        taken_at: Timestamp,
        objects: Vec<Value>,
        missing: Vec<String>,
    ) -> Result<Self, RowError> {
        let (namespace, name) = (rollout.namespace.clone(), rollout.name.clone());
        let mut dump = Self { taken_at, namespace, name, missing, objects };
        let found = dump.objects.iter().find(|object| ObjectRef::named_by(object) == *rollout);
        let uid = found.map_or(Value::Null, |object| object["metadata"]["uid"].clone());
        let workload = found.and_then(|object| Self::workload(&rollout.namespace, &object["spec"]));
        dump.objects.retain_mut(|object| {
            let target = ObjectRef::named_by(object);
            let is_workload = workload.as_ref() == Some(&target);
            let kept = is_workload || belongs(object, rollout, &uid);
            trim(object, target == *rollout, is_workload);
            kept
        });
        let observed = dump.observed()?;
        let asked =
            super::decide(&observed, taken_at).ask.into_iter().filter(|q| !observed.answers.contains_key(&q.id));
        dump.missing.extend(asked.map(|q| format!("what the controller was told about: {}", q.id)));
        dump.missing.push("writes of the controller that the API server refuses, if there are any".to_owned());
        Ok(dump)
    }

    /// The workload that a Rollout of the namespace with this spec takes its template from, if it names one.
    pub fn workload(namespace: &str, spec: &Value) -> Option<ObjectRef> {
        let named = Spec::workload_of(spec)?;
        Some(ObjectRef::new(named.kind.resource(), namespace, named.name))
    }

    /// What the decision sees. Of the questions only that about the workload is answered here.
    ///
    /// # Errors
    /// When an object is none that an API server stores.
    pub fn observed(&self) -> Result<Observed, RowError> {
        let rollouts: Vec<Arc<RolloutRow>> = self.rows()?;
        let mut observed = Observed {
            name: self.name.clone(),
            rollout: rollouts.iter().find(|row| row.meta.name == self.name).cloned(),
            others: rollouts.iter().map(|row| row.meta.name.clone()).collect(),
            replica_sets: self.rows()?,
            services: self.rows()?,
            endpoint_slices: self.rows()?,
            traefik_services: self.rows()?,
            servers_transports: self.rows()?,
            ingress_routes: self.rows()?,
            ingresses: self.rows()?,
            templates: self.rows()?,
            cluster_templates: self.rows()?,
            runs: self.rows()?,
            ..Observed::default()
        }
        .narrowed();
        for question in super::decide(&observed, self.taken_at).ask {
            let Ask::Workload { target } = &question.ask else { continue };
            let Some(object) = self.objects.iter().find(|o| ObjectRef::named_by(o) == *target) else { continue };
            let row = WorkloadRow::read(&target.resource, object)?;
            let answer = Answer { at: self.taken_at, what: Told::Workload(Ok(Some(Arc::new(row)))) };
            observed.answers.insert(question.id, answer);
        }
        Ok(observed)
    }

    fn rows<R: Row>(&self) -> Result<Vec<Arc<R>>, RowError> {
        let of_kind = self.objects.iter().filter(|object| ObjectRef::named_by(object).resource == R::resource());
        of_kind.map(|object| R::read(object).map(Arc::new)).collect()
    }
}

/// Whether a decision looks at it: of some kinds only what is the Rollout's own.
fn belongs(object: &Value, rollout: &ObjectRef, uid: &Value) -> bool {
    let meta = &object["metadata"];
    let labelled = meta["labels"][LABEL_ROLLOUT] == rollout.name.as_str();
    let owned = meta["ownerReferences"].as_array().into_iter().flatten().any(|owner| owner["uid"] == *uid);
    match object["kind"].as_str() {
        Some("ReplicaSet" | "AnalysisRun") => owned || labelled,
        Some("EndpointSlice") => labelled,
        Some("Deployment" | "PodTemplate") => false,
        _ => true,
    }
}

/// Takes off what no row reads: a dump is read by people, and may be handed on.
fn trim(object: &mut Value, is_it: bool, is_workload: bool) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let managers = object["metadata"]["managedFields"].take();
    let Some(fields) = object.as_object_mut() else { return };
    match kind.as_str() {
        "Rollout" if is_it => {}
        // Of its neighbours only the names count.
        "Rollout" => fields.retain(|key, _| ["apiVersion", "kind", "metadata"].contains(&key.as_str())),
        "AnalysisRun" | "ReplicaSet" => {}
        _ => drop(fields.remove("status")),
    }
    if kind == "ReplicaSet" && !is_workload {
        let pod = &mut object["spec"]["template"]["spec"];
        let containers = pod["containers"].as_array().into_iter().flatten();
        let containers: Vec<Value> = containers.map(|c| json!({"name": c["name"], "image": c["image"]})).collect();
        *pod = json!({"containers": containers});
    }
    let Some(meta) = object["metadata"].as_object_mut() else { return };
    meta.remove("managedFields");
    if is_it {
        meta.insert("managedFields".to_owned(), annotators(&managers));
    }
    if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// Who wrote annotations: a command in git is known by that.
fn annotators(managers: &Value) -> Value {
    let entries = managers.as_array().into_iter().flatten().filter_map(|entry| {
        let annotations = &entry["fieldsV1"]["f:metadata"]["f:annotations"];
        let kept = json!({"manager": entry["manager"], "fieldsV1": {"f:metadata": {"f:annotations": annotations}}});
        annotations.is_object().then_some(kept)
    });
    entries.collect()
}
