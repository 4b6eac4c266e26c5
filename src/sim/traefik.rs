//! The model of Traefik: a configuration that is loaded late, and the rule that one empty child takes its whole service down.
//!
//! As measured on 3.7.15: a change is loaded at once when nothing changed for two seconds, else when those are over; a
//! TraefikService of which one Service has no serving endpoint, or names a ServersTransport that is not there, is left out, and
//! routers that name it are disabled.

use super::server::Server;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::question::{RouterSeen, RoutesSeen, ServiceSeen};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

const THROTTLE: SignedDuration = SignedDuration::from_secs(2);

/// One instance of Traefik.
#[derive(Debug, Clone, Default)]
pub struct Traefik {
    loaded: Arc<Configuration>,
    loaded_at: Option<Timestamp>,
    loads: u64,
    /// It goes on with what it has loaded.
    pub stuck: bool,
    /// Down: it answers nobody, users neither.
    pub silent: bool,
}

/// What becomes of a request: the pods that may answer it, each group with its share in percent, and the way it took.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    NotFound,
    By(Vec<(f64, Vec<String>)>),
}

impl Traefik {
    /// Loads what is there, unless it must still wait. Returns when it may load next.
    pub fn step(&mut self, there: &Arc<Configuration>, now: Timestamp) -> Option<Timestamp> {
        if self.stuck || Arc::ptr_eq(there, &self.loaded) || **there == *self.loaded {
            return None;
        }
        match self.loaded_at.map(|t| t + THROTTLE).filter(|free| *free > now) {
            Some(free) => Some(free),
            None => {
                (self.loaded, self.loaded_at) = (there.clone(), Some(now));
                self.loads += 1;
                None
            }
        }
    }

    /// A number that changes with what it says.
    pub fn changes(&self) -> u64 {
        self.loads * 2 + u64::from(self.silent)
    }

    /// What it serves.
    pub fn loaded(&self) -> &RoutesSeen {
        &self.loaded.seen
    }

    /// The weight of a child of a weighted service, both by their names here without the provider's.
    pub fn weight(&self, service: &str, child: &str) -> i64 {
        let seen = self.loaded.seen.services.get(&qualified(service));
        let children = seen.into_iter().flat_map(|s| &s.children);
        children.filter(|(name, _)| name == child).map(|(_, weight)| *weight).sum()
    }

    /// When the present configuration was loaded.
    pub fn loaded_since(&self) -> Timestamp {
        self.loaded_at.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Sends a request that every rule matches, but for the methods that a rule names.
    pub fn request(&self, method: &str) -> Answered {
        let word = format!("Method(`{method}`)");
        let takes =
            |router: &&RouterSeen| router.enabled && (!router.rule.contains("Method(") || router.rule.contains(&word));
        let router = self.loaded.seen.routers.values().filter(takes).max_by_key(|r| r.priority);
        let Some(router) = router else { return Answered::NotFound };
        let mut groups = Vec::new();
        self.spread(&router.service, 100.0, &mut groups);
        Answered::By(groups)
    }

    fn spread(&self, service: &str, share: f64, groups: &mut Vec<(f64, Vec<String>)>) {
        let service = qualified(service);
        if let Some((main, _)) = self.loaded.failovers.get(&service) {
            return self.spread(main, share, groups);
        }
        let Some(seen) = self.loaded.seen.services.get(&service) else { return };
        let total: i64 = seen.children.iter().map(|(_, weight)| weight).sum();
        if seen.children.is_empty() {
            groups.push((share, seen.servers.clone()));
        }
        for (child, weight) in seen.children.iter().filter(|(_, weight)| *weight > 0) {
            #[expect(clippy::cast_precision_loss, reason = "weights are small")]
            self.spread(child, share * *weight as f64 / total as f64, groups);
        }
    }
}

fn qualified(service: &str) -> String {
    if service.contains('@') { service.to_owned() } else { format!("{service}@kubernetescrd") }
}

/// Main and fallback of each failover service.
type Failovers = BTreeMap<String, (String, String)>;

/// What Traefik makes of objects.
#[derive(Debug, Default, PartialEq)]
pub struct Configuration {
    seen: RoutesSeen,
    failovers: Failovers,
}

/// The configuration that the objects as they stand make, kept while they do.
#[derive(Debug, Clone, Default)]
pub struct Provider {
    of: Option<u64>,
    made: Arc<Configuration>,
}

impl Provider {
    pub fn read(&mut self, server: &Server) -> &Arc<Configuration> {
        let version =
            server.version_of(&["IngressRoute", "Ingress", "TraefikService", "ServersTransport", "EndpointSlice"]);
        if self.of != Some(version) {
            let made = configuration(server);
            self.of = Some(version);
            if made != *self.made {
                self.made = Arc::new(made);
            }
        }
        &self.made
    }
}

/// What Traefik makes of the objects as they stand.
fn configuration(server: &Server) -> Configuration {
    let mut build = Build { server, seen: RoutesSeen::default(), failovers: BTreeMap::new() };
    for (target, object) in server.iter().filter(|(t, _)| t.resource == ResourceType::INGRESS_ROUTE) {
        for route in object["spec"]["routes"].as_array().into_iter().flatten() {
            build.router(target, route);
        }
    }
    for (target, object) in server.iter().filter(|(t, _)| t.resource == ResourceType::INGRESS) {
        for rule in object["spec"]["rules"].as_array().into_iter().flatten() {
            for path in rule["http"]["paths"].as_array().into_iter().flatten() {
                build.path(target, rule["host"].as_str().unwrap_or_default(), path);
            }
        }
    }
    Configuration { seen: build.seen, failovers: build.failovers }
}

struct Build<'a> {
    server: &'a Server,
    seen: RoutesSeen,
    failovers: Failovers,
}

