//! The kinds that are compared, and which of their fields the writes touch.
//!
//! Left out, as no decision of the controller depends on it and the simulation does not have it: defaults (an object carries
//! the fields that would get one, or they are taken off what is compared), validation by schema and immutable fields
//! (selectors are the same in every write), items of lists with owners of their own (lists of Kubernetes' own kinds have one
//! value each), and maps in objects of ours that lose their last key: a real server keeps those, and then notes an owner of the
//! empty map, or takes it off with the next apply.

use crate::cluster::Kind;
use serde_json::{Value, json};

/// The group of the copies of the product's definitions: the same schema, and no controller that works on them.
pub(super) const GROUP: &str = "compare.tidegate.dev";

/// A kind, with what is written to it.
#[derive(Debug, Clone)]
pub(super) struct Sort {
    pub(super) kind: Kind,
    pub(super) fields: Vec<Field>,
    /// Fields of the status; empty where the controller never writes it.
    pub(super) status: Vec<Field>,
    /// Fields that a real server sets by itself.
    pub(super) defaulted: &'static [&'static str],
    /// Maps with one owner as a whole.
    pub(super) atomic: &'static [&'static str],
    /// A controller of Kubernetes works on it too. It must have seen the newest generation before the next write.
    pub(super) followed: bool,
}

/// One field, and the values that it takes.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) at: Vec<&'static str>,
    pub(super) values: Vec<Value>,
    /// An object without it would be refused, or get a default.
    pub(super) always: bool,
    /// It keeps its map from being empty, where it must not be.
    anchor: bool,
}

impl Sort {
    /// With maps that are never empty. A real server notes who made a map, and refuses an apply without force that makes it
    /// again after it was empty; the simulation does not.
    pub(super) fn steady(&self) -> Self {
        let mut sort = self.clone();
        for field in &mut sort.fields {
            field.always |= field.anchor;
        }
        sort
    }
}

