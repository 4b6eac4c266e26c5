//! Requests to the API server: one client, a deadline on each call, answers sorted by what they mean.

use crate::cluster::write::WriteError;
use crate::core::object::ResourceType;
use crate::core::plan::Actor;
use crate::core::question::ApiRefusal;
use kube::core::Request as Path;
use kube::core::params::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest that any single call may take: kube itself sets no limit on waiting for an answer.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// A connection that says nothing for so long is dead. Longer than a watch lives, or every quiet watch would end by it.
const SILENCE: Duration = Duration::from_secs(130);
const CONNECT: Duration = Duration::from_secs(5);

/// How the cluster cannot be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("kubeconfig {path}: {source}")]
    Kubeconfig { path: String, source: kube::config::KubeconfigError },
    #[error("no kubeconfig was given and this is no pod of a cluster: {0}; pass --kubeconfig FILE")]
    NoCluster(kube::config::InClusterError),
    #[error("the client cannot be built: {0}")]
    Client(kube::Error),
}

/// A client, and what it learned about the kinds that the API server serves.
#[derive(Clone)]
pub struct Client {
    pub(super) kube: kube::Client,
    discovered: Arc<Mutex<BTreeMap<String, Vec<ResourceType>>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// A dry run changes nothing and answers as the write would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    DryRun,
}

impl Client {
    /// Connects by a kubeconfig, or as a pod of the cluster.
    ///
    /// # Errors
    /// When there is neither, or the files cannot be used. Whether anybody answers is not tried.
    pub async fn connect(kubeconfig: Option<&FilePath>, context: Option<&str>) -> Result<Self, ConnectError> {
        // A second caller finds the provider of the first; both are ring.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = match kubeconfig {
            Some(path) => {
                let named = |source| ConnectError::Kubeconfig { path: path.display().to_string(), source };
                let file = kube::config::Kubeconfig::read_from(path).map_err(named)?;
                let options =
                    kube::config::KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
                kube::Config::from_custom_kubeconfig(file, &options).await.map_err(named)?
            }
            None => kube::Config::incluster().map_err(ConnectError::NoCluster)?,
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        // kube would try again for minutes inside one call; keys have a backoff of their own.
        config.default_retry = false;
        let kube = kube::Client::try_from(config).map_err(ConnectError::Client)?;
        Ok(Self { kube, discovered: Arc::default() })
    }

    /// For the rooms that use kube's own requests (logs, secrets); deadlines are then theirs.
    pub fn kube(&self) -> kube::Client {
        self.kube.clone()
    }

