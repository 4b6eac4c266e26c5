//! What several scenarios assert.

use crate::cluster::{ApiError, Kind};
use crate::generator::{Failure, Record, share, tally};
use crate::stand::Stand;
use crate::traefik::AccessLog;
use jiff::Timestamp;
use serde_json::Value;

/// Points that a measured share may be off.
pub const TOLERANCE: f64 = 2.0;
/// Requests that a measured share needs.
pub const ENOUGH: usize = 500;

/// # Errors
/// When there are failures: how many of each sort, and the first ones.
pub fn no_failures(failures: &[Failure]) -> anyhow::Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let records: Vec<Record> = failures.iter().map(|f| f.record.clone()).collect();
    let first: Vec<String> = failures
        .iter()
        .take(5)
        .map(|f| {
            let r = &f.record;
            let client = r.client.map_or("paced".to_owned(), |c| format!("client {c}"));
            format!(
                "{} {:?} status {} version {:?} pod {} after {:.0} ms, {client}",
                r.sent, f.why, r.status, r.version, r.pod, r.took_ms
            )
        })
        .collect();
    anyhow::bail!("{} failed requests: {:?}\n  {}", failures.len(), tally(&records), first.join("\n  "))
}

/// # Errors
/// When the version's share of the requests sent in the window is not within [`TOLERANCE`] of the weight.
pub fn share_is(
    records: &[Record],
    (from, to): (Timestamp, Timestamp),
    version: &str,
    weight: u32,
) -> anyhow::Result<f64> {
    let share = share(records.iter().filter(|r| r.sent >= from && r.sent < to), version);
    anyhow::ensure!(share.requests >= ENOUGH, "only {} requests to measure a share with", share.requests);
    let off = (share.percent() - f64::from(weight)).abs();
    anyhow::ensure!(
        off <= TOLERANCE,
        "version {version} got {:.1} % of {} requests at weight {weight}",
        share.percent(),
        share.requests
    );
    Ok(share.percent())
}

/// Share of a Service in a weighted TraefikService, as its weights say; 0 when it is not listed or there is no object.
pub fn canary_weight(root: &Value, service: &str) -> i64 {
    entries(root, service).filter_map(|s| s["weight"].as_i64()).sum()
}

/// Entries of a Service in a weighted TraefikService.
pub fn entries<'a>(root: &'a Value, service: &str) -> impl Iterator<Item = &'a Value> {
    let services = root["spec"]["weighted"]["services"].as_array();
    services.into_iter().flatten().filter(move |s| s["name"] == service)
}

/// The canary's share in the app's TraefikService as it stands.
///
/// # Errors
/// When the API server refuses.
pub async fn written_weight(stand: &Stand) -> Result<i64, ApiError> {
    let root = stand.cluster.get(Kind::TRAEFIK_SERVICE, stand.namespace(), &stand.app.name).await?.unwrap_or_default();
    Ok(canary_weight(&root, &stand.app.canary()))
}

/// # Errors
/// When the router logged another number of requests than were answered.
pub async fn agrees(log: AccessLog, records: &[Record]) -> anyhow::Result<()> {
    let answered = records.iter().filter(|r| r.status != 0).count();
    let logged = log.settled(answered).await;
    let total: usize = logged.values().sum();
    anyhow::ensure!(
        total == answered,
        "{answered} requests were answered, Traefik's access log has {total}: {logged:?}"
    );
    Ok(())
}
