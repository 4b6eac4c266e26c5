//! Watches: one task per kind and namespace in scope, each with its own backoff. An event becomes a row; the object is dropped.

use super::cache::{Caches, Change, EachKind, Held, Scope, each_kind};
use super::client::Client;
use crate::core::object::ResourceType;
use crate::core::row::Meta;
use crate::telemetry::Metrics;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kube::core::DynamicObject;
use kube::core::discovery::ApiResource;
use kube::runtime::watcher as watch;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Objects per list page: what a list costs in memory follows from it (measured: 50 keeps 7,000 objects within 22 MiB).
const PAGE: u32 = 50;
/// A watch ends after so many seconds and goes on where it was: no connection is older than that without proof of life.
const LIFETIME_SECONDS: u32 = 110;

/// Wait before the first new attempt after a failure; doubles with each further one. kube's own backoff begins anew with
/// each list that is only tried, so that a right that is missing would be asked for every second.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest wait: a CRD that was installed or a right that was granted is noticed within it.
const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// What a started watch takes to fail, at most, when it is going to. A watch that goes on after a failure says nothing until
/// something changes, and of a kind without objects nothing ever does: after this the failure is over.
const START: Duration = Duration::from_secs(5);

/// The wait after so many failures in a row, `spread` (0 to 999) over its upper half: streams that failed together do not come
/// back together.
fn backoff(failures: u32, spread: u64) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(BACKOFF_MOST);
    let permille = 500 + u32::try_from(spread % 1_000).unwrap_or(0) / 2;
    full * permille / 1_000
}

/// What is told when a row has changed: which keys to wake.
pub type OnChange = Arc<dyn Fn(Change) + Send + Sync>;

/// All watches, as named tasks that never end by themselves. Without namespaces the whole cluster is watched.
pub fn all(
    client: &Client,
    caches: &Arc<Caches>,
    namespaces: &[String],
    metrics: &Arc<Metrics>,
    on_change: &OnChange,
) -> Vec<(String, BoxFuture<'static, ()>)> {
    struct Start<'a> {
        client: &'a Client,
        caches: &'a Arc<Caches>,
        namespaces: &'a [String],
        metrics: &'a Arc<Metrics>,
        on_change: &'a OnChange,
        tasks: Vec<(String, BoxFuture<'static, ()>)>,
    }
    impl EachKind for Start<'_> {
        fn kind<R: Held>(&mut self) {
            let resource = R::resource();
            let of_cluster = vec![None];
            let listed: Vec<Scope> = self.namespaces.iter().cloned().map(Some).collect();
            let scopes = if listed.is_empty() || !resource.namespaced { of_cluster } else { listed };
            // Who may serve some namespaces only may well have no right on the cluster's own objects.
            let optional = !self.namespaces.is_empty() && !resource.namespaced;
            for scope in scopes {
                R::cache(self.caches).declare(scope.clone());
                let name = match &scope {
                    None => format!("watch of {}", resource.plural),
                    Some(namespace) => format!("watch of {} in {namespace}", resource.plural),
                };
                let (client, caches) = (self.client.clone(), self.caches.clone());
                let (metrics, on_change) = (self.metrics.clone(), self.on_change.clone());
                self.tasks.push((name, follow::<R>(client, caches, scope, optional, metrics, on_change).boxed()));
            }
        }
    }
    let mut start = Start { client, caches, namespaces, metrics, on_change, tasks: Vec::new() };
    each_kind(&mut start);
    start.tasks
}

