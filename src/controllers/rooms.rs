//! Who answers which question. To add one: a variant of [`Ask`], and an arm here that calls the room that knows.
//!
//! An arm may tell once and end, or tell again and again until it is dropped: a question that is no longer asked drops it.

use crate::cluster::{Client, Objects, WriteError, dry_run_apply, dry_run_create, pods, workload};
use crate::core::object::ResourceType;
use crate::core::question::{ApiRefusal, Ask, PodEvidence, Told};
use crate::git::Mirrors;
use crate::measure::Measurer;
use crate::traefik::Traefik;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Reads and dry runs at once, so that a thousand questions do not become a thousand requests.
const READS: usize = 16;
/// Between two looks at pods that are not ready: at first, and when nothing about them changes. Where a node is lost many Rollouts
/// look at once, and for long.
const PODS_EVERY: Duration = Duration::from_secs(1);
const PODS_AT_MOST: Duration = Duration::from_secs(16);
/// Before a question that nobody could answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Before an answer that others may have made untrue (rights, quotas, definitions) is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The rooms of the rim that answer. Shared by all workers.
#[derive(Debug)]
pub struct Rooms {
    pub client: Client,
    pub traefik: Traefik,
    pub measurer: Measurer,
    pub mirrors: Arc<Mirrors>,
    pub objects: Objects,
    reads: Semaphore,
}

impl Rooms {
    pub fn new(client: Client, traefik: Traefik, measurer: Measurer, mirrors: Arc<Mirrors>, objects: Objects) -> Self {
        Self { client, traefik, measurer, mirrors, objects, reads: Semaphore::new(READS) }
    }

    /// Answers through `tell` until there is no more to say.
    pub async fn answer(&self, ask: Ask, tell: impl Fn(Told) + Send) {
        match ask {
            Ask::Routes { services, routers } => self.traefik.answer(&services, &routers, tell).await,
            Ask::Measure(measure) => {
                let wait = measure.due.duration_since(crate::clock::now());
                tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
                tell(Told::Measured(self.measurer.take(&measure).await));
            }
            Ask::DryRunCreate { object } => loop {
                let answer = {
                    let _read = self.reads.acquire().await.expect("the semaphore is never closed");
                    dry_run_create(&self.client, &object).await
                };
                match answer {
                    Ok(made) => return tell(Told::DryRun(Ok(Arc::new(made)))),
                    Err(error) => match definite(error) {
                        Ok(refusal) => return tell(Told::DryRun(Err(refusal))),
                        Err(error) => tracing::debug!(%error, "a dry run was not answered; asking again"),
                    },
                }
                tokio::time::sleep(ASK_AGAIN).await;
            },
            Ask::Pods { namespace, labels } => {
                let (mut wait, mut last) = (PODS_EVERY, None);
                loop {
                    match self.pods(&namespace, &labels).await {
                        Ok(pods) => {
                            let same = last.as_ref() == Some(&pods);
                            wait = if same { PODS_AT_MOST.min(wait * 2) } else { PODS_EVERY };
                            last = Some(Arc::clone(&pods));
                            tell(Told::Pods(pods));
                        }
                        Err(error) => tracing::warn!(namespace, %error, "pods could not be read; asking again"),
                    }
                    tokio::time::sleep(wait).await;
                }
            }
            Ask::Source(question) => self.mirrors.follow(&question, tell).await,
            Ask::Render(question) => self.mirrors.render(&question, tell).await,
            Ask::DryRunApply { object, actor } => loop {
                let answer = {
                    let _read = self.reads.acquire().await.expect("the semaphore is never closed");
                    dry_run_apply(&self.client, &object, &actor).await
                };
                // In sync stays so for as long as the question is the same; all else may change by others' doing.
                let again = match answer {
                    Ok(would) => {
                        let in_sync = would.uid.is_some() && would.changes.is_empty();
                        tell(Told::DryApplied(Ok(Arc::new(would))));
                        if in_sync {
                            return;
                        }
                        LOOK_AGAIN
                    }
                    Err(error) => match definite(error) {
                        Ok(refusal) => {
                            tell(Told::DryApplied(Err(refusal)));
                            LOOK_AGAIN
                        }
                        Err(error) => {
                            tracing::debug!(%error, "a dry run was not answered; asking again");
                            ASK_AGAIN
                        }
                    },
                };
                tokio::time::sleep(again).await;
            },
            Ask::Kinds { kinds } => loop {
                let again = match self.kinds(&kinds).await {
                    Ok(found) => {
                        let all = found.values().all(Option::is_some);
                        tell(Told::Kinds(Arc::new(found)));
                        if all { LOOK_AGAIN } else { ASK_AGAIN }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "discovery was not answered; asking again");
                        ASK_AGAIN
                    }
                };
                tokio::time::sleep(again).await;
            },
            Ask::Objects { resources, label } => self.objects.answer(&resources, &label, tell).await,
            Ask::Workload { target } => workload::follow(&self.client, &target, tell).await,
        }
    }

    async fn kinds(
        &self,
        kinds: &BTreeSet<(String, String)>,
    ) -> Result<BTreeMap<(String, String), Option<ResourceType>>, WriteError> {
        let mut found = BTreeMap::new();
        for (api_version, kind) in kinds {
            let resource = match self.client.resolve(api_version, kind).await {
                Ok(resource) => Some(resource),
                Err(WriteError::Refused(_)) => None,
                Err(error) => return Err(error),
            };
            found.insert((api_version.clone(), kind.clone()), resource);
        }
        Ok(found)
    }

    async fn pods(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Arc<Vec<PodEvidence>>, WriteError> {
        let selector: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let _read = self.reads.acquire().await.expect("the semaphore is never closed");
        let listed = self.client.list(&ResourceType::POD, namespace, &selector.join(",")).await?;
        Ok(Arc::new(listed.iter().map(pods::evidence).collect()))
    }
}

/// A no of the API server is an answer; that nobody could say is none.
///
/// # Errors
/// The error, when it is no answer.
pub fn definite(error: WriteError) -> Result<ApiRefusal, WriteError> {
    let refusal =
        |code, reason: &str, message| ApiRefusal { code, reason: reason.to_owned(), message, causes: Vec::new() };
    match error {
        WriteError::Refused(refusal) => Ok(refusal),
        WriteError::Exists(message) => Ok(refusal(409, "AlreadyExists", message)),
        WriteError::Conflict(message) => Ok(refusal(409, "Conflict", message)),
        WriteError::Gone(message) => Ok(refusal(404, "NotFound", message)),
        other => Err(other),
    }
}
