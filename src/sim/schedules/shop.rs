//! The shop: a Rollout `web` behind an IngressRoute that names its TraefikService, and what people do to it.

use super::super::api::State;
use super::super::oracle::Oracle;
use super::super::run::Run;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::rollout::LABEL_HASH;
use crate::execute::faults::Fault;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const NAMESPACE: &str = "shop";
pub(super) const PODS: u64 = 4;

pub(super) fn name(resource: ResourceType, name: &str) -> ObjectRef {
    ObjectRef::new(resource, NAMESPACE, name)
}

pub(super) fn rollout() -> ObjectRef {
    name(ResourceType::ROLLOUT, "web")
}

/// A simulated cluster in which `web` runs, and the time of its script.
pub(super) struct Shop {
    pub(super) run: Run,
}

/// What a schedule must end in, whatever happened on the way: everything that users or a next update would notice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub(super) phase: String,
    pub(super) message: String,
    stable: Value,
    current: Value,
    step: Value,
    aborted: usize,
    /// Outcomes of the commands, oldest first.
    commands: Vec<String>,
    /// Image of each ReplicaSet that has pods, with their number.
    pub(super) pods: BTreeMap<String, u64>,
    /// Image that each Service selects.
    pub(super) services: BTreeMap<String, String>,
    /// Weight of each child of the TraefikService.
    pub(super) weights: Vec<(String, i64)>,
    annotations: Vec<String>,
}

impl Shop {
    /// With the steps 20, pause 30 s, 60, pause 30 s; `lag` and faults as they are set on the run.
    pub(super) fn open(faults: Vec<Fault>) -> Self {
        Self::with(default_steps(), faults, &[])
    }

    pub(super) fn with(steps: Value, faults: Vec<Fault>, lags: &[(&'static str, i64)]) -> Self {
        let declared: Vec<i64> =
            steps.as_array().into_iter().flatten().filter_map(|s| s["setWeight"].as_i64()).collect();
        let mut run = Run::new(Oracle::new(NAMESPACE, "web", "web", &declared)).with_faults(faults);
        for (kind, milliseconds) in lags {
            run = run.with_lag(kind, SignedDuration::from_millis(*milliseconds));
        }
        let shop = Self { run };
        let mut guard = shop.run.shared.state();
        let state = &mut *guard;
        for service in ["web-stable", "web-canary"] {
            let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]});
            put(state, &name(ResourceType::SERVICE, service), "v1", "Service", json!({"spec": spec}));
        }
        let route = json!({"match": "Host(`web.shop`)", "kind": "Rule",
                           "services": [{"kind": "TraefikService", "name": "web"}]});
        let spec = json!({"entryPoints": ["web"], "routes": [route]});
        let target = name(ResourceType::INGRESS_ROUTE, "web");
        put(state, &target, "traefik.io/v1alpha1", "IngressRoute", json!({"spec": spec}));
        let spec = json!({
            "replicas": PODS,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template("web:1"),
            "strategy": {"canary": {
                "stableService": "web-stable", "canaryService": "web-canary", "steps": steps,
                "trafficRouting": {"traefik": {"weightedTraefikServiceName": "web"}},
            }},
        });
        put(state, &rollout(), "tidegate.dev/v1alpha1", "Rollout", json!({"spec": spec}));
        drop(guard);
        shop
    }

    /// After `second` a new image is applied.
    pub(super) fn deploy(&mut self, second: i64, image: &'static str) {
        self.edit(second, move |o| o["spec"]["template"] = template(image));
    }

    pub(super) fn annotate(&mut self, second: i64, key: &'static str, value: &'static str) {
        self.edit(second, move |o| {
            let annotations = &mut o["metadata"]["annotations"];
            if !annotations.is_object() {
                *annotations = json!({});
            }
            annotations[format!("tidegate.dev/{key}")] = json!(value);
        });
    }

    /// After `second` a person edits the Rollout.
    pub(super) fn edit(&mut self, second: i64, change: impl FnOnce(&mut Value) + 'static) {
        self.run.at(second, move |state| {
            state.server.change(&rollout(), "kubectl-edit", change).expect("the Rollout is there");
        });
    }

    /// After `second` the pods of the image die; with `for_good` they never come back.
    pub(super) fn strike(&mut self, second: i64, image: &'static str, for_good: bool) {
        self.run.at(second, move |state| {
            let sets: Vec<_> = replica_sets(state).into_iter().filter(|(_, i, _)| i == image).collect();
            assert!(!sets.is_empty(), "there is no ReplicaSet of {image} to strike");
            for (target, ..) in sets {
                state.node.strike(&target, for_good);
            }
        });
    }

    /// Lets the script and its consequences pass; nothing that an oracle watches may break.
    pub(super) fn play(&mut self, seconds: i64) {
        self.run.pass_time(seconds);
        let broken = self.run.oracle.broken();
        assert!(broken.is_empty(), "{}\n{}", broken.join("\n"), self.story());
    }

    pub(super) fn status(&self) -> Value {
        self.run.get(&rollout()).map(|o| o["status"].clone()).unwrap_or_default()
    }

    pub(super) fn phase(&self) -> String {
        text(&self.status()["phase"])
    }

    pub(super) fn weight(&self) -> i64 {
        self.run.oracle.weights.last().copied().unwrap_or(0)
    }

    /// What was written, for a failure.
    pub(super) fn story(&self) -> String {
        let state = self.run.shared.state();
        let status = state.server.get(&rollout()).map(|o| o["status"].to_string()).unwrap_or_default();
        format!("weights {:?}\n{}\nstatus {status}", self.run.oracle.weights, state.writes.join("\n"))
    }

    pub(super) fn end(&self) -> End {
        let state = self.run.shared.state();
        let object = state.server.get(&rollout()).cloned().unwrap_or_default();
        let status = &object["status"];
        let sets = replica_sets(&state);
        let image_of = |hash: &str| {
            let found = sets.iter().find(|(_, _, o)| o["metadata"]["labels"][LABEL_HASH] == hash);
            found.map_or_else(|| "every revision".to_owned(), |(_, image, _)| image.clone())
        };
        let size = |o: &Value| o["spec"]["replicas"].as_u64().unwrap_or(1);
        let services = state.server.iter().filter(|(t, _)| t.resource == ResourceType::SERVICE);
        let root = state.server.get(&name(ResourceType::TRAEFIK_SERVICE, "web")).cloned().unwrap_or_default();
        let children = root["spec"]["weighted"]["services"].as_array().cloned().unwrap_or_default();
        let commands = status["commands"].as_array().cloned().unwrap_or_default();
        End {
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

pub(super) fn default_steps() -> Value {
    json!([{"setWeight": 20}, {"pause": {"duration": "30s"}}, {"setWeight": 60}, {"pause": {"duration": "30s"}}])
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}})
}

/// ReplicaSets with their image.
pub(super) fn replica_sets(state: &State) -> Vec<(ObjectRef, String, Value)> {
    let sets = state.server.iter().filter(|(t, _)| t.resource == ResourceType::REPLICA_SET);
    sets.map(|(t, o)| (t.clone(), text(&o["spec"]["template"]["spec"]["containers"][0]["image"]), o.clone())).collect()
}

fn put(state: &mut State, target: &ObjectRef, api_version: &str, kind: &str, mut object: Value) {
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

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
