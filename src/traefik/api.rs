//! Traefik's own API: services and routers of HTTP, page by page.

use crate::core::question::{RouterSeen, RoutesSeen, ServiceSeen};
use crate::http;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Entries per page: one page for all but the largest installations.
const PER_PAGE: u32 = 1000;
/// Largest page that is read: a service takes well under 2 KiB.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Most pages, so that a server that always names another one is not followed for ever.
const PAGES: u32 = 100;

/// Why an instance cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{0}")]
    Request(String),
    #[error(
        "HTTP 404: its API is not on this port; start Traefik with --api.insecure=true on a port that only the controller reaches, or name an address with --traefik-api"
    )]
    NotExposed,
    #[error("HTTP {0}")]
    Status(u16),
    #[error("not an answer of Traefik's API: {0}")]
    Answer(String),
    #[error("more than {0} pages")]
    Endless(u32),
}

/// Everything that an instance has loaded.
pub(super) async fn read(client: &reqwest::Client, api: &str) -> Result<RoutesSeen, ApiError> {
    let services: Vec<ApiService> = pages(client, api, "services").await?;
    let routers: Vec<ApiRouter> = pages(client, api, "routers").await?;
    Ok(RoutesSeen {
        services: services.into_iter().map(|s| (s.name.clone(), s.into())).collect::<BTreeMap<_, _>>(),
        routers: routers.into_iter().map(|r| (r.name.clone(), r.into())).collect::<BTreeMap<_, _>>(),
    })
}

async fn pages<T: DeserializeOwned>(client: &reqwest::Client, api: &str, what: &str) -> Result<Vec<T>, ApiError> {
    let mut all = Vec::new();
    let mut page = 1;
    loop {
        let url = format!("{}/api/http/{what}?per_page={PER_PAGE}&page={page}", api.trim_end_matches('/'));
        let response = client.get(url).send().await.map_err(|e| ApiError::Request(http::deepest(&e)))?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err(ApiError::NotExposed),
            other => return Err(ApiError::Status(other)),
        }
        let next = response.headers().get("x-next-page").and_then(|v| v.to_str().ok()?.parse::<u32>().ok());
        let body = http::body(response, PAGE_BYTES).await.map_err(|e| ApiError::Request(e.to_string()))?;
        let entries: Vec<T> = serde_json::from_slice(&body).map_err(|e| ApiError::Answer(e.to_string()))?;
        all.extend(entries);
        match next {
            // On the last page Traefik names page 1.
            Some(next) if next > page && next <= PAGES => page = next,
            Some(next) if next > PAGES => return Err(ApiError::Endless(PAGES)),
            _ => return Ok(all),
        }
    }
}

/// A child's name as services are listed: with the provider of its parent, when it names none.
pub(super) fn qualified(child: &str, parent: &str) -> String {
    match parent.split_once('@') {
        Some((_, provider)) if !child.contains('@') => format!("{child}@{provider}"),
        _ => child.to_owned(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiService {
    name: String,
    #[serde(default)]
    status: String,
    weighted: Option<Weighted>,
    load_balancer: Option<LoadBalancer>,
}

#[derive(Debug, Deserialize)]
struct Weighted {
    #[serde(default)]
    services: Vec<Child>,
}

#[derive(Debug, Deserialize)]
struct Child {
    name: String,
    /// Traefik leaves out what was not set, and takes it as 1.
    #[serde(default = "one")]
    weight: i64,
}

fn one() -> i64 {
    1
}

#[derive(Debug, Deserialize)]
struct LoadBalancer {
    #[serde(default)]
    servers: Vec<Server>,
}

#[derive(Debug, Deserialize)]
struct Server {
    #[serde(default)]
    url: String,
}

#[derive(Debug, Deserialize)]
struct ApiRouter {
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    rule: String,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    service: String,
    #[serde(default)]
    error: Vec<String>,
}

impl From<ApiService> for ServiceSeen {
    fn from(service: ApiService) -> Self {
        let children = service.weighted.map(|w| w.services).unwrap_or_default();
        let servers = service.load_balancer.map(|l| l.servers).unwrap_or_default();
        Self {
            enabled: is_enabled(&service.status),
            children: children.into_iter().map(|c| (c.name, c.weight)).collect(),
            servers: servers.into_iter().map(|s| s.url).collect(),
        }
    }
}

impl From<ApiRouter> for RouterSeen {
    fn from(router: ApiRouter) -> Self {
        Self {
            enabled: is_enabled(&router.status),
            rule: router.rule,
            priority: router.priority,
            service: router.service,
            errors: router.error,
        }
    }
}

/// A router with a warning serves.
fn is_enabled(status: &str) -> bool {
    matches!(status, "enabled" | "warning")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{answer, server};

    #[tokio::test]
    async fn every_page_is_read() {
        let page = |next: u32, name: &str| {
            let body = format!(r#"[{{"name": "{name}", "status": "enabled"}}]"#);
            answer("200 OK", &body).replace("connection:", &format!("x-next-page: {next}\r\nconnection:"))
        };
        let (api, asked) = server(vec![page(2, "a@x"), page(1, "b@x"), page(1, "r@x")]).await;
        let client = crate::http::client(crate::http::Destinations::Trusted).expect("a client");
        let seen = read(&client, &api).await.expect("it answered");
        assert_eq!(seen.services.keys().collect::<Vec<_>>(), ["a@x", "b@x"]);
        assert_eq!(seen.routers.len(), 1);
        assert!(asked.lock().expect("no panic under it")[1].contains("page=2"));
    }

    #[test]
    fn a_recorded_answer_of_traefik_3_7_is_understood() {
        let recorded = r#"{"weighted":{"services":[{"name":"ns-app-stable-80","weight":95},{"name":"ns-app-canary-80","weight":0},{"name":"x@file"}]},
            "status":"enabled","usedBy":["r@kubernetescrd"],"name":"ns-app@kubernetescrd","provider":"kubernetescrd","type":"weighted"}"#;
        let seen: ServiceSeen = serde_json::from_str::<ApiService>(recorded).expect("the recorded form").into();
        assert_eq!(
            seen.children,
            [("ns-app-stable-80".to_owned(), 95), ("ns-app-canary-80".to_owned(), 0), ("x@file".to_owned(), 1)]
        );
        let recorded = r#"{"entryPoints":["web"],"service":"default-web-80","rule":"Host(\"web.test\")","priority":35,"status":"disabled",
            "error":["the service \"x\" does not exist"],"using":["web"],"name":"default-web-web-test@kubernetes","priorityStr":"35"}"#;
        let seen: RouterSeen = serde_json::from_str::<ApiRouter>(recorded).expect("the recorded form").into();
        assert_eq!((seen.enabled, seen.priority, seen.errors.len()), (false, 35, 1));
    }

    #[test]
    fn a_child_belongs_to_its_parents_provider_unless_it_names_another() {
        assert_eq!(qualified("a-80", "p@kubernetescrd"), "a-80@kubernetescrd");
        assert_eq!(qualified("a@file", "p@kubernetescrd"), "a@file");
    }
}
