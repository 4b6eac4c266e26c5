//! Everything that a decision about a Rollout is made from, as far as the user may read it.

use super::Cluster;
use super::errors::is_absent;
use crate::cli::failure::Failure;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::rollout::Dump;
use crate::core::row::RowError;
use jiff::Timestamp;
use kube::Api;
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};

impl Cluster {
    /// Reads kind after kind; what cannot be read is named in the dump. Only the Rollout itself has to be there.
    pub(crate) async fn dump(&self, name: &str, now: Timestamp) -> Result<Dump, Failure> {
        let rollout = self.rollout(name).await?;
        let (mut objects, mut missing) = (Vec::new(), Vec::new());
        for (resource, everywhere) in Dump::SOURCES {
            match self.objects(&resource, everywhere).await {
                Ok(found) => objects.extend(found),
                Err(failure) => {
                    missing.push(unread(&resource, &failure));
                    if everywhere && resource.namespaced {
                        objects.extend(self.objects(&resource, false).await.unwrap_or_default());
                    }
                }
            }
        }
        let spec = serde_json::to_value(&rollout.spec).expect("a spec that came as JSON is JSON");
        if let Some(target) = Dump::workload(&self.namespace, &spec) {
            match self.object(&target).await {
                Ok(found) => objects.extend(found),
                Err(failure) => missing.push(unread(&target.resource, &failure)),
            }
        }
        let target = ObjectRef::new(ResourceType::ROLLOUT, &self.namespace, name);
        let wrong = |error: RowError| Failure::Cluster { what: target.to_string(), message: error.to_string() };
        Dump::of(&target, now, objects, missing).map_err(wrong)
    }

    async fn objects(&self, resource: &ResourceType, everywhere: bool) -> Result<Vec<Value>, Failure> {
        let api = self.of(resource, everywhere);
        let found = self.pages(&resource.plural, &api).await?;
        Ok(found.into_iter().map(|object| whole(resource, &object)).collect())
    }

    async fn object(&self, target: &ObjectRef) -> Result<Option<Value>, Failure> {
        let api = self.of(&target.resource, false);
        let what = target.to_string();
        let found = self.answer(&what, async {
            match api.get(&target.name).await {
                Ok(object) => Ok(Some(object)),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
            }
        });
        Ok(found.await?.map(|object| whole(&target.resource, &object)))
    }

    fn of(&self, resource: &ResourceType, everywhere: bool) -> Api<DynamicObject> {
        let served = ApiResource {
            group: resource.group.to_string(),
            version: resource.version.to_string(),
            api_version: resource.api_version(),
            kind: resource.kind.to_string(),
            plural: resource.plural.to_string(),
        };
        if everywhere || !resource.namespaced {
            Api::all_with(self.client.clone(), &served)
        } else {
            Api::namespaced_with(self.client.clone(), &self.namespace, &served)
        }
    }
}

/// An item of a list does not say its kind.
fn whole(resource: &ResourceType, object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).expect("an object that came as JSON is JSON");
    value["apiVersion"] = json!(resource.api_version());
    value["kind"] = json!(resource.kind);
    value
}

fn unread(resource: &ResourceType, failure: &Failure) -> String {
    let why = match failure {
        Failure::NotInstalled => "the cluster does not serve them".to_owned(),
        Failure::Cluster { message, .. } => message.clone(),
        other => other.to_string(),
    };
    format!("{}: {why}", resource.plural)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{StatusCode, Uri, header};
    use axum::response::IntoResponse as _;
    use std::collections::BTreeMap;

    fn object(name: &str, rest: &Value) -> Value {
        let meta = json!({"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"});
        let mut object = json!({"metadata": meta});
        json_patch::merge(&mut object, rest);
        object
    }

    fn list(items: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
    }

    /// An API server that has these answers by path, serves no kind of Traefik, and allows nothing else.
    async fn cluster(answers: BTreeMap<&'static str, Value>) -> Cluster {
        let answer = move |uri: Uri| async move {
            let refused = |code: u16, reason: &str, message: &str| {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
                                    "code": code, "reason": reason, "message": message});
                (StatusCode::from_u16(code).expect("a code"), status.to_string())
            };
            let (code, body) = match answers.get(uri.path()) {
                Some(body) => (StatusCode::OK, body.to_string()),
                None if uri.path().contains("traefik.io") => refused(404, "NotFound", "no such page"),
                None => refused(403, "Forbidden", "you may not list them"),
            };
            (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::Config::new(server.parse().expect("an address"));
        let client = kube::Client::try_from(config).expect("a client");
        Cluster { client, namespace: "shop".to_owned(), server }
    }

    #[tokio::test]
    async fn what_a_user_may_not_read_is_named_and_the_rest_is_there() {
        let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"});
        let spec = json!({"replicas": 1, "workloadRef": workload, "strategy": {"canary": {}}});
        let kind = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "spec": spec});
        let rollout = object("web", &kind);
        let template = json!({"metadata": {"labels": {"app": "web"}}});
        let deployment =
            json!({"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
        let cluster = cluster(BTreeMap::from([
            ("/apis/tidegate.dev/v1alpha1/namespaces/shop/rollouts/web", rollout.clone()),
            ("/apis/tidegate.dev/v1alpha1/namespaces/shop/rollouts", list(&json!([rollout]))),
            ("/api/v1/namespaces/shop/services", list(&json!([object("web-stable", &json!({}))]))),
            ("/apis/networking.k8s.io/v1/namespaces/shop/ingresses", list(&json!([object("in", &json!({}))]))),
            ("/apis/apps/v1/namespaces/shop/deployments/app", object("app", &deployment)),
        ]))
        .await;
        let dump = cluster.dump("web", Timestamp::UNIX_EPOCH).await.expect("a dump");
        let found: Vec<String> = dump.objects.iter().map(|o| ObjectRef::named_by(o).to_string()).collect();
        let expected = ["Rollout shop/web", "Service shop/web-stable", "Ingress shop/in", "Deployment shop/app"];
        assert_eq!(found, expected);
        let named = |line: &str| dump.missing.iter().any(|m| m == line);
        assert!(named("replicasets: you may not list them"), "{:?}", dump.missing);
        assert!(named("ingresses: you may not list them"), "those of other namespaces: {:?}", dump.missing);
        assert!(named("traefikservices: the cluster does not serve them"), "{:?}", dump.missing);
        assert!(!dump.missing.iter().any(|m| m.contains("Deployment")), "{:?}", dump.missing);
    }
}
