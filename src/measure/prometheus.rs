//! Prometheus: an instant query.
//!
//! The client crate ignores the HTTP status and drops warnings, so the raw answer is taken, both are looked at, and only
//! then its own types parse the data.

use super::{MeasureError, Obtained, Settings};
use crate::core::analysis::provider::prometheus_deadline;
use crate::core::analysis::reading::Reading;
use crate::http;
use prometheus_http_query::response::{Data, PromqlResult};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Largest answer that is read.
const ANSWER_BYTES: usize = 1024 * 1024;
/// Longest query that goes into the URL; a longer one goes into the body, since proxies limit URLs.
const QUERY_IN_URL_BYTES: usize = 2048;

/// Asks once.
pub(super) async fn ask(
    client: &reqwest::Client,
    settings: &Settings,
    provider: &Value,
) -> Result<Obtained, MeasureError> {
    let given = provider["address"].as_str().filter(|a| !a.is_empty());
    let address = given.or(settings.prometheus_address.as_deref()).ok_or_else(|| MeasureError::Provider {
        field: "provider.prometheus.address",
        problem: "it is missing, and the controller was started without --prometheus-address".to_owned(),
    })?;
    let url: url::Url = address.parse().map_err(|error: url::ParseError| MeasureError::Address {
        address: address.to_owned(),
        problem: error.to_string(),
    })?;
    if given.is_some() && !settings.allow_local_addresses {
        http::check_host(&url)
            .map_err(|error| MeasureError::Address { address: address.to_owned(), problem: error.to_string() })?;
    }
    let deadline = Duration::try_from(prometheus_deadline(provider).as_duration()).unwrap_or(Duration::from_secs(30));
    tokio::time::timeout(deadline, query(client, address, provider, deadline))
        .await
        .map_err(|_| MeasureError::TooSlow { address: address.to_owned(), seconds: deadline.as_secs() })?
}

async fn query(
    client: &reqwest::Client,
    address: &str,
    provider: &Value,
    deadline: Duration,
) -> Result<Obtained, MeasureError> {
    let unusable = |problem: String| MeasureError::Answer { address: address.to_owned(), problem };
    let refused = |problem: String| MeasureError::Request { address: address.to_owned(), problem };
    let query = provider["query"].as_str().unwrap_or_default();
    let prometheus =
        prometheus_http_query::Client::from(client.clone(), address).map_err(|e| refused(e.to_string()))?;
    let milliseconds = i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX);
    let mut request = prometheus.query(query).timeout(milliseconds);
    for (name, value) in headers(provider)? {
        request = request.header(name, value);
    }
    let sent = if query.len() > QUERY_IN_URL_BYTES { request.post_raw().await } else { request.get_raw().await };
    let response = sent.map_err(|e| refused(http::deepest(&e)))?;
    let status = response.status();
    let body = http::body(response, ANSWER_BYTES).await.map_err(|e| unusable(e.to_string()))?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() || answer["status"] != "success" {
        // Only Prometheus' own error text is shown: any other body could be anything that the address points to.
        let reason = match answer["error"].as_str() {
            Some(text) if answer["status"] == "error" => format!(": {}", text.chars().take(200).collect::<String>()),
            _ if status.is_success() => {
                return Err(unusable("it is not an answer of Prometheus' query API".to_owned()));
            }
            _ => String::new(),
        };
        return Err(MeasureError::Status { address: address.to_owned(), status: status.as_u16(), reason });
    }
    let result: PromqlResult = serde_json::from_value(answer["data"].clone()).map_err(|error| {
        let kind = answer["data"]["resultType"].as_str().unwrap_or("no type").chars().take(20).collect::<String>();
        unusable(format!("its result of type {kind} is no scalar, vector or matrix of numbers ({error})"))
    })?;
    Ok(Obtained { reading: reading(result.data()), metadata: metadata(query, &answer) })
}

fn reading(data: &Data) -> Reading {
    match data {
        Data::Scalar(sample) => Reading::Number(sample.value()),
        Data::Vector(series) => Reading::List(series.iter().map(|s| s.sample().value()).collect()),
        Data::Matrix(series) => Reading::List(
            series
                .iter()
                .flat_map(|s| s.samples().iter().map(prometheus_http_query::response::Sample::value))
                .collect(),
        ),
    }
}

