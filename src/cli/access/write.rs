//! The two writes that a verb may make: an annotation of a Rollout, and an image of its template.

use super::Cluster;
use crate::api::Rollout;
use crate::cli::failure::Failure;
use json_patch::Patch as Operations;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// Who writes, in managed fields.
const MANAGER: &str = "tidegate-cli";

/// What became of a write that is bound to the version that was read.
pub(crate) enum Guarded {
    Written,
    /// The object changed in between.
    Changed,
}

impl Cluster {
    /// Sets an annotation of the Rollout that was read, or takes it off. `as_read` binds it to that very version.
    pub(crate) async fn annotate(
        &self,
        rollout: &Rollout,
        key: &str,
        value: Option<&str>,
        as_read: bool,
    ) -> Result<Guarded, Failure> {
        // The uid is a precondition: the same name may be another object by now.
        let mut patch = json!({"metadata": {"uid": rollout.uid(), "annotations": {key: value}}});
        if as_read {
            patch["metadata"]["resourceVersion"] = json!(rollout.resource_version());
        }
        self.patch(rollout, &Patch::Merge(&patch)).await
    }

    /// Carries out tested operations on the Rollout.
    pub(crate) async fn edit(&self, rollout: &Rollout, operations: Operations) -> Result<Guarded, Failure> {
        self.patch(rollout, &Patch::<()>::Json(operations)).await
    }

    async fn patch<P: serde::Serialize + std::fmt::Debug>(
        &self,
        rollout: &Rollout,
        patch: &Patch<P>,
    ) -> Result<Guarded, Failure> {
        let what = format!("Rollout {}/{}", self.namespace, rollout.name_any());
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.rollouts();
        let name = rollout.name_any();
        self.answer(&what, async {
            match api.patch(&name, &params, patch).await {
                Ok(_) => Ok(Guarded::Written),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(Guarded::Changed),
                // How a failed `test` of a JSON patch is answered: invalid, without causes.
                Err(kube::Error::Api(status))
                    if status.code == 422 && status.details.as_ref().is_none_or(|d| d.causes.is_empty()) =>
                {
                    Ok(Guarded::Changed)
                }
                Err(error) => Err(error),
            }
        })
        .await
    }
}
