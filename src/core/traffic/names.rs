//! How Traefik names what it builds from objects (without `safeNaming`, which is off by default).

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Every run of other characters than letters and digits becomes one dash.
fn normalized(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

/// The service built from a TraefikService.
pub fn traefik_service(namespace: &str, name: &str) -> String {
    format!("{}@kubernetescrd", normalized(&format!("{namespace}-{name}")))
}

/// The service built from a child of a TraefikService; the port as it is written there.
pub fn child(namespace: &str, service: &str, port: &str) -> String {
    format!("{}@kubernetescrd", normalized(&format!("{namespace}-{service}-{port}")))
}

/// The router built from one route of an IngressRoute.
pub fn router(namespace: &str, ingress_route: &str, rule: &str) -> String {
    let digest = Sha256::digest(rule.as_bytes());
    let mut hex = String::new();
    for byte in &digest[..10] {
        write!(hex, "{byte:02x}").expect("writing to a string does not fail");
    }
    format!("{}@kubernetescrd", normalized(&format!("{namespace}-{ingress_route}-{hex}")))
}

/// A name without its provider.
pub fn bare(name: &str) -> &str {
    name.split_once('@').map_or(name, |(bare, _)| bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_traefik() {
        assert_eq!(traefik_service("shop", "web.split"), "shop-web-split@kubernetescrd");
        assert_eq!(child("shop", "web-canary", "80"), "shop-web-canary-80@kubernetescrd");
        assert_eq!(router("a", "b", ""), "a-b-e3b0c44298fc1c149afb@kubernetescrd");
    }
}
