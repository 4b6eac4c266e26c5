//! Refusals: what a person wrote that cannot be done, and what would be accepted instead.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that is not accepted. All of an object are found together, never one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// Path of the field: `spec.strategy.canary.steps[2].setWeight`.
    pub field: String,
    /// The value seen, shortened to 80 characters; empty when the field is missing.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What would be accepted.
    pub remedy: String,
}

impl Refusal {
    /// `value` is shown shortened.
    pub fn new(
        field: impl Into<String>,
        value: &impl fmt::Display,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let mut value = value.to_string();
        if value.chars().count() > 80 {
            value = value.chars().take(77).chain("...".chars()).collect();
        }
        Self { field: field.into(), value, problem: problem.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.field)?;
        if !self.value.is_empty() {
            write!(f, ": {}", self.value)?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}
