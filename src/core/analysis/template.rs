//! From templates to the spec of a run: nested templates are flattened, arguments are given their values (Y2, Y8).
//!
//! The result is a run's whole spec, checked as the run itself will check it, so that a Rollout with a broken template is
//! refused before anything moves.

use crate::core::refusal::Refusal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names a template as Rollouts and templates do: `{templateName, clusterScope}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateRef {
    pub name: String,
    /// A ClusterAnalysisTemplate instead of an AnalysisTemplate of the same namespace.
    pub cluster_scope: bool,
}

impl TemplateRef {
    /// Reads one entry of a `templates` list; `field` is its path.
    ///
    /// # Errors
    /// Without a name.
    pub fn parse(field: &str, value: &Value) -> Result<Self, Refusal> {
        match value["templateName"].as_str() {
            Some(name) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), cluster_scope: value["clusterScope"].as_bool().unwrap_or_default() })
            }
            _ => Err(Refusal::new(
                format!("{field}.templateName"),
                &"",
                "a reference without a name",
                "name an AnalysisTemplate, or a ClusterAnalysisTemplate with clusterScope: true",
            )),
        }
    }

    fn title(&self) -> String {
        format!("{} {}", if self.cluster_scope { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" }, self.name)
    }
}

/// What the one who starts the run adds to its templates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// Values by name; they win over a template's defaults. Names that no template declares have no effect, as upstream.
    pub args: BTreeMap<String, String>,
    /// Entries `{metricName}` and `{metricName, limit}`, added to the templates' own.
    pub dry_run: Vec<Value>,
    pub measurement_retention: Vec<Value>,
}

/// The spec of an AnalysisRun: `{metrics, args, dryRun, measurementRetention}`.
///
/// `find` returns the `spec` of a template, `None` when there is no such template. Deterministic: equal templates and
/// arguments give equal specs.
///
/// # Errors
/// All that is wrong with templates and arguments, together: missing templates, metrics of the same name, two defaults for one
/// argument, arguments without a value.
pub fn resolve(
    references: &[TemplateRef],
    find: &dyn Fn(&TemplateRef) -> Option<Arc<Value>>,
    given: &Given,
) -> Result<Value, Vec<Refusal>> {
    let mut flat = Flattened::default();
    flat.add(references, find);
    let Flattened { metrics, args, mut dry_run, mut retention, mut refusals, .. } = flat;
    let mut resolved = Vec::new();
    for (name, arg) in args {
        let mut entry = Map::from_iter([("name".to_owned(), json!(name))]);
        match (given.args.get(&name), arg.get("value"), arg.get("valueFrom")) {
            (Some(value), ..) => _ = entry.insert("value".to_owned(), json!(value)),
            (None, Some(value), _) if !value.is_null() => _ = entry.insert("value".to_owned(), value.clone()),
            (None, _, Some(from)) if !from.is_null() => _ = entry.insert("valueFrom".to_owned(), from.clone()),
            _ => refusals.push(Refusal::new(
                "args",
                &name,
                "the argument has no value",
                "give it one under the analysis' args, or a default in the template",
            )),
        }
        resolved.push(Value::Object(entry));
    }
    dry_run.extend(given.dry_run.iter().cloned());
    retention.extend(given.measurement_retention.iter().cloned());
    if metrics.is_empty() && refusals.is_empty() {
        let names = references.iter().map(TemplateRef::title).collect::<Vec<_>>().join(", ");
        refusals.push(Refusal::new("templates", &names, "together they have no metric", "add at least one metric"));
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut spec = json!({"metrics": metrics});
    for (field, list) in [("args", resolved), ("dryRun", dry_run), ("measurementRetention", retention)] {
        if !list.is_empty() {
            spec[field] = Value::Array(list);
        }
    }
    super::spec::RunSpec::parse(&spec)?;
    Ok(spec)
}

#[derive(Default)]
struct Flattened {
    seen: Vec<TemplateRef>,
    metrics: Vec<Value>,
    /// Where each metric comes from, for the refusal of a second one.
    origins: BTreeMap<String, String>,
    args: BTreeMap<String, Value>,
    dry_run: Vec<Value>,
    retention: Vec<Value>,
    refusals: Vec<Refusal>,
}

impl Flattened {
    fn add(&mut self, references: &[TemplateRef], find: &dyn Fn(&TemplateRef) -> Option<Arc<Value>>) {
        for reference in references {
            // Named twice counts once (Y8), which also ends any circle of references.
            if self.seen.contains(reference) {
                continue;
            }
            self.seen.push(reference.clone());
            let title = reference.title();
            let Some(spec) = find(reference) else {
                self.refusals.push(Refusal::new(
                    "templates",
                    &reference.name,
                    format!("there is no {title}"),
                    "create it, or name another one",
                ));
                continue;
            };
            for metric in entries(&spec, "metrics") {
                let name = metric["name"].as_str().unwrap_or_default().to_owned();
                if let Some(other) = self.origins.insert(name.clone(), title.clone()) {
                    self.refusals.push(Refusal::new(
                        "templates",
                        &name,
                        format!("both {other} and {title} have a metric of this name"),
                        "rename one of them",
                    ));
                }
                self.metrics.push(metric.clone());
            }
            for arg in entries(&spec, "args") {
                self.add_arg(&title, arg);
            }
            self.dry_run.extend(entries(&spec, "dryRun").iter().cloned());
            self.retention.extend(entries(&spec, "measurementRetention").iter().cloned());
            let mut nested = Vec::new();
            for (i, entry) in entries(&spec, "templates").iter().enumerate() {
                match TemplateRef::parse(&format!("{title} spec.templates[{i}]"), entry) {
                    Ok(reference) => nested.push(reference),
                    Err(refusal) => self.refusals.push(refusal),
                }
            }
            self.add(&nested, find);
        }
    }

    fn add_arg(&mut self, title: &str, arg: &Value) {
        let Some(name) = arg["name"].as_str() else {
            self.refusals.push(Refusal::new(
                format!("{title} spec.args"),
                arg,
                "an argument without a name",
                "give it a name",
            ));
            return;
        };
        let has_default = |a: &Value| !a["value"].is_null() || !a["valueFrom"].is_null();
        match self.args.get(name) {
            Some(known) if has_default(known) && has_default(arg) && known != arg => {
                self.refusals.push(Refusal::new(
                    "templates",
                    &name,
                    format!("{title} gives this argument another default than a template before it"),
                    "keep one of the defaults",
                ));
            }
            Some(known) if has_default(known) => {}
            _ => _ = self.args.insert(name.to_owned(), arg.clone()),
        }
    }
}

fn entries<'a>(spec: &'a Value, field: &str) -> &'a [Value] {
    spec[field].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> TemplateRef {
        TemplateRef { name: name.to_owned(), cluster_scope: false }
    }

    fn metric(name: &str) -> Value {
        json!({"name": name, "provider": {"prometheus": {"address": "http://p:9090", "query": "up"}}})
    }

    fn resolve_all(templates: &[(&str, Value)], args: &[(&str, &str)]) -> Result<Value, Vec<Refusal>> {
        let references: Vec<_> = templates.first().map(|(name, _)| named(name)).into_iter().collect();
        let find = |r: &TemplateRef| templates.iter().find(|(n, _)| *n == r.name).map(|(_, s)| Arc::new(s.clone()));
        let args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        resolve(&references, &find, &Given { args, ..Given::default() })
    }

    #[test]
    fn y2_the_callers_arguments_win_over_defaults() {
        let template =
            json!({"metrics": [metric("m")], "args": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]});
        let spec = resolve_all(&[("t", template)], &[("b", "3"), ("unknown", "x")]).expect("complete");
        assert_eq!(spec["args"], json!([{"name": "a", "value": "1"}, {"name": "b", "value": "3"}]));
    }

    #[test]
    fn y8_nested_templates_are_flattened_once_even_in_a_circle() {
        let inner = json!({"metrics": [metric("inner")], "templates": [{"templateName": "outer"}]});
        let outer =
            json!({"metrics": [metric("outer")], "templates": [{"templateName": "inner"}, {"templateName": "inner"}]});
        let spec = resolve_all(&[("outer", outer), ("inner", inner)], &[]).expect("complete");
        assert_eq!(spec["metrics"], json!([metric("outer"), metric("inner")]));
    }

    #[test]
    fn y8_equal_metric_names_other_defaults_and_missing_values_are_refused_together() {
        let inner = json!({"metrics": [metric("m")], "args": [{"name": "a", "value": "2"}]});
        let outer = json!({"metrics": [metric("m")], "args": [{"name": "a", "value": "1"}, {"name": "b"}],
                           "templates": [{"templateName": "inner"}, {"templateName": "gone"}]});
        let refusals = resolve_all(&[("outer", outer), ("inner", inner)], &[]).expect_err("four things are wrong");
        let values: Vec<_> = refusals.iter().map(|r| r.value.as_str()).collect();
        assert_eq!(values, ["m", "a", "gone", "b"]);
    }
}
