//! The rules of the caches: listing, freshness against our own writes, what unreadable objects do.

use super::*;
use crate::cluster::write::{Became, Written};
use crate::core::object::Key;
use serde_json::json;

fn service(name: &str, version: u64) -> ServiceRow {
    ServiceRow::read(&json!({"metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
        "resourceVersion": version.to_string()}, "spec": {}}))
    .expect("a whole Service")
}

fn key() -> Key {
    ObjectRef::new(ResourceType::ROLLOUT, "shop", "web")
}

fn wrote(caches: &Caches, name: &str, became: Became) {
    let target = ObjectRef::new(ResourceType::SERVICE, "shop", name);
    caches.wrote(&key(), &Written { target, uid: format!("uid-{name}"), became });
}

fn listed(rows: &[(&str, u64)]) -> Caches {
    let caches = Caches::default();
    caches.services.begin_list(&None);
    for (name, version) in rows {
        caches.services.listed(&None, service(name, *version), Timestamp::UNIX_EPOCH);
    }
    caches.services.end_list(&None, Timestamp::UNIX_EPOCH);
    caches
}

#[test]
fn l4_a_key_waits_until_its_own_write_is_seen_and_other_keys_do_not() {
    let caches = listed(&[("a", 5)]);
    wrote(&caches, "a", Became::Version("7".into()));
    assert_eq!(caches.fresh(&key()), Err(NotYet::Behind(Box::new(ObjectRef::new(ResourceType::SERVICE, "shop", "a")))));
    assert_eq!(caches.fresh(&ObjectRef::new(ResourceType::ROLLOUT, "shop", "other")), Ok(()));
    caches.services.apply(&None, service("a", 6), Timestamp::UNIX_EPOCH);
    assert!(caches.fresh(&key()).is_err(), "an older version is not ours");
    caches.services.apply(&None, service("a", 7), Timestamp::UNIX_EPOCH);
    assert_eq!(caches.fresh(&key()), Ok(()));
}

#[test]
fn l4_an_application_does_not_wait_for_a_cache_that_holds_only_labelled_objects() {
    let caches = Caches::default();
    caches.deployments.begin_list(&None);
    caches.deployments.end_list(&None, Timestamp::UNIX_EPOCH);
    let application = ObjectRef::new(ResourceType::APPLICATION, "shop", "web");
    let target = ObjectRef::new(ResourceType::DEPLOYMENT, "shop", "web");
    let written = Written { target, uid: "u".into(), became: Became::Version("7".into()) };
    caches.wrote(&application, &written);
    assert_eq!(caches.fresh(&application), Ok(()));
    caches.wrote(&key(), &written);
    assert!(caches.fresh(&key()).is_err(), "a Rollout labels what it writes, and waits for it");
}

#[test]
fn l4_a_written_object_that_was_deleted_since_is_not_waited_for_for_ever() {
    let caches = listed(&[]);
    wrote(&caches, "a", Became::Version("7".into()));
    assert!(caches.fresh(&key()).is_err());
    caches.services.remove(&None, &service("a", 9), Timestamp::UNIX_EPOCH);
    assert_eq!(caches.fresh(&key()), Ok(()));
}

#[test]
fn l4_only_a_list_that_began_after_the_write_stands_for_it() {
    let caches = listed(&[]);
    caches.services.begin_list(&None);
    wrote(&caches, "a", Became::Version("7".into()));
    caches.services.end_list(&None, Timestamp::UNIX_EPOCH);
    assert!(caches.fresh(&key()).is_err(), "that list may be older than the write");
    caches.services.begin_list(&None);
    caches.services.end_list(&None, Timestamp::UNIX_EPOCH);
    assert_eq!(caches.fresh(&key()), Ok(()));
}

#[test]
fn l4_a_deleted_object_must_be_seen_gone() {
    let caches = listed(&[("a", 5)]);
    wrote(&caches, "a", Became::Gone);
    assert!(caches.fresh(&key()).is_err());
    caches.services.remove(&None, &service("a", 9), Timestamp::UNIX_EPOCH);
    assert_eq!(caches.fresh(&key()), Ok(()));
}

