//! The model of what Kubernetes itself does: ReplicaSets make pods, pods get ready, EndpointSlices follow, the ownerless are
//! collected.

use super::server::{Refused, Server};
use crate::core::object::{ObjectRef, ResourceType};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A pod of the model. It has no object of its own: what Tidegate sees of pods are counts and endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    address: String,
    pub born: Timestamp,
    /// Set while it answers its readiness probe.
    pub ready_since: Option<Timestamp>,
    /// Struck by a fault: it never gets ready again.
    broken: bool,
    /// Labels and annotations, and its name as uid.
    pub metadata: Value,
}

/// The node, its pods, and how it behaves.
#[derive(Debug, Clone)]
pub struct Node {
    /// From a pod's birth to its first ready answer.
    pub start_up: SignedDuration,
    /// Images whose pods never get ready.
    pub bad_image: &'static str,
    /// A disruption budget refuses every eviction.
    pub budget: bool,
    /// How many pods of an image get ready at most; no bound where none is given.
    gates: BTreeMap<String, usize>,
    pods: BTreeMap<ObjectRef, Vec<Pod>>,
    addresses: u32,
    /// Addresses of pods that something else than a size took away.
    lost: BTreeSet<String>,
    /// Counts what happened to pods: while it stands still they are as they were.
    pub changes: u64,
    /// How often pods broke, by themselves or with others.
    pub struck: u64,
    /// The server's version and the time up to which nothing is left to be done.
    settled: Option<(u64, Option<Timestamp>)>,
    /// Objects that were gone when the ownerless were collected last.
    collected: u64,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            start_up: SignedDuration::from_secs(1),
            bad_image: "bad",
            budget: false,
            gates: BTreeMap::new(),
            pods: BTreeMap::new(),
            addresses: 0,
            lost: BTreeSet::new(),
            changes: 0,
            struck: 0,
            settled: None,
            collected: 0,
        }
    }
}

/// The kinds that the node acts on.
const SEEN: [&str; 4] = ["ReplicaSet", "Service", "EndpointSlice", "Deployment"];

impl Node {
    /// Does what is due at `now`. Returns when something is due next.
    pub fn step(&mut self, server: &mut Server, now: Timestamp) -> Option<Timestamp> {
        if self.collected != server.gone() {
            collect_ownerless(server, now);
            self.collected = server.gone();
        }
        loop {
            let version = server.version_of(&SEEN);
            if let Some((seen, due)) = self.settled
                && seen == version
                && due.is_none_or(|due| due > now)
            {
                return due;
            }
            collect_ownerless(server, now);
            super::deployment::follow(server, now);
            self.scale(server, now);
            self.age(server, now);
            self.report(server, now);
            // Once more, for what became available just now.
            super::deployment::follow(server, now);
            self.scale(server, now);
            self.follow_with_slices(server, now);
            let due = self.next_due(server, now);
            self.settled = (server.version_of(&SEEN) == version).then_some((version, due));
        }
    }

    /// Kills the pods of a ReplicaSet. New ones take their place; with `for_good` they never get ready.
    pub fn strike(&mut self, replica_set: &ObjectRef, for_good: bool) {
        let Some(pods) = self.pods.get_mut(replica_set) else { return };
        self.lost.extend(pods.iter().map(|p| p.address.clone()));
        if !for_good {
            pods.clear();
        }
        for pod in pods {
            (pod.ready_since, pod.broken) = (None, true);
        }
        self.struck += 1;
        self.changes += 1;
        self.settled = None;
    }

    /// From now on at most so many pods of the image get ready; those that are, stay it.
    pub fn gate(&mut self, image: &str, most: usize) {
        self.gates.insert(image.to_owned(), most);
        self.settled = None;
    }

    /// One pod of a ReplicaSet never answers again, and stays.
    pub fn cripple(&mut self, replica_set: &ObjectRef) {
        let Some(pod) = self.pods.get_mut(replica_set).and_then(|pods| pods.first_mut()) else { return };
        (pod.ready_since, pod.broken) = (None, true);
        self.lost.insert(pod.address.clone());
        self.struck += 1;
        self.changes += 1;
        self.settled = None;
    }

    /// Whether a pod with this address was taken away by something else than the size of its ReplicaSet.
    pub(super) fn was_lost(&self, address: &str) -> bool {
        self.lost.contains(address)
    }

    /// Every pod with its ReplicaSet.
    pub fn pods(&self) -> impl Iterator<Item = (&ObjectRef, &Pod)> {
        self.pods.iter().flat_map(|(set, pods)| pods.iter().map(move |pod| (set, pod)))
    }

