//! Collects refusals while fields are read, so that one look finds them all.

use crate::api::IntOrText;
use crate::core::refusal::Refusal;
use crate::core::scalar::{CountOrShare, Span};
use serde_json::Value;
use std::fmt::Display;

/// The refusals found so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) refusals: Vec<Refusal>,
}

impl Reader {
    pub(super) fn refuse(&mut self, field: &str, value: &impl Display, problem: impl Into<String>, remedy: &str) {
        self.refusals.push(Refusal::new(field, value, problem, remedy));
    }

    /// A number of pods, revisions or seconds: not negative.
    pub(super) fn natural(&mut self, field: &str, value: Option<i32>, default: u32) -> u32 {
        match value.map(u32::try_from) {
            None => default,
            Some(Ok(number)) => number,
            Some(Err(_)) => {
                let shown = value.unwrap_or_default();
                self.refuse(field, &shown, "it is negative", "give 0 or more");
                default
            }
        }
    }

    pub(super) fn count(&mut self, field: &str, value: Option<i32>, default: u32) -> usize {
        usize::try_from(self.natural(field, value, default)).unwrap_or(usize::MAX)
    }

    pub(super) fn seconds(&mut self, field: &str, value: Option<i32>, default: u32) -> Span {
        Span::from_secs(self.natural(field, value, default))
    }

    pub(super) fn span(&mut self, field: &str, value: &IntOrText) -> Option<Span> {
        let json = match value {
            IntOrText::Int(seconds) => Value::from(*seconds),
            IntOrText::Text(text) => Value::from(text.as_str()),
        };
        let span = Span::read(&json).ok();
        if span.is_none() {
            let remedy = "write it like 30s, 5m or 1h30m, or as a number of seconds";
            self.refuse(field, value, "it is no length of time", remedy);
        }
        span
    }

    pub(super) fn count_or_share(&mut self, field: &str, value: Option<&IntOrText>) -> CountOrShare {
        let Some(value) = value else { return CountOrShare::QUARTER };
        CountOrShare::parse(value).unwrap_or_else(|error| {
            self.refuse(field, value, error.to_string(), "give a number of pods like 1, or a share like \"25%\"");
            CountOrShare::QUARTER
        })
    }

    /// The name of an object, as Services and routing objects have it. `None` when it is absent, empty or refused.
    pub(super) fn name(&mut self, field: &str, value: Option<&str>) -> Option<String> {
        let name = value.filter(|n| !n.is_empty())?;
        let fine = name.len() <= 63
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !fine {
            let remedy = "use at most 63 lower-case letters, digits and inner hyphens";
            self.refuse(field, &name, "it cannot be the name of such an object", remedy);
            return None;
        }
        Some(name.to_owned())
    }

    /// As [`Self::name`], and refused when it is absent.
    pub(super) fn required_name(&mut self, field: &str, value: Option<&str>, remedy: &str) -> Option<String> {
        if value.is_none_or(str::is_empty) {
            self.refuse(field, &"", "it is missing", remedy);
            return None;
        }
        self.name(field, value)
    }

    /// Refuses two equal names of roles that exclude each other.
    pub(super) fn distinct(&mut self, field: &str, name: Option<&str>, other_field: &str, other: Option<&str>) {
        if let (Some(name), Some(other)) = (name, other)
            && name == other
        {
            self.refuse(field, &name, format!("{other_field} names the same Service"), "name two Services");
        }
    }
}
