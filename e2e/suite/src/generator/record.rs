//! What is kept of each request, and what follows from all of them.

use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One request.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    pub sent: Timestamp,
    /// Milliseconds from sending to the end of the answer.
    pub took_ms: f64,
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// Version and pod as the answer says; empty when it does not.
    pub version: Arc<str>,
    pub pod: Arc<str>,
    /// The answer is signed by the app for this request.
    pub signed: bool,
    /// Why there was no answer.
    pub trouble: Option<Trouble>,
    /// Number of the keep-alive client; `None` for the paced one.
    pub client: Option<usize>,
}

/// Error class of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Trouble {
    /// No connection to the router.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection ended within the answer.
    Broken,
    /// More requests in flight than the paced client allows: what it asks is not answered at the rate it asks.
    Overrun,
    /// An answer, but not of the app.
    Unsigned,
    /// The app's answer, and not a good one.
    Status,
}

/// A request that counts against us.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub why: Trouble,
    pub record: Record,
}

/// The requests that failed and should not have. `may_fail` says of which versions an own, signed failure is expected.
pub fn failures(records: &[Record], may_fail: impl Fn(&str) -> bool) -> Vec<Failure> {
    let judge = |r: &Record| match r.trouble {
        Some(trouble) => Some(trouble),
        None if !r.signed => Some(Trouble::Unsigned),
        None if r.status >= 400 && !may_fail(&r.version) => Some(Trouble::Status),
        None => None,
    };
    records.iter().filter_map(|r| Some(Failure { why: judge(r)?, record: r.clone() })).collect()
}

/// Which part of the requests one version answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Of the version.
    pub of_version: usize,
    /// Signed answers in all.
    pub requests: usize,
}

impl Share {
    /// 0 to 100; 0 without requests.
    pub fn percent(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        if self.requests == 0 { 0.0 } else { 100.0 * self.of_version as f64 / self.requests as f64 }
    }
}

/// The share of a version among signed answers.
pub fn share<'a>(records: impl Iterator<Item = &'a Record>, version: &str) -> Share {
    records.filter(|r| r.signed).fold(Share { of_version: 0, requests: 0 }, |share, record| Share {
        of_version: share.of_version + usize::from(&*record.version == version),
        requests: share.requests + 1,
    })
}

/// The longest time without a single good answer. Only as fine as requests are dense.
pub fn longest_gap(records: &[Record]) -> Option<Duration> {
    let mut answered: Vec<i128> = records
        .iter()
        .filter(|r| r.signed && r.status < 400)
        .map(|r| {
            #[expect(clippy::cast_possible_truncation, reason = "a request takes milliseconds")]
            let took = (r.took_ms * 1e6) as i128;
            r.sent.as_nanosecond() + took
        })
        .collect();
    answered.sort_unstable();
    let gap = answered.windows(2).map(|w| w[1] - w[0]).max()?;
    Some(Duration::from_nanos(u64::try_from(gap).ok()?))
}

/// Totals, for tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub requests: usize,
    /// Signed answers by version and status: `v1 200`.
    pub answers: BTreeMap<String, usize>,
    /// Requests without an answer of the app, by class and status.
    pub troubles: BTreeMap<String, usize>,
}

pub fn tally(records: &[Record]) -> Tally {
    let mut tally = Tally { requests: records.len(), ..Tally::default() };
    for r in records {
        let (map, key) = match r.trouble {
            Some(trouble) => (&mut tally.troubles, format!("{trouble:?}")),
            None if !r.signed => (&mut tally.troubles, format!("{:?} {}", Trouble::Unsigned, r.status)),
            None => (&mut tally.answers, format!("{} {}", r.version, r.status)),
        };
        *map.entry(key).or_default() += 1;
    }
    tally
}