#[test]
fn what_no_cache_holds_is_not_waited_for() {
    let caches = listed(&[]);
    let target = ObjectRef::new(ResourceType::SECRET, "shop", "s");
    caches.wrote(&key(), &Written { target, uid: "u".into(), became: Became::Version("9".into()) });
    assert_eq!(caches.fresh(&key()), Ok(()));
}

#[test]
fn a_new_list_takes_out_what_it_does_not_name_in_its_own_namespace_only() {
    let caches = Caches::default();
    let shop = Some("shop".to_owned());
    let other =
        ServiceRow::read(&json!({"metadata": {"name": "o", "namespace": "other", "uid": "u", "resourceVersion": "1"}}));
    caches.services.apply(&Some("other".into()), other.expect("a Service"), Timestamp::UNIX_EPOCH);
    caches.services.apply(&shop, service("a", 1), Timestamp::UNIX_EPOCH);
    caches.services.begin_list(&shop);
    caches.services.listed(&shop, service("b", 2), Timestamp::UNIX_EPOCH);
    let gone = caches.services.end_list(&shop, Timestamp::UNIX_EPOCH);
    assert_eq!(gone.iter().map(|c| c.target.name.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(caches.services.all().len(), 2);
}

#[test]
fn l4_a_cache_is_synced_when_every_declared_stream_has_listed() {
    let caches = Caches::default();
    assert!(!caches.services.is_synced());
    for scope in ["a", "b"] {
        caches.services.declare(Some(scope.into()));
    }
    caches.services.begin_list(&Some("a".into()));
    caches.services.end_list(&Some("a".into()), Timestamp::UNIX_EPOCH);
    assert!(!caches.services.is_synced());
    caches.services.begin_list(&Some("b".into()));
    caches.services.end_list(&Some("b".into()), Timestamp::UNIX_EPOCH);
    assert!(caches.services.is_synced());
}

#[test]
fn trouble_of_a_watch_that_goes_on_in_silence_is_over_and_that_of_one_never_listed_is_not() {
    let caches = listed(&[]);
    caches.services.trouble(&None, "429".into());
    caches.services.calm(&None);
    assert_eq!(caches.services.states()[0].trouble, None);
    let fresh = Caches::default();
    fresh.services.declare(None);
    fresh.services.trouble(&None, "429".into());
    fresh.services.calm(&None);
    assert_eq!(fresh.services.states()[0].trouble.as_deref(), Some("429"));
}

#[test]
fn l7_an_object_that_became_unreadable_keeps_its_row_and_holds_nobody_up() {
    let caches = listed(&[("a", 5)]);
    wrote(&caches, "a", Became::Version("7".into()));
    caches.services.unreadable(&None, service("a", 7).meta(), Timestamp::UNIX_EPOCH);
    assert_eq!(caches.fresh(&key()), Ok(()));
    assert_eq!(caches.services.get("shop", "a").map(|row| row.meta.resource_version.clone()), Some("5".to_owned()));
    assert!(caches.services.remove_unreadable(&None, service("a", 8).meta(), Timestamp::UNIX_EPOCH).is_some());
    assert!(caches.services.all().is_empty());
}

/// What a Rollout may read: by name, by the beginning of its name, by what is named, and by what says that it is its own.
#[test]
fn a_rollout_finds_what_may_matter_to_it_and_not_its_neighbours() {
    let caches = listed(&[("web", 1), ("web-stable", 2), ("webmail", 3), ("api", 4), ("shared", 5)]);
    let marked = |version: u64, marks: serde_json::Value| {
        let object = json!({"metadata": {"name": "former", "namespace": "shop", "uid": "f", "annotations": marks,
            "resourceVersion": version.to_string()}, "spec": {}});
        caches.services.apply(&None, ServiceRow::read(&object).expect("a whole Service"), Timestamp::UNIX_EPOCH);
    };
    let found = || {
        let rows = caches.services.related("shop", "web", &BTreeSet::from(["shared".to_owned(), "nothing".to_owned()]));
        rows.iter().map(|row| row.meta.name.clone()).collect::<Vec<_>>()
    };
    marked(6, json!({(crate::core::rollout::ANNOTATION_MANAGED_BY): "web"}));
    assert_eq!(found(), ["former", "shared", "web", "web-stable"]);
    marked(7, json!({}));
    assert_eq!(found(), ["shared", "web", "web-stable"], "it no longer says so");
}
