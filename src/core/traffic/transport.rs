//! How Traefik connects to a canary's pods.
//!
//! A pod that vanishes without a word answers no connection attempt: Traefik goes on trying for 30 s, and only then does the
//! shield answer from stable. So the canary's entry names a ServersTransport of ours that gives up soon. Named before Traefik
//! knows it, it would take the whole weighted service down: it has to be there for some seconds first.

use super::Ownership;
use super::ingress::port_of;
use super::layers::RouteObject;
use crate::core::row::{ServersTransportRow, ServiceRow};
use crate::core::scalar::Span;
use jiff::Timestamp;
use serde_json::json;

/// One lost packet is sent again after a second: the attempt that follows it may still succeed.
const DIAL_TIMEOUT: &str = "2s";
/// Traefik's own transport keeps as many; one that does not say keeps two.
const IDLE_CONNECTIONS: u32 = 200;
/// How long one is there before it is named: Traefik hears of it and of who names it on two streams.
const KNOWN_AFTER: Span = Span::from_secs(5);

/// The object. `name`: that of the shield, whose help it is.
pub(super) fn object(name: &str, whose: &Ownership) -> RouteObject {
    let object = json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "ServersTransport", "metadata": whose.metadata(name),
        "spec": {"forwardingTimeouts": {"dialTimeout": DIAL_TIMEOUT}, "maxIdleConnsPerHost": IDLE_CONNECTIONS},
    });
    RouteObject { name: name.to_owned(), kind: "ServersTransport", object, routers: Vec::new() }
}

/// From when on it may be named.
pub fn usable_from(row: &ServersTransportRow) -> Timestamp {
    KNOWN_AFTER.after(row.meta.created.unwrap_or_default())
}

/// Traefik speaks plain HTTP at this port, as far as a Service can say so. With TLS the installation's own transport is
/// used: what it trusts is not known here.
pub fn is_plain(service: &ServiceRow, port: &str) -> bool {
    port_of(service, port)
        .is_some_and(|p| p.port != 443 && p.name.as_ref().is_none_or(|name| !name.starts_with("https")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::{Meta, ServicePort};

    #[test]
    fn it_may_be_named_when_it_has_been_there_for_five_seconds() {
        let created = Some(Timestamp::from_second(1_800_000_000).expect("in range"));
        let row = ServersTransportRow { meta: Meta { created, ..Meta::default() }, ..ServersTransportRow::default() };
        assert_eq!(usable_from(&row).as_second(), 1_800_000_005);
    }

    #[test]
    fn a_port_with_tls_is_left_to_the_installations_own_transport() {
        let port = |name: Option<&str>, port| ServicePort { name: name.map(str::to_owned), port, ..Default::default() };
        let ports = vec![port(Some("web"), 80), port(Some("https-web"), 8443), port(None, 443)];
        let service = ServiceRow { ports, ..ServiceRow::default() };
        let plain = |port| is_plain(&service, port);
        assert_eq!(
            ["80", "web", "8443", "https-web", "443", "none"].map(plain),
            [true, true, false, false, false, false]
        );
    }
}