    /// Reads one object as `actor`; `None` when it is not there.
    pub async fn get(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
        actor: &Actor,
    ) -> Result<Option<Value>, WriteError> {
        let request = path(resource, namespace).get(name, &GetParams::default()).map_err(|e| unbuilt(&e))?;
        match self.send(request, Some(actor), DEADLINE).await {
            Ok(object) => Ok(Some(object)),
            Err(WriteError::Gone(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists one page; `labels` is a selector or empty, `namespace` empty for all.
    pub async fn list(&self, resource: &ResourceType, namespace: &str, labels: &str) -> Result<Vec<Value>, WriteError> {
        let mut params = ListParams::default().limit(500);
        if !labels.is_empty() {
            params = params.labels(labels);
        }
        let request = path(resource, namespace).list(&params).map_err(|e| unbuilt(&e))?;
        let mut list = self.send(request, None, DEADLINE).await?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Creates `object`, with strict validation of its fields.
    pub async fn create(
        &self,
        resource: &ResourceType,
        object: &Value,
        actor: &Actor,
        mode: Mode,
        limit: Duration,
    ) -> Result<Value, WriteError> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let params = PostParams { dry_run: mode == Mode::DryRun, field_manager: Some(CREATOR.to_owned()) };
        let body = serde_json::to_vec(object).expect("a Value is always JSON");
        let mut request = path(resource, namespace).create(&params, body).map_err(|e| unbuilt(&e))?;
        let strict = format!("{}&fieldValidation=Strict", request.uri());
        *request.uri_mut() = strict.parse().expect("a query without reserved characters keeps a URI valid");
        self.send(request, Some(actor), limit).await
    }

    /// Applies `object` by server-side apply, with strict validation of its fields.
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the call itself")]
    pub async fn apply(
        &self,
        resource: &ResourceType,
        object: &Value,
        manager: &str,
        force: bool,
        actor: &Actor,
        mode: Mode,
        limit: Duration,
    ) -> Result<Value, WriteError> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let params = PatchParams {
            dry_run: mode == Mode::DryRun,
            force,
            field_manager: Some(manager.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
        };
        let request = path(resource, text("namespace")).patch(text("name"), &params, &Patch::Apply(object));
        self.send(request.map_err(|e| unbuilt(&e))?, Some(actor), limit).await
    }

    pub(super) async fn edit(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
        patch: &json_patch::Patch,
        limit: Duration,
    ) -> Result<Value, WriteError> {
        let params = PatchParams { field_manager: Some(CREATOR.to_owned()), ..PatchParams::default() };
        let request = path(resource, namespace).patch(name, &params, &Patch::<()>::Json(patch.clone()));
        let outcome = self.send(request.map_err(|e| unbuilt(&e))?, None, limit).await;
        // A failed `test` is answered as an invalid request without causes: somebody changed the value.
        outcome.map_err(|error| match error {
            WriteError::Refused(r) if r.code == 422 && r.causes.is_empty() => WriteError::Conflict(r.message),
            other => other,
        })
    }

    pub(super) async fn patch_status(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
        patch: &Value,
        limit: Duration,
    ) -> Result<Value, WriteError> {
        let params = PatchParams { field_manager: Some(CREATOR.to_owned()), ..PatchParams::default() };
        let request = path(resource, namespace).patch_subresource("status", name, &params, &Patch::Merge(patch));
        self.send(request.map_err(|e| unbuilt(&e))?, None, limit).await
    }

    pub(super) async fn delete(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
        params: &DeleteParams,
        actor: &Actor,
        limit: Duration,
    ) -> Result<Value, WriteError> {
        let request = path(resource, namespace).delete(name, params).map_err(|e| unbuilt(&e))?;
        self.send(request, Some(actor), limit).await
    }

    pub(super) async fn evict(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        limit: Duration,
    ) -> Result<Value, WriteError> {
        let body = serde_json::json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace}, "deleteOptions": {"preconditions": {"uid": uid}}});
        let body = serde_json::to_vec(&body).expect("a Value is always JSON");
        let path = path(&ResourceType::POD, namespace);
        let request = path.create_subresource("eviction", name, &PostParams::default(), body);
        self.send(request.map_err(|e| unbuilt(&e))?, None, limit).await
    }

    pub(super) async fn replace(
        &self,
        resource: &ResourceType,
        object: &Value,
        limit: Duration,
    ) -> Result<Value, WriteError> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let body = serde_json::to_vec(object).expect("a Value is always JSON");
        let request = path(resource, text("namespace")).replace(text("name"), &PostParams::default(), body);
        self.send(request.map_err(|e| unbuilt(&e))?, None, limit).await
    }

    /// The resource that serves an `apiVersion` and `kind`: by constant, else as the API server says.
    ///
    /// # Errors
    /// [`WriteError::Refused`] when there is no such kind; another one when nobody answered.
    pub async fn resolve(&self, api_version: &str, kind: &str) -> Result<ResourceType, WriteError> {
        if let Some(known) = ResourceType::known(api_version, kind) {
            return Ok(known);
        }
        let find = |of: &[ResourceType]| of.iter().find(|r| r.kind == kind).cloned();
        let cached =
            self.discovered.lock().unwrap_or_else(PoisonError::into_inner).get(api_version).and_then(|r| find(r));
        if let Some(found) = cached {
            return Ok(found);
        }
        // Not remembered when absent: its CRD may be on its way.
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let listed = tokio::time::timeout(DEADLINE, async {
            if group.is_empty() {
                self.kube.list_core_api_resources(version).await
            } else {
                self.kube.list_api_group_resources(api_version).await
            }
        });
        let none = || {
            WriteError::Refused(ApiRefusal {
                code: 404,
                reason: "NotFound".to_owned(),
                message: format!(
                    "the cluster serves no kind {kind} of {api_version}; install its CRD, or correct apiVersion and kind"
                ),
                causes: Vec::new(),
            })
        };
        let listed = match listed.await {
            Err(_) => {
                return Err(WriteError::Unavailable(format!("discovery of {api_version} took over {DEADLINE:?}")));
            }
            Ok(Err(error)) => {
                return Err(match sort(error) {
                    WriteError::Gone(_) => none(),
                    other => other,
                });
            }
            Ok(Ok(listed)) => listed,
        };
        let resources = listed.resources.into_iter().filter(|r| !r.name.contains('/')).map(|r| ResourceType {
            group: group.to_owned().into(),
            version: version.to_owned().into(),
            kind: r.kind.into(),
            plural: r.name.into(),
            namespaced: r.namespaced,
        });
        let resources: Vec<_> = resources.collect();
        let found = find(&resources).ok_or_else(none);
        self.discovered.lock().unwrap_or_else(PoisonError::into_inner).insert(api_version.to_owned(), resources);
        found
    }