/// The query as it was sent, and what Prometheus warned of (a partial answer, for one).
fn metadata(query: &str, answer: &Value) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::from([("ResolvedPrometheusQuery".to_owned(), query.to_owned())]);
    let warnings: Vec<_> = answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !warnings.is_empty() {
        metadata.insert("warnings".to_owned(), warnings.join("; ").chars().take(500).collect());
    }
    metadata
}

fn headers(provider: &Value) -> Result<Vec<(HeaderName, HeaderValue)>, MeasureError> {
    let wrong = |problem: String| MeasureError::Provider { field: "provider.prometheus.headers", problem };
    let mut headers = Vec::new();
    for header in provider["headers"].as_array().into_iter().flatten() {
        let (key, value) = (header["key"].as_str().unwrap_or_default(), header["value"].as_str().unwrap_or_default());
        let name: HeaderName = key.parse().map_err(|_| wrong(format!("{key:?} is not the name of a header")))?;
        let mut value: HeaderValue = value.parse().map_err(|_| wrong(format!("the value of {key} cannot be sent")))?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    let basic = &provider["authentication"]["basicAuth"];
    if !basic.is_null() {
        let pair = format!(
            "{}:{}",
            basic["username"].as_str().unwrap_or_default(),
            basic["password"].as_str().unwrap_or_default()
        );
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
        let mut value: HeaderValue =
            format!("Basic {encoded}").parse().map_err(|_| wrong("user and password cannot be sent".to_owned()))?;
        value.set_sensitive(true);
        headers.push((AUTHORIZATION, value));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::super::Measurer;
    use super::*;
    use crate::core::object::{ObjectRef, ResourceType};
    use crate::core::question::{Measure, Measured, Verdict};
    use crate::http::tests::{answer, server};
    use serde_json::json;

    fn local() -> Settings {
        Settings { allow_local_addresses: true, prometheus_address: None }
    }

    async fn take(settings: Settings, provider: Value, success: &str) -> Measured {
        let measure = Measure {
            run: ObjectRef::new(ResourceType::ANALYSIS_RUN, "shop", "r"),
            metric: "m".to_owned(),
            provider: json!({ "prometheus": provider }),
            success_condition: success.to_owned(),
            failure_condition: String::new(),
            due: jiff::Timestamp::UNIX_EPOCH,
        };
        Measurer::new(settings).expect("a client").take(&measure).await
    }

    /// The verdict on a body with HTTP status 200 and `result[0] > 0.9`.
    async fn verdict_on(body: &str) -> Measured {
        let (address, _) = server(vec![answer("200 OK", body)]).await;
        take(local(), json!({"address": address, "query": "up"}), "result[0] > 0.9").await
    }

    fn vector(values: &[&str]) -> String {
        let series: Vec<_> = values.iter().map(|v| json!({"metric": {}, "value": [1.0, v]})).collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": series}}).to_string()
    }

    #[tokio::test]
    async fn a4_each_answer_has_its_verdict_and_only_a_good_number_is_a_success() {
        for (body, verdict, value) in [
            (vector(&["0.95"]), Verdict::Successful, "[0.95]"),
            (vector(&["0.5"]), Verdict::Failed, "[0.5]"),
            (vector(&[]), Verdict::NoData, "[]"),
            (vector(&["NaN"]), Verdict::NoData, "[NaN]"),
            (vector(&["+Inf"]), Verdict::Inconclusive, "[+Inf]"),
            (json!({"status": "success", "data": {"resultType": "string", "result": [1, "1"]}}).to_string(), Verdict::Error, ""),
            (json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}}).to_string(), Verdict::Error, ""),
            (json!({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"], [2, "0.5"]]}]}}).to_string(), Verdict::Successful, "[1,0.5]"),
            (json!({"status": "success"}).to_string(), Verdict::Error, ""),
            ("<html>1</html>".to_owned(), Verdict::Error, ""),
            (String::new(), Verdict::Error, ""),
        ] {
            let measured = verdict_on(&body).await;
            assert_eq!((measured.verdict, measured.value.as_str()), (verdict, value), "{body}: {}", measured.message);
        }
    }

    #[tokio::test]
    async fn a_scalar_is_a_number() {
        let body = json!({"status": "success", "data": {"resultType": "scalar", "result": [1.0, "3"]}}).to_string();
        let (address, _) = server(vec![answer("200 OK", &body)]).await;
        let measured = take(local(), json!({"address": address, "query": "3"}), "result == 3").await;
        assert_eq!((measured.verdict, measured.value.as_str()), (Verdict::Successful, "3"));
    }

    #[tokio::test]
    async fn a4_a_success_in_the_body_of_an_http_error_is_an_error() {
        let (address, _) = server(vec![answer("503 Service Unavailable", &vector(&["1"]))]).await;
        let measured = take(local(), json!({"address": address, "query": "up"}), "").await;
        assert_eq!(measured.verdict, Verdict::Error);
        assert!(measured.message.ends_with("answered HTTP 503"), "{}", measured.message);
    }

    #[tokio::test]
    async fn prometheus_own_error_is_shown_and_no_other_body() {
        let body =
            json!({"status": "error", "errorType": "bad_data", "error": "parse error: unexpected )"}).to_string();
        let (address, _) = server(vec![answer("400 Bad Request", &body)]).await;
        let measured = take(local(), json!({"address": address, "query": "up)"}), "").await;
        assert!(measured.message.ends_with("answered HTTP 400: parse error: unexpected )"), "{}", measured.message);
        let (address, _) = server(vec![answer("403 Forbidden", "{\"secret\": \"token\"}")]).await;
        let measured = take(local(), json!({"address": address, "query": "up"}), "").await;
        assert!(!measured.message.contains("token"), "{}", measured.message);
    }

    #[tokio::test]
    async fn warnings_and_the_query_are_kept() {
        let body =
            json!({"status": "success", "warnings": ["partial"], "data": {"resultType": "vector", "result": []}})
                .to_string();
        let measured = verdict_on(&body).await;
        assert_eq!(measured.metadata["warnings"], "partial");
        assert_eq!(measured.metadata["ResolvedPrometheusQuery"], "up");
    }

    #[tokio::test]
    async fn headers_and_basic_auth_are_sent() {
        let (address, asked) = server(vec![answer("200 OK", &vector(&["1"]))]).await;
        let provider = json!({"address": address, "query": "up", "headers": [{"key": "X-Scope-OrgID", "value": "t1"}],
                              "authentication": {"basicAuth": {"username": "u", "password": "p"}}});
        take(local(), provider, "").await;
        let request = asked.lock().expect("no panic under it").join("").to_lowercase();
        assert!(request.contains("x-scope-orgid: t1") && request.contains("authorization: basic dtpw"), "{request}");
        assert!(request.starts_with("get /api/v1/query?query=up"), "{request}");
    }

    #[tokio::test]
    async fn a_server_that_is_slow_or_gone_is_an_error_with_its_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let silent = format!("http://{}", listener.local_addr().expect("bound"));
        let measured = take(local(), json!({"address": silent, "query": "up", "timeout": 1}), "").await;
        assert_eq!(measured.message, format!("{silent} did not answer within 1 s"));
        drop(listener);
        let measured = take(local(), json!({"address": silent, "query": "up", "timeout": 1}), "").await;
        assert_eq!(measured.verdict, Verdict::Error);
        assert!(measured.message.contains("refused"), "{}", measured.message);
    }

    #[tokio::test]
    async fn an_answer_beyond_the_cap_is_an_error() {
        let measured = verdict_on(&vector(&vec!["0.123456789"; 40_000])).await;
        assert!(measured.verdict == Verdict::Error && measured.message.contains("larger than"), "{}", measured.message);
    }

    #[tokio::test]
    async fn a_tenants_address_on_this_machine_is_refused_unless_allowed() {
        let (address, asked) = server(vec![answer("200 OK", &vector(&["1"]))]).await;
        let measured = take(Settings::default(), json!({"address": address, "query": "up"}), "").await;
        assert!(measured.message.contains("--allow-local-metric-addresses"), "{}", measured.message);
        assert!(asked.lock().expect("no panic under it").is_empty());
    }

    #[tokio::test]
    async fn without_any_address_the_remedy_is_named() {
        let measured = take(Settings::default(), json!({"query": "up"}), "").await;
        assert!(measured.message.contains("--prometheus-address"), "{}", measured.message);
    }
}
