//! What is true, derived once from what was observed: which revision is wanted, which ReplicaSets and endpoints there are.

use super::revisions;
use super::spec::Spec;
use super::{ANNOTATION_REVISION, LABEL_HASH, Mutant, Observed};
use crate::api::{RollbackStatus, RolloutStatus};
use crate::core::application::wanted::ANNOTATION_SOURCE;
use crate::core::question::{ApiRefusal, Told};
use crate::core::row::{Endpoint, EndpointSliceRow, ReplicaSetRow, RolloutRow, ServiceRow};
use crate::core::traffic::Ownership;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that follows from the snapshot alone.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub observed: &'a Observed,
    pub rollout: &'a RolloutRow,
    pub spec: &'a Spec,
    /// The status as it was read.
    pub seen: &'a RolloutStatus,
    pub now: Timestamp,
    pub whose: Ownership,
    /// The revision that is worked on: that of the template in spec, the one that was rolled back to, or the former one while
    /// the API server has not accepted the template. `None` before the first was accepted.
    pub hash: Option<String>,
    /// Hash of the template in spec.
    pub in_spec: String,
    /// A former revision that runs instead of it: the command holds for as long as spec has the same template.
    pub rollback: Option<&'a RollbackStatus>,
    /// A template that is not accepted.
    pub pending: Option<Pending>,
    /// By hash.
    pub sets: BTreeMap<String, &'a ReplicaSetRow>,
}

/// A template in spec whose ReplicaSet does not exist and was not yet found creatable.
#[derive(Debug)]
pub(super) struct Pending {
    /// `None` while the API server is asked.
    pub refusal: Option<ApiRefusal>,
}

impl<'a> Facts<'a> {
    pub(super) fn derive(
        observed: &'a Observed,
        rollout: &'a RolloutRow,
        spec: &'a Spec,
        seen: &'a RolloutStatus,
        now: Timestamp,
    ) -> Self {
        let sets = sets_by_hash(observed);
        let known = revisions::known_hashes(&spec.template);
        let existing = known.iter().find(|h| sets.contains_key(*h));
        let in_spec = existing.cloned().unwrap_or_else(|| revisions::template_hash(&spec.template));
        let rollback = seen.rollback.as_ref().filter(|r| known.contains(&r.template));
        let (hash, pending) = match rollback.map(|r| &r.hash).or(existing) {
            Some(hash) => (Some(hash.clone()), None),
            None => {
                let hash = in_spec.clone();
                match observed.answers.get(&try_question_id(&hash)).map(|a| &a.what) {
                    Some(Told::DryRun(Ok(_))) => (Some(hash), None),
                    Some(Told::DryRun(Err(refusal))) => {
                        (seen.current_pod_hash.clone(), Some(Pending { refusal: Some(refusal.clone()) }))
                    }
                    _ => (seen.current_pod_hash.clone(), Some(Pending { refusal: None })),
                }
            }
        };
        let whose = ownership(rollout);
        Self { observed, rollout, spec, seen, now, whose, hash, in_spec, rollback, pending, sets }
    }

    /// Whether this rule is broken on purpose.
    pub(super) fn breaks(&self, mutant: Mutant) -> bool {
        self.observed.settings.breaks(mutant)
    }

    /// The current revision; empty before there is one.
    pub(super) fn current(&self) -> &str {
        self.hash.as_deref().unwrap_or_default()
    }

