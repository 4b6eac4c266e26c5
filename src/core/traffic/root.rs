//! The one object that holds the weights.

use super::{Ownership, covers, port_value};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::{Actor, Effect, Manager, Verb, Why};
use crate::core::row::TraefikServiceRow;
use crate::core::scalar::Weight;
use json_patch::{Patch, PatchOperation, ReplaceOperation, TestOperation};
use jsonptr::PointerBuf;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the requests go, and through which object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Name of the TraefikService.
    pub name: String,
    pub stable: Child,
    pub canary: Child,
    /// No pod of stable answers: with all of the share at the canary it is not listed.
    pub stable_is_empty: bool,
    /// Name of the ServersTransport by which the canary's pods are connected to, when it can be named.
    pub transport: Option<String>,
}

/// A Service with the port that requests go to: a number or a name, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub service: String,
    pub port: String,
}

impl Child {
    /// As an entry of a route or of a TraefikService.
    pub fn entry(&self) -> Value {
        json!({"name": self.service, "kind": "Service", "port": port_value(&self.port)})
    }

    fn weighted(&self, weight: Weight) -> Value {
        let mut entry = self.entry();
        entry["weight"] = json!(weight.percent());
        entry
    }
}

/// Why the weights cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    #[error(
        "TraefikService {name}, which is not ours, has no entry {entry} under spec.weighted.services; add it, or delete the object and let it be made"
    )]
    NoEntry { name: String, entry: String },
}

impl Root {
    /// With pods of stable, and by Traefik's own transport.
    pub fn new(name: &str, stable: Child, canary: Child) -> Self {
        Self { name: name.to_owned(), stable, canary, stable_is_empty: false, transport: None }
    }

    /// Always stable first, so that its place never changes; the canary is listed only while it has a share, and stable not when
    /// it has neither pods nor a share, since an entry that cannot be built takes the whole object with it.
    fn spec(&self, canary: Weight) -> Value {
        let mut services = Vec::new();
        if canary < Weight::FULL || !self.stable_is_empty {
            services.push(self.stable.weighted(canary.rest()));
        }
        if canary > Weight::ZERO {
            let mut entry = self.canary.weighted(canary);
            if let Some(transport) = &self.transport {
                entry["serversTransport"] = json!(transport);
            }
            services.push(entry);
        }
        json!({"weighted": {"services": services}})
    }

    /// The canary's share in the object as it was seen. Any entry but ours counts as nobody's.
    pub fn weight_in(&self, row: &TraefikServiceRow) -> Weight {
        let weights = row.weights();
        let of = |name: &str| weights.iter().filter(|(n, _)| n == name).map(|(_, w)| *w).sum::<i64>();
        let (stable, canary) = (of(&self.stable.service), of(&self.canary.service));
        if canary <= 0 {
            return Weight::ZERO;
        }
        // Rounded up: what is served shall never look like less than it is.
        Weight::new((canary * 100 + canary + stable - 1) / (canary + stable)).unwrap_or(Weight::FULL)
    }

