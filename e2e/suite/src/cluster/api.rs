//! The verbs of the API server that scenarios use, on plain JSON.

use super::reach::Way;
use super::{Access, Kind};
use futures::AsyncBufReadExt;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::{Method, Request};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Who the suite is in managed fields.
const MANAGER: &str = "tidegate-e2e";
/// No single request takes longer on a node that is alive, even a busy one.
const DEADLINE: Duration = Duration::from_secs(30);

/// An open cluster.
#[derive(Clone)]
pub struct Cluster {
    pub access: Arc<Access>,
    client: Client,
    /// Open as long as a copy of this is.
    ways: Arc<Vec<Way>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("access", &self.access).field("ways", &self.ways).finish_non_exhaustive()
    }
}

/// A request that the API server did not do.
#[derive(Debug)]
pub struct ApiError {
    what: String,
    /// HTTP status; 0 when there was no answer.
    pub code: u16,
    pub message: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.what, self.message, self.code)
    }
}

impl std::error::Error for ApiError {}

type Outcome<T> = Result<T, ApiError>;

fn metadata<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

impl Cluster {
    /// # Errors
    /// When the kubeconfig cannot be read or names no usable cluster. No request is made yet.
    pub async fn open(access: Access) -> anyhow::Result<Self> {
        // A second installation of the provider is refused, and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::Config::from_custom_kubeconfig(
            Kubeconfig::read_from(&access.kubeconfig)?,
            &KubeConfigOptions::default(),
        )
        .await?;
        Ok(Self { client: Client::try_from(config)?, access: Arc::new(access), ways: Arc::default() })
    }

    pub(super) fn holding(self, ways: Vec<Way>) -> Self {
        Self { ways: Arc::new(ways), ..self }
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    async fn send(&self, method: Method, path: &str, content: &str, body: Vec<u8>) -> Outcome<String> {
        let what = format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content)
            .body(body)
            .map_err(|e| ApiError { what: what.clone(), code: 0, message: e.to_string() })?;
        match tokio::time::timeout(DEADLINE, self.client.request_text(request)).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(kube::Error::Api(status))) => {
                Err(ApiError { what, code: status.code, message: status.message.clone() })
            }
            Ok(Err(other)) => Err(ApiError { what, code: 0, message: other.to_string() }),
            Err(_) => Err(ApiError { what, code: 0, message: format!("no answer in {} s", DEADLINE.as_secs()) }),
        }
    }

    async fn json(&self, method: Method, path: &str, content: &str, body: &Value) -> Outcome<Value> {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let what = format!("{method} {path}");
        let text = self.send(method, path, content, bytes).await?;
        serde_json::from_str(&text).map_err(|e| ApiError { what, code: 0, message: format!("not JSON: {e}") })
    }

    /// The object, or `None` when there is none.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Outcome<Option<Value>> {
        match self.json(Method::GET, &kind.path(namespace, name), "application/json", &Value::Null).await {
            Ok(object) => Ok(Some(object)),
            Err(e) if e.code == 404 => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The objects of a namespace (of all when empty) that carry the labels (`a=b,c=d`, empty for all).
    pub async fn list(&self, kind: Kind, namespace: &str, labels: &str) -> Outcome<Vec<Value>> {
        let path =
            format!("{}?labelSelector={}", kind.path(namespace, ""), labels.replace('=', "%3D").replace(',', "%2C"));
        let mut list = self.json(Method::GET, &path, "application/json", &Value::Null).await?;
        Ok(match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        })
    }

    /// Creates the object as `kubectl create` does: unknown fields are refused.
    pub async fn create(&self, object: &Value) -> Outcome<Value> {
        let kind = known(object)?;
        let path =
            format!("{}?fieldValidation=Strict&fieldManager={MANAGER}", kind.path(metadata(object, "namespace"), ""));
        self.json(Method::POST, &path, "application/json", object).await
    }

    /// Server-side apply of the object, taking over what others own.
    pub async fn apply(&self, object: &Value) -> Outcome<Value> {
        self.apply_as(object, MANAGER).await
    }

    /// The same, as another field manager.
    pub async fn apply_as(&self, object: &Value, manager: &str) -> Outcome<Value> {
        let kind = known(object)?;
        let path = format!(
            "{}?force=true&fieldManager={manager}",
            kind.path(metadata(object, "namespace"), metadata(object, "name"))
        );
        self.json(Method::PATCH, &path, "application/apply-patch+yaml", object).await
    }

    pub async fn apply_all<'a>(&self, objects: impl IntoIterator<Item = &'a Value>) -> Outcome<()> {
        for object in objects {
            self.apply(object).await?;
        }
        Ok(())
    }

    /// A JSON merge patch.
    pub async fn merge(&self, kind: Kind, namespace: &str, name: &str, patch: &Value) -> Outcome<Value> {
        let path = format!("{}?fieldManager={MANAGER}", kind.path(namespace, name));
        self.json(Method::PATCH, &path, "application/merge-patch+json", patch).await
    }

    /// A strategic merge patch of a Deployment's pod template.
    pub async fn patch_pods(&self, namespace: &str, deployment: &str, pod: &Value) -> Outcome<Value> {
        let path = format!("{}?fieldManager={MANAGER}", Kind::DEPLOYMENT.path(namespace, deployment));
        let patch = json!({"spec": {"template": {"spec": pod}}});
        self.json(Method::PATCH, &path, "application/strategic-merge-patch+json", &patch).await
    }

    /// What `kubectl annotate` does.
    pub async fn annotate(&self, kind: Kind, namespace: &str, name: &str, key: &str, value: &str) -> Outcome<Value> {
        self.merge(kind, namespace, name, &json!({"metadata": {"annotations": {key: value}}})).await
    }

    /// Deletes the object and, in the background, what it owns. Nothing there is fine.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Outcome<()> {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        self.delete_with(kind, namespace, name, &options).await
    }

    /// Deletes the object and leaves what it owns: `--cascade=orphan`.
    pub async fn orphan(&self, kind: Kind, namespace: &str, name: &str) -> Outcome<()> {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"});
        self.delete_with(kind, namespace, name, &options).await
    }

    /// Deletes a pod as the loss of its node would: at once, without a word to it.
    pub async fn kill_pod(&self, namespace: &str, name: &str) -> Outcome<()> {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
        self.delete_with(Kind::POD, namespace, name, &options).await
    }

    async fn delete_with(&self, kind: Kind, namespace: &str, name: &str, options: &Value) -> Outcome<()> {
        match self.json(Method::DELETE, &kind.path(namespace, name), "application/json", options).await {
            Ok(_) => Ok(()),
            Err(e) if e.code == 404 => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// A request to a port of a pod, by way of the API server.
    pub async fn ask_pod(&self, method: Method, namespace: &str, pod: &str, port: u16, path: &str) -> Outcome<String> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/{}", path.trim_start_matches('/'));
        self.send(method, &path, "application/json", Vec::new()).await
    }

    /// The last lines that a pod's first container wrote. `previous` asks for those before its restart.
    pub async fn logs(&self, namespace: &str, pod: &str, lines: u32, previous: bool) -> Outcome<String> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?tailLines={lines}&previous={previous}");
        self.send(Method::GET, &path, "application/json", Vec::new()).await
    }

    /// Each line that a pod's first container writes from now on.
    pub async fn follow(&self, namespace: &str, pod: &str) -> Outcome<BoxStream<'static, std::io::Result<String>>> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?follow=true&tailLines=0");
        let refused = |message: String| ApiError { what: format!("GET {path}"), code: 0, message };
        let request = Request::get(path.as_str()).body(Vec::new()).map_err(|e| refused(e.to_string()))?;
        let stream = self.client.request_stream(request).await.map_err(|e| refused(e.to_string()))?;
        Ok(stream.lines().into_stream().boxed())
    }
}

fn known(object: &Value) -> Outcome<Kind> {
    Kind::of(object).ok_or_else(|| ApiError {
        what: format!("{} {}", object["apiVersion"], object["kind"]),
        code: 0,
        message: "the suite does not know this kind; add it to cluster/kind.rs".to_owned(),
    })
}
