//! Selector and template: do the Rollout's pods belong to it?

use super::reader::Reader;
use crate::api::{LabelSelector, LabelSelectorRequirement};
use serde_json::Value;

/// Labels that the controller sets itself, so that neither selector nor template may.
const OURS: &str = crate::core::rollout::LABEL_HASH;

/// Each with the path under which a person finds it.
pub(super) fn check(
    reader: &mut Reader,
    (selector_at, selector): (&str, Option<&LabelSelector>),
    (template_at, template): (&str, &Value),
) {
    if !template.is_object() {
        reader.refuse(template_at, &"", "it is missing", "write a pod template, as a Deployment has it");
    }
    let remedy = "select the labels of the pod template";
    let Some(selector) = selector else {
        reader.refuse(selector_at, &"", "it is missing", remedy);
        return;
    };
    if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
        reader.refuse(selector_at, &"{}", "it selects every pod", remedy);
        return;
    }
    let labels_at = format!("{template_at}.metadata.labels");
    let labels = &template["metadata"]["labels"];
    if let Some(value) = selector.match_labels.get(OURS) {
        reader.refuse(
            &format!("{selector_at}.matchLabels.{OURS}"),
            value,
            "the controller sets this label itself",
            "remove it",
        );
    }
    if !labels[OURS].is_null() {
        let field = format!("{labels_at}.{OURS}");
        reader.refuse(&field, &labels[OURS], "the controller sets this label itself", "remove it");
    }
    let operators_known = operators(reader, selector_at, selector);
    if !template.is_object() || !operators_known {
        return;
    }
    let label = |key: &str| labels[key].as_str();
    for (key, value) in &selector.match_labels {
        if label(key) != Some(value) && key != OURS {
            reader.refuse(
                &labels_at,
                labels,
                format!("{selector_at} wants {key}: {value}"),
                "give the template the labels that are selected",
            );
        }
    }
    for requirement in selector.match_expressions.iter().filter(|r| !holds(r, label(&r.key))) {
        reader.refuse(
            &labels_at,
            labels,
            format!("{selector_at} wants {} {} {:?}", requirement.key, requirement.operator, requirement.values),
            "give the template the labels that are selected",
        );
    }
}

fn operators(reader: &mut Reader, selector_at: &str, selector: &LabelSelector) -> bool {
    let mut known = true;
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let field = format!("{selector_at}.matchExpressions[{index}]");
        let fine = match requirement.operator.as_str() {
            "In" | "NotIn" => !requirement.values.is_empty(),
            "Exists" | "DoesNotExist" => requirement.values.is_empty(),
            _ => {
                let remedy = "give In, NotIn, Exists or DoesNotExist";
                reader.refuse(&format!("{field}.operator"), &requirement.operator, "it is not known", remedy);
                known = false;
                true
            }
        };
        if !fine {
            let shown = format!("{:?}", requirement.values);
            let remedy = "In and NotIn need values, Exists and DoesNotExist have none";
            reader.refuse(&format!("{field}.values"), &shown, "they do not fit the operator", remedy);
            known = false;
        }
    }
    known
}

fn holds(requirement: &LabelSelectorRequirement, label: Option<&str>) -> bool {
    let listed = label.is_some_and(|l| requirement.values.iter().any(|v| v == l));
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => label.is_some(),
        _ => label.is_none(),
    }
}
