//! What a metric's provider answered, as conditions see it.

use serde_json::Value;
use std::fmt::Write as _;

/// The value that a condition calls `result`.
///
/// Not a `serde_json::Value`: JSON has no NaN and no infinity, and both are what a division by no traffic gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    Number(f64),
    /// One value per series.
    List(Vec<f64>),
    Json(Value),
}

/// What can be said of a reading before any condition is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usable {
    Yes,
    /// Empty, or nothing but NaN: there was no traffic, or no such series.
    Nothing,
    /// Nothing but infinities.
    Unbounded,
}

impl Reading {
    pub(super) fn usable(&self) -> Usable {
        let values: &[f64] = match self {
            Self::Number(value) => std::slice::from_ref(value),
            Self::List(values) => values,
            Self::Json(Value::Null) => return Usable::Nothing,
            Self::Json(_) => return Usable::Yes,
        };
        if values.iter().all(|v| v.is_nan()) {
            Usable::Nothing
        } else if values.iter().all(|v| !v.is_finite()) {
            Usable::Unbounded
        } else {
            Usable::Yes
        }
    }

    /// Size for the limits of evaluation: elements, and text in units of 64 bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Number(_) => 1,
            Self::List(values) => 1 + values.len() as u64,
            Self::Json(value) => json_size(value),
        }
    }

    pub(super) fn to_expr(&self) -> expr::Value {
        match self {
            Self::Number(value) => expr::Value::Float(*value),
            Self::List(values) => expr::Value::Array(values.iter().copied().map(expr::Value::Float).collect()),
            Self::Json(value) => json_to_expr(value),
        }
    }

    /// As status shows it: `0.98`, `[0.98,1]`, or the JSON text, shortened to 200 characters.
    pub fn text(&self) -> String {
        let text = match self {
            Self::Number(value) => number(*value),
            Self::List(values) => {
                let mut text = String::from("[");
                for (i, value) in values.iter().enumerate() {
                    let _ = write!(text, "{}{}", if i == 0 { "" } else { "," }, number(*value));
                }
                text + "]"
            }
            Self::Json(value) => value.to_string(),
        };
        if text.chars().count() > 200 { text.chars().take(197).chain("...".chars()).collect() } else { text }
    }
}

/// Infinity as Go writes it, since dashboards read these values.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        value.to_string()
    }
}

fn json_size(value: &Value) -> u64 {
    match value {
        Value::String(text) => 1 + text.len() as u64 / 64,
        Value::Array(items) => 1 + items.iter().map(json_size).sum::<u64>(),
        Value::Object(fields) => 1 + fields.iter().map(|(k, v)| k.len() as u64 / 64 + json_size(v)).sum::<u64>(),
        _ => 1,
    }
}

fn json_to_expr(value: &Value) -> expr::Value {
    match value {
        Value::Null => expr::Value::Nil,
        Value::Bool(b) => expr::Value::Bool(*b),
        Value::Number(n) => match n.as_i64() {
            Some(n) => expr::Value::Integer(n),
            None => expr::Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(s) => expr::Value::String(s.clone()),
        Value::Array(items) => expr::Value::Array(items.iter().map(json_to_expr).collect()),
        Value::Object(fields) => expr::Value::Map(fields.iter().map(|(k, v)| (k.clone(), json_to_expr(v))).collect()),
    }
}
