//! What a look reads of the Rollout and its root.

use super::super::api::State;
use super::super::shop::name;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::rollout::LABEL_HASH;
use serde_json::Value;

pub(super) struct Seen<'a> {
    pub(super) object: &'a Value,
    pub(super) status: &'a Value,
    pub(super) replicas: i64,
    pub(super) stable: Option<&'a str>,
    pub(super) current: Option<&'a str>,
    pub(super) canary_selects: Option<&'a str>,
    pub(super) active_selects: Option<&'a str>,
    /// The canary's weight in the root; `None` without a root.
    pub(super) weight: Option<i64>,
    pub(super) sum: i64,
}

impl<'a> Seen<'a> {
    pub(super) fn of(state: &'a State, object: &'a Value) -> Self {
        let status = &object["status"];
        let root = state.server.get(&name(ResourceType::TRAEFIK_SERVICE, "web"));
        let children = root.and_then(|r| r["spec"]["weighted"]["services"].as_array());
        let weight_of = |c: &Value| c["weight"].as_i64().unwrap_or(1);
        let of_canary = children.into_iter().flatten().filter(|c| c["name"] == "web-canary").map(weight_of).sum();
        let selects = |service: &str| {
            let service = state.server.get(&name(ResourceType::SERVICE, service));
            service.and_then(|s| s["spec"]["selector"][LABEL_HASH].as_str())
        };
        Self {
            object,
            status,
            replicas: object["spec"]["replicas"].as_i64().unwrap_or(1),
            stable: status["stableRS"].as_str().filter(|s| !s.is_empty()),
            current: status["currentPodHash"].as_str(),
            canary_selects: selects("web-canary"),
            active_selects: selects("web-stable"),
            weight: root.map(|_| of_canary),
            sum: children.into_iter().flatten().map(weight_of).sum(),
        }
    }

    /// A blue-green's users are sent to another revision than stable.
    pub(super) fn active_is_elsewhere(&self) -> bool {
        let blue_green = !self.object["spec"]["strategy"]["blueGreen"].is_null();
        blue_green && self.active_selects.is_some() && self.active_selects != self.stable
    }

    /// Where the share of a revision is known apart from its pods, they stay while it has one. Without a router Services
    /// lose and gain pods as a Deployment's do.
    pub(super) fn keeps_what_carries(&self) -> bool {
        self.replicas > 0 && (self.is_routed() || !self.object["spec"]["strategy"]["blueGreen"].is_null())
    }

    /// The user's own way in is a plain Ingress.
    pub(super) fn is_behind_ingress(&self) -> bool {
        !self.object["spec"]["strategy"]["canary"]["trafficRouting"]["traefik"]["ingress"].is_null()
    }

    pub(super) fn is_routed(&self) -> bool {
        is_routed(self.object)
    }
}

pub(super) fn is_routed(rollout: &Value) -> bool {
    ["canary", "blueGreen"].iter().any(|s| !rollout["spec"]["strategy"][s]["trafficRouting"].is_null())
}

pub(super) fn set_of(hash: &str) -> ObjectRef {
    name(ResourceType::REPLICA_SET, &format!("web-{hash}"))
}