/// Follows one kind in one scope for as long as the process lives. Without the right to see an `optional` kind, there is none.
async fn follow<R: Held>(
    client: Client,
    caches: Arc<Caches>,
    scope: Scope,
    optional: bool,
    metrics: Arc<Metrics>,
    on_change: OnChange,
) {
    let resource = R::resource();
    let mut config = watcher::Config::default().page_size(PAGE).timeout(LIFETIME_SECONDS);
    if let Some(label) = R::LABEL {
        config = config.labels(label);
    }
    let mut events = watch(api(&client, &resource, scope.as_deref()), config).boxed();
    let cache = R::cache(&caches);
    let mut failures = 0;
    let mut calm_at: Option<Instant> = None;
    let mut told: Option<String> = None;
    loop {
        let calm = async {
            match calm_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = events.next() => event,
            () = calm => {
                (failures, calm_at, told) = (0, None, None);
                cache.calm(&scope);
                continue;
            }
        };
        let Some(event) = event else { return };
        if event.as_ref().is_ok_and(|event| !matches!(event, Event::Init)) {
            (failures, calm_at, told) = (0, None, None);
        }
        let now = crate::clock::now();
        match event {
            Ok(Event::Init) => cache.begin_list(&scope),
            Ok(Event::InitApply(object)) => match read::<R>(object, &metrics) {
                Ok(row) => on_change(cache.listed(&scope, row, now)),
                Err(meta) => cache.listed_unreadable(&scope, &meta.namespace, &meta.name),
            },
            Ok(Event::InitDone) => {
                cache.end_list(&scope, now).into_iter().for_each(|change| on_change(change));
                tracing::debug!(kind = %resource.kind, namespace = scope.as_deref().unwrap_or(""), "listed");
            }
            Ok(Event::Apply(object)) => match read::<R>(object, &metrics) {
                Ok(row) => on_change(cache.apply(&scope, row, now)),
                // It keeps its last row: half an object is worse than an old one.
                Err(meta) => cache.unreadable(&scope, &meta, now),
            },
            Ok(Event::Delete(object)) => match read::<R>(object, &metrics) {
                Ok(row) => on_change(cache.remove(&scope, &row, now)),
                Err(meta) => {
                    cache.remove_unreadable(&scope, &meta, now).into_iter().for_each(|change| on_change(change));
                }
            },
            Err(error) => {
                let (code, what) = trouble(&resource, scope.as_deref(), &error);
                if told.as_ref() != Some(&what) {
                    // Once; readiness and a metric say how long it lasts.
                    tracing::warn!(kind = %resource.kind, namespace = scope.as_deref().unwrap_or(""), "{what}");
                    told = Some(what.clone());
                }
                metrics.watch_failed(&resource.kind);
                failures += 1;
                if code == Some(403) && optional {
                    cache.without(&scope);
                } else if code == Some(404) && resource.group == "traefik.io" {
                    // Rollouts that do not route by Traefik go on without it; readiness names it all the same.
                    cache.not_served(&scope, what);
                } else {
                    calm_at = Some(Instant::now() + backoff(failures, 999) + START);
                    cache.trouble(&scope, what);
                }
                tokio::time::sleep(backoff(failures, now.subsec_nanosecond().unsigned_abs().into())).await;
            }
        }
    }
}

/// A stream's API for any resource.
pub(crate) fn api(client: &Client, resource: &ResourceType, namespace: Option<&str>) -> kube::Api<DynamicObject> {
    let api_resource = ApiResource {
        group: resource.group.to_string(),
        version: resource.version.to_string(),
        api_version: resource.api_version(),
        kind: resource.kind.to_string(),
        plural: resource.plural.to_string(),
    };
    match namespace {
        Some(namespace) => kube::Api::namespaced_with(client.kube(), namespace, &api_resource),
        None => kube::Api::all_with(client.kube(), &api_resource),
    }
}

/// The whole object as JSON, as rows read it.
pub(crate) fn to_value(object: DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object that came as JSON is JSON")
}

/// The row, or what could be read of its metadata.
fn read<R: Held>(object: DynamicObject, metrics: &Metrics) -> Result<R, Box<Meta>> {
    let object = to_value(object);
    R::read(&object).map_err(|error| {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let meta = Meta::read(&object).unwrap_or_else(|_| Meta {
            namespace: text("namespace"),
            name: text("name"),
            resource_version: text("resourceVersion"),
            ..Meta::default()
        });
        let kind = R::resource().kind;
        metrics.skipped_object(&kind);
        tracing::error!(%kind, namespace = meta.namespace, name = meta.name, %error, "an object cannot be read and is left out");
        Box::new(meta)
    })
}

/// Names the cause and the remedy of what keeps a watch from going on.
fn trouble(resource: &ResourceType, namespace: Option<&str>, error: &watcher::Error) -> (Option<u16>, String) {
    let (plural, group) = (&resource.plural, &resource.group);
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    };
    let place = namespace.map_or_else(|| "in the whole cluster".to_owned(), |n| format!("in namespace {n}"));
    let what = match status {
        Some(403) => {
            format!("no right to watch {plural}.{group} {place}: grant get, list and watch to this service account")
        }
        Some(401) => format!("not logged in, so {plural}.{group} cannot be watched: the token was refused"),
        Some(404) => format!("the cluster has no {plural}.{group}: install the CRDs of {group}"),
        _ => format!("{plural} {place} cannot be watched: {error}"),
    };
    (status, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_keeps_failing_is_asked_for_less_and_less() {
        let least: Vec<_> = (1..=7).map(|failures| backoff(failures, 0).as_millis()).collect();
        assert_eq!(least, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
        assert!(backoff(40, 999) < BACKOFF_MOST);
        assert_ne!(backoff(3, 1), backoff(3, 500));
    }

    #[test]
    fn a_missing_right_and_a_missing_crd_are_named_with_their_remedy() {
        let error = |code: u16| {
            let status = kube::core::Status { code, ..kube::core::Status::success() };
            watcher::Error::InitialListFailed(kube::Error::Api(status.boxed()))
        };
        let told = |code| trouble(&ResourceType::TRAEFIK_SERVICE, Some("shop"), &error(code)).1;
        assert_eq!(
            told(403),
            "no right to watch traefikservices.traefik.io in namespace shop: grant get, list and watch to this service account"
        );
        assert_eq!(told(404), "the cluster has no traefikservices.traefik.io: install the CRDs of traefik.io");
    }
}
