//! Reading a Rollout and what belongs to it, once.

use super::Cluster;
use super::errors::{is_absent, near};
use crate::api::Rollout;
use crate::cli::failure::Failure;
use crate::cli::show::Observed;
use crate::core::rollout::LABEL_HASH;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;

/// Objects that a page brings.
const PAGE: u32 = 250;

impl Cluster {
    /// The Rollout, or who may have been meant.
    pub(crate) async fn rollout(&self, name: &str) -> Result<Rollout, Failure> {
        let what = format!("Rollout {}/{name}", self.namespace);
        let api = self.rollouts();
        let found = self.answer(&what, async {
            match api.get(name).await {
                Ok(rollout) => Ok(Some(rollout)),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
            }
        });
        match found.await? {
            Some(rollout) => Ok(rollout),
            None => Err(self.no_rollout(name).await),
        }
    }

    pub(super) async fn no_rollout(&self, name: &str) -> Failure {
        // Who may not list is told no names, and still that this one does not exist.
        let near = match self.list(false).await {
            Ok(all) => near(name, &all.iter().map(ResourceExt::name_any).collect::<Vec<_>>()),
            Err(_) => "look at: kubectl get rollouts".to_owned(),
        };
        Failure::NoRollout { namespace: self.namespace.clone(), name: name.to_owned(), near }
    }

    /// All Rollouts of the namespace, or of the cluster.
    pub(crate) async fn list(&self, everywhere: bool) -> Result<Vec<Rollout>, Failure> {
        let api = if everywhere { self.all_rollouts() } else { self.rollouts() };
        self.pages("Rollouts", &api).await
    }

    /// Everything that a list has, page by page.
    pub(super) async fn pages<K>(&self, what: &str, api: &Api<K>) -> Result<Vec<K>, Failure>
    where
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let mut found = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = self.answer(what, api.list(&page)).await?;
            found.extend(list.items);
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// The Rollout with its ReplicaSets, pods and runs.
    pub(crate) async fn observe(&self, name: &str) -> Result<Observed, Failure> {
        let rollout = self.rollout(name).await?;
        let of = ListParams::default().labels(&labels(&rollout));
        let runs = ListParams::default().labels(LABEL_HASH);
        let (sets_api, pods_api, runs_api) = (self.sets(), self.pods(), self.runs());
        let (sets, pods, runs) = futures::try_join!(
            self.answer("ReplicaSets", sets_api.list(&of)),
            self.answer("Pods", pods_api.list(&of)),
            self.answer("AnalysisRuns", runs_api.list(&runs)),
        )?;
        Ok(Observed::new(rollout, sets.items, pods.items, runs.items))
    }
}

/// A selector of the Rollout's ReplicaSets and pods; owners are compared after that.
pub(super) fn labels(rollout: &Rollout) -> String {
    let given = rollout.spec.selector.iter().flat_map(|s| &s.match_labels);
    let given = given.map(|(key, value)| format!("{key}={value}"));
    given.chain([LABEL_HASH.to_owned()]).collect::<Vec<_>>().join(",")
}
