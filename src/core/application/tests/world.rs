//! The world of these tests. It answers what is asked, carries out what is decided, and counts what was written.

use crate::core::application::health::{Fault, Health, HealthStatus};
use crate::core::application::wanted::LABEL_APPLICATION;
use crate::core::application::{Observed, decide, diff};
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::{Effect, Plan, RefusalClass, RefusedEffect, Verb, Why};
use crate::core::question::{
    Answer, ApiRefusal, Ask, LiveObject, LiveObjects, PastCommit, PodEvidence, RenderError, Rendered, RenderedObject,
    SourceTip, Told, WouldApply,
};
use crate::core::row::{ApplicationRow, Row};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct Stored {
    pub(super) object: Value,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) health: Health,
}

/// How the remote answers a push.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Remote {
    Takes,
    /// A protected branch.
    Declines,
    /// Somebody pushes beside the path just before, so many times.
    MovesFirst(u32),
}

pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) application: Value,
    pub(super) cluster: BTreeMap<ObjectRef, Stored>,
    /// Objects by tree.
    pub(super) trees: BTreeMap<String, Result<Vec<Value>, String>>,
    /// Newest first: commit, tree, message.
    pub(super) commits: Vec<(String, String, String)>,
    pub(super) remote: Remote,
    pub(super) pods: Vec<PodEvidence>,
    /// Kinds that may not be watched.
    pub(super) hidden: Vec<&'static str>,
    pub(super) refusals: BTreeMap<String, ApiRefusal>,
    /// Health that objects get when they are applied, by image.
    pub(super) outcome: BTreeMap<String, Health>,
    refused: Vec<RefusedEffect>,
    asked: Vec<crate::core::question::Question>,
    pub(super) applied: Vec<String>,
    pub(super) deleted: Vec<String>,
    pub(super) pushes: Vec<String>,
    writes: u32,
    /// The process dies after so many writes (once).
    pub(super) dies_after: Option<u32>,
    serial: u32,
}

pub(super) fn tree(name: &str) -> String {
    format!("{name:0<40}")
}

/// A workload whose health is that of its image.
pub(super) fn rollout(image: &str) -> Value {
    json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "strategy": {"blueGreen": {"activeService": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}}}})
}

pub(super) fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": "web"}}})
}

pub(super) fn aborted() -> Health {
    Health { status: HealthStatus::Degraded, message: "success-rate was 0.4".into(), fault: Fault::Revision }
}

impl World {
    /// An Application of path `apps/web` with this policy and rescue, and a first commit with one Rollout and one Service.
    pub(super) fn new(policy: &Value, rescue: &Value) -> Self {
        let mut spec = json!({"source": {"repoURL": "https://git/shop", "path": "apps/web", "targetRevision": "main"},
            "destination": {"namespace": "shop"}, "syncPolicy": policy});
        if !rescue.is_null() {
            spec["rescue"] = rescue.clone();
        }
        let mut world = Self {
            now: "2026-01-01T00:00:00Z".parse().expect("a time"),
            application: json!({"metadata": {"name": "web", "namespace": "tidegate", "uid": "app", "resourceVersion": "1", "generation": 1},
                "spec": spec, "status": {}}),
            cluster: BTreeMap::new(),
            trees: BTreeMap::new(),
            commits: Vec::new(),
            remote: Remote::Takes,
            pods: Vec::new(),
            hidden: Vec::new(),
            refusals: BTreeMap::new(),
            outcome: BTreeMap::new(),
            refused: Vec::new(),
            asked: Vec::new(),
            applied: Vec::new(),
            deleted: Vec::new(),
            pushes: Vec::new(),
            writes: 0,
            dies_after: None,
            serial: 0,
        };
        world.commit("1", vec![rollout("v1"), service("web")]);
        world
    }

    pub(super) fn commit(&mut self, name: &str, objects: Vec<Value>) {
        self.trees.insert(tree(name), Ok(objects));
        self.commit_tree(name);
    }

    /// A commit whose path has a tree that is known already.
    pub(super) fn commit_tree(&mut self, name: &str) {
        self.serial += 1;
        self.commits.insert(0, (format!("{:040x}", self.serial), tree(name), format!("Version {name}")));
    }

    /// Writes so far.
    pub(super) fn written(&self) -> u32 {
        self.writes
    }

    pub(super) fn status(&self) -> &Value {
        &self.application["status"]
    }