    /// The pods of a ReplicaSet; `None` when it is not there.
    pub(super) fn pods_of(&self, replica_set: &ObjectRef) -> Option<&[Pod]> {
        self.pods.get(replica_set).map(Vec::as_slice)
    }

    /// Changes a pod's labels or annotations.
    ///
    /// # Errors
    /// When it is not there, or is not as the patch expects.
    pub(super) fn edit(&mut self, pod: &ObjectRef, patch: &json_patch::Patch) -> Result<(), Refused> {
        let sets = self.pods.iter_mut().filter(|(set, _)| set.namespace == pod.namespace);
        let found = sets.flat_map(|(_, pods)| pods).find(|p| p.name == pod.name);
        let Some(found) = found else {
            return Err(Refused { code: 404, message: format!("{pod} is not there") });
        };
        let mut object = json!({"metadata": found.metadata});
        json_patch::patch(&mut object, patch)
            .map_err(|error| Refused { code: 422, message: format!("{pod}: {error}") })?;
        found.metadata = object["metadata"].take();
        self.changes += 1;
        Ok(())
    }

    /// Lets a pod go at once; its ReplicaSet makes another. Returns whether it was there.
    pub(super) fn evict(&mut self, pod: &ObjectRef) -> bool {
        for (_, pods) in self.pods.iter_mut().filter(|(set, _)| set.namespace == pod.namespace) {
            let Some(at) = pods.iter().position(|p| p.name == pod.name) else { continue };
            self.lost.insert(pods.remove(at).address);
            self.changes += 1;
            self.settled = None;
            return true;
        }
        false
    }

    /// The address of every ready pod.
    pub(super) fn ready_addresses(&self) -> BTreeSet<&str> {
        let ready = self.pods.values().flatten().filter(|p| p.ready_since.is_some());
        ready.map(|p| p.address.as_str()).collect()
    }

    /// Ready pods of each ReplicaSet.
    pub(super) fn ready_by_set(&self) -> impl Iterator<Item = (&ObjectRef, usize)> {
        self.pods.iter().map(|(set, pods)| (set, pods.iter().filter(|p| p.ready_since.is_some()).count()))
    }

    /// The address of every pod, ready or not.
    pub(super) fn addresses(&self) -> BTreeSet<&str> {
        self.pods.values().flatten().map(|p| p.address.as_str()).collect()
    }

    /// Ready pods of a ReplicaSet.
    pub(super) fn ready(&self, replica_set: &ObjectRef) -> usize {
        let pods = self.pods.get(replica_set).into_iter().flatten();
        pods.filter(|p| p.ready_since.is_some()).count()
    }