    /// The ServersTransport that the canary's entry names in the object as it was seen.
    pub fn transport_in<'a>(&self, row: &'a TraefikServiceRow) -> Option<&'a str> {
        let mut entries = row.spec["weighted"]["services"].as_array().into_iter().flatten();
        entries.find(|e| e["name"] == self.canary.service.as_str())?["serversTransport"].as_str()
    }

    /// What turns the object into one that gives the canary this share; `None` when it does already.
    ///
    /// # Errors
    /// When it is not ours and lacks an entry.
    pub fn write(
        &self,
        row: Option<&TraefikServiceRow>,
        canary: Weight,
        whose: &Ownership,
        why: Why,
    ) -> Result<Option<Effect>, RootError> {
        let wanted = self.spec(canary);
        match row {
            Some(row) if !is_ours(row, whose) => self.adopted(row, canary, whose, why),
            // It was left behind: the share goes at once, and who owns it is settled later.
            Some(row) if why == Why::LowerWeight && row.meta.owner.is_none() => {
                Ok((self.weight_in(row) > canary).then(|| self.reweighed(row, canary, whose)))
            }
            Some(row)
                if covers(&row.spec, &wanted)
                    && row.meta.owner.is_some()
                    && (canary == Weight::ZERO || self.transport_in(row) == self.transport.as_deref()) =>
            {
                Ok(None)
            }
            row => {
                let object = json!({
                    "apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService",
                    "metadata": whose.metadata(&self.name), "spec": wanted,
                });
                let uid = row.map(|r| r.meta.uid.clone());
                let (manager, actor) = (Manager::Rollout, Actor::Controller);
                let verb = Verb::Apply { object: Arc::new(object), manager, force: true, uid, actor };
                Ok(Some(Effect { verb, why }))
            }
        }
    }

    /// Takes the canary's share out for good, when the Rollout ends: what owns the object is left as it is, so that it may
    /// outlive the Rollout.
    pub fn end(&self, row: &TraefikServiceRow, whose: &Ownership) -> Option<Effect> {
        if self.weight_in(row) == Weight::ZERO {
            return None;
        }
        if !is_ours(row, whose) {
            return self.adopted(row, Weight::ZERO, whose, Why::LowerWeight).ok().flatten();
        }
        Some(self.reweighed(row, Weight::ZERO, whose))
    }

    /// Other shares, and the same owner as before.
    fn reweighed(&self, row: &TraefikServiceRow, canary: Weight, whose: &Ownership) -> Effect {
        let at = ["spec", "weighted", "services"];
        let seen = row.spec["weighted"]["services"].clone();
        let wanted = self.spec(canary)["weighted"]["services"].clone();
        let target = ObjectRef::new(ResourceType::TRAEFIK_SERVICE, &whose.namespace, &self.name);
        let operation = |value: Value, replaces: bool| {
            let path = PointerBuf::from_tokens(at);
            if replaces {
                PatchOperation::Replace(ReplaceOperation { path, value })
            } else {
                PatchOperation::Test(TestOperation { path, value })
            }
        };
        let patch = Patch(vec![operation(seen, false), operation(wanted, true)]);
        Effect { verb: Verb::Edit { target, patch }, why: Why::LowerWeight }
    }

    /// Two numbers are changed and nothing else.
    fn adopted(
        &self,
        row: &TraefikServiceRow,
        canary: Weight,
        whose: &Ownership,
        why: Why,
    ) -> Result<Option<Effect>, RootError> {
        let seen = &row.spec["weighted"]["services"];
        let mut wanted = seen.clone();
        for (child, weight) in [(&self.stable, canary.rest()), (&self.canary, canary)] {
            let mut entries = wanted.as_array_mut().into_iter().flatten();
            match entries.find(|e| e["name"] == child.service.as_str()) {
                Some(entry) => entry["weight"] = json!(weight.percent()),
                None => {
                    return Err(RootError::NoEntry { name: self.name.clone(), entry: child.service.clone() });
                }
            }
        }
        if *seen == wanted {
            return Ok(None);
        }
        let path = PointerBuf::from_tokens(["spec", "weighted", "services"]);
        let patch = Patch(vec![
            PatchOperation::Test(TestOperation { path: path.clone(), value: seen.clone() }),
            PatchOperation::Replace(ReplaceOperation { path, value: wanted }),
        ]);
        let target = ObjectRef::new(ResourceType::TRAEFIK_SERVICE, &whose.namespace, &self.name);
        Ok(Some(Effect { verb: Verb::Edit { target, patch }, why }))
    }
}

/// Made by us for this Rollout.
fn is_ours(row: &TraefikServiceRow, whose: &Ownership) -> bool {
    whose.owns(&row.meta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::{Meta, Owner};
    use proptest::prelude::*;

    fn whose() -> Ownership {
        Ownership { namespace: "shop".into(), rollout: "web".into(), uid: "u".into() }
    }

    fn root() -> Root {
        let child = |name: &str| Child { service: name.into(), port: "80".into() };
        Root::new("web", child("web-stable"), child("web-canary"))
    }

    fn row(spec: Value, ours: bool) -> TraefikServiceRow {
        let owner = ours.then(|| Owner { kind: "Rollout".into(), name: "web".into(), uid: "u".into() });
        TraefikServiceRow { meta: Meta { uid: "t".into(), owner, ..Meta::default() }, spec: Arc::new(spec) }
    }

    proptest! {
        /// T1
        #[test]
        fn weights_always_sum_to_100_and_the_canary_is_listed_only_with_a_share(percent in 0_i64..=100) {
            let weight = Weight::new(percent).expect("in range");
            let spec = root().spec(weight);
            let seen = row(spec, true);
            prop_assert_eq!(seen.weights().iter().map(|(_, w)| w).sum::<i64>(), 100);
            prop_assert_eq!(seen.weights().len() == 2, percent > 0);
            prop_assert_eq!(root().weight_in(&seen), weight);
            prop_assert_eq!(root().write(Some(&seen), weight, &whose(), Why::RaiseWeight), Ok(None));
        }
    }

    #[test]
    fn in_an_adopted_object_only_two_numbers_change() {
        let seen = row(
            json!({"weighted": {"sticky": {}, "services": [
                {"name": "web-canary", "port": 80}, {"name": "other", "weight": 3}, {"name": "web-stable", "weight": 7, "port": 80}]}}),
            false,
        );
        let weight = Weight::new(20).expect("in range");
        let effect = root().write(Some(&seen), weight, &whose(), Why::RaiseWeight).expect("entries are there");
        let Some(Effect { verb: Verb::Edit { patch, .. }, .. }) = effect else { panic!("an edit, not {effect:?}") };
        let mut object = json!({"spec": (*seen.spec).clone()});
        json_patch::patch(&mut object, &patch).expect("it tests what was seen");
        let services = &object["spec"]["weighted"]["services"];
        assert_eq!(services[0], json!({"name": "web-canary", "port": 80, "weight": 20}));
        assert_eq!(services[1], json!({"name": "other", "weight": 3}));
        assert_eq!(services[2]["weight"], 80);
    }

    #[test]
    fn an_adopted_object_without_the_canary_is_refused_by_name() {
        let seen = row(json!({"weighted": {"services": [{"name": "web-stable"}]}}), false);
        let error = root().write(Some(&seen), Weight::ZERO, &whose(), Why::LowerWeight).expect_err("no canary entry");
        assert!(error.to_string().contains("web-canary"), "{error}");
    }
}
