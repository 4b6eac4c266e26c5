//! What scenarios apply, as the JSON that goes over the wire.
//!
//! Builders give complete objects with the least that is needed; a scenario changes what it is about by plain indexing
//! (`rollout["spec"]["replicas"] = 3.into()`), so that the change is seen where it matters.

use serde_json::{Value, json};

/// One revision of the demo app.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Revision<'a> {
    pub version: &'a str,
    /// Share of requests that it answers 500, 0 to 1.
    pub error_rate: f64,
    /// Milliseconds that each answer waits.
    pub latency_ms: u32,
    /// More variables of its environment.
    pub more: &'a [(&'a str, &'a str)],
    /// Image of the app without its registry.
    pub image: &'a str,
}

impl<'a> Revision<'a> {
    pub const fn good(version: &'a str) -> Self {
        Self { version, error_rate: 0.0, latency_ms: 0, more: &[], image: "app:1" }
    }

    pub const fn failing(version: &'a str, error_rate: f64) -> Self {
        Self { error_rate, ..Self::good(version) }
    }
}

/// An app in a namespace: what all of its objects agree on.
#[derive(Debug, Clone)]
pub struct App {
    pub namespace: String,
    pub name: String,
    /// Host under which users ask for it.
    pub host: String,
    /// What it signs with.
    pub secret: String,
    pub replicas: u32,
    /// Registry that its pods pull from.
    pub registry: String,
}

impl App {
    fn meta(&self, name: &str) -> Value {
        json!({"namespace": self.namespace, "name": name})
    }

    fn labels(&self) -> Value {
        json!({"app": self.name})
    }

    /// Name of the Service of stable's pods.
    pub fn stable(&self) -> String {
        format!("{}-stable", self.name)
    }

    /// Name of the Service of the canary's pods.
    pub fn canary(&self) -> String {
        format!("{}-canary", self.name)
    }

    /// A name of an image that pods can pull.
    pub fn image(&self, image: &str) -> String {
        format!("{}/{image}", self.registry)
    }

    /// The pod template.
    pub fn template(&self, revision: Revision<'_>) -> Value {
        let mut env = vec![
            json!({"name": "VERSION", "value": revision.version}),
            json!({"name": "SIGNING_KEY", "value": self.secret}),
            json!({"name": "ERROR_RATE", "value": revision.error_rate.to_string()}),
            json!({"name": "LATENCY_MS", "value": revision.latency_ms.to_string()}),
        ];
        env.extend(revision.more.iter().map(|(name, value)| json!({"name": name, "value": value})));
        json!({
            "metadata": {"labels": self.labels()},
            "spec": {
                "terminationGracePeriodSeconds": 20,
                "containers": [{
                    "name": "app",
                    "image": self.image(revision.image),
                    "imagePullPolicy": "IfNotPresent",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "env": env,
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
                    "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}}
                }]
            }
        })
    }