    async fn send(
        &self,
        mut request: http::Request<Vec<u8>>,
        actor: Option<&Actor>,
        limit: Duration,
    ) -> Result<Value, WriteError> {
        if let Some(Actor::ServiceAccount { namespace, name }) = actor {
            let user = format!("system:serviceaccount:{namespace}:{name}");
            let value = user.parse().map_err(|_| {
                WriteError::Refused(ApiRefusal {
                    code: 400,
                    reason: "BadRequest".to_owned(),
                    message: format!("{user} cannot be a user's name: give the name of a ServiceAccount"),
                    causes: Vec::new(),
                })
            })?;
            request.headers_mut().insert("Impersonate-User", value);
        }
        match tokio::time::timeout(limit, self.kube.request::<Value>(request)).await {
            Ok(outcome) => outcome.map_err(sort),
            Err(_) => Err(WriteError::Unknown(format!("no answer within {} ms", limit.as_millis()))),
        }
    }
}

/// Field manager of creations, edits and status; server-side applies name their own.
const CREATOR: &str = "tidegate";

/// `/apis/apps/v1/namespaces/shop/replicasets`.
pub(super) fn path(resource: &ResourceType, namespace: &str) -> Path {
    let root = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
    let within =
        if resource.namespaced && !namespace.is_empty() { format!("/namespaces/{namespace}") } else { String::new() };
    Path::new(format!("{root}/{}{within}/{}", resource.version, resource.plural))
}

fn unbuilt(error: &impl std::fmt::Display) -> WriteError {
    WriteError::Refused(ApiRefusal {
        code: 400,
        reason: "BadRequest".to_owned(),
        message: error.to_string(),
        causes: Vec::new(),
    })
}

/// Sorts what kube says by what it means for the write.
fn sort(error: kube::Error) -> WriteError {
    let kube::Error::Api(status) = error else {
        // Whether the request left this machine cannot be told from here.
        return WriteError::Unknown(chain(&error));
    };
    let message = status.message.clone();
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    let refusal = || ApiRefusal {
        code: status.code,
        reason: status.reason.clone(),
        message: message.clone(),
        causes: causes.iter().map(|c| (c.field.clone(), c.message.clone())).collect(),
    };
    match (status.code, status.reason.as_str()) {
        (409, "AlreadyExists") => WriteError::Exists(message),
        (409, _) => WriteError::Conflict(message),
        (404 | 410, _) => WriteError::Gone(message),
        // An apply with a uid where another object is by now: to the server a change of an immutable field.
        (422, _) if !causes.is_empty() && causes.iter().all(|c| c.field == "metadata.uid") => {
            WriteError::Conflict(message)
        }
        // A disruption budget says no to one eviction; the server is not busy.
        (429, _) if causes.iter().any(|c| c.reason == "DisruptionBudget") => WriteError::Refused(refusal()),
        (429, _) => {
            let seconds = status.details.as_ref().map_or(1, |d| d.retry_after_seconds.max(1));
            WriteError::Throttled(Duration::from_secs(u64::from(seconds)))
        }
        (503, _) => WriteError::Unavailable(message),
        // An apply whose fields do not fit the kind is answered as an error of the server (measured), with the fields in words.
        (500, _) if unfit(&message) => {
            let causes = unfit_causes(&message);
            WriteError::Refused(ApiRefusal { code: 422, reason: "Invalid".to_owned(), message, causes })
        }
        // These are also seen after a commit.
        (500 | 502 | 504, _) => WriteError::Unknown(message),
        _ => WriteError::Refused(refusal()),
    }
}

