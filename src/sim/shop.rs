//! The shop: a Rollout `web` with what people have around it in git, and what can be said of it at the end of a run.

use super::api::State;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::rollout::LABEL_HASH;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const NAMESPACE: &str = "shop";

pub(super) fn name(resource: ResourceType, name: &str) -> ObjectRef {
    ObjectRef::new(resource, NAMESPACE, name)
}

pub(super) fn rollout() -> ObjectRef {
    name(ResourceType::ROLLOUT, "web")
}

/// What a schedule must end in, whatever happened on the way: everything that users or a next update would notice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub(super) phase: String,
    pub(super) message: String,
    pub(super) stable: Value,
    pub(super) current: Value,
    pub(super) step: Value,
    pub(super) aborted: usize,
    /// Outcomes of the commands, oldest first.
    pub(super) commands: Vec<String>,
    /// Image of each ReplicaSet that has pods, with their number.
    pub(super) pods: BTreeMap<String, u64>,
    /// Image that each Service selects.
    pub(super) services: BTreeMap<String, String>,
    /// Weight of each child of the TraefikService.
    pub(super) weights: Vec<(String, i64)>,
    pub(super) annotations: Vec<String>,
}

impl End {
    pub(super) fn of(state: &State) -> Self {
        let object = state.server.get(&rollout()).cloned().unwrap_or_default();
        let status = &object["status"];
        let sets = replica_sets(state);
        let image_of = |hash: &str| {
            let found = sets.iter().find(|(_, _, o)| o["metadata"]["labels"][LABEL_HASH] == hash);
            found.map_or_else(|| "every revision".to_owned(), |(_, image, _)| image.clone())
        };
        let size = |o: &Value| o["spec"]["replicas"].as_u64().unwrap_or(1);
        let services = state.server.iter().filter(|(t, _)| t.resource == ResourceType::SERVICE);
        let root = state.server.get(&name(ResourceType::TRAEFIK_SERVICE, "web")).cloned().unwrap_or_default();
        let children = root["spec"]["weighted"]["services"].as_array().cloned().unwrap_or_default();
        let commands = status["commands"].as_array().cloned().unwrap_or_default();
        Self {
            phase: text(&status["phase"]),
            message: untimed(&text(&status["message"])),
            stable: status["stableRS"].clone(),
            current: status["currentPodHash"].clone(),
            step: status["currentStepIndex"].clone(),
            aborted: status["aborted"].as_array().map_or(0, Vec::len),
            commands: commands.iter().map(|c| format!("{} {}", text(&c["name"]), text(&c["outcome"]))).collect(),
            pods: sets.iter().filter(|(_, _, o)| size(o) > 0).map(|(_, i, o)| (i.clone(), size(o))).collect(),
            services: services
                .map(|(t, o)| (t.name.clone(), image_of(o["spec"]["selector"][LABEL_HASH].as_str().unwrap_or(""))))
                .collect(),
            weights: children.iter().map(|c| (text(&c["name"]), c["weight"].as_i64().unwrap_or(1))).collect(),
            annotations: object["metadata"]["annotations"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|a| a.0.clone())
                .collect(),
        }
    }
}

impl End {
    /// Equal in what follows from the last wishes alone, not in what happened on the way to them.
    pub(super) fn same_wishes(&self, other: &Self) -> bool {
        let of = |end: &Self| {
            let Self { phase, message, stable, current, step, pods, services, weights, .. } = end.clone();
            (phase, message, stable, current, step, pods, services, weights)
        };
        of(self) == of(other)
    }
}

pub(super) fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}})
}

/// ReplicaSets with their image.
pub(super) fn replica_sets(state: &State) -> Vec<(ObjectRef, String, Value)> {
    let sets = state.server.iter().filter(|(t, _)| t.resource == ResourceType::REPLICA_SET);
    sets.map(|(t, o)| (t.clone(), text(&o["spec"]["template"]["spec"]["containers"][0]["image"]), o.clone())).collect()
}

