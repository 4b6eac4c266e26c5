//! Whether what Traefik serves is what was asked for.
//!
//! Live means: the weights are equal, the routers are enabled, and the addresses behind each child are the ready pods of the
//! intended revision, on every instance. One instance that cannot be read is named, and does not count as one that serves it.

use super::names::bare;
use crate::core::question::{InstanceReading, RoutesSeen};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What every instance shall serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// Traefik's name of the weighted service.
    pub root: String,
    /// Its children with their weights, as Traefik names them.
    pub children: Vec<(String, i64)>,
    /// By child: addresses that must be there, and addresses that may be there still (pods on their way out).
    pub addresses: BTreeMap<String, Addresses>,
    /// Routers that must be enabled.
    pub routers: Vec<String>,
    /// Readings from before this moment do not count.
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    pub must: BTreeSet<String>,
    pub may: BTreeSet<String>,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Every instance that could be read serves it, and at least one could.
    pub live: bool,
    /// How many could be read.
    pub read: usize,
    pub rung: Option<&'static str>,
    /// Instances that do not serve it, or that did not answer: name, canary's percent where it was seen, why.
    pub behind: Vec<(String, Option<i64>, String)>,
    /// Some instance did not answer.
    pub silent: bool,
}

/// Compares what was read with what is expected. `canary` is the child whose share is reported.
pub fn compare(expected: &Expected, canary: &str, readings: &[InstanceReading]) -> Reading {
    let mut outcome = Reading::default();
    let fresh = readings.iter().filter(|r| expected.since.is_none_or(|since| r.at >= since));
    let mut all = true;
    for reading in fresh {
        outcome.rung = Some(reading.rung);
        match &reading.seen {
            Err(why) => {
                outcome.silent = true;
                outcome.behind.push((reading.instance.clone(), None, why.clone()));
            }
            Ok(seen) => {
                outcome.read += 1;
                if let Some(why) = difference(expected, seen) {
                    all = false;
                    outcome.behind.push((reading.instance.clone(), share(expected, canary, seen), why));
                }
            }
        }
    }
    outcome.live = all && outcome.read > 0;
    outcome
}

/// The first thing that differs, in words.
fn difference(expected: &Expected, seen: &RoutesSeen) -> Option<String> {
    let service = |name: &str| seen.services.iter().find(|(n, _)| bare(n) == bare(name)).map(|(_, s)| s);
    let Some(root) = service(&expected.root) else {
        return Some(format!("service {} is not loaded", expected.root));
    };
    if !root.enabled {
        return Some(format!("service {} is disabled", expected.root));
    }
    let weights = |list: &[(String, i64)]| -> BTreeMap<String, i64> {
        list.iter().filter(|(_, w)| *w > 0).map(|(n, w)| (bare(n).to_owned(), *w)).collect()
    };
    let (wanted, found) = (weights(&expected.children), weights(&root.children));
    if wanted != found {
        return Some(format!("weights are {found:?}, not {wanted:?}"));
    }
    for (child, addresses) in &expected.addresses {
        let Some(balancer) = service(child) else { return Some(format!("service {child} is not loaded")) };
        let found: BTreeSet<String> = balancer.servers.iter().map(|url| host_of(url)).collect();
        if let Some(missing) = addresses.must.difference(&found).next() {
            return Some(format!("{child} lacks {missing}"));
        }
        if let Some(other) = found.iter().find(|a| !addresses.must.contains(*a) && !addresses.may.contains(*a)) {
            return Some(format!("{child} still has {other}"));
        }
    }
    for router in &expected.routers {
        match seen.routers.iter().find(|(n, _)| bare(n) == bare(router)) {
            None => return Some(format!("router {router} is not loaded")),
            Some((_, seen)) if !seen.enabled => {
                return Some(format!("router {router} is disabled: {}", seen.errors.join("; ")));
            }
            Some(_) => {}
        }
    }
    None
}

fn share(expected: &Expected, canary: &str, seen: &RoutesSeen) -> Option<i64> {
    let (_, root) = seen.services.iter().find(|(n, _)| bare(n) == bare(&expected.root))?;
    Some(root.children.iter().find(|(n, _)| bare(n) == bare(canary)).map_or(0, |(_, w)| *w))
}

