//! Arguments: `{{args.name}}` in a metric's text.

use crate::core::refusal::Refusal;
use serde_json::Value;
use std::collections::BTreeMap;

/// Puts arguments into every string below `value`. `field` is the path of `value`, for refusals.
///
/// # Errors
/// One refusal for each argument that has no value, at the field that names it.
pub fn substitute(field: &str, value: &Value, args: &BTreeMap<String, String>) -> Result<Value, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let put_in = put_in(field, value, args, &mut refusals);
    if refusals.is_empty() { Ok(put_in) } else { Err(refusals) }
}

fn put_in(field: &str, value: &Value, args: &BTreeMap<String, String>, refusals: &mut Vec<Refusal>) -> Value {
    match value {
        Value::String(text) => Value::String(put_into_text(field, text, args, refusals)),
        Value::Array(items) => {
            let each = items.iter().enumerate().map(|(i, v)| put_in(&format!("{field}[{i}]"), v, args, refusals));
            Value::Array(each.collect())
        }
        Value::Object(fields) => {
            let each = fields.iter().map(|(k, v)| (k.clone(), put_in(&format!("{field}.{k}"), v, args, refusals)));
            Value::Object(each.collect())
        }
        other => other.clone(),
    }
}

fn put_into_text(field: &str, text: &str, args: &BTreeMap<String, String>, refusals: &mut Vec<Refusal>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = from.find("}}") else {
            rest = from;
            break;
        };
        let inner = from[2..end].trim();
        match inner.strip_prefix("args.") {
            Some(name) => match args.get(name) {
                // One pass only: what an argument holds is text, never again a reference.
                Some(value) => out.push_str(value),
                None => refusals.push(Refusal::new(
                    field,
                    &text,
                    format!("the argument {name} has no value"),
                    "give it a value or a default under args",
                )),
            },
            // Other braces belong to the query's own language, such as a legend format.
            None => out.push_str(&from[..end + 2]),
        }
        rest = &from[end + 2..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args() -> BTreeMap<String, String> {
        BTreeMap::from([("service".to_owned(), "web".to_owned()), ("loop".to_owned(), "{{args.loop}}".to_owned())])
    }

    #[test]
    fn e9_an_argument_is_put_in_wherever_text_stands_and_only_once() {
        let metric = json!({"query": "rate({service=\"{{args.service}}\"})", "n": 3, "list": ["{{ args.service }}", "{{args.loop}}"]});
        let wanted = json!({"query": "rate({service=\"web\"})", "n": 3, "list": ["web", "{{args.loop}}"]});
        assert_eq!(substitute("metrics[0]", &metric, &args()), Ok(wanted));
    }

    #[test]
    fn e9_every_argument_without_a_value_is_refused_at_its_field() {
        let metric = json!({"a": "{{args.nope}}", "b": {"c": ["{{args.neither}}"]}});
        let refusals = substitute("metrics[0]", &metric, &args()).expect_err("two are missing");
        assert_eq!(
            refusals.iter().map(|r| r.field.as_str()).collect::<Vec<_>>(),
            ["metrics[0].a", "metrics[0].b.c[0]"]
        );
    }
}
