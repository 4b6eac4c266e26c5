//! The model of the Deployment controller: a ReplicaSet for each template, and the former one up until the new one is.

use super::server::Server;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::rollout::revisions::digest;
use jiff::Timestamp;
use serde_json::{Value, json};

const MANAGER: &str = "deployment-controller";
const HASH: &str = "pod-template-hash";

/// Does for every Deployment what is due at `now`.
pub(super) fn follow(server: &mut Server, now: Timestamp) {
    let all = server.iter().filter(|(target, _)| target.resource == ResourceType::DEPLOYMENT);
    let deployments: Vec<(ObjectRef, Value)> = all.map(|(target, object)| (target.clone(), object.clone())).collect();
    for (target, object) in deployments {
        roll(server, &target, &object, now);
    }
}

fn roll(server: &mut Server, target: &ObjectRef, object: &Value, now: Timestamp) {
    let hash = digest("deployment", &object["spec"]["template"]);
    let current = ObjectRef::new(ResourceType::REPLICA_SET, &*target.namespace, format!("{}-{hash}", target.name));
    let size = &object["spec"]["replicas"];
    if server.get(&current).is_none() {
        let mut spec = object["spec"].clone();
        spec["template"]["metadata"]["labels"][HASH] = json!(hash);
        spec["selector"]["matchLabels"][HASH] = json!(hash);
        let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": target.name,
                            "uid": object["metadata"]["uid"], "controller": true}]);
        let labels = &spec["template"]["metadata"]["labels"];
        let metadata = json!({"name": current.name, "ownerReferences": owner, "labels": labels});
        let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec});
        server.create(&current, &set, MANAGER, now).expect("the place was free a line ago");
    }
    resize(server, &current, size);
    let up = server.get(&current).is_some_and(|set| set["status"]["availableReplicas"] == *size);
    let uid = &object["metadata"]["uid"];
    let former: Vec<ObjectRef> = server
        .iter()
        .filter(|(t, o)| **t != current && o["metadata"]["ownerReferences"][0]["uid"] == *uid)
        .map(|(t, _)| t.clone())
        .collect();
    for set in former.iter().filter(|_| up || *size == 0) {
        resize(server, set, &json!(0));
    }
}

fn resize(server: &mut Server, set: &ObjectRef, size: &Value) {
    server.change(set, MANAGER, |o| o["spec"]["replicas"] = size.clone()).expect("it was there a line ago");
}