    pub(super) fn image(&self) -> String {
        let web = self.cluster.iter().find(|(k, _)| k.resource.kind == "Rollout").map(|(_, v)| v);
        web.map_or_else(String::new, |w| {
            w.object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().into()
        })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.cluster.keys().map(ToString::to_string).collect()
    }

    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        self.application["metadata"]["annotations"][format!("tidegate.dev/{key}")] = json!(value);
    }

    pub(super) fn observe(&self) -> Observed {
        let application = ApplicationRow::read(&self.application).expect("a whole Application");
        let answers = self.asked.iter().filter_map(|q| {
            let what = self.answer(&q.ask)?;
            Some((q.id.clone(), Answer { at: self.now, what }))
        });
        Observed {
            application: Some(Arc::new(application)),
            project: None,
            control_namespace: "tidegate".into(),
            controller: "tidegate/tidegate".into(),
            answers: answers.collect(),
            refused: self.refused.clone(),
        }
    }

    /// One pass: decide, write the status, carry the effects out. A process that dies drops the rest of its pass.
    pub(super) fn pass(&mut self) -> Plan {
        let plan = decide(&self.observe(), self.now);
        self.asked.clone_from(&plan.ask);
        if let Some(write) = &plan.status {
            json_patch::merge(&mut self.application["status"], &write.patch);
            self.version();
            if self.dies() {
                return plan;
            }
        }
        for effect in &plan.effects {
            self.carry_out(effect);
            if self.dies() {
                return plan;
            }
        }
        plan
    }

    fn dies(&mut self) -> bool {
        self.writes += 1;
        let dies = self.dies_after == Some(self.writes);
        if dies {
            // Nothing that was in memory is known to the next process.
            self.asked.clear();
            self.refused.clear();
        }
        dies
    }

    /// Passes until nothing changes any more, and gives the last plan.
    pub(super) fn settle(&mut self) -> Plan {
        let mut plan = Plan::default();
        for _ in 0..60 {
            let asked = self.asked.clone();
            plan = self.pass();
            if plan.status.is_none() && plan.effects.is_empty() && plan.ask == asked {
                return plan;
            }
        }
        panic!("it does not come to rest: {plan:?}\n{}", self.status());
    }

    /// Settles, lets the time of its next wish pass, and again, for up to `seconds`.
    pub(super) fn run(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        loop {
            let wake = self.settle().wake.filter(|w| *w > self.now);
            match wake {
                Some(wake) if wake <= end => self.now = wake,
                _ => break,
            }
        }
        self.now = end;
        self.settle();
    }

    fn version(&mut self) {
        self.serial += 1;
        self.application["metadata"]["resourceVersion"] = json!(self.serial.to_string());
    }

    fn carry_out(&mut self, effect: &Effect) {
        match &effect.verb {
            Verb::Apply { object, uid, .. } => {
                let target = self.target(object);
                assert_eq!(self.cluster.get(&target).map(|s| &s.uid), uid.as_ref(), "the place is as it was seen");
                self.applied.push(target.to_string());
                let image = object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
                let health = self.outcome.get(image).cloned().unwrap_or_else(Health::healthy);
                self.serial += 1;
                let (uid, generation) = match self.cluster.get(&target) {
                    Some(old) => (old.uid.clone(), old.generation + 1),
                    None => (format!("uid-{}", self.serial), 1),
                };
                self.cluster.insert(target, Stored { object: (**object).clone(), uid, generation, health });
            }
            Verb::Delete { target, uid, .. } => {
                assert_eq!(self.cluster.get(target).map(|s| &s.uid), Some(uid), "only what was seen is deleted");
                self.deleted.push(target.to_string());
                self.cluster.remove(target);
            }
            Verb::Edit { patch, .. } => {
                json_patch::patch(&mut self.application, patch).expect("the annotation is as it was seen");
                self.version();
            }
            Verb::Push(push) => {
                self.refused.retain(|r| r.why != Why::Revert);
                if let Remote::MovesFirst(n) = self.remote {
                    self.remote = if n > 1 { Remote::MovesFirst(n - 1) } else { Remote::Takes };
                    let name: String = self.commits[0].1.trim_end_matches('0').to_owned();
                    self.commit_tree(&name);
                }
                let refuse = |class| RefusedEffect {
                    target: push.by.clone(),
                    why: Why::Revert,
                    at: self.now,
                    class,
                    message: "pre-receive hook declined".into(),
                };
                if self.remote == Remote::Declines {
                    self.refused.push(refuse(RefusalClass::Forbidden));
                } else if push.expected != self.commits[0].0 {
                    self.refused.push(refuse(RefusalClass::Moved));
                } else {
                    self.serial += 1;
                    self.pushes.push(push.message.clone());
                    self.commits.insert(0, (format!("{:040x}", self.serial), push.tree.clone(), push.message.clone()));
                }
            }
            other => panic!("an Application has no use for {other:?}"),
        }
    }

    fn target(&self, object: &Value) -> ObjectRef {
        let resource = kind(object["kind"].as_str().unwrap()).expect("a kind of this world");
        let namespace = if resource.namespaced { object["metadata"]["namespace"].as_str().unwrap() } else { "" };
        ObjectRef::new(resource, namespace, object["metadata"]["name"].as_str().unwrap())
    }

    fn answer(&self, ask: &Ask) -> Option<Told> {
        Some(match ask {
            Ask::Source(_) => {
                let (commit, tree, message) = self.commits.first()?;
                let past = |c: &(String, String, String)| PastCommit {
                    commit: c.0.clone(),
                    tree: Some(c.1.clone()),
                    message: c.2.clone(),
                };
                Told::Source(Ok(Arc::new(SourceTip {
                    reference: Some("refs/heads/main".into()),
                    commit: commit.clone(),
                    author: "Dev <dev@x>".into(),
                    time: "2026-01-01T00:00:00Z".parse().unwrap(),
                    message: message.clone(),
                    tree: Some(tree.clone()),
                    history: self.commits.iter().map(past).collect(),
                })))
            }
            Ask::Render(question) => Told::Rendered(match self.trees.get(&question.tree)? {
                Err(message) => Err(vec![RenderError { file: "web.yaml".into(), line: 3, message: message.clone() }]),
                Ok(objects) => {
                    let object = |(i, o): (usize, &Value)| RenderedObject {
                        file: format!("{i}.yaml"),
                        object: Arc::new(o.clone()),
                    };
                    Ok(Arc::new(Rendered {
                        objects: objects.iter().enumerate().map(object).collect(),
                        warnings: vec![],
                    }))
                }
            }),
            Ask::Kinds { kinds } => {
                Told::Kinds(Arc::new(kinds.iter().map(|(v, k)| ((v.clone(), k.clone()), kind(k))).collect()))
            }
            Ask::Objects { label, resources } => {
                let hidden = |r: &ResourceType| self.hidden.contains(&r.kind.as_ref());
                let ours = self.cluster.iter().filter(|(_, s)| s.object["metadata"]["labels"][&label.0] == *label.1);
                let objects = ours.filter(|(t, _)| !hidden(&t.resource)).map(|(t, s)| live(t, s)).collect();
                let unreadable = resources.iter().filter(|r| hidden(r)).map(|r| (r.clone(), "no right".to_owned()));
                Told::Objects(Arc::new(LiveObjects { objects, unreadable: unreadable.collect() }))
            }
            Ask::DryRunApply { object, .. } => {
                let target = self.target(object);
                if let Some(refusal) = self.refusals.get(&target.name) {
                    return Some(Told::DryApplied(Err(refusal.clone())));
                }
                let there = self.cluster.get(&target);
                let changes = there.map_or_else(Vec::new, |s| diff::changes(&s.object, object));
                let owner =
                    there.and_then(|s| s.object["metadata"]["labels"][LABEL_APPLICATION].as_str().map(str::to_owned));
                Told::DryApplied(Ok(Arc::new(WouldApply { uid: there.map(|s| s.uid.clone()), owner, changes })))
            }
            Ask::DryRunCreate { object } => Told::DryRun(Ok(object.clone())),
            Ask::Pods { .. } => Told::Pods(Arc::new(self.pods.clone())),
            Ask::Routes { .. } | Ask::Measure(_) | Ask::Workload { .. } => return None,
        })
    }
}

fn live(target: &ObjectRef, stored: &Stored) -> LiveObject {
    LiveObject {
        target: target.clone(),
        uid: stored.uid.clone(),
        resource_version: "1".into(),
        generation: stored.generation,
        metadata_digest: String::new(),
        deleting: false,
        owned: false,
        health: stored.health.clone(),
        steered: false,
        pods: BTreeMap::from([("app".into(), "web".into())]),
        annotations: serde_json::from_value(stored.object["metadata"]["annotations"].clone()).unwrap_or_default(),
    }
}

fn kind(name: &str) -> Option<ResourceType> {
    let core = |kind: &'static str, namespaced| ResourceType { kind: kind.into(), namespaced, ..ResourceType::SERVICE };
    Some(match name {
        "Rollout" => ResourceType::ROLLOUT,
        "Service" => ResourceType::SERVICE,
        "ConfigMap" => core("ConfigMap", true),
        "Namespace" => core("Namespace", false),
        "PersistentVolumeClaim" => core("PersistentVolumeClaim", true),
        "Deployment" => core("Deployment", true),
        _ => return None,
    })
}