    fn scale(&mut self, server: &Server, now: Timestamp) {
        let before = self.pods.len();
        self.pods.retain(|target, _| server.get(target).is_some());
        self.changes += u64::from(self.pods.len() != before);
        for (target, object) in replica_sets(server) {
            let size = usize::try_from(object["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap_or(0);
            if !self.pods.contains_key(target) {
                self.pods.insert(target.clone(), Vec::new());
            }
            let Some(pods) = self.pods.get_mut(target) else { continue };
            // As the real controller does: those that are not ready go first, then the youngest.
            pods.sort_by_key(|p| (p.ready_since.is_none(), p.born));
            self.changes += u64::from(pods.len() != size);
            pods.truncate(size);
            while pods.len() < size {
                self.addresses += 1;
                let n = self.addresses;
                let (name, address) = (format!("{}-{n:05x}", target.name), format!("10.0.{}.{}", n >> 8, n & 255));
                let mut metadata = object["spec"]["template"]["metadata"].clone();
                metadata["uid"] = json!(name);
                pods.push(Pod { name, address, born: now, ready_since: None, broken: false, metadata });
            }
        }
    }

    fn age(&mut self, server: &Server, now: Timestamp) {
        for (target, pods) in &mut self.pods {
            let image = server.get(target).map(|o| &o["spec"]["template"]["spec"]["containers"][0]["image"]);
            let image = image.and_then(Value::as_str).unwrap_or_default();
            if image.contains(self.bad_image) {
                continue;
            }
            let most = self.gates.get(image).copied().unwrap_or(usize::MAX);
            let more = most.saturating_sub(pods.iter().filter(|p| p.ready_since.is_some()).count());
            let due = |p: &&mut Pod| p.ready_since.is_none() && !p.broken && p.born + self.start_up <= now;
            for pod in pods.iter_mut().filter(due).take(more) {
                pod.ready_since = Some(now);
                self.changes += 1;
            }
        }
    }

    fn report(&self, server: &mut Server, now: Timestamp) {
        for (target, pods) in &self.pods {
            let Some(object) = server.get(target) else { continue };
            let wait = min_ready(object);
            let ready = pods.iter().filter(|p| p.ready_since.is_some()).count();
            let available = pods.iter().filter(|p| p.ready_since.is_some_and(|t| t + wait <= now)).count();
            let generation = object["metadata"]["generation"].clone();
            let seen = &object["status"];
            if seen["replicas"] == pods.len()
                && seen["readyReplicas"] == ready
                && seen["availableReplicas"] == available
                && seen["observedGeneration"] == generation
            {
                continue;
            }
            let status = json!({"replicas": pods.len(), "readyReplicas": ready, "availableReplicas": available,
                                "observedGeneration": generation});
            let written = server.change(target, "replicaset-controller", |o| o["status"] = status);
            debug_assert!(written.is_ok(), "the object was there a line ago");
        }
    }

    /// The controller of EndpointSlices: one slice for each Service, with the Service's labels, and none without.
    fn follow_with_slices(&self, server: &mut Server, now: Timestamp) {
        let slices = server.iter().filter(|(target, _)| target.resource == ResourceType::ENDPOINT_SLICE);
        let without = slices.filter(|(target, slice)| {
            let service = slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap_or_default();
            server.get(&ObjectRef::new(ResourceType::SERVICE, &*target.namespace, service)).is_none()
        });
        let without: Vec<ObjectRef> = without.map(|(target, _)| target.clone()).collect();
        for slice in without {
            let deleted = server.delete(&slice, None, now);
            debug_assert!(deleted.is_ok(), "the slice was there a line ago");
        }
        let services = server.iter().filter(|(target, _)| target.resource == ResourceType::SERVICE);
        let services: Vec<ObjectRef> = services.map(|(target, _)| target.clone()).collect();
        for service in services {
            let Some(object) = server.shared(&service) else { continue };
            let slice = self.slice(server, &service, &object);
            let target =
                ObjectRef::new(ResourceType::ENDPOINT_SLICE, &*service.namespace, format!("{}-1", service.name));
            let same = |live: &Value| {
                live["metadata"]["labels"] == slice["metadata"]["labels"]
                    && live["endpoints"] == slice["endpoints"]
                    && live["ports"] == slice["ports"]
            };
            if server.get(&target).is_some_and(same) {
                continue;
            }
            let written = server.apply(&target, &slice, "endpointslice-controller", true, now);
            debug_assert!(written.is_ok(), "a forced apply without uid is never refused");
        }
    }

    fn slice(&self, server: &Server, service: &ObjectRef, object: &Value) -> Value {
        let selector = object["spec"]["selector"].as_object();
        let selected =
            |labels: &Value| selector.is_some_and(|s| !s.is_empty() && s.iter().all(|(k, v)| labels[k] == *v));
        let mut endpoints = Vec::new();
        for (target, pods) in self.pods.iter().filter(|(t, _)| t.namespace == service.namespace) {
            let labels = server.get(target).map(|o| &o["spec"]["template"]["metadata"]["labels"]);
            if labels.is_some_and(selected) {
                endpoints.extend(pods.iter().map(|p| {
                    json!({"addresses": [p.address], "targetRef": {"kind": "Pod", "name": p.name},
                           "conditions": {"ready": p.ready_since.is_some(), "serving": p.ready_since.is_some()}})
                }));
            }
        }
        let mut labels = object["metadata"]["labels"].clone();
        if !labels.is_object() {
            labels = json!({});
        }
        labels["kubernetes.io/service-name"] = json!(service.name);
        let port = object["spec"]["ports"][0]["targetPort"].as_i64().unwrap_or(8080);
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
               "metadata": {"name": format!("{}-1", service.name), "labels": labels},
               "endpoints": endpoints, "ports": [{"name": "", "port": port}]})
    }

    fn next_due(&self, server: &Server, now: Timestamp) -> Option<Timestamp> {
        let due = self.pods.iter().flat_map(|(target, pods)| {
            let wait = server.get(target).map(min_ready).unwrap_or_default();
            pods.iter().map(move |p| p.ready_since.map_or(p.born + self.start_up, |t| t + wait))
        });
        due.filter(|t| *t > now).min()
    }
}

