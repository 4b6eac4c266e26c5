//! A Rollout and what belongs to it.

use crate::api::{AnalysisRun, Rollout, RolloutStatus};
use crate::core::application::wanted::source_in;
use crate::core::rollout::{ANNOTATION_REVISION, LABEL_HASH};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// All that a picture of a Rollout is drawn from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    pub(crate) rollout: Rollout,
    /// Newest revision first.
    pub(crate) sets: Vec<ReplicaSet>,
    pub(crate) pods: Vec<Pod>,
    /// Oldest first.
    pub(crate) runs: Vec<AnalysisRun>,
}

impl Observed {
    /// Keeps what the Rollout owns of what was found by labels.
    pub(crate) fn new(rollout: Rollout, sets: Vec<ReplicaSet>, pods: Vec<Pod>, runs: Vec<AnalysisRun>) -> Self {
        let uid = rollout.uid().unwrap_or_default();
        let mut sets: Vec<_> = sets.into_iter().filter(|s| owned(s, &uid)).collect();
        sets.sort_by_key(|s| std::cmp::Reverse(revision(s)));
        let owners: Vec<String> = sets.iter().filter_map(ResourceExt::uid).collect();
        let mut pods: Vec<_> = pods.into_iter().filter(|p| owners.iter().any(|uid| owned(p, uid))).collect();
        pods.sort_by_key(ResourceExt::name_any);
        let mut runs: Vec<_> = runs.into_iter().filter(|r| owned(r, &uid)).collect();
        runs.sort_by_key(|r| (r.creation_timestamp().map(|t| t.0), r.name_any()));
        Self { rollout, sets, pods, runs }
    }

    /// An empty status when the controller wrote none yet.
    pub(crate) fn status(&self) -> RolloutStatus {
        self.rollout.status.clone().unwrap_or_default()
    }

    pub(crate) fn pods_of<'a>(&'a self, set: &'a ReplicaSet) -> impl Iterator<Item = &'a Pod> {
        let uid = set.uid().unwrap_or_default();
        self.pods.iter().filter(move |pod| owned(*pod, &uid))
    }

    pub(crate) fn runs_of<'a>(&'a self, hash: &'a str) -> impl Iterator<Item = &'a AnalysisRun> {
        self.runs.iter().filter(move |run| hash_of(*run) == hash)
    }
}

fn owned(object: &impl ResourceExt, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.uid == uid)
}

/// The hash of the revision that an object belongs to; empty when it says none.
pub(crate) fn hash_of(object: &impl ResourceExt) -> &str {
    object.labels().get(LABEL_HASH).map_or("", String::as_str)
}

/// The number of a ReplicaSet's revision; 0 when it says none.
pub(crate) fn revision(set: &ReplicaSet) -> i64 {
    set.annotations().get(ANNOTATION_REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The commit that brought a ReplicaSet's template, where an Application noted it.
pub(crate) fn commit(set: &ReplicaSet) -> Option<String> {
    source_in(set.annotations()).map(|source| source.revision)
}

/// The images of a ReplicaSet's containers, in their order.
pub(crate) fn images(set: &ReplicaSet) -> Vec<String> {
    let pod = set.spec.template.as_ref().and_then(|t| t.spec.as_ref());
    pod.map(|spec| spec.containers.iter().filter_map(|c| c.image.clone()).collect()).unwrap_or_default()
}