/// `http://10.0.0.7:8080` → `10.0.0.7`; `http://[fd00::7]:80` → `fd00::7`.
fn host_of(url: &str) -> String {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6.to_owned(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::question::{RouterSeen, ServiceSeen};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    fn expected() -> Expected {
        Expected {
            root: "shop-web@kubernetescrd".into(),
            children: vec![
                ("shop-web-stable-80@kubernetescrd".into(), 80),
                ("shop-web-canary-80@kubernetescrd".into(), 20),
            ],
            addresses: BTreeMap::from([(
                "shop-web-canary-80@kubernetescrd".to_owned(),
                Addresses {
                    must: BTreeSet::from(["10.0.0.7".to_owned()]),
                    may: BTreeSet::from(["10.0.0.6".to_owned()]),
                },
            )]),
            routers: vec!["r@kubernetescrd".into()],
            since: Some(at(0)),
        }
    }

    fn serving(canary: i64, servers: &[&str], enabled: bool) -> RoutesSeen {
        let root = ServiceSeen {
            enabled: true,
            children: vec![("shop-web-stable-80".into(), 100 - canary), ("shop-web-canary-80".into(), canary)],
            servers: vec![],
        };
        let servers = servers.iter().map(|a| format!("http://{a}:8080")).collect();
        let balancer = ServiceSeen { enabled: true, children: vec![], servers };
        RoutesSeen {
            services: BTreeMap::from([
                ("shop-web@kubernetescrd".to_owned(), root),
                ("shop-web-canary-80@kubernetescrd".to_owned(), balancer),
            ]),
            routers: BTreeMap::from([("r@kubernetescrd".to_owned(), RouterSeen { enabled, ..RouterSeen::default() })]),
        }
    }

    fn instance(name: &str, second: i64, seen: Result<RoutesSeen, String>) -> InstanceReading {
        InstanceReading { instance: name.into(), at: at(second), rung: "address", seen }
    }

    fn is_live(readings: &[InstanceReading]) -> bool {
        compare(&expected(), "shop-web-canary-80", readings).live
    }

    #[test]
    fn live_only_when_every_instance_that_answers_serves_it() {
        let good = |name: &str| instance(name, 1, Ok(serving(20, &["10.0.0.7", "10.0.0.6"], true)));
        assert!(is_live(&[good("a"), good("b")]));
        assert!(!is_live(&[good("a"), instance("b", 1, Ok(serving(10, &["10.0.0.7"], true)))]));
        assert!(!is_live(&[]));
    }

    #[test]
    fn weights_addresses_and_routers_each_count() {
        for (canary, servers, enabled) in [
            (19, vec!["10.0.0.7"], true),
            (20, vec![], true),
            (20, vec!["10.0.0.7", "10.0.0.9"], true),
            (20, vec!["10.0.0.7"], false),
        ] {
            assert!(
                !is_live(&[instance("a", 1, Ok(serving(canary, &servers, enabled)))]),
                "{canary} {servers:?} {enabled}"
            );
        }
    }

    #[test]
    fn a_reading_from_before_the_write_does_not_count() {
        assert!(!is_live(&[instance("a", -1, Ok(serving(20, &["10.0.0.7"], true)))]));
    }

    #[test]
    fn a_silent_instance_is_named_and_blocks_nothing_here() {
        let readings = [
            instance("a", 1, Ok(serving(20, &["10.0.0.7"], true))),
            instance("b", 1, Err("connection refused".into())),
        ];
        let outcome = compare(&expected(), "shop-web-canary-80", &readings);
        assert!(outcome.live && outcome.silent);
        assert_eq!(outcome.behind, [("b".to_owned(), None, "connection refused".to_owned())]);
    }

    #[test]
    fn addresses_are_taken_out_of_urls() {
        assert_eq!(host_of("http://10.0.0.7:8080"), "10.0.0.7");
        assert_eq!(host_of("https://[fd00::7]:443/x"), "fd00::7");
    }
}
