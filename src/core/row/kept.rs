//! How rows are kept between decisions.
//!
//! As values they take three to ten times the memory of what they say: each map of labels is half a kilobyte, and an untyped spec
//! several. A decision reads a dozen rows of thousands, so kinds of which every Rollout has some are kept packed, and opened for
//! the decision. Kinds that are read all at once stay open.

use super::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;

/// What a cache keeps of a row.
pub trait Keep<R>: Send + Sync + 'static {
    fn keep(row: R) -> Self;

    /// The row as it was.
    fn open(&self) -> Arc<R>;

    /// `resourceVersion`, as a number.
    fn version(&self) -> u64;
}

/// Versions are opaque only across resources; within one they are numbers (Kubernetes 1.35 and later say so). One that is
/// not counts as oldest.
pub fn number(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or(0)
}

impl<R: Row> Keep<R> for Arc<R> {
    fn keep(row: R) -> Self {
        Self::new(row)
    }

    fn open(&self) -> Arc<R> {
        self.clone()
    }

    fn version(&self) -> u64 {
        number(&self.meta().resource_version)
    }
}

/// A row as bytes.
#[derive(Debug, Clone)]
pub struct Packed<R> {
    version: u64,
    /// MessagePack: it holds untyped values too, and no names of a row's own fields.
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> R>,
}

impl<R: Row + Serialize + DeserializeOwned> Keep<R> for Packed<R> {
    fn keep(row: R) -> Self {
        let bytes = rmp_serde::to_vec(&row).expect("a row is plain data");
        Self { version: number(&row.meta().resource_version), bytes: bytes.into(), of: PhantomData }
    }

    fn open(&self) -> Arc<R> {
        Arc::new(rmp_serde::from_slice(&self.bytes).expect("what was packed here"))
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// Untyped values that several hold, as the value that they are.
pub(super) mod shared {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;
    use std::sync::Arc;

    pub(in super::super) fn serialize<S: Serializer>(value: &Arc<Value>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Value>, D::Error> {
        Value::deserialize(from).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::{AnalysisRunRow, EndpointSliceRow, ReplicaSetRow, ServiceRow, TraefikServiceRow};
    use serde_json::{Value, json};

    fn comes_back<R: Row + Serialize + DeserializeOwned>(mut object: Value) {
        object["metadata"] = json!({
            "name": "web-x", "namespace": "shop", "uid": "u1", "resourceVersion": "17", "generation": 3,
            "creationTimestamp": "2026-01-02T03:04:05Z", "deletionTimestamp": "2026-01-02T03:04:06.5Z",
            "finalizers": ["a/b"], "labels": {"app": "web", "kubernetes.io/service-name": "web"}, "annotations": {"note": ""},
            "ownerReferences": [{"kind": "Rollout", "name": "web", "uid": "u2", "controller": true}],
        });
        let row = R::read(&object).expect("a whole object");
        let packed = Packed::keep(row.clone());
        assert_eq!((packed.open().as_ref(), packed.version()), (&row, 17));
    }

    #[test]
    fn a_packed_row_comes_back_as_it_was() {
        comes_back::<ServiceRow>(json!({"spec": {"selector": {"app": "web"}, "type": "ExternalName", "ports": [
            {"port": 80, "targetPort": "http", "name": "web"}, {"port": 81, "targetPort": 8081, "protocol": "UDP"}, {"port": 82}]}}));
        comes_back::<EndpointSliceRow>(json!({"ports": [{"port": 8080}], "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "p"}}]}));
        comes_back::<ReplicaSetRow>(
            json!({"spec": {"replicas": 2, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "app", "image": "app:1"}]}}}, "status": {"replicas": 2, "availableReplicas": 1}}),
        );
        comes_back::<TraefikServiceRow>(
            json!({"spec": {"weighted": {"services": [{"name": "a", "port": 80, "weight": 3}]}}}),
        );
        let big = json!({"int": i64::MIN, "big": u64::MAX, "half": 0.5, "none": null, "list": [true, {"": []}]});
        comes_back::<AnalysisRunRow>(json!({"spec": big, "status": {"phase": "Running"}}));
        comes_back::<AnalysisRunRow>(json!({}));
    }
}
