//! What operators see of the process: logs as JSON lines, `/metrics`, `/healthz` and `/readyz`.
//!
//! Label values are closed sets (kinds, reasons, outcomes), never names that users choose: the number of series is bounded by the
//! code. A failure is logged once, where it is handled.

mod health;
mod log;
mod metrics;

pub use health::{Health, serve};
pub use log::{LogFormat, init};
pub use metrics::{Metrics, Outcome};
