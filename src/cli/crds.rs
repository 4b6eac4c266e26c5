//! `tidegate crds`: the CustomResourceDefinitions, made from the types in `api/`.

use crate::api;
use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `tidegate crds`.
#[derive(Debug, clap::Args)]
pub struct Crds {
    /// Writes one file per kind into this folder instead; without a value into `crds`.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = "crds")]
    write: Option<PathBuf>,
}

impl Crds {
    /// # Errors
    /// When the output cannot be written.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(folder) = self.write {
            return write_files(&folder);
        }
        let documents = all().iter().map(yaml).collect::<Result<String, _>>()?;
        std::io::stdout().write_all(documents.as_bytes()).context("cannot write to stdout")
    }
}

/// The definitions of all kinds.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        api::AnalysisRun::crd(),
        api::AnalysisTemplate::crd(),
        api::Application::crd(),
        api::AppProject::crd(),
        api::ClusterAnalysisTemplate::crd(),
        api::Rollout::crd(),
    ]
}

/// One definition as a YAML document, with the line that begins it.
///
/// # Errors
/// Never with the definitions of [`all`].
pub fn yaml(definition: &CustomResourceDefinition) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(definition).context("a definition that is no JSON")?;
    whole_numbers(&mut value);
    let text = serde_saphyr::to_string(&value).context("a definition that is no YAML")?;
    Ok(format!("---\n{}\n", text.trim_end()))
}

/// Writes `0.0` as `0`: bounds are floating-point in the client's type, and whole in what an API server gives back.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Ok(whole) = number.to_string().trim_end_matches(".0").parse::<i64>() {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Name of the file of a definition: `rollouts.tidegate.dev.yaml`.
fn file_name(definition: &CustomResourceDefinition) -> String {
    format!("{}.yaml", definition.metadata.name.as_deref().unwrap_or_default())
}

fn write_files(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for definition in all() {
        let path = folder.join(file_name(&definition));
        std::fs::write(&path, yaml(&definition)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    fn committed(definition: &CustomResourceDefinition) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(file_name(definition));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn the_committed_files_are_up_to_date() {
        let first_difference = |d: &CustomResourceDefinition| {
            let (have, want) = (committed(d), yaml(d).expect("YAML"));
            let mut lines = have.lines().zip(want.lines()).zip(1..);
            let differs = lines.find(|((have, want), _)| have != want);
            (have != want).then(|| format!("{}: {differs:?}", file_name(d)))
        };
        let stale: Vec<_> = all().iter().filter_map(first_difference).collect();
        assert_eq!(stale, Vec::<String>::new(), "run: cargo run -- crds --write");
    }

    #[test]
    fn kubernetes_reads_the_yaml_as_the_definition() {
        for definition in all() {
            let text = yaml(&definition).expect("YAML");
            let read = manifest::read(text.as_bytes(), manifest::Format::Yaml, &manifest::Limits::default());
            let objects: Vec<_> = read.expect("YAML that reads").objects.into_iter().map(|m| m.object).collect();
            let mut wanted = serde_json::to_value(&definition).expect("JSON");
            whole_numbers(&mut wanted);
            assert!(objects == [wanted], "{} reads as something else", file_name(&definition));
        }
    }

    /// kubectl keeps the object in an annotation, and annotations end at 262,144 bytes.
    #[test]
    fn a_plain_kubectl_apply_can_hold_each_of_them() {
        for definition in all() {
            let size = serde_json::to_string(&definition).expect("JSON").len();
            assert!(size < 200_000, "{} has {size} bytes", file_name(&definition));
        }
    }

    /// Defaults would be written into what git says, and fought over. `replicas` is what the scale subresource answers.
    #[test]
    fn no_field_but_replicas_has_a_default() {
        let mut defaults = Vec::new();
        for definition in all() {
            let value = serde_json::to_value(&definition).expect("JSON");
            find(&value["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "", &mut |path| defaults.push(path));
        }
        assert_eq!(defaults, ["spec.replicas"]);
    }

    fn find(value: &Value, path: &str, found: &mut impl FnMut(String)) {
        let schema = |v: &Value| v["type"].is_string() || v["x-kubernetes-int-or-string"].is_boolean();
        match value {
            Value::Object(fields) => {
                if schema(value) && !value["default"].is_null() {
                    found(path.trim_start_matches('.').to_owned());
                }
                for (name, inner) in fields {
                    let transparent = matches!(name.as_str(), "properties" | "items");
                    find(inner, &if transparent { path.to_owned() } else { format!("{path}.{name}") }, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|v| find(v, path, found)),
            _ => {}
        }
    }
}
