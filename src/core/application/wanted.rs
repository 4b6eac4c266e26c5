//! The objects that a tree wants, made ready to be applied: identity resolved, ownership marked, order known.
//!
//! A tree is taken whole or not at all (every problem of every file is found before the first write), so this returns
//! either all objects or all problems.

mod check;

pub use check::template_probe;

use super::order::{self, Group, Place};
use super::project::Fence;
use super::spec::Spec;
use crate::api::{LastGoodSource, ReconcileError};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::question::{LiveObject, Rendered, RenderedObject};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// On every object that an Application applies: whose it is. See [`owner_label`].
pub const LABEL_APPLICATION: &str = "tidegate.dev/application";

/// On a Service that a Rollout steers: the selector that git has, as JSON. The Rollout adds its hash to it.
pub const ANNOTATION_SELECTOR: &str = "tidegate.dev/selector";

/// On a Rollout: repository, commit and directory of the apply that changed it last, as JSON
/// ([`crate::api::LastGoodSource`]). It is no part of what is compared.
pub const ANNOTATION_SOURCE: &str = "tidegate.dev/source";

/// One object that shall be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Path of its file relative to the tree.
    pub file: String,
    pub target: ObjectRef,
    pub object: Arc<Value>,
    /// Digest of `object`: part of the identity of a dry run.
    pub digest: String,
    pub place: Place,
    /// Its kind or its namespace comes with this very tree, so nothing can be asked about it before that is there.
    pub later: bool,
}

/// A problem with one file or object.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    pub class: TroubleClass,
    pub error: ReconcileError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleClass {
    /// The files are wrong: going back to another revision mends it.
    Manifest,
    /// Rights, missing definitions, limits of ours: no revision is to blame.
    Surroundings,
}

impl Trouble {
    pub fn manifest(file: &str, object: impl Into<String>, field: &str, message: impl Into<String>) -> Self {
        Self { class: TroubleClass::Manifest, error: error(file, object.into(), field, message.into()) }
    }

    pub fn surroundings(file: &str, object: impl Into<String>, field: &str, message: impl Into<String>) -> Self {
        Self { class: TroubleClass::Surroundings, error: error(file, object.into(), field, message.into()) }
    }
}

fn error(file: &str, object: String, field: &str, message: String) -> ReconcileError {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ReconcileError { file: some(file), object: some(&object), field: some(field), message }
}

/// Which resources serve the kinds of a tree.
pub type Kinds = BTreeMap<(String, String), Option<ResourceType>>;

/// The kinds that must be known before [`wanted`] can say anything.
pub fn kinds_of(rendered: &Rendered, spec: &Spec) -> BTreeSet<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let mut kinds: BTreeSet<_> =
        rendered.objects.iter().map(|r| (text(&r.object["apiVersion"]), text(&r.object["kind"]))).collect();
    if spec.create_namespace.is_some() {
        kinds.insert(("v1".to_owned(), "Namespace".to_owned()));
    }
    kinds.retain(|(version, kind)| !version.is_empty() && !kind.is_empty());
    kinds
}

/// The value of [`LABEL_APPLICATION`]: `<namespace>_<name>`, which no other Application can have, as neither part may hold
/// an underscore. Too long for a label, it ends in a digest instead.
pub fn owner_label(namespace: &str, name: &str) -> String {
    let full = format!("{namespace}_{name}");
    if full.len() <= 63 {
        return full;
    }
    let start: String = full.chars().take(46).collect();
    format!("{}-{}", start.trim_end_matches(['-', '.', '_']), &digest(full.as_bytes())[..16])
}

