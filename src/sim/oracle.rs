//! What must hold at every moment of a run, by the ids of the invariants. What breaks is noted with its time; a run is judged at its end.

use super::api::State;
use super::traefik::Answered;
use crate::core::object::{ObjectRef, ResourceType};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How long a share may be sent to pods that are not there after a fault: Traefik's throttle and a pass.
const CORRECTED_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// Looks at the state after each thing that happened.
#[derive(Debug, Clone)]
pub struct Oracle {
    pub rollout: ObjectRef,
    /// The TraefikService that carries the weights.
    pub root: ObjectRef,
    /// Weights that a step declares; 0 and 100 always are.
    pub declared: Vec<i64>,
    /// With a stable that grows first, an abort may go from declared weight to declared weight for so long.
    pub back_within: Option<SignedDuration>,
    /// Set when users have been served once: from then on they must be.
    served: bool,
    dead_since: BTreeMap<String, Timestamp>,
    /// Since when it is aborted, with the canary's weight at that time.
    aborted: Option<(Timestamp, i64)>,
    broken: BTreeSet<(&'static str, String)>,
    now: Timestamp,
    /// Every weight of the canary that the root object has had, in order.
    pub weights: Vec<i64>,
}

impl Oracle {
    pub fn new(namespace: &str, rollout: &str, root: &str, declared: &[i64]) -> Self {
        Self {
            rollout: ObjectRef::new(ResourceType::ROLLOUT, namespace, rollout),
            root: ObjectRef::new(ResourceType::TRAEFIK_SERVICE, namespace, root),
            declared: declared.to_vec(),
            back_within: None,
            served: false,
            dead_since: BTreeMap::new(),
            aborted: None,
            broken: BTreeSet::new(),
            now: Timestamp::UNIX_EPOCH,
            weights: Vec::new(),
        }
    }

    /// Notes that an invariant does not hold; each text once.
    pub fn broke(&mut self, id: &'static str, what: String) {
        if !self.broken.iter().any(|(known, text)| *known == id && text.ends_with(&what)) {
            self.broken.insert((id, format!("{} {what}", self.now)));
        }
    }

    /// All that was broken, by id.
    pub fn broken(&self) -> Vec<String> {
        self.broken.iter().map(|(id, what)| format!("{id}: {what}")).collect()
    }

    pub(super) fn look(&mut self, state: &State) {
        self.now = state.now;
        let status = state.server.get(&self.rollout).map(|o| o["status"].clone()).unwrap_or_default();
        self.weights_sum_to_100_and_are_declared(state, &status);
        self.users_are_served(state);
        self.scaled_down_only_without_weight(state);
    }

    /// T1, T5, T8.
    fn weights_sum_to_100_and_are_declared(&mut self, state: &State, status: &Value) {
        let Some(root) = state.server.get(&self.root) else { return };
        let children = root["spec"]["weighted"]["services"].as_array().cloned().unwrap_or_default();
        let weights: Vec<i64> = children.iter().map(|c| c["weight"].as_i64().unwrap_or(1)).collect();
        if weights.iter().sum::<i64>() != 100 || weights.iter().any(|w| *w < 0) {
            self.broke("T1", format!("the weights are {weights:?}"));
        }
        let canary = weights.get(1).copied().unwrap_or(0);
        if self.weights.last() != Some(&canary) {
            self.weights.push(canary);
        }
        if canary != 0 && canary != 100 && !self.declared.contains(&canary) {
            self.broke("T5", format!("the canary has {canary} %, which no step declares"));
        }
        // The next write of traffic is the one to 0: it may be refused once, and is tried again.
        if status["abort"] != true {
            self.aborted = None;
        } else if canary != 0 {
            let (since, had) = *self.aborted.get_or_insert((self.now, canary));
            let (may, within) =
                (canary < had && self.back_within.is_some(), self.back_within.unwrap_or(CORRECTED_WITHIN));
            if (canary != had && !may) || self.now.duration_since(since) > within {
                self.broke("T8", format!("aborted, and the canary has {canary} %"));
            }
        } else {
            self.aborted = Some((self.now, 0));
        }
    }

    /// No 404 for anybody, and no share on dead pods for longer than it takes to correct.
    fn users_are_served(&mut self, state: &State) {
        let ready = state.node.ready_addresses();
        for (n, traefik) in state.traefiks.iter().enumerate().filter(|(_, t)| !t.silent) {
            for method in ["GET", "POST"] {
                match traefik.request(method) {
                    Answered::NotFound if self.served => self.broke("P1", format!("404 for {method} on instance {n}")),
                    Answered::NotFound => {}
                    Answered::By(groups) => {
                        self.served = true;
                        let alive = |address: &String| {
                            let host = address.trim_start_matches("http://").split(':').next().unwrap_or_default();
                            ready.contains_key(host)
                        };
                        let dead = groups.iter().any(|(share, servers)| *share > 0.0 && !servers.iter().any(alive));
                        self.dead_share(format!("{method} on instance {n}"), dead);
                    }
                }
            }
        }
    }

    fn dead_share(&mut self, whose: String, dead: bool) {
        if !dead {
            self.dead_since.remove(&whose);
            return;
        }
        let since = *self.dead_since.entry(whose.clone()).or_insert(self.now);
        if self.now.duration_since(since) > CORRECTED_WITHIN {
            self.broke("T2", format!("a share of {whose} goes to pods that are not there"));
        }
    }

    /// T10: what Traefik still sends requests to keeps its pods.
    fn scaled_down_only_without_weight(&mut self, state: &State) {
        for traefik in state.traefiks.iter().filter(|t| !t.silent) {
            let Answered::By(groups) = traefik.request("POST") else { continue };
            for (share, servers) in groups.iter().filter(|(share, _)| *share > 0.0) {
                let pods = state.node.addresses();
                let known =
                    |s: &String| pods.contains(s.trim_start_matches("http://").split(':').next().unwrap_or_default());
                if !servers.is_empty() && !servers.iter().any(known) {
                    self.broke("T10", format!("{share} % goes to pods that were scaled away"));
                }
            }
        }
    }
}
