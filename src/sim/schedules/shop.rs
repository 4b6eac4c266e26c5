//! The shop: a Rollout `web` behind an IngressRoute that names its TraefikService, and what people do to it.

use super::super::api::Wrote;
use super::super::oracle::Oracle;
use super::super::run::Run;
use super::super::shop::{End, Entry, lay, replica_sets, rollout, template, text};
use crate::execute::faults::Fault;
use jiff::SignedDuration;
use serde_json::{Value, json};

pub(super) const PODS: u64 = 4;

/// A simulated cluster in which `web` runs, and the time of its script.
pub(super) struct Shop {
    pub(super) run: Run,
}

impl Shop {
    /// With the steps 20, pause 30 s, 60, pause 30 s; `lag` and faults as they are set on the run.
    pub(super) fn open(faults: Vec<Fault>) -> Self {
        Self::with(default_steps(), faults, &[])
    }

    pub(super) fn with(steps: Value, faults: Vec<Fault>, lags: &[(&'static str, i64)]) -> Self {
        let mut run = Run::new(Oracle::new()).with_faults(faults);
        for (kind, milliseconds) in lags {
            run = run.with_lag(kind, SignedDuration::from_millis(*milliseconds));
        }
        let mut canary = json!({
            "stableService": "web-stable", "canaryService": "web-canary",
            "trafficRouting": {"traefik": {"weightedTraefikServiceName": "web"}},
        });
        canary["steps"] = steps;
        Self::laid(run, PODS, &json!({"canary": canary}))
    }

    /// With a strategy of one's own.
    pub(super) fn of(replicas: u64, strategy: &Value) -> Self {
        Self::laid(Run::new(Oracle::new()), replicas, strategy)
    }

    /// What people have put there. Where no router is named, the route is one to the Service of stable.
    fn laid(run: Run, replicas: u64, strategy: &Value) -> Self {
        let shop = Self { run };
        let mut guard = shop.run.shared.state();
        let state = &mut *guard;
        let spec = json!({
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template("web:1"),
            "strategy": strategy,
        });
        let router = &strategy["canary"]["trafficRouting"]["traefik"];
        let entry = match (router.is_null(), router["ingress"].is_null()) {
            (true, _) => Entry::Stable,
            (false, true) => Entry::Weighted,
            (false, false) => Entry::Ingress,
        };
        lay(state, entry, &spec);
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
        format!("weights {:?}\n{}\nstatus {status}", self.run.oracle.weights, lines(&state.writes))
    }

    pub(super) fn end(&self) -> End {
        End::of(&self.run.shared.state())
    }
}

pub(super) fn default_steps() -> Value {
    json!([{"setWeight": 20}, {"pause": {"duration": "30s"}}, {"setWeight": 60}, {"pause": {"duration": "30s"}}])
}

/// Writes, line by line.
pub(super) fn lines(writes: &[Wrote]) -> String {
    writes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