/// First 32 hex digits of the SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// All objects of a tree in the order of their places. `source`: what a new Rollout gets as [`ANNOTATION_SOURCE`].
///
/// # Errors
/// Every problem that is seen without asking the API server.
pub fn wanted(
    rendered: &Rendered,
    kinds: &Kinds,
    live: &dyn Fn(&ObjectRef) -> Option<LiveObject>,
    spec: &Spec,
    fence: &Fence<'_>,
    owner: &str,
    source: &str,
) -> Result<Vec<Wanted>, Vec<Trouble>> {
    let mut troubles = Vec::new();
    let mut all: Vec<Wanted> = Vec::new();
    let mut seen: BTreeMap<ObjectRef, String> = BTreeMap::new();
    let made = namespace_object(rendered, spec);
    let defined = definitions(rendered);
    for item in rendered.objects.iter().chain(&made) {
        match one(item, kinds, &defined, spec, fence) {
            Err(trouble) => troubles.push(trouble),
            Ok((resource, target, place)) => {
                if let Some(first) = seen.insert(target.clone(), item.file.clone()) {
                    let message = format!("is also in {first}; keep it once");
                    troubles.push(Trouble::manifest(&item.file, target.to_string(), "metadata.name", message));
                    continue;
                }
                troubles.extend(check::object(&item.file, &target, &item.object));
                let live = live(&target);
                let mut object = marked(&item.object, &target, owner, live.as_ref().is_some_and(|l| l.steered));
                // One that is there keeps what it has until something else of it changes.
                let kept = live.as_ref().map(|l| l.annotations.get(ANNOTATION_SOURCE).map(String::as_str));
                stamp(&mut object, &target, kept.unwrap_or(Some(source)));
                let served = kinds.get(&kind_key(&item.object)).is_some_and(Option::is_some);
                all.push(Wanted {
                    file: item.file.clone(),
                    digest: digest(object.to_string().as_bytes()),
                    object: Arc::new(object),
                    target,
                    place,
                    later: !served && defined.contains(&resource),
                });
            }
        }
    }
    if !troubles.is_empty() {
        return Err(troubles);
    }
    all.sort_by(|a, b| (a.place, &a.target).cmp(&(b.place, &b.target)));
    let fresh: BTreeSet<String> = all
        .iter()
        .filter(|w| w.target.resource.kind == "Namespace" && live(&w.target).is_none())
        .map(|w| w.target.name.clone())
        .collect();
    for wanted in &mut all {
        wanted.later |= wanted.place.group != Group::Ground && fresh.contains(&wanted.target.namespace);
    }
    Ok(all)
}

fn kind_key(object: &Value) -> (String, String) {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    (text("apiVersion"), text("kind"))
}

/// Identity, resource and place of one object.
fn one(
    item: &RenderedObject,
    kinds: &Kinds,
    defined: &BTreeSet<ResourceType>,
    spec: &Spec,
    fence: &Fence<'_>,
) -> Result<(ResourceType, ObjectRef, Place), Trouble> {
    let (api_version, kind) = kind_key(&item.object);
    let name = item.object["metadata"]["name"].as_str().unwrap_or_default();
    let shown = format!("{kind} {name}");
    let refuse = |field: &str, message: &str| Err(Trouble::manifest(&item.file, shown.trim(), field, message));
    if api_version.is_empty() || kind.is_empty() {
        return refuse("kind", "has no apiVersion or no kind; every object needs both");
    }
    if name.is_empty() {
        return refuse("metadata.name", "has no name; generateName cannot be applied twice to the same object");
    }
    let resource = match kinds.get(&(api_version.clone(), kind.clone())) {
        Some(Some(resource)) => resource.clone(),
        _ => match defined.iter().find(|r| r.api_version() == api_version && r.kind == kind) {
            Some(resource) => resource.clone(),
            None => {
                return Err(Trouble::surroundings(
                    &item.file,
                    shown,
                    "kind",
                    format!(
                        "the cluster does not serve kind {kind} of {api_version}; install its definition first, or remove it"
                    ),
                ));
            }
        },
    };
    let namespace = match (resource.namespaced, item.object["metadata"]["namespace"].as_str()) {
        (false, _) => "",
        (true, Some(namespace)) if !namespace.is_empty() => namespace,
        (true, _) => &spec.namespace,
    };
    let target = ObjectRef::new(resource.clone(), namespace, name);
    if let Some(reason) = fence.refuses(&target, &spec.namespace) {
        return Err(Trouble::surroundings(&item.file, target.to_string(), "", reason));
    }
    let place = order::place(&target, &item.object).map_err(|wave| {
        let message = format!("the sync wave {wave:?} is no whole number");
        Trouble::manifest(&item.file, target.to_string(), "metadata.annotations", message)
    })?;
    Ok((resource, target, place))
}