fn some<const N: usize>(at: &[&'static str], values: [Value; N]) -> Field {
    Field { at: at.to_vec(), values: values.into(), always: false, anchor: false }
}

fn anchor<const N: usize>(at: &[&'static str], values: [Value; N]) -> Field {
    Field { anchor: true, ..some(at, values) }
}

fn always<const N: usize>(at: &[&'static str], values: [Value; N]) -> Field {
    Field { always: true, ..some(at, values) }
}

/// Fields that all kinds have. No label or annotation is one by which the product, which may run here, knows what is its own.
fn metadata() -> Vec<Field> {
    vec![
        anchor(&["metadata", "labels", "a"], [json!("1"), json!("2")]),
        some(&["metadata", "labels", "compare.tidegate.dev/mark"], [json!("web"), json!("other")]),
        some(&["metadata", "annotations", "compare.tidegate.dev/note"], [json!("x"), json!("y"), json!("")]),
        anchor(&["metadata", "annotations", "b"], [json!("x")]),
        some(&["metadata", "finalizers"], [json!(["tidegate.dev/kept"])]),
    ]
}

fn sort(kind: Kind, fields: Vec<Field>) -> Sort {
    let fields = metadata().into_iter().chain(fields).collect();
    Sort { kind, fields, status: Vec::new(), defaulted: &[], atomic: &[], followed: false }
}

/// All of them.
pub(super) fn all() -> Vec<Sort> {
    vec![rollout(), service(), replica_set(), analysis_run(), config_map(), secret()]
}

fn rollout() -> Sort {
    let canary = ["spec", "strategy", "canary"];
    let within = |field: &'static str| [canary.as_slice(), &[field]].concat();
    let fields = vec![
        always(&["spec", "replicas"], [json!(1), json!(2), json!(3)]),
        always(&["spec", "selector", "matchLabels", "app"], [json!("web")]),
        always(&["spec", "template", "metadata", "labels", "app"], [json!("web")]),
        some(&["spec", "template", "metadata", "labels", "more"], [json!("1"), json!("2")]),
        always(
            &["spec", "template", "spec", "containers"],
            [json!([{"name": "web", "image": "web:1"}]), json!([{"name": "web", "image": "web:2"}])],
        ),
        some(&["spec", "template", "spec", "terminationGracePeriodSeconds"], [json!(20), json!(30)]),
        some(&["spec", "minReadySeconds"], [json!(0), json!(5)]),
        some(&["spec", "paused"], [json!(true), json!(false)]),
        some(&within("canaryService"), [json!("web-canary"), json!("other")]),
        always(&within("stableService"), [json!("web-stable")]),
        some(&within("steps"), [json!([{"setWeight": 20}, {"pause": {}}]), json!([{"setWeight": 40}])]),
    ];
    let status = vec![
        some(&["status", "phase"], [json!("Healthy"), json!("Progressing"), json!("Degraded")]),
        some(&["status", "message"], [json!("well"), json!("")]),
        some(&["status", "replicas"], [json!(0), json!(2)]),
        some(&["status", "availableReplicas"], [json!(1), json!(2)]),
        some(&["status", "currentPodHash"], [json!("a"), json!("b")]),
        some(&["status", "traffic", "live", "canary"], [json!(20), json!(0)]),
    ];
    let kind = Kind { group: GROUP, ..Kind::ROLLOUT };
    Sort { status, ..sort(kind, fields) }
}

fn analysis_run() -> Sort {
    let metric = |name: &str| json!([{"name": name, "provider": {"prometheus": {"query": "up"}}}]);
    let fields = vec![
        always(&["spec", "metrics"], [metric("a"), metric("b")]),
        some(&["spec", "terminate"], [json!(true), json!(false)]),
    ];
    let status = vec![
        some(&["status", "phase"], [json!("Running"), json!("Successful"), json!("Failed")]),
        some(&["status", "message"], [json!("well"), json!("")]),
        some(&["status", "metricResults"], [json!([{"name": "a", "count": 1}]), json!([{"name": "a", "count": 2}])]),
        some(&["status", "runSummary", "count"], [json!(1), json!(2)]),
    ];
    let kind = Kind { group: GROUP, ..Kind::ANALYSIS_RUN };
    Sort { status, ..sort(kind, fields) }
}

fn service() -> Sort {
    let port = |number: u16| json!([{"name": "http", "port": 80, "protocol": "TCP", "targetPort": number}]);
    let fields = vec![
        always(&["spec", "ports"], [port(8080)]),
        some(
            &["spec", "selector"],
            [json!({"app": "web"}), json!({"app": "web", "hash": "1"}), json!({"app": "web", "hash": "2"})],
        ),
        some(&["spec", "publishNotReadyAddresses"], [json!(true)]),
    ];
    let defaulted = &[
        "spec.clusterIP",
        "spec.clusterIPs",
        "spec.internalTrafficPolicy",
        "spec.ipFamilies",
        "spec.ipFamilyPolicy",
        "spec.sessionAffinity",
        "spec.type",
        "status",
    ];
    Sort { defaulted, atomic: &["spec.selector"], ..sort(Kind::SERVICE, fields) }
}

fn replica_set() -> Sort {
    let template = ["spec", "template"];
    let within = |more: &[&'static str]| [template.as_slice(), more].concat();
    // Whole, so that no default is missing.
    let container = json!([{
        "name": "web", "image": "web:1", "imagePullPolicy": "IfNotPresent", "resources": {},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"
    }]);
    let fields = vec![
        always(&["spec", "replicas"], [json!(0), json!(1), json!(2)]),
        always(&["spec", "selector"], [json!({"matchLabels": {"app": "web"}})]),
        always(&within(&["metadata", "labels", "app"]), [json!("web")]),
        anchor(&within(&["metadata", "annotations", "more"]), [json!("1"), json!("2")]),
        always(&within(&["spec", "containers"]), [container]),
        always(&within(&["spec", "dnsPolicy"]), [json!("ClusterFirst")]),
        always(&within(&["spec", "restartPolicy"]), [json!("Always")]),
        always(&within(&["spec", "schedulerName"]), [json!("default-scheduler")]),
        always(&within(&["spec", "securityContext"]), [json!({})]),
        always(&within(&["spec", "terminationGracePeriodSeconds"]), [json!(30), json!(20)]),
        some(&["spec", "minReadySeconds"], [json!(5), json!(6)]),
    ];
    Sort { defaulted: &["status"], atomic: &["spec.selector"], followed: true, ..sort(Kind::REPLICA_SET, fields) }
}

fn config_map() -> Sort {
    let fields = vec![
        anchor(&["data", "a"], [json!("1"), json!("2"), json!("")]),
        some(&["data", "b"], [json!("1"), json!("2")]),
    ];
    sort(Kind::CONFIG_MAP, fields)
}

fn secret() -> Sort {
    let fields = vec![
        anchor(&["data", "a"], [json!("MQ=="), json!("Mg==")]),
        some(&["data", "b"], [json!("MQ==")]),
        always(&["type"], [json!("Opaque")]),
    ];
    sort(Kind::SECRET, fields)
}
