//! What a run found, for people and for machines.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// One scenario's outcome.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    pub family: &'static str,
    pub scenario: &'static str,
    /// Ids of the rules that it checks.
    pub rules: Vec<&'static str>,
    pub verdict: Verdict,
    pub seconds: f64,
    /// Why it failed or did not run; empty when it passed.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Passed,
    Failed,
    NotRun,
}

/// All outcomes of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub passed: usize,
    pub failed: usize,
    pub not_run: usize,
    pub seconds: f64,
    pub scenarios: Vec<Entry>,
}

impl Report {
    pub fn add(&mut self, entry: Entry) {
        *match entry.verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Failed => &mut self.failed,
            Verdict::NotRun => &mut self.not_run,
        } += 1;
        self.seconds += entry.seconds;
        self.scenarios.push(entry);
    }

    /// The last line of a run.
    pub fn summary(&self) -> String {
        let tail = if self.not_run > 0 { format!(", {} not run", self.not_run) } else { String::new() };
        format!("{} passed, {} failed{tail}", self.passed, self.failed)
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)?)?)
    }
}