    /// A Rollout with this strategy: `{"canary": {...}}` or `{"blueGreen": {...}}`.
    pub fn rollout(&self, revision: Revision<'_>, strategy: &Value) -> Value {
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": self.meta(&self.name),
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": self.labels()},
                "template": self.template(revision),
                "strategy": strategy
            }
        })
    }

    /// A canary strategy behind the IngressRoute, with Services of one's own.
    pub fn by_route(&self, steps: &Value) -> Value {
        json!({"canary": {
            "stableService": self.stable(), "canaryService": self.canary(), "steps": steps,
            "trafficRouting": {"traefik": {"weightedTraefikServiceName": self.name}}
        }})
    }

    /// A canary strategy behind the plain Ingress, where the controller makes what it needs.
    pub fn by_ingress(&self, steps: &Value) -> Value {
        json!({"canary": {"steps": steps, "trafficRouting": {"traefik": {"ingress": {"name": self.name}}}}})
    }

    /// A Service of this name over the app's pods.
    pub fn service(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": self.meta(name),
            "spec": {"selector": self.labels(), "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
        })
    }

    /// The IngressRoute whose backend is the weighted TraefikService.
    pub fn ingress_route(&self) -> Value {
        json!({
            "apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": self.meta(&self.name),
            "spec": {"entryPoints": ["web"], "routes": [{
                "kind": "Rule", "match": format!("Host(`{}`)", self.host),
                "services": [{"kind": "TraefikService", "name": self.name}]
            }]}
        })
    }

    /// A plain Ingress to the Service that carries the app's name.
    pub fn ingress(&self) -> Value {
        let backend = json!({"service": {"name": self.name, "port": {"number": 80}}});
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {
                "namespace": self.namespace, "name": self.name,
                "annotations": {"kubernetes.io/ingress.class": "traefik"}
            },
            "spec": {"rules": [{
                "host": self.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
            }]}
        })
    }

    /// What Prometheus has from Traefik about the canary's Service, errors and time: the template named `requests`.
    pub fn analysis(&self, prometheus: &str) -> Value {
        let of = |metric: &str, codes: &str| {
            let services = format!("{}-{}-.*", self.namespace, self.canary());
            format!("sum(increase(traefik_service_{metric}{{service=~\"{services}\"{codes}}}[10s]))")
        };
        let errors =
            format!("({} or vector(0)) / ({} > 0)", of("requests_total", ",code=~\"5..\""), of("requests_total", ""));
        let time =
            format!("{} / ({} > 0)", of("request_duration_seconds_sum", ""), of("request_duration_seconds_count", ""));
        let metric = |name: &str, query: &str, condition: &str| {
            json!({
                "name": name, "interval": "2s", "count": 4, "failureLimit": 1, "successCondition": condition,
                "provider": {"prometheus": {"address": prometheus, "query": query}}
            })
        };
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": self.meta("requests"),
            "spec": {"metrics": [
                metric("errors", &errors, "result[0] <= 0.02"),
                metric("time", &time, "result[0] <= 0.25")
            ]}
        })
    }

    /// The account that an Application of this namespace is applied as, and what it may do there.
    pub fn applier(&self) -> [Value; 3] {
        let name = "tidegate-applier";
        let rule =
            |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["*"]});
        [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.meta(name)}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": self.meta(name),
                "rules": [
                    rule("", &["services", "configmaps"]),
                    rule("apps", &["deployments"]),
                    rule("networking.k8s.io", &["ingresses"]),
                    rule("traefik.io", &["ingressroutes"]),
                    rule("tidegate.dev", &["rollouts", "analysistemplates"])
                ]
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": self.meta(name),
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}]
            }),
        ]
    }
}

/// Where an Application takes its manifests from.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// As seen from pods.
    pub url: &'a str,
    pub branch: &'a str,
    pub path: &'a str,
    /// Secret with the credential for reading.
    pub read: &'a str,
}

/// An automated Application that prunes and heals.
pub fn application(namespace: &str, name: &str, source: &Source<'_>) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Application",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "source": {
                "repoURL": source.url, "targetRevision": source.branch, "path": source.path,
                "secretRef": {"name": source.read}
            },
            "destination": {"namespace": namespace},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}}
        }
    })
}

/// A Secret with a user and a password or token, as git credentials are kept.
pub fn credential(namespace: &str, name: &str, user: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
        "metadata": {"namespace": namespace, "name": name},
        // The forge of a test cluster speaks plain http on a network of its own.
        "stringData": {"username": user, "password": password, "allowPlainHttp": "true"}
    })
}

/// A manifest as it is written into a file.
///
/// # Errors
/// Never for what JSON can hold.
pub fn yaml(objects: &[Value]) -> anyhow::Result<String> {
    let documents: Result<Vec<String>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    Ok(documents?.join("---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_as_yaml_reads_back_as_the_same_object() {
        let app = App {
            namespace: "n".into(),
            name: "web".into(),
            host: "web.test".into(),
            secret: "0x1".into(),
            replicas: 2,
            registry: "tidegate.test".to_owned(),
        };
        let object =
            app.rollout(Revision::failing("1.10", 0.3), &app.by_ingress(&json!([{"setWeight": 20}, {"pause": {}}])));
        let text = yaml(std::slice::from_ref(&object)).expect("it is plain JSON");
        let back: Value = serde_saphyr::from_str(&text).expect("it was just written");
        assert_eq!(back, object, "{text}");
    }
}