/// The resources that the definitions in the tree bring.
fn definitions(rendered: &Rendered) -> BTreeSet<ResourceType> {
    let mut found = BTreeSet::new();
    for object in rendered.objects.iter().map(|r| &r.object).filter(|o| o["kind"] == "CustomResourceDefinition") {
        let spec = &object["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for version in spec["versions"].as_array().into_iter().flatten().filter(|v| v["served"] == true) {
            found.insert(ResourceType {
                group: text(&spec["group"]).into(),
                version: text(&version["name"]).into(),
                kind: text(&spec["names"]["kind"]).into(),
                plural: text(&spec["names"]["plural"]).into(),
                namespaced: spec["scope"] == "Namespaced",
            });
        }
    }
    found
}

/// The Namespace that `CreateNamespace=true` asks for, unless the tree has one itself.
fn namespace_object(rendered: &Rendered, spec: &Spec) -> Option<RenderedObject> {
    let metadata = spec.create_namespace.as_ref()?;
    let name = &spec.namespace;
    let has =
        rendered.objects.iter().any(|r| r.object["kind"] == "Namespace" && r.object["metadata"]["name"] == **name);
    (!has).then(|| RenderedObject {
        file: "spec.syncPolicy.syncOptions".to_owned(),
        object: Arc::new(json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": metadata.labels, "annotations": metadata.annotations}})),
    })
}

/// The object as it is applied: in its namespace, marked as ours, without what only the API server writes, and without what
/// a Rollout steers.
fn marked(object: &Value, target: &ObjectRef, owner: &str, steered: bool) -> Value {
    let mut object = object.clone();
    let Some(fields) = object.as_object_mut() else { return object };
    fields.remove("status");
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        for field in ["managedFields", "creationTimestamp", "generation", "selfLink"] {
            metadata.remove(field);
        }
        if target.resource.namespaced {
            metadata.insert("namespace".to_owned(), json!(target.namespace));
        }
        map(metadata, "labels").insert(LABEL_APPLICATION.to_owned(), json!(owner));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    if steered && target.resource.kind == "Service" {
        // The selector is one atomic field: git's would wipe the hash and send users to every revision. Its Rollout owns
        // the field by now, so leaving it out changes nothing, and git's wish goes along in an annotation.
        let selector = fields.get_mut("spec").and_then(Value::as_object_mut).and_then(|s| s.remove("selector"));
        let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
        if let (Some(selector), Some(metadata)) = (selector, metadata) {
            map(metadata, "annotations").insert(ANNOTATION_SELECTOR.to_owned(), json!(selector.to_string()));
        }
    }
    object
}

/// What is noted in annotations of where a Rollout or one of its ReplicaSets comes from.
pub fn source_in(annotations: &BTreeMap<String, String>) -> Option<LastGoodSource> {
    serde_json::from_str(annotations.get(ANNOTATION_SOURCE)?).ok()
}

/// Notes on a Rollout where it comes from; `None` takes the note off.
pub fn stamp(object: &mut Value, target: &ObjectRef, source: Option<&str>) {
    if target.resource != ResourceType::ROLLOUT {
        return;
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    match source {
        Some(source) => _ = map(metadata, "annotations").insert(ANNOTATION_SOURCE.to_owned(), json!(source)),
        None => {
            _ = metadata.get_mut("annotations").and_then(Value::as_object_mut).and_then(|a| a.remove(ANNOTATION_SOURCE))
        }
    }
}

/// The object under a key, made when it is missing or null.
fn map<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made an object above")
}

#[cfg(test)]
mod tests;