fn unfit(message: &str) -> bool {
    ["failed to create typed patch object", "failed to convert new object"]
        .iter()
        .any(|start| message.starts_with(start))
}

/// `…: .spec.replicaz: field not declared in schema`, one or several lines.
fn unfit_causes(message: &str) -> Vec<(String, String)> {
    let lines = message.lines().flat_map(|line| line.split_once("): ").map_or(line, |(_, rest)| rest).split(", ."));
    let cause = |line: &str| {
        let (field, what) = line.trim().trim_start_matches('.').split_once(": ")?;
        let path = !field.contains(' ') && field.contains(|c: char| c.is_ascii_lowercase());
        (path && field != "errors").then(|| (field.to_owned(), what.to_owned()))
    };
    lines.filter_map(cause).collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use serde_json::json;

    fn sorted(status: &Value) -> WriteError {
        let status: Status = serde_json::from_value(status.clone()).expect("a Status");
        sort(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn answers_are_sorted_by_what_they_mean_for_the_write() {
        let of = |code: u16, reason: &str| sorted(&json!({"code": code, "reason": reason, "message": "m"}));
        assert_eq!(of(409, "AlreadyExists"), WriteError::Exists("m".into()));
        assert_eq!(of(409, "Conflict"), WriteError::Conflict("m".into()));
        assert_eq!(of(404, "NotFound"), WriteError::Gone("m".into()));
        assert_eq!(of(504, "Timeout"), WriteError::Unknown("m".into()));
        assert!(matches!(of(403, "Forbidden"), WriteError::Refused(r) if r.code == 403));
    }

    #[test]
    fn an_apply_with_the_uid_of_an_object_that_was_replaced_is_a_conflict() {
        let of = |field: &str| {
            let causes = json!([{"field": field, "message": "Invalid value: \"u\": field is immutable"}]);
            sorted(&json!({"code": 422, "reason": "Invalid", "message": "m", "details": {"causes": causes}}))
        };
        assert_eq!(of("metadata.uid"), WriteError::Conflict("m".into()));
        assert!(matches!(of("spec.selector"), WriteError::Refused(_)));
    }

    #[test]
    fn an_apply_with_a_field_that_the_kind_does_not_have_is_a_refusal_and_names_it() {
        let message = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema";
        let WriteError::Refused(refusal) = sorted(&json!({"code": 500, "message": message})) else {
            panic!("no refusal")
        };
        assert_eq!(refusal.code, 422);
        assert_eq!(refusal.causes, [("spec.replicaz".to_owned(), "field not declared in schema".to_owned())]);
        let message = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): errors:\n  .spec.a: field not declared in schema\n  .spec.b: field not declared in schema";
        let WriteError::Refused(refusal) = sorted(&json!({"code": 500, "message": message})) else {
            panic!("no refusal")
        };
        assert_eq!(refusal.causes.iter().map(|c| c.0.as_str()).collect::<Vec<_>>(), ["spec.a", "spec.b"]);
        assert!(matches!(sorted(&json!({"code": 500, "message": "etcd is away"})), WriteError::Unknown(_)));
    }

    #[test]
    fn a_busy_server_says_how_long_to_wait() {
        let busy = sorted(&json!({"code": 429, "reason": "TooManyRequests", "details": {"retryAfterSeconds": 3}}));
        assert_eq!(busy, WriteError::Throttled(Duration::from_secs(3)));
        let budget = sorted(&json!({"code": 429, "reason": "TooManyRequests", "message": "Cannot evict pod",
            "details": {"retryAfterSeconds": 10, "causes": [{"reason": "DisruptionBudget", "message": "needs 3"}]}}));
        assert!(matches!(budget, WriteError::Refused(r) if r.code == 429 && r.message == "Cannot evict pod"));
    }

    #[test]
    fn a_refusal_keeps_the_fields_that_caused_it() {
        let error = sorted(&json!({"code": 422, "reason": "Invalid", "message": "m",
            "details": {"causes": [{"field": "spec.replicas", "message": "must be at least 0"}]}}));
        let WriteError::Refused(refusal) = error else { panic!("{error:?}") };
        assert_eq!(refusal.causes, [("spec.replicas".to_owned(), "must be at least 0".to_owned())]);
    }
}