/// A Service as it stands in git.
pub(super) fn service_of_git() -> Value {
    json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}})
}

/// How users come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// A route that names the TraefikService.
    Weighted,
    /// A route that names the Service of stable.
    Stable,
    /// A plain Ingress with a Service for the pods of every revision; there are no others.
    Ingress,
}

/// What people put there: Services, the way in, and the Rollout.
pub(super) fn lay(state: &mut State, entry: Entry, spec: &Value) {
    match entry {
        Entry::Weighted => lay_route(state, &json!({"kind": "TraefikService", "name": "web"})),
        Entry::Stable => lay_route(state, &json!({"name": "web-stable", "port": 80})),
        Entry::Ingress => lay_ingress(state),
    }
    put(state, &rollout(), "tidegate.dev/v1alpha1", "Rollout", json!({"spec": spec}));
}

fn lay_route(state: &mut State, backend: &Value) {
    for service in ["web-stable", "web-canary"] {
        put(state, &name(ResourceType::SERVICE, service), "v1", "Service", service_of_git());
    }
    let route = json!({"match": "Host(`web.shop`)", "kind": "Rule", "services": [backend]});
    let object = json!({"spec": {"entryPoints": ["web"], "routes": [route]}});
    put(state, &name(ResourceType::INGRESS_ROUTE, "web"), "traefik.io/v1alpha1", "IngressRoute", object);
}

fn lay_ingress(state: &mut State) {
    put(state, &name(ResourceType::SERVICE, "web"), "v1", "Service", service_of_git());
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let object = json!({"spec": {"rules": [{"host": "web.shop", "http": {"paths": [path]}}]}});
    put(state, &name(ResourceType::INGRESS, "web"), "networking.k8s.io/v1", "Ingress", object);
}

/// Deletes the Rollout; with `orphan` its pods and routes stay, as the API server and its garbage collector do it.
pub(super) fn delete_rollout(state: &mut State, orphan: bool) {
    let Some(object) = state.server.get(&rollout()) else { return };
    let uid = object["metadata"]["uid"].clone();
    if orphan {
        let add = |o: &mut Value| match o["metadata"]["finalizers"].as_array_mut() {
            Some(list) => list.push(json!("orphan")),
            None => o["metadata"]["finalizers"] = json!(["orphan"]),
        };
        state.server.change(&rollout(), "api", add).expect("it was there a line ago");
    }
    let now = state.now;
    state.server.delete(&rollout(), None, now).expect("it was there a line ago");
    if !orphan {
        return;
    }
    let owned = state.server.iter().filter(|(_, o)| o["metadata"]["ownerReferences"][0]["uid"] == uid);
    let owned: Vec<ObjectRef> = owned.map(|(target, _)| target.clone()).collect();
    for target in owned {
        let free = |o: &mut Value| _ = o["metadata"].as_object_mut().and_then(|m| m.remove("ownerReferences"));
        state.server.change(&target, "garbage-collector", free).expect("it was there a line ago");
    }
    let done = |o: &mut Value| {
        if let Some(list) = o["metadata"]["finalizers"].as_array_mut() {
            list.retain(|f| f != "orphan");
        }
    };
    state.server.change(&rollout(), "garbage-collector", done).expect("a finalizer holds it");
}

pub(super) fn put(state: &mut State, target: &ObjectRef, api_version: &str, kind: &str, mut object: Value) {
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"] = json!({"name": target.name, "namespace": target.namespace});
    state.server.apply(target, &object, "git", true, state.now).expect("a free place");
}

/// A message without the moment that it names, which a fault may put off.
fn untimed(message: &str) -> String {
    let moment = |word: &&str| word.trim_end_matches(':').parse::<jiff::Timestamp>().is_err();
    message.split(' ').filter(moment).collect::<Vec<_>>().join(" ")
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
