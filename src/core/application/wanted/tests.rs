//! Which objects an Application wants, and which sets are refused whole.

use super::*;
use crate::api::ApplicationSpec;
use crate::core::application::health::Health;

fn spec(extra: &Value) -> Spec {
    let mut spec = json!({"source": {"repoURL": "https://x/y"}, "destination": {"namespace": "shop"}});
    json_patch::merge(&mut spec, extra);
    let spec: ApplicationSpec = serde_json::from_value(spec).expect("lenient");
    Spec::parse(&spec, "tidegate", &[]).expect("accepted")
}

fn kinds() -> Kinds {
    let namespace = ResourceType {
        namespaced: false,
        kind: "Namespace".into(),
        plural: "namespaces".into(),
        ..ResourceType::SERVICE
    };
    let known = [ResourceType::SERVICE, ResourceType::ROLLOUT, namespace];
    known.into_iter().map(|r| ((r.api_version(), r.kind.to_string()), Some(r))).collect()
}

fn rendered(objects: &[(&str, Value)]) -> Rendered {
    let objects =
        objects.iter().map(|(file, o)| RenderedObject { file: (*file).to_owned(), object: Arc::new(o.clone()) });
    Rendered { objects: objects.collect(), warnings: vec![] }
}

fn read(
    objects: &[(&str, Value)],
    live: &dyn Fn(&ObjectRef) -> Option<LiveObject>,
) -> Result<Vec<Wanted>, Vec<Trouble>> {
    let fence = Fence { project: None, own: "tidegate", control: "tidegate" };
    wanted(&rendered(objects), &kinds(), live, &spec(&json!({})), &fence, "tidegate_web", "{}")
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": "web"}}})
}

#[test]
fn objects_are_put_into_the_destination_and_marked() {
    let all = read(&[("a.yaml", service("web"))], &|_| None).expect("fine");
    assert_eq!(all[0].object["metadata"]["namespace"], "shop");
    assert_eq!(all[0].object["metadata"]["labels"][LABEL_APPLICATION], "tidegate_web");
    assert_eq!(all[0].object["spec"]["selector"]["app"], "web");
}

#[test]
fn every_problem_of_every_file_is_found_together() {
    let troubles = read(
        &[
            ("a.yaml", service("web")),
            ("b.yaml", service("web")),
            ("c.yaml", json!({"kind": "Service"})),
            ("d.yaml", json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "t"}})),
        ],
        &|_| None,
    )
    .expect_err("three problems");
    let files: Vec<_> = troubles.iter().filter_map(|t| t.error.file.as_deref()).collect();
    assert_eq!(files, ["b.yaml", "c.yaml", "d.yaml"]);
    assert_eq!(troubles[2].class, TroubleClass::Surroundings, "a missing definition is not the revision's fault");
}

#[test]
fn a_kind_that_the_tree_itself_defines_is_taken_and_asked_about_later() {
    let crd = json!({"apiVersion": "v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.x.io"},
        "spec": {"group": "x.io", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"},
                 "versions": [{"name": "v1", "served": true}]}});
    let mut kinds = kinds();
    let definition =
        ResourceType { kind: "CustomResourceDefinition".into(), namespaced: false, ..ResourceType::SERVICE };
    kinds.insert(("v1".into(), "CustomResourceDefinition".into()), Some(definition));
    let thing = json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "t"}});
    let fence = Fence { project: None, own: "tidegate", control: "tidegate" };
    let tree = rendered(&[("t.yaml", thing), ("crd.yaml", crd)]);
    let all = wanted(&tree, &kinds, &|_| None, &spec(&json!({})), &fence, "o", "{}").expect("fine");
    assert_eq!(
        all.iter().map(|w| (w.file.as_str(), w.later)).collect::<Vec<_>>(),
        [("crd.yaml", false), ("t.yaml", true)]
    );
}

#[test]
fn the_selector_of_a_steered_service_is_left_to_its_rollout() {
    let live = |target: &ObjectRef| {
        Some(LiveObject {
            target: target.clone(),
            uid: "u".into(),
            resource_version: "1".into(),
            generation: 0,
            metadata_digest: String::new(),
            deleting: false,
            owned: false,
            health: Health::healthy(),
            steered: true,
            pods: BTreeMap::new(),
            annotations: BTreeMap::new(),
        })
    };
    let all = read(&[("a.yaml", service("web"))], &live).expect("fine");
    assert_eq!(all[0].object["spec"].get("selector"), None);
    assert_eq!(all[0].object["metadata"]["annotations"][ANNOTATION_SELECTOR], r#"{"app":"web"}"#);
}

#[test]
fn a_command_without_scope_cannot_live_in_git() {
    let rollout = |value: &str| {
        json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "annotations": {"tidegate.dev/promote": value}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "strategy": {"blueGreen": {"activeService": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "x"}]}}}})
    };
    assert!(read(&[("r.yaml", rollout("step"))], &|_| None).is_err());
    assert!(read(&[("r.yaml", rollout("step@hash:abc"))], &|_| None).is_ok());
}

#[test]
fn long_names_keep_their_label_unique_and_valid() {
    let (a, b) = (owner_label(&"n".repeat(63), &"x".repeat(60)), owner_label(&"n".repeat(63), &"y".repeat(60)));
    assert!(a.len() <= 63 && a != b);
    assert_eq!(owner_label("tidegate", "web"), "tidegate_web");
}

#[test]
fn a_rollout_that_could_not_run_is_refused_with_its_fields() {
    let rollout = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {"strategy": {"canary": {}, "blueGreen": {"activeService": "web"}}, "template": {"metadata": {}}}});
    let troubles = read(&[("r.yaml", rollout)], &|_| None).expect_err("two strategies, a template without labels");
    assert!(troubles.iter().all(|t| t.class == TroubleClass::Manifest && t.error.file.as_deref() == Some("r.yaml")));
    assert!(
        troubles.iter().any(|t| t.error.field.as_deref().is_some_and(|f| f.starts_with("spec.strategy"))),
        "{troubles:?}"
    );
}