impl Build<'_> {
    fn router(&mut self, target: &ObjectRef, route: &Value) {
        let rule = route["match"].as_str().unwrap_or_default().to_owned();
        let digest: String = Sha256::digest(&rule).iter().take(10).map(|b| format!("{b:02x}")).collect();
        let name = format!("{}-{}-{digest}@kubernetescrd", target.namespace, target.name);
        let service = self.backend(&target.namespace, &route["services"][0]);
        let length = i64::try_from(rule.len()).unwrap_or(i64::MAX);
        let priority = route["priority"].as_i64().filter(|p| *p != 0).unwrap_or(length);
        let errors = service.as_ref().err().cloned().into_iter().collect();
        let router =
            RouterSeen { enabled: service.is_ok(), rule, priority, service: service.unwrap_or_default(), errors };
        self.seen.routers.insert(name, router);
    }

    /// One path of an Ingress. Without pods that serve there is no router at all.
    fn path(&mut self, target: &ObjectRef, host: &str, path: &Value) {
        let backend = &path["backend"]["service"];
        let (service, port) = (backend["name"].as_str().unwrap_or_default(), &backend["port"]["number"]);
        let Ok(servers) = self.servers(&target.namespace, service) else { return };
        let prefix = path["path"].as_str().unwrap_or_default();
        let rule = format!("Host(`{host}`) && PathPrefix(`{prefix}`)");
        let priority = i64::try_from(rule.len()).unwrap_or(i64::MAX);
        let id = format!("{}-{service}-{port}@kubernetes", target.namespace);
        self.seen.services.insert(id.clone(), ServiceSeen { enabled: true, children: vec![], servers });
        let name = format!("{}-{}-{host}@kubernetes", target.namespace, target.name);
        self.seen.routers.insert(name, RouterSeen { enabled: true, rule, priority, service: id, errors: vec![] });
    }

    /// Addresses behind a Service that serve.
    fn servers(&self, namespace: &str, name: &str) -> Result<Vec<String>, String> {
        let slice = ObjectRef::new(ResourceType::ENDPOINT_SLICE, namespace, format!("{name}-1"));
        let slice = self.server.get(&slice).ok_or_else(|| format!("service {namespace}/{name} not found"))?;
        let serving = |e: &&Value| e["conditions"]["serving"].as_bool().unwrap_or(true);
        let endpoints = slice["endpoints"].as_array().into_iter().flatten().filter(serving);
        let port_number = &slice["ports"][0]["port"];
        let servers: Vec<String> =
            endpoints.filter_map(|e| Some(format!("http://{}:{port_number}", e["addresses"][0].as_str()?))).collect();
        if servers.is_empty() { Err(format!("subset not found for {namespace}/{name}")) } else { Ok(servers) }
    }

    /// Builds what a reference names, and gives its name.
    fn backend(&mut self, namespace: &str, reference: &Value) -> Result<String, String> {
        let name = reference["name"].as_str().unwrap_or_default();
        if reference["kind"] == "TraefikService" {
            return self.traefik_service(namespace, name);
        }
        let port = reference["port"]
            .as_i64()
            .map_or_else(|| reference["port"].as_str().unwrap_or("").to_owned(), |p| p.to_string());
        let servers = self.servers(namespace, name)?;
        if let Some(transport) = reference["serversTransport"].as_str() {
            let target = ObjectRef::new(ResourceType::SERVERS_TRANSPORT, namespace, transport);
            self.server.get(&target).ok_or_else(|| format!("servers transport not found {namespace}-{transport}"))?;
        }
        let id = format!("{namespace}-{name}-{port}");
        self.seen.services.insert(qualified(&id), ServiceSeen { enabled: true, children: vec![], servers });
        Ok(id)
    }

    fn traefik_service(&mut self, namespace: &str, name: &str) -> Result<String, String> {
        let target = ObjectRef::new(ResourceType::TRAEFIK_SERVICE, namespace, name);
        let object = self.server.get(&target).ok_or_else(|| format!("{target} not found"))?;
        let id = format!("{namespace}-{name}");
        let spec = object["spec"].clone();
        if let Some(children) = spec["weighted"]["services"].as_array() {
            let built: Result<Vec<_>, String> =
                children.iter().map(|c| Ok((self.backend(namespace, c)?, c["weight"].as_i64().unwrap_or(1)))).collect();
            let seen = ServiceSeen { enabled: true, children: built?, servers: vec![] };
            self.seen.services.insert(qualified(&id), seen);
        } else if spec["failover"].is_object() {
            let main = self.backend(namespace, &spec["failover"]["service"])?;
            let fallback = self.backend(namespace, &spec["failover"]["fallback"])?;
            self.seen.services.insert(qualified(&id), ServiceSeen { enabled: true, ..Default::default() });
            self.failovers.insert(qualified(&id), (qualified(&main), qualified(&fallback)));
        } else {
            return Err(format!("{target} has neither weighted nor failover"));
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn put(server: &mut Server, resource: ResourceType, name: &str, rest: Value) {
        let target = ObjectRef::new(resource, "shop", name);
        let mut object = json!({"metadata": {"name": name}});
        json_patch::merge(&mut object, &rest);
        server.apply(&target, &object, "test", true, START).expect("forced");
    }

    fn slice(server: &mut Server, service: &str, addresses: &[&str]) {
        let endpoints: Vec<Value> = addresses.iter().map(|a| json!({"addresses": [a]})).collect();
        let object = json!({"endpoints": endpoints, "ports": [{"port": 8080}]});
        put(server, ResourceType::ENDPOINT_SLICE, &format!("{service}-1"), object);
    }

    fn world() -> Server {
        let mut server = Server::default();
        slice(&mut server, "stable", &["10.0.0.1"]);
        slice(&mut server, "canary", &["10.0.0.2"]);
        let children =
            json!([{"name": "stable", "port": 80, "weight": 80}, {"name": "canary", "port": 80, "weight": 20}]);
        put(&mut server, ResourceType::TRAEFIK_SERVICE, "web", json!({"spec": {"weighted": {"services": children}}}));
        let route = json!({"match": "Host(`web`)", "services": [{"kind": "TraefikService", "name": "web"}]});
        put(&mut server, ResourceType::INGRESS_ROUTE, "web", json!({"spec": {"routes": [route]}}));
        server
    }

    fn made(server: &Server) -> Arc<Configuration> {
        Arc::new(configuration(server))
    }

    #[test]
    fn weights_are_served_as_shares() {
        let mut traefik = Traefik::default();
        traefik.step(&made(&world()), START);
        let expected =
            vec![(80.0, vec!["http://10.0.0.1:8080".to_owned()]), (20.0, vec!["http://10.0.0.2:8080".to_owned()])];
        assert_eq!(traefik.request("GET"), Answered::By(expected));
    }

    #[test]
    fn one_empty_child_is_404_for_all_once_the_throttle_is_over() {
        let (mut server, mut traefik) = (world(), Traefik::default());
        traefik.step(&made(&server), START);
        slice(&mut server, "canary", &[]);
        let free = traefik.step(&made(&server), START + SignedDuration::from_secs(1));
        assert_eq!(free, Some(START + THROTTLE), "throttled, the old configuration stays");
        assert!(matches!(traefik.request("GET"), Answered::By(_)));
        traefik.step(&made(&server), START + THROTTLE);
        assert_eq!(traefik.request("GET"), Answered::NotFound);
    }

    #[test]
    fn a_net_below_serves_when_the_weighted_service_cannot_be_built() {
        let (mut server, mut traefik) = (world(), Traefik::default());
        let net = json!({"match": "Host(`web`)", "priority": 10, "services": [{"name": "stable", "port": 80}]});
        put(&mut server, ResourceType::INGRESS_ROUTE, "net", json!({"spec": {"routes": [net]}}));
        slice(&mut server, "canary", &[]);
        traefik.step(&made(&server), START);
        assert_eq!(traefik.request("GET"), Answered::By(vec![(100.0, vec!["http://10.0.0.1:8080".to_owned()])]));
    }
}
