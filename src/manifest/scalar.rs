//! What a YAML scalar means to Kubernetes: YAML 1.1 as go-yaml v2 resolves it and JSON then prints it.
//!
//! The table was compared with what kubectl makes of the same text; the cases are in the tests. It differs from YAML 1.2 in
//! ways that matter: `0644` is 420, `yes` and `on` and `n` are booleans, `1_000` is a number, `1e3` is the integer 1000.

use serde_json::{Number, Value};

const PREFIX: &str = "tag:yaml.org,2002:";

/// A scalar after resolution.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Only values above `i64::MAX`.
    Uint(u64),
    Float(f64),
    Text(String),
}

/// Why a scalar is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScalarError {
    #[error("{text:?} is no {tag}; take the tag away or write a value of that type")]
    WrongTag { text: String, tag: &'static str },
    #[error("{text:?} is not base64; mend the !!binary value")]
    NotBase64 { text: String },
    #[error("{text} cannot be written in JSON; put it in quotes if text is meant")]
    NotFinite { text: String },
    #[error("a key that is {what} cannot be a JSON key; put it in quotes")]
    Key { what: &'static str },
}

/// Resolves a scalar.
///
/// `plain_implicit` is the parser's word for "no tag and not quoted".
pub(super) fn resolve(text: String, tag: Option<&str>, plain_implicit: bool) -> Result<Scalar, ScalarError> {
    let tag = tag.unwrap_or_default();
    if tag.is_empty() && !plain_implicit {
        return Ok(Scalar::Text(text));
    }
    let short = tag.strip_prefix(PREFIX).unwrap_or(tag);
    let wrong = |text: String, tag| Err(ScalarError::WrongTag { text: shortened(&text), tag });
    match short {
        "" => Ok(resolve_plain(text)),
        "int" => match resolve_plain(text.clone()) {
            found @ (Scalar::Int(_) | Scalar::Uint(_)) => Ok(found),
            _ => wrong(text, "integer"),
        },
        "float" => match resolve_plain(text.clone()) {
            found @ (Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_)) => Ok(found),
            _ => wrong(text, "number"),
        },
        "bool" => match resolve_plain(text.clone()) {
            found @ Scalar::Bool(_) => Ok(found),
            _ => wrong(text, "boolean"),
        },
        "null" => match resolve_plain(text.clone()) {
            Scalar::Null => Ok(Scalar::Null),
            _ => wrong(text, "null"),
        },
        "binary" => {
            use base64::Engine as _;
            let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            match base64::engine::general_purpose::STANDARD.decode(packed) {
                Ok(bytes) => Ok(Scalar::Text(String::from_utf8_lossy(&bytes).into_owned())),
                Err(_) => Err(ScalarError::NotBase64 { text: shortened(&text) }),
            }
        }
        // `!!str`, `!!timestamp`, and tags that nobody knows: text.
        _ => Ok(Scalar::Text(text)),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

fn resolve_plain(text: String) -> Scalar {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes()[0] {
        b'.' => float(&text),
        b'0'..=b'9' | b'+' | b'-' => number(&text.replace('_', "")),
        _ => None,
    };
    number.unwrap_or(Scalar::Text(text))
}

fn number(plain: &str) -> Option<Scalar> {
    if let Some(found) = integer(plain) {
        return Some(found);
    }
    looks_like_float(plain).then(|| float(plain)).flatten()
}

/// Go's `ParseInt(s, 0, 64)`, then `ParseUint`: the base is in the prefix, a leading zero alone means octal.
fn integer(plain: &str) -> Option<Scalar> {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let (digits, base) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&unsigned[2..], 16),
        [b'0', b'b' | b'B', ..] => (&unsigned[2..], 2),
        [b'0', b'o' | b'O', ..] => (&unsigned[2..], 8),
        [b'0', _, ..] => (&unsigned[1..], 8),
        _ => (unsigned, 10),
    };
    // Rust takes a sign here, Go does not.
    if !digits.bytes().next().is_some_and(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    if plain.starts_with('-') {
        return i64::from_str_radix(&format!("-{digits}"), base).ok().map(Scalar::Int);
    }
    let value = u64::from_str_radix(digits, base).ok()?;
    match i64::try_from(value) {
        Ok(value) => Some(Scalar::Int(value)),
        // Only the signed parser takes a plus.
        Err(_) if plain.starts_with('+') => None,
        Err(_) => Some(Scalar::Uint(value)),
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn looks_like_float(plain: &str) -> bool {
    let rest = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

fn float(text: &str) -> Option<Scalar> {
    // Too large for a double is text for Go, infinity for Rust.
    text.parse::<f64>().ok().filter(|f| f.is_finite()).map(Scalar::Float)
}

impl Scalar {
    /// The value that the API server gets after YAML was turned into JSON.
    pub(super) fn into_value(self) -> Result<Value, ScalarError> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(b),
            Self::Int(i) => i.into(),
            // JSON integers are signed for Kubernetes: larger ones arrive as doubles.
            #[expect(clippy::cast_precision_loss, reason = "the API server loses it too")]
            Self::Uint(u) => Value::Number(Number::from_f64(u as f64).expect("an integer is finite")),
            Self::Float(f) => float_value(f).ok_or_else(|| ScalarError::NotFinite { text: f.to_string() })?,
            Self::Text(text) => Value::String(text),
        })
    }

    /// The key that a mapping gets.
    pub(super) fn into_key(self) -> Result<String, ScalarError> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Bool(b) => Ok(b.to_string()),
            Self::Int(i) => Ok(i.to_string()),
            // Printed with 32 bits, as the original does.
            #[expect(clippy::cast_possible_truncation, reason = "as above")]
            Self::Float(f) if f.abs() < 1e21 && (f == 0.0 || f.abs() >= 1e-4) => Ok((f as f32).to_string()),
            Self::Float(_) => Err(ScalarError::Key { what: "a very large or very small number" }),
            Self::Uint(_) => Err(ScalarError::Key { what: "an integer above 2^63" }),
            Self::Null => Err(ScalarError::Key { what: "null" }),
        }
    }
}

