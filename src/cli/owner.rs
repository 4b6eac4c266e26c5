//! Whose a part of a Rollout is: what git writes is changed in git, or it is put back.

use crate::api::Rollout;
use kube::ResourceExt;
use serde_json::Value;

/// Field managers that apply what a repository says.
fn from_git(manager: &str) -> bool {
    matches!(manager, "tidegate-sync" | "kustomize-controller" | "helm-controller") || manager.starts_with("argocd")
}

/// Who of them owns the field at this path of keys, such as `spec`, `template`.
pub(super) fn git_owner(rollout: &Rollout, path: &[&str]) -> Option<String> {
    let owns = |fields: &Value| {
        let mut at = fields;
        for key in path {
            match at.get(format!("f:{key}")) {
                Some(inner) => at = inner,
                None => return false,
            }
        }
        true
    };
    let entries = rollout.managed_fields().iter();
    let mut owners = entries.filter(|e| e.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)));
    owners.find_map(|e| e.manager.clone().filter(|manager| from_git(manager)))
}

/// Where to change it instead.
pub(super) fn place(rollout: &Rollout) -> String {
    let label = crate::core::application::wanted::LABEL_APPLICATION;
    match rollout.labels().get(label) {
        Some(application) => format!("in the repository of Application {application}"),
        None => "in the repository that it comes from".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A Rollout whose fields these managers own.
    pub(crate) fn managed(fields: &[(&str, Value)]) -> Rollout {
        let fields: Vec<Value> =
            fields.iter().map(|(m, f)| json!({"manager": m, "operation": "Apply", "fieldsV1": f})).collect();
        serde_json::from_value(json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "labels": {"tidegate.dev/application": "shop"}, "managedFields": fields},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "app:1"}, {"name": "log", "image": "log:1"}]}}}}))
        .expect("a Rollout")
    }

    #[test]
    fn git_owns_what_its_applier_wrote_and_no_more() {
        let template = json!({"f:spec": {"f:template": {"f:spec": {}}}});
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let path = ["spec", "template"];
        assert_eq!(git_owner(&managed(&[("kubectl", template.clone()), ("tidegate-sync", replicas)]), &path), None);
        assert_eq!(
            git_owner(&managed(&[("tidegate-sync", template.clone())]), &path).as_deref(),
            Some("tidegate-sync")
        );
        let argo = managed(&[("argocd-controller", template)]);
        assert_eq!(git_owner(&argo, &path).as_deref(), Some("argocd-controller"));
        assert_eq!(place(&argo), "in the repository of Application shop");
    }
}