    /// What an Application noted of the template in spec. One that lives elsewhere, or a rollback's, is not this commit's.
    pub(super) fn source(&self) -> Option<&'a String> {
        let own = self.spec.workload.is_none() && self.rollback.is_none();
        self.rollout.meta.annotations.get(ANNOTATION_SOURCE).filter(|_| own)
    }

    pub(super) fn available(&self, hash: &str) -> u32 {
        self.sets.get(hash).map_or(0, |set| pods(set.available))
    }

    pub(super) fn size(&self, hash: &str) -> u32 {
        self.sets.get(hash).map_or(0, |set| pods(set.size))
    }

    /// Number of the revision, from its ReplicaSet; 0 when it has none.
    pub(super) fn revision(&self, hash: &str) -> i64 {
        self.sets.get(hash).map_or(0, |set| revision_of(set))
    }

    pub(super) fn newest_revision(&self) -> i64 {
        self.sets.values().map(|set| revision_of(set)).max().unwrap_or(0)
    }

    pub(super) fn service(&self, name: &str) -> Option<&'a ServiceRow> {
        self.observed.services.iter().find(|s| s.meta.name == name).map(AsRef::as_ref)
    }

    /// The revision that a Service selects; `None` without the Service or without a hash in its selector.
    pub(super) fn selected(&self, service: &str) -> Option<&'a str> {
        self.service(service)?.selector.get(LABEL_HASH).map(String::as_str)
    }

    pub(super) fn endpoints(&self, service: &str) -> Endpoints {
        endpoints(self.observed, &self.whose.rollout, service)
    }
}

/// Pods behind a Service.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    /// Addresses of ready ones with the pod's name.
    pub ready: BTreeMap<String, String>,
    /// Addresses of all others.
    pub others: BTreeSet<String>,
    /// A slice of the Service is there: of a Service that was just made nobody knows yet whom it selects.
    known: bool,
    rollout: String,
}

impl Endpoints {
    pub(super) fn ready_of(&self, hash: &str) -> u32 {
        let prefix = format!("{}-{hash}-", self.rollout);
        pods(i64::try_from(self.ready.values().filter(|pod| pod.starts_with(&prefix)).count()).unwrap_or(i64::MAX))
    }

    /// Nobody answers, as far as is known.
    pub(super) fn is_deserted(&self) -> bool {
        self.known && self.ready.is_empty()
    }

    /// All that are ready are of this revision, and there are some.
    pub(super) fn only(&self, hash: &str) -> bool {
        !self.ready.is_empty() && usize::try_from(self.ready_of(hash)).is_ok_and(|n| n == self.ready.len())
    }
}

pub(super) fn endpoints(observed: &Observed, rollout: &str, service: &str) -> Endpoints {
    let mut found = Endpoints { rollout: rollout.to_owned(), ..Endpoints::default() };
    let of: Vec<&EndpointSliceRow> =
        observed.endpoint_slices.iter().filter(|s| s.service == service).map(AsRef::as_ref).collect();
    found.known = !of.is_empty();
    for Endpoint { address, ready, pod, .. } in of.iter().flat_map(|s| &s.endpoints) {
        if *ready {
            found.ready.insert(address.clone(), pod.clone());
        } else {
            found.others.insert(address.clone());
        }
    }
    found
}

pub(super) fn ownership(rollout: &RolloutRow) -> Ownership {
    let meta = &rollout.meta;
    Ownership { namespace: meta.namespace.clone(), rollout: meta.name.clone(), uid: meta.uid.clone() }
}

pub(super) fn sets_by_hash(observed: &Observed) -> BTreeMap<String, &ReplicaSetRow> {
    let sets = observed.replica_sets.iter().filter(|s| s.meta.deleting.is_none());
    sets.filter_map(|s| Some((s.meta.labels.get(LABEL_HASH)?.clone(), s.as_ref()))).collect()
}

/// The id of the question whether a revision's ReplicaSet would be accepted.
pub(super) fn try_question_id(hash: &str) -> String {
    format!("try:{hash}")
}

pub(super) fn revision_of(set: &ReplicaSetRow) -> i64 {
    set.meta.annotations.get(ANNOTATION_REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

pub(super) fn pods(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

/// The status as it is stored. What cannot be read is as if it were not there: a status is never worth more than a rollout.
pub(super) fn read_status(status: &Value) -> RolloutStatus {
    RolloutStatus::deserialize(status).unwrap_or_default()
}