/// An integral double is printed without a point and comes back as an integer.
pub(super) fn float_value(f: f64) -> Option<Value> {
    /// 2^63: the first double that is no `i64`.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if f.fract() == 0.0 && (-LIMIT..LIMIT).contains(&f) {
        #[expect(clippy::cast_possible_truncation, reason = "integral and in range")]
        return Some((f as i64).into());
    }
    Number::from_f64(f).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(text: &str) -> Value {
        resolve(text.to_owned(), None, true).and_then(Scalar::into_value).expect("a JSON value")
    }

    /// Each line was run through kubectl 1.32 (`annotate --local -o json`).
    #[test]
    fn plain_scalars_are_what_kubectl_makes_of_them() {
        let table = [
            ("y", json!(true)),
            ("N", json!(false)),
            ("on", json!(true)),
            ("oN", json!("oN")),
            ("0644", json!(420)),
            ("0o17", json!(15)),
            ("08", json!(8)),
            ("09.5", json!(9.5)),
            ("0x1F", json!(31)),
            ("0x_1", json!(1)),
            ("-0x10", json!(-16)),
            ("0b11", json!(3)),
            ("-0b11", json!(-3)),
            ("0b2", json!("0b2")),
            ("-017", json!(-15)),
            ("1_000", json!(1000)),
            ("1_", json!(1)),
            ("_1", json!("_1")),
            ("1_0.5", json!(10.5)),
            ("+12", json!(12)),
            ("1e3", json!(1000)),
            ("1e+3", json!(1000)),
            ("12e03", json!(12000)),
            ("1.", json!(1)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            (".e1", json!(".e1")),
            ("-0.0", json!(0)),
            ("1e21", json!(1e21)),
            ("1e400", json!("1e400")),
            ("0x1p-2", json!("0x1p-2")),
            ("18446744073709551615", json!(18_446_744_073_709_551_615.0)),
            ("123456789012345678901234567890", json!(1.234_567_890_123_456_8e29)),
            ("1:30", json!("1:30")),
            ("2001-01-01", json!("2001-01-01")),
            ("~", json!(null)),
            ("", json!(null)),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("--1", json!("--1")),
            ("0-1", json!("0-1")),
        ];
        for (text, expected) in table {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn tags_and_quotes_decide_before_the_table_does() {
        let tagged = |text: &str, tag: &str| {
            resolve(text.to_owned(), Some(&format!("{PREFIX}{tag}")), false).and_then(Scalar::into_value)
        };
        assert_eq!(tagged("12", "str"), Ok(json!("12")));
        assert_eq!(tagged("3", "float"), Ok(json!(3)));
        assert_eq!(tagged("aGVsbG8=", "binary"), Ok(json!("hello")));
        assert!(tagged("x", "int").is_err() && tagged("%", "binary").is_err() && tagged(".nan", "float").is_err());
        assert_eq!(resolve("12".to_owned(), None, false), Ok(Scalar::Text("12".to_owned())));
    }

    #[test]
    fn keys_are_text_and_what_cannot_be_a_key_is_refused() {
        let key = |text: &str| resolve(text.to_owned(), None, true).and_then(Scalar::into_key);
        assert_eq!(key("on"), Ok("true".to_owned()));
        assert_eq!(key("1.5"), Ok("1.5".to_owned()));
        assert_eq!(key("0x10"), Ok("16".to_owned()));
        assert!(key("~").is_err() && key(".inf").is_err());
    }
}
