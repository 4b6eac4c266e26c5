//! Which instances of Traefik there are, and where each one's API is.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use std::time::Duration;

/// What an administrator decides about finding Traefik.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--traefik-api`: addresses of APIs; when given, nothing is looked for.
    pub addresses: Vec<String>,
    /// `--traefik-namespace`: where its pods are; all namespaces when not given.
    pub namespace: Option<String>,
    /// `--traefik-selector`: labels of its pods.
    pub selector: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { addresses: Vec::new(), namespace: None, selector: "app.kubernetes.io/name=traefik".to_owned() }
    }
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instance {
    /// Its pod, or its address where it has none.
    pub name: String,
    /// `http://10.244.0.3:8080`
    pub api: String,
    /// How it was found: for status.
    pub rung: &'static str,
}

/// How long a list of pods is good for.
const FRESH: Duration = Duration::from_secs(1);
/// Longest wait for a list of pods.
const LIST: Duration = Duration::from_secs(5);
/// Name and number of the port whose entry point Traefik's API is on.
const PORT_NAME: &str = "traefik";
const PORT: i32 = 8080;

/// Finds instances, and remembers them for a moment.
pub(super) struct Instances {
    settings: Settings,
    cluster: Option<kube::Client>,
    listed: Option<(Timestamp, Vec<Instance>)>,
}

impl Instances {
    pub(super) fn new(settings: Settings, cluster: Option<kube::Client>) -> Self {
        Self { settings, cluster, listed: None }
    }

    /// All Ready instances.
    ///
    /// # Errors
    /// In words for status: they cannot be listed, or there are none.
    pub(super) async fn current(&mut self) -> Result<Vec<Instance>, String> {
        if !self.settings.addresses.is_empty() {
            let named = self.settings.addresses.iter();
            return Ok(named
                .map(|a| Instance { name: a.clone(), api: a.clone(), rung: "configured address" })
                .collect());
        }
        let now = crate::clock::now();
        if let Some((at, instances)) = &self.listed
            && Duration::try_from(now.duration_since(*at)).is_ok_and(|age| age < FRESH)
        {
            return Ok(instances.clone());
        }
        let Some(cluster) = &self.cluster else {
            return Err("no address of Traefik's API is configured; set --traefik-api".to_owned());
        };
        let pods: Api<Pod> = match &self.settings.namespace {
            Some(namespace) => Api::namespaced(cluster.clone(), namespace),
            None => Api::all(cluster.clone()),
        };
        // From the API server's cache: a second of age does no harm, and the store is spared.
        let parameters = ListParams::default().labels(&self.settings.selector).match_any();
        let listed = match tokio::time::timeout(LIST, pods.list(&parameters)).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => return Err(format!("pods of Traefik cannot be listed: {error}")),
            Err(_) => return Err(format!("pods of Traefik were not listed within {} s", LIST.as_secs())),
        };
        let instances: Vec<_> = listed.items.iter().filter_map(instance).collect();
        if instances.is_empty() {
            let place =
                self.settings.namespace.as_deref().map_or("any namespace".to_owned(), |n| format!("namespace {n}"));
            return Err(format!(
                "no Ready pod with {} in {place}; set --traefik-selector, --traefik-namespace or --traefik-api",
                self.settings.selector
            ));
        }
        self.listed = Some((now, instances.clone()));
        Ok(instances)
    }
}

/// A pod that serves: Ready, not on its way out, with an address.
fn instance(pod: &Pod) -> Option<Instance> {
    let status = pod.status.as_ref()?;
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    if !ready || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let ip = status.pod_ip.as_deref()?;
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let ports = pod.spec.iter().flat_map(|s| &s.containers).flat_map(|c| c.ports.iter().flatten());
    let port = ports.into_iter().find(|p| p.name.as_deref() == Some(PORT_NAME)).map_or(PORT, |p| p.container_port);
    let name = format!(
        "{}/{}",
        pod.metadata.namespace.as_deref().unwrap_or_default(),
        pod.metadata.name.as_deref().unwrap_or_default()
    );
    Some(Instance { name, api: format!("http://{host}:{port}"), rung: "pod API" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(change: impl FnOnce(&mut Value)) -> Option<Instance> {
        let mut pod = json!({
            "metadata": {"name": "t-1", "namespace": "traefik"},
            "spec": {"containers": [{"name": "t", "ports": [{"name": "web", "containerPort": 8000}, {"name": "traefik", "containerPort": 9000}]}]},
            "status": {"podIP": "10.0.0.3", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        change(&mut pod);
        instance(&serde_json::from_value(pod).expect("a pod"))
    }

    #[test]
    fn the_api_is_on_the_port_that_is_named_traefik_else_on_8080() {
        assert_eq!(pod(|_| ()).map(|i| i.api), Some("http://10.0.0.3:9000".to_owned()));
        assert_eq!(
            pod(|p| p["spec"] = json!({"containers": []})).map(|i| i.api),
            Some("http://10.0.0.3:8080".to_owned())
        );
        assert_eq!(
            pod(|p| p["status"]["podIP"] = json!("fd00::3")).map(|i| i.api),
            Some("http://[fd00::3]:9000".to_owned())
        );
    }

    #[test]
    fn a_pod_that_does_not_serve_is_no_instance() {
        assert_eq!(pod(|p| p["status"]["conditions"][0]["status"] = json!("False")), None);
        assert_eq!(pod(|p| p["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z")), None);
        assert_eq!(pod(|p| p["status"]["podIP"] = json!(null)), None);
    }
}
