//! What was measured, as a table and as JSON.

use super::plan::Plan;
use crate::generator::Tally;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// A time, in seconds, with what it is the time of.
#[derive(Debug, Clone, Serialize)]
struct Time {
    what: String,
    seconds: f64,
}

/// A measured share.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MeasuredShare {
    pub(super) version: String,
    /// As the step says, in percent.
    pub(super) weight: u32,
    /// As users got it, in percent.
    pub(super) percent: f64,
    pub(super) requests: usize,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) plan: Plan,
    pub(super) good: bool,
    seconds: f64,
    times: Vec<Time>,
    pub(super) shares: Vec<MeasuredShare>,
    /// By app: `web`, `blue-green`.
    pub(super) requests: Vec<(String, Tally)>,
    /// Requests that failed and should not have.
    pub(super) failed_requests: usize,
    /// As Traefik's access logs have them.
    pub(super) logged_requests: usize,
    pub(super) revert_commit: Option<String>,
    pub(super) kills: usize,
}

impl Figures {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            good: false,
            seconds: 0.0,
            times: Vec::new(),
            shares: Vec::new(),
            requests: Vec::new(),
            failed_requests: 0,
            logged_requests: 0,
            revert_commit: None,
            kills: 0,
        }
    }

    pub(super) fn time(&mut self, what: &str, time: Duration) {
        self.seconds(what, time.as_secs_f64());
    }

    pub(super) fn seconds(&mut self, what: &str, seconds: f64) {
        self.times.push(Time { what: what.to_owned(), seconds });
    }

    pub(super) fn finish(&mut self, good: bool, time: Duration) {
        self.good = good;
        self.seconds = time.as_secs_f64();
    }

    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)?)?)
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, value: String| {
            let _ = writeln!(text, "  {what:<46} {value:>10}");
        };
        for time in &self.times {
            line(&time.what, format!("{:.2} s", time.seconds));
        }
        for share in &self.shares {
            line(
                &format!("share of {} at weight {} ({} requests)", share.version, share.weight, share.requests),
                format!("{:.1} %", share.percent),
            );
        }
        for (app, tally) in &self.requests {
            line(&format!("{app}: requests"), tally.requests.to_string());
            for (answer, count) in tally.answers.iter().chain(&tally.troubles) {
                line(&format!("{app}:   version and status {answer}"), count.to_string());
            }
        }
        line("in Traefik's access log", self.logged_requests.to_string());
        line("failed and should not have", self.failed_requests.to_string());
        if self.kills > 0 {
            line("kills of the leading controller", self.kills.to_string());
        }
        if let Some(commit) = &self.revert_commit {
            line("revert commit", commit.chars().take(10).collect());
        }
        line("in all", format!("{:.1} s", self.seconds));
        text.push_str(if self.good { "  all of it happened" } else { "  NOT ALL OF IT HAPPENED" });
        text
    }
}
