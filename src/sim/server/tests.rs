//! What the simulated API server does with versions, owners of fields and deletions, as the real one does.

use super::Server;
use crate::core::object::{ObjectRef, ResourceType};
use jiff::Timestamp;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn service() -> ObjectRef {
    ObjectRef::new(ResourceType::SERVICE, "shop", "web")
}

fn with(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
}

#[test]
fn an_equal_write_gets_no_version_and_no_event() {
    let mut server = Server::default();
    let made = server.apply(&service(), &with(json!({"a": 1})), "git", true, NOW).expect("free place");
    let again = server.apply(&service(), &with(json!({"a": 1})), "git", true, NOW).expect("own fields");
    assert_eq!((made, server.events.len()), (again, 1));
}

#[test]
fn a_write_of_owners_alone_is_a_write() {
    let mut server = Server::default();
    server.apply(&service(), &with(json!({"a": 1})), "git", true, NOW).expect("free place");
    let shared = server.apply(&service(), &with(json!({"a": 1})), "other", true, NOW).expect("equal value");
    assert_eq!(shared["metadata"]["resourceVersion"], "2");
}

#[test]
fn what_nobody_holds_is_not_tracked_until_an_apply_finds_it() {
    let mut server = Server::default();
    let secret = ObjectRef::new(ResourceType::SECRET, "shop", "web");
    let data = |value: Value| json!({"data": {"a": value}});
    server.apply(&secret, &data(json!("1")), "git", true, NOW).expect("free place");
    server.merge(&secret, None, &data(Value::Null), "user").expect("there");
    server.merge(&secret, None, &data(json!("2")), "user").expect("there");
    assert!(server.held_by(&secret, "user").is_empty());
    let refused = server.apply(&secret, &data(json!("1")), "git", false, NOW);
    assert_eq!(refused.map_err(|r| r.code), Err(409));
}

#[test]
fn a_forced_apply_of_gits_selector_wipes_a_key_that_another_manager_put_there() {
    let mut server = Server::default();
    server.apply(&service(), &with(json!({"selector": {"app": "web"}})), "git", true, NOW).expect("free place");
    let hash = serde_json::from_value(json!([{"op": "add", "path": "/spec/selector/hash", "value": "1"}]));
    server.edit(&service(), &hash.expect("a patch"), "rollout").expect("no test in it");
    let refused = server.apply(&service(), &with(json!({"selector": {"app": "web"}})), "git", false, NOW);
    assert_eq!(refused.map_err(|r| r.code), Err(409));
    let forced = server.apply(&service(), &with(json!({"selector": {"app": "web"}})), "git", true, NOW);
    assert_eq!(forced.expect("forced")["spec"]["selector"], json!({"app": "web"}));
}

#[test]
fn a_field_that_is_no_longer_applied_goes_away_unless_another_holds_it() {
    let mut server = Server::default();
    server.apply(&service(), &with(json!({"a": 1, "b": 2})), "git", true, NOW).expect("free place");
    server.apply(&service(), &with(json!({"b": 2})), "other", true, NOW).expect("equal value, shared");
    let after = server.apply(&service(), &with(json!({"c": 3})), "git", true, NOW).expect("own fields");
    assert_eq!(after["spec"], json!({"b": 2, "c": 3}));
}

#[test]
fn status_is_written_only_with_the_version_that_was_read() {
    let mut server = Server::default();
    let rollout = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
    let made =
        server.create(&rollout, &json!({"metadata": {"name": "web"}, "spec": {}, "status": {"x": 1}}), "me", NOW);
    assert!(made.expect("free place")["status"].is_null(), "create leaves status out");
    server.patch_status(&rollout, "1", &json!({"phase": "Healthy"})).expect("the version is 1");
    let stale = server.patch_status(&rollout, "1", &json!({"phase": "Degraded"}));
    assert_eq!(stale.map_err(|r| r.code), Err(409));
}

#[test]
fn generation_counts_changes_of_spec_only() {
    let mut server = Server::default();
    let rollout = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
    server.create(&rollout, &json!({"metadata": {"name": "web"}, "spec": {"a": 1}}), "me", NOW).expect("free");
    server.patch_status(&rollout, "1", &json!({"phase": "Healthy"})).expect("version 1");
    server.change(&rollout, "user", |o| o["metadata"]["labels"] = json!({"x": "y"})).expect("there");
    let changed = server.change(&rollout, "user", |o| o["spec"]["a"] = json!(2)).expect("there");
    assert_eq!(changed["metadata"]["generation"], 2);
}

#[test]
fn a_deletion_that_is_asked_for_counts_as_a_generation() {
    let mut server = Server::default();
    let rollout = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
    let object = json!({"metadata": {"name": "web", "finalizers": ["x"]}, "spec": {}});
    server.create(&rollout, &object, "me", NOW).expect("free");
    assert_eq!(server.delete(&rollout, None, NOW).expect("there")["metadata"]["generation"], 2);
}

#[test]
fn a_finalizer_delays_deletion_until_it_is_taken_off() {
    let mut server = Server::default();
    let object = json!({"metadata": {"name": "web", "finalizers": ["x"]}});
    server.create(&service(), &object, "me", NOW).expect("free");
    server.delete(&service(), None, NOW).expect("marked");
    assert!(server.get(&service()).is_some());
    server.change(&service(), "me", |o| o["metadata"]["finalizers"] = json!([])).expect("there");
    assert!(server.get(&service()).is_none());
}
