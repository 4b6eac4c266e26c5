//! Which providers exist, and what of each is supported. What is not is refused by name.

use crate::core::refusal::Refusal;
use crate::core::scalar::Span;
use serde_json::Value;

/// What is wrong with a provider object such as `{prometheus: {...}}`; `field` is its path.
pub(super) fn check(field: &str, provider: &Value) -> Vec<Refusal> {
    let given: Vec<_> = provider.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()).collect();
    match given.as_slice() {
        [(name, value)] if name.as_str() == "prometheus" => prometheus(&format!("{field}.prometheus"), value),
        [(name, _)] => vec![Refusal::new(
            format!("{field}.{name}"),
            &"",
            "this provider is not supported",
            "use prometheus, or bring the value into Prometheus",
        )],
        [] => vec![Refusal::new(field, &"", "there is no provider", "add one, such as prometheus")],
        several => {
            let names = several.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", ");
            vec![Refusal::new(field, &names, "a metric has exactly one provider", "keep one of them")]
        }
    }
}

fn prometheus(field: &str, value: &Value) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |name: &str, problem: &str, remedy: &str| {
        let shown = &value[name];
        let shown = if shown.is_null() { String::new() } else { shown.to_string() };
        refusals.push(Refusal::new(format!("{field}.{name}"), &shown, problem, remedy));
    };
    if value["query"].as_str().is_none_or(|q| q.trim().is_empty()) {
        refuse("query", "there is no query", "write a PromQL query");
    }
    if let Some(address) = value["address"].as_str().filter(|a| !a.is_empty()) {
        let authority = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
        match authority {
            None | Some("") => {
                refuse("address", "not an http or https URL", "write it like http://prometheus.monitoring:9090");
            }
            Some(rest) if rest.split('/').next().is_some_and(|host| host.contains('@')) => {
                refuse("address", "it carries a credential", "use authentication.basicAuth");
            }
            Some(_) => {}
        }
    }
    match &value["timeout"] {
        Value::Null => {}
        timeout => {
            let seconds = timeout.as_i64().or_else(|| timeout.as_str()?.parse().ok());
            if !seconds.is_some_and(|s| (0..=LONGEST_TIMEOUT_S).contains(&s)) {
                refuse("timeout", "not a number of seconds from 0 to 300", "write a whole number");
            }
        }
    }
    if value["insecure"].as_bool() == Some(true) {
        refuse(
            "insecure",
            "certificates are always verified",
            "remove it, and use a certificate that is trusted, or http inside the cluster",
        );
    }
    if !value["rangeQuery"].is_null() {
        refuse("rangeQuery", "range queries are not supported yet", "use an instant query, such as avg_over_time(...)");
    }
    for way in ["oauth2", "sigv4"] {
        if !value["authentication"][way].is_null() {
            refusals.push(Refusal::new(
                format!("{field}.authentication.{way}"),
                &"",
                "this way to log in is not supported yet",
                "use basicAuth or a header",
            ));
        }
    }
    refusals
}

/// Longest that a query may be waited for, in seconds.
const LONGEST_TIMEOUT_S: i64 = 300;

/// How long a query may take: its own timeout, else 30 s as upstream.
pub fn prometheus_deadline(value: &Value) -> Span {
    let timeout = &value["timeout"];
    let seconds = timeout.as_u64().or_else(|| timeout.as_str()?.parse().ok()).and_then(|s| u32::try_from(s).ok());
    seconds.filter(|s| *s > 0).map_or(Span::from_secs(30), Span::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (provider, field) in [
            (json!({}), "p"),
            (json!({"web": {}, "job": {}}), "p"),
            (json!({"newRelic": {}}), "p.newRelic"),
            (json!({"prometheus": {"address": "http://p"}}), "p.prometheus.query"),
            (json!({"prometheus": {"address": "file:///etc/passwd", "query": "up"}}), "p.prometheus.address"),
            (json!({"prometheus": {"address": "http://u:p@host", "query": "up"}}), "p.prometheus.address"),
            (json!({"prometheus": {"query": "up", "timeout": -1}}), "p.prometheus.timeout"),
            (json!({"prometheus": {"query": "up", "insecure": true}}), "p.prometheus.insecure"),
            (json!({"prometheus": {"query": "up", "rangeQuery": {}}}), "p.prometheus.rangeQuery"),
            (
                json!({"prometheus": {"query": "up", "authentication": {"sigv4": {}}}}),
                "p.prometheus.authentication.sigv4",
            ),
        ] {
            let fields: Vec<_> = check("p", &provider).into_iter().map(|r| r.field).collect();
            assert_eq!(fields, [field], "{provider}");
        }
    }

    #[test]
    fn a_query_with_headers_and_basic_auth_is_accepted() {
        let provider = json!({"prometheus": {"address": "http://p:9090", "query": "up", "timeout": 5, "insecure": false,
            "headers": [{"key": "X-Scope-OrgID", "value": "t"}], "authentication": {"basicAuth": {"username": "u", "password": "p"}}}});
        assert_eq!(check("p", &provider), []);
    }
}
