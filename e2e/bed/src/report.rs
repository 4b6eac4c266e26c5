//! What `cargo verify` leaves behind: `target/verify/report.json`, and the same as a table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::failure::{Doing, Result};

/// Exit code of a run that passed as far as it went, without a cluster.
const NOT_RUN: u8 = 3;

/// One part, as the report has it.
#[derive(Debug, Serialize)]
pub struct Part {
    pub name: &'static str,
    pub passed: bool,
    pub seconds: f64,
    pub budget_seconds: u64,
}

/// A whole run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub parts: Vec<Part>,
    pub not_run: Vec<String>,
    /// By id, from the three below.
    rules: BTreeMap<String, Checked>,
    /// Of the suite, scenario by scenario.
    pub scenarios: Option<Value>,
    /// On our own cluster, known only as another one would be.
    pub scenarios_as_another: Option<Value>,
    /// Of the explorer of the simulated cluster.
    pub exploration: Option<Value>,
}

/// How often a rule was checked.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Checked {
    /// Scenarios on a real cluster that passed and name it.
    scenarios: u64,
    /// Scenarios that name it and failed.
    scenarios_failed: u64,
    /// Times that an oracle judged it in schedules of the simulated cluster.
    judged: u64,
    /// Schedules that broke it.
    broken: u64,
}

impl Report {
    /// Writes it, shows it, and returns what the process ends with: 0 when all passed, 3 when a part could not be run and the
    /// others passed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(mut self, path: &Path) -> Result<ExitCode> {
        self.rules = rules([&self.scenarios, &self.scenarios_as_another], &self.exploration);
        let text = serde_json::to_string_pretty(&self).doing(|| "writing the report".to_owned())?;
        fs::write(path, text).doing(|| format!("writing {}", path.display()))?;
        Ok(self.summary(path))
    }

    fn summary(&self, path: &Path) -> ExitCode {
        println!("\n{:<30} {:>8} {:>10} {:>10}", "part", "", "seconds", "budget");
        for part in &self.parts {
            let over = Duration::from_secs_f64(part.seconds) > Duration::from_secs(part.budget_seconds);
            let verdict = if part.passed { "passed" } else { "FAILED" };
            let note = if over { "  over (a first run builds what later ones have)" } else { "" };
            println!("{:<30} {verdict:>8} {:>10.0} {:>10}{note}", part.name, part.seconds, part.budget_seconds);
        }
        for line in &self.not_run {
            println!("NOT RUN  {line}");
        }
        println!("rules checked: {}; report: {}", self.rules.len(), path.display());
        let failed = self.parts.iter().filter(|p| !p.passed).count();
        println!("{} passed, {failed} failed", self.parts.len() - failed);
        match (failed, self.not_run.is_empty()) {
            (0, true) => ExitCode::SUCCESS,
            (0, false) => ExitCode::from(NOT_RUN),
            _ => ExitCode::FAILURE,
        }
    }
}

/// How often each rule was checked, by its id.
fn rules(suites: [&Option<Value>; 2], exploration: &Option<Value>) -> BTreeMap<String, Checked> {
    let mut rules: BTreeMap<String, Checked> = BTreeMap::new();
    let scenarios = suites.into_iter().flatten().filter_map(|suite| suite["scenarios"].as_array()).flatten();
    for scenario in scenarios {
        for id in scenario["rules"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let rule = rules.entry(id.to_owned()).or_default();
            match scenario["verdict"] == "passed" {
                true => rule.scenarios += 1,
                false => rule.scenarios_failed += 1,
            }
        }
    }
    let parts = exploration.iter().flat_map(|report| ["within_bounds", "pairs", "schedules"].map(|part| &report[part]));
    for (id, oracle) in parts.filter_map(|part| part["oracles"].as_object()).flatten() {
        let rule = rules.entry(id.clone()).or_default();
        rule.judged += oracle["checks"].as_u64().unwrap_or(0);
        rule.broken += oracle["broken"].as_u64().unwrap_or(0);
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_are_counted_over_all_that_checked_them() {
        let scenario = |verdict, rules: &[&str]| json!({"verdict": verdict, "rules": rules});
        let own = json!({"scenarios": [scenario("passed", &["T8", "A9"]), scenario("failed", &["T8"])]});
        let another = json!({"scenarios": [scenario("passed", &["A9"])]});
        let explored = json!({"schedules": {"oracles": {"T8": {"checks": 7, "broken": 1}}}});
        let rules = rules([&Some(own), &Some(another)], &Some(explored));
        assert_eq!(rules["T8"], Checked { scenarios: 1, scenarios_failed: 1, judged: 7, broken: 1 });
        assert_eq!(rules["A9"], Checked { scenarios: 2, scenarios_failed: 0, judged: 0, broken: 0 });
    }
}