fn min_ready(replica_set: &Value) -> SignedDuration {
    SignedDuration::from_secs(replica_set["spec"]["minReadySeconds"].as_i64().unwrap_or(0))
}

fn replica_sets(server: &Server) -> impl Iterator<Item = (&ObjectRef, &Value)> {
    server.iter().filter(|(target, _)| target.resource == ResourceType::REPLICA_SET)
}

/// Objects whose controlling owner is gone go too.
fn collect_ownerless(server: &mut Server, now: Timestamp) {
    let now_text = json!(now.to_string());
    loop {
        let uids: BTreeSet<&str> = server.iter().filter_map(|(_, o)| o["metadata"]["uid"].as_str()).collect();
        let orphan = server.iter().find(|(_, o)| {
            let mut owners = o["metadata"]["ownerReferences"].as_array().into_iter().flatten().peekable();
            let is_orphan = owners.peek().is_some()
                && owners.all(|owner| owner["uid"].as_str().is_none_or(|uid| !uids.contains(uid)));
            // It takes a moment: what a late process makes anew is not gone before that process can learn more.
            is_orphan && o["metadata"]["creationTimestamp"] != now_text
        });
        let Some(orphan) = orphan.filter(|(_, o)| o["metadata"]["deletionTimestamp"].is_null()) else { return };
        let orphan = orphan.0.clone();
        if server.delete(&orphan, None, now).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn world(image: &str) -> (Server, ObjectRef) {
        let mut server = Server::default();
        let target = ObjectRef::new(ResourceType::REPLICA_SET, "shop", "web-1");
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": image}]}});
        let object =
            json!({"metadata": {"name": "web-1"}, "spec": {"replicas": 2, "minReadySeconds": 5, "template": template}});
        server.create(&target, &object, "test", START).expect("a free place");
        let service = json!({"metadata": {"name": "web", "labels": {"x": "y"}}, "spec": {"selector": {"app": "web"}}});
        server.create(&ObjectRef::new(ResourceType::SERVICE, "shop", "web"), &service, "test", START).expect("free");
        (server, target)
    }

    #[test]
    fn pods_are_ready_after_start_up_and_available_after_min_ready_seconds() {
        let (mut server, target) = world("good");
        let mut node = Node::default();
        let due = node.step(&mut server, START).expect("pods start");
        node.step(&mut server, due);
        assert_eq!(server.get(&target).map(|o| o["status"]["readyReplicas"].clone()), Some(json!(2)));
        assert_eq!(server.get(&target).map(|o| o["status"]["availableReplicas"].clone()), Some(json!(0)));
        node.step(&mut server, due + SignedDuration::from_secs(5));
        assert_eq!(server.get(&target).map(|o| o["status"]["availableReplicas"].clone()), Some(json!(2)));
    }

    #[test]
    fn a_slice_has_the_labels_of_its_service_and_the_ready_pods_it_selects() {
        let (mut server, _) = world("good");
        let mut node = Node::default();
        node.step(&mut server, START);
        node.step(&mut server, START + SignedDuration::from_secs(1));
        let slice = ObjectRef::new(ResourceType::ENDPOINT_SLICE, "shop", "web-1");
        let slice = server.get(&slice).expect("a slice").clone();
        assert_eq!(slice["metadata"]["labels"]["x"], "y");
        assert_eq!(slice["endpoints"][1]["conditions"]["ready"], true);
    }

    #[test]
    fn pods_of_a_bad_image_never_get_ready() {
        let (mut server, target) = world("bad:1");
        let mut node = Node::default();
        node.step(&mut server, START);
        node.step(&mut server, START + SignedDuration::from_hours(1));
        assert_eq!(server.get(&target).map(|o| o["status"]["readyReplicas"].clone()), Some(json!(0)));
    }

    #[test]
    fn what_a_deleted_owner_owned_goes_with_it() {
        let (mut server, target) = world("good");
        let rollout = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        let made = server.create(&rollout, &json!({"metadata": {"name": "web"}}), "test", START).expect("free");
        let owner = json!([{"uid": made["metadata"]["uid"], "controller": true}]);
        server.change(&target, "test", |o| o["metadata"]["ownerReferences"] = owner).expect("there");
        Node::default().step(&mut server, START);
        assert!(server.get(&target).is_some());
        server.delete(&rollout, None, START).expect("there");
        Node::default().step(&mut server, START);
        assert!(server.get(&target).is_some(), "in the moment that it was made");
        Node::default().step(&mut server, START + SignedDuration::from_millis(1));
        assert!(server.get(&target).is_none());
    }
}
