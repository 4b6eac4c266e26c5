//! Measuring: one request to a metric's provider, and its verdict.
//!
//! The problem: servers that a tenant names are slow, wrong, huge or hostile, and every one of those must end in a verdict
//! that is never a success by accident (A4). The rule kept here: one attempt has a deadline and a cap, its answer is parsed
//! strictly, and conditions are evaluated on a thread of their own with a deadline. What a verdict means for the run is
//! decided in `core/analysis`. One file per provider.

mod prometheus;

use crate::core::analysis::condition;
use crate::core::analysis::reading::Reading;
use crate::core::question::{Measure, Measured, Verdict};
use crate::http::{self, Destinations, HttpError};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Measurements that are taken at the same time: bounded by memory, 1 MiB of answer each.
const AT_ONCE: usize = 32;
/// Evaluations at the same time. One that overruns its deadline keeps its thread until it ends, hence few.
const EVALUATIONS_AT_ONCE: usize = 2;
/// Longest evaluation; the limits of conditions keep all but hostile ones below a millisecond.
const EVALUATION: Duration = Duration::from_secs(5);

/// What an administrator decides about measuring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Asked when a metric names no address: `--prometheus-address`.
    pub prometheus_address: Option<String>,
    /// Allows loopback, link-local and metadata addresses: `--allow-local-metric-addresses`.
    pub allow_local_addresses: bool,
}

/// Takes measurements. One for the process, shared by all workers.
#[derive(Debug)]
pub struct Measurer {
    settings: Settings,
    client: reqwest::Client,
    permits: Semaphore,
    evaluations: std::sync::Arc<Semaphore>,
}

/// What a provider answered.
#[derive(Debug, Clone, PartialEq)]
struct Obtained {
    reading: Reading,
    metadata: BTreeMap<String, String>,
}

/// Why there is no answer. All of these are the verdict Error.
#[derive(Debug, thiserror::Error)]
enum MeasureError {
    #[error("{field}: {problem}")]
    Provider { field: &'static str, problem: String },
    #[error("{address} cannot be asked: {problem}")]
    Address { address: String, problem: String },
    #[error("{address} did not answer: {problem}")]
    Request { address: String, problem: String },
    #[error("{address} did not answer within {seconds} s")]
    TooSlow { address: String, seconds: u64 },
    #[error("{address} answered HTTP {status}{reason}")]
    Status { address: String, status: u16, reason: String },
    #[error("{address} gave an answer that is not usable: {problem}")]
    Answer { address: String, problem: String },
}

impl Measurer {
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(settings: Settings) -> Result<Self, HttpError> {
        let destinations = if settings.allow_local_addresses { Destinations::Trusted } else { Destinations::Guarded };
        Ok(Self {
            settings,
            client: http::client(destinations)?,
            permits: Semaphore::new(AT_ONCE),
            evaluations: std::sync::Arc::new(Semaphore::new(EVALUATIONS_AT_ONCE)),
        })
    }

    /// Waits until the measurement is due, takes it, and judges it. Dropping the future cancels it.
    pub async fn take(&self, measure: &Measure) -> Measured {
        let wait = measure.due.duration_since(crate::clock::now());
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
        let _permit = self.permits.acquire().await.expect("it is never closed");
        let started = crate::clock::now();
        match self.ask(measure).await {
            Ok(obtained) => {
                let (verdict, message) = self.judge(measure, obtained.reading.clone()).await;
                let value = obtained.reading.text();
                measured(started, verdict, value, message, obtained.metadata)
            }
            Err(error) => measured(started, Verdict::Error, String::new(), error.to_string(), BTreeMap::new()),
        }
    }

    async fn ask(&self, measure: &Measure) -> Result<Obtained, MeasureError> {
        match &measure.provider["prometheus"] {
            serde_json::Value::Null => Err(MeasureError::Provider {
                field: "provider",
                problem: "it is not supported; use prometheus".to_owned(),
            }),
            prometheus => prometheus::ask(&self.client, &self.settings, prometheus).await,
        }
    }

    async fn judge(&self, measure: &Measure, reading: Reading) -> (Verdict, String) {
        let permit = self.evaluations.clone().acquire_owned();
        let (success, failure) = (measure.success_condition.clone(), measure.failure_condition.clone());
        let judged = async {
            let permit = permit.await.expect("it is never closed");
            tokio::task::spawn_blocking(move || {
                // Held by the thread and not by the waiter, so that an overrun keeps counting.
                let _permit = permit;
                condition::judge(&success, &failure, &reading)
            })
            .await
        };
        match tokio::time::timeout(EVALUATION, judged).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => (Verdict::Error, "the evaluation of the condition broke off".to_owned()),
            Err(_) => {
                let message = format!("the condition took longer than {} s", EVALUATION.as_secs());
                (Verdict::Error, message)
            }
        }
    }
}

fn measured(
    started: Timestamp,
    verdict: Verdict,
    value: String,
    message: String,
    metadata: BTreeMap<String, String>,
) -> Measured {
    Measured { started, finished: crate::clock::now(), verdict, value, message, metadata }
}
