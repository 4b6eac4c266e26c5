//! Lengths of time as manifests write them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::fmt;

/// A length of time, never negative.
///
/// Written as Go writes durations (`90s`, `1m30s`, `1.5h`, `250ms`), or as a number of seconds, with or without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(SignedDuration);

/// Not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a length of time; write it like 30s, 5m or 1h30m, or as a number of seconds")]
pub struct SpanError(String);

impl Span {
    pub const ZERO: Self = Self(SignedDuration::ZERO);

    pub const fn from_secs(seconds: u32) -> Self {
        Self(SignedDuration::from_secs(seconds as i64))
    }

    pub const fn from_millis(milliseconds: u32) -> Self {
        Self(SignedDuration::from_millis(milliseconds as i64))
    }

    pub fn as_duration(self) -> SignedDuration {
        self.0
    }

    /// Five intervals and the like; saturates.
    #[must_use]
    pub fn times(self, n: i32) -> Self {
        self.0.checked_mul(n).map_or(Self(MAX), Self)
    }

    /// The moment this long after `start`; the end of time when there is none.
    pub fn after(self, start: Timestamp) -> Timestamp {
        start.checked_add(self.0).unwrap_or(Timestamp::MAX)
    }

    /// Reads a field: text or a number of seconds.
    ///
    /// # Errors
    /// Negative, without a known unit, too long (over 100 years), or of another type.
    pub fn read(value: &Value) -> Result<Self, SpanError> {
        match value {
            Value::String(text) => text.parse(),
            Value::Number(n) => n.to_string().parse(),
            other => Err(SpanError(other.to_string())),
        }
    }
}

/// A hundred years: beyond any use, and far from the limits of arithmetic.
const MAX: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

impl std::str::FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError(format!("{text:?}"));
        let trimmed = text.trim();
        let mut rest = trimmed.strip_prefix('+').unwrap_or(trimmed);
        if let Ok(seconds) = rest.parse::<u32>() {
            return Ok(Self::from_secs(seconds));
        }
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut nanos: f64 = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            let tail = &rest[digits..];
            let unit_length = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let unit = match &tail[..unit_length] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(wrong()),
            };
            nanos += number * unit;
            rest = &tail[unit_length..];
        }
        let duration = SignedDuration::try_from_secs_f64(nanos / 1e9).map_err(|_| wrong())?;
        if duration > MAX { Err(wrong()) } else { Ok(Self(duration)) }
    }
}

impl fmt::Display for Span {
    /// `1h30m`, `90s` as `1m30s`, `250ms`: as Go writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        match (rest / 1000, rest % 1000) {
            (0, 0) if millis > 0 => Ok(()),
            (seconds, 0) => write!(f, "{seconds}s"),
            (0, milliseconds) => write!(f, "{milliseconds}ms"),
            (seconds, milliseconds) => write!(f, "{}s", format!("{seconds}.{milliseconds:03}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_go_and_upstream_write() {
        for (value, millis) in [
            (json!("1m30s"), 90_000),
            (json!("1.5h"), 5_400_000),
            (json!("250ms"), 250),
            (json!("0"), 0),
            (json!("10"), 10_000),
            (json!(10), 10_000),
            (json!("1h0m0.5s"), 3_600_500),
        ] {
            assert_eq!(Span::read(&value).map(|s| s.as_duration().as_millis()), Ok(millis), "{value}");
        }
    }

    #[test]
    fn refuses_what_is_no_length_of_time() {
        for value in [
            json!("-1s"),
            json!("1 day"),
            json!("5d"),
            json!(""),
            json!("s"),
            json!("1e9h"),
            json!(true),
            json!(-1),
            json!("1.2.3s"),
        ] {
            assert!(Span::read(&value).is_err(), "{value} was read");
        }
    }

    #[test]
    fn shows_the_shortest_form() {
        for text in ["0s", "250ms", "10s", "1m30s", "1h", "1h30m", "1.5s"] {
            assert_eq!(text.parse::<Span>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
    }
}
