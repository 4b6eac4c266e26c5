//! The one place that builds HTTP clients.
//!
//! The problem: a request without a deadline, a body without an end, a redirect to somewhere else, or an address that a
//! tenant chose inside our own network, each take the controller with them. The rule kept here: every client has deadlines
//! and our user agent, follows redirects only within one host, uses no proxy from the environment, and a body is read up to
//! a cap. Addresses that tenants write go through [`Destinations::Guarded`].

use futures::StreamExt as _;
use reqwest::redirect::{Attempt, Policy};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Longest wait for a connection: within a cluster it takes milliseconds.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest that a request may take when its caller sets nothing shorter.
const TOTAL: Duration = Duration::from_secs(310);
/// Most redirects that are followed.
const REDIRECTS: usize = 3;

/// Where a client may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destinations {
    /// Addresses that the API server gave us or that an administrator configured.
    Trusted,
    /// Addresses that tenants write: not to this machine, its links, or a cloud's metadata service.
    Guarded,
}

/// Why a request gave nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[source] reqwest::Error),
    #[error(
        "{address} is not an address that metrics may be read from; an administrator can allow it with --allow-local-metric-addresses"
    )]
    Forbidden { address: String },
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("{}", deepest(.0))]
    Request(#[source] reqwest::Error),
}

/// A client for one kind of destinations; make one and share it.
///
/// # Errors
/// Only when TLS cannot be set up at all.
pub fn client(destinations: Destinations) -> Result<reqwest::Client, HttpError> {
    build(|| builder(destinations))
}

/// As [`client`], for requests that carry a credential for writing: a redirect is an answer and is not followed.
///
/// # Errors
/// Only when TLS cannot be set up at all.
pub fn client_without_redirects(destinations: Destinations) -> Result<reqwest::Client, HttpError> {
    build(|| builder(destinations).redirect(Policy::none()))
}

fn build(builder: impl Fn() -> reqwest::ClientBuilder) -> Result<reqwest::Client, HttpError> {
    // A second caller finds the provider of the first; both are ring.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // An image without any root certificate must still reach plain http inside the cluster: https then fails by its name.
    builder().build().or_else(|_| builder().tls_certs_only([]).build()).map_err(HttpError::Client)
}

/// Gives the blocking client of a library our roots, destinations and proxy rule; its deadlines are the caller's.
pub(crate) fn set_up(
    builder: reqwest::blocking::ClientBuilder,
    destinations: Destinations,
) -> reqwest::blocking::ClientBuilder {
    static HAS_ROOTS: OnceLock<bool> = OnceLock::new();
    let has_roots = *HAS_ROOTS.get_or_init(|| self::builder(Destinations::Trusted).build().is_ok());
    let builder = if has_roots { builder } else { builder.tls_certs_only([]) };
    let builder = builder.no_proxy();
    match destinations {
        Destinations::Trusted => builder,
        Destinations::Guarded => builder.dns_resolver(Arc::new(GuardedResolver)),
    }
}

fn builder(destinations: Destinations) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .no_proxy()
        .redirect(Policy::custom(within_one_host));
    match destinations {
        Destinations::Trusted => builder,
        Destinations::Guarded => builder.dns_resolver(Arc::new(GuardedResolver)),
    }
}

fn within_one_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same = attempt.previous().last().is_some_and(|from| {
        let to = attempt.url();
        from.host_str() == to.host_str() && from.port_or_known_default() == to.port_or_known_default()
    });
    if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// Reads a body up to `limit` bytes.
///
/// # Errors
/// When it is longer, or breaks off.
pub async fn body(response: reqwest::Response, limit: usize) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(HttpError::Request)?;
        if bytes.len() + chunk.len() > limit {
            return Err(HttpError::TooLarge { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Checks the host of an address that a tenant wrote, as far as it is a number: names are checked when they are resolved.
///
/// # Errors
/// When it is one of those that [`Destinations::Guarded`] keeps away from.
pub fn check_host(url: &url::Url) -> Result<(), HttpError> {
    let address = match url.host() {
        Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    if is_forbidden(address) { Err(HttpError::Forbidden { address: address.to_string() }) } else { Ok(()) }
}

/// Metadata services of clouds that are not on a link-local address.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

fn is_forbidden(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let by_range = match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast(),
    };
    by_range || METADATA.contains(&address)
}

/// Drops forbidden addresses after the look-up, so that a name cannot point to them, not even the second time.
#[derive(Debug)]
struct GuardedResolver;

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed: Vec<_> = found.into_iter().filter(|a| !is_forbidden(a.ip())).collect();
            if allowed.is_empty() {
                return Err(HttpError::Forbidden { address: host }.into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// The innermost cause: the outer ones repeat the URL with its whole query.
pub fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A server on loopback that gives each connection the next answer, the last one again and again; returns its URL and
    /// what it was asked.
    pub(crate) async fn server(answers: Vec<String>) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            let mut answers = answers.into_iter().peekable();
            let mut answer = String::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if let Some(next) = answers.next() {
                    answer = next;
                }
                let (answer, log) = (answer.clone(), log.clone());
                tokio::spawn(async move {
                    let mut buffer = vec![0; 16 * 1024];
                    let n = stream.read(&mut buffer).await.unwrap_or_default();
                    log.lock().expect("no panic under it").push(String::from_utf8_lossy(&buffer[..n]).into_owned());
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        (url, asked)
    }

    pub(crate) fn answer(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn a_tenant_cannot_name_this_machine_or_a_metadata_service() {
        for host in [
            "127.0.0.1",
            "169.254.169.254",
            "[::1]",
            "[fe80::1]",
            "[::ffff:169.254.169.254]",
            "0.0.0.0",
            "100.100.100.200",
            "2852039166",
            "[fd00:ec2::254]",
        ] {
            let url = format!("http://{host}/").parse().expect("a URL");
            assert!(check_host(&url).is_err(), "{host} was allowed");
        }
        for host in ["10.96.0.1", "prometheus.monitoring", "8.8.8.8"] {
            check_host(&format!("http://{host}/").parse().expect("a URL")).expect(host);
        }
    }

    #[tokio::test]
    async fn a_name_that_points_to_this_machine_is_refused_when_it_is_resolved() {
        let (url, asked) = server(vec![answer("200 OK", "{}")]).await;
        let url = url.replace("127.0.0.1", "localhost");
        let guarded = client(Destinations::Guarded).expect("a client");
        let error = guarded.get(&url).send().await.expect_err("localhost is loopback");
        assert!(deepest(&error).contains("localhost is not an address"), "{}", deepest(&error));
        assert!(asked.lock().expect("no panic under it").is_empty());
        client(Destinations::Trusted).expect("a client").get(&url).send().await.expect("trusted is not guarded");
    }

    #[tokio::test]
    async fn a_redirect_to_another_host_is_not_followed() {
        let (other, asked) = server(vec![answer("200 OK", "{}")]).await;
        let redirect =
            format!("HTTP/1.1 302 Found\r\nlocation: {other}/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let (url, _) = server(vec![redirect]).await;
        let response = client(Destinations::Trusted).expect("a client").get(&url).send().await.expect("an answer");
        assert_eq!(response.status(), 302);
        assert!(asked.lock().expect("no panic under it").is_empty());
    }

    #[tokio::test]
    async fn a_body_beyond_its_cap_is_refused() {
        let (url, _) = server(vec![answer("200 OK", &"x".repeat(2000))]).await;
        let response = client(Destinations::Trusted).expect("a client").get(&url).send().await.expect("an answer");
        assert!(matches!(body(response, 1000).await, Err(HttpError::TooLarge { limit: 1000 })));
    }
}
