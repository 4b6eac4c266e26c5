//! Conditions: the expressions that judge a reading.
//!
//! The language is that of Argo Rollouts, so that templates move over. Rules X1 to X5; what differs on purpose: a reading
//! without a usable value is `NoData` unless the condition itself says what that means.

use super::limits::{self, Shape};
use super::reading::{Reading, Usable};
use crate::core::question::Verdict;
use expr::{Context, Environment, Value};
use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

/// Why a condition is not accepted or could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    #[error("the condition has {bytes} bytes, at most {limit} are accepted; compute in the query instead")]
    TooLong { bytes: usize, limit: usize },
    #[error("{what} are nested or repeated more than {limit} times; compute in the query instead")]
    Nested { what: &'static str, limit: usize },
    #[error("the condition has {seen} operators and brackets, at most {limit} are accepted")]
    TooManyTerms { seen: usize, limit: usize },
    #[error("a range must have whole numbers written out on both sides, and at most {limit} elements")]
    Range { limit: u64 },
    #[error("{name}() is not offered in conditions, since its result can outgrow memory; compute in the query instead")]
    Function { name: String },
    #[error("{walks} functions over lists on {elements} elements are too much work; aggregate in the query instead")]
    TooMuchWork { elements: u64, walks: u32 },
    #[error("it cannot be parsed: {0}")]
    Syntax(String),
    #[error("{0}")]
    Evaluation(String),
    #[error("its value is {0}, expected true or false")]
    NotBoolean(String),
}

/// Checks a condition without a reading: limits and syntax. An empty one is fine.
///
/// # Errors
/// The limit that it breaks, or where it cannot be parsed.
pub fn check(condition: &str) -> Result<(), ConditionError> {
    if condition.trim().is_empty() || SOUND.with_borrow(|sound| sound.contains(condition)) {
        return Ok(());
    }
    limits::shape(condition)?;
    compile(condition).map(drop)?;
    SOUND.with_borrow_mut(|sound| {
        if sound.len() >= MOST_SOUND {
            sound.clear();
        }
        sound.insert(condition.to_owned());
    });
    Ok(())
}

/// Conditions that are remembered as sound.
const MOST_SOUND: usize = 512;

thread_local! {
    /// Each pass of a Rollout checks the conditions that its steps name, and parsing them took a quarter of a decision's time. Text
    /// alone decides, so that remembering it changes no answer.
    static SOUND: RefCell<HashSet<String>> = RefCell::default();
}

/// The verdict on one reading, with a message for status (empty when there is nothing to say).
///
/// X1: no condition is success; with one of them the other outcome follows; with both, failure first, and neither is
/// inconclusive. Costs up to a few seconds at its limits: call it away from async threads.
pub fn judge(success: &str, failure: &str, reading: &Reading) -> (Verdict, String) {
    let usable = reading.usable();
    let shapes: Vec<Shape> = [success, failure].iter().filter_map(|c| limits::shape(c).ok()).collect();
    if usable == Usable::Nothing && !shapes.iter().any(Shape::handles_missing_values) {
        return (Verdict::NoData, format!("no data: the result is {}", reading.text()));
    }
    let holds = |name: &str, condition: &str| {
        if condition.trim().is_empty() {
            return Ok(None);
        }
        evaluate(condition, reading)
            .map(Some)
            .map_err(|error| (Verdict::Error, explain(name, condition, reading, &error)))
    };
    let outcome = holds("failureCondition", failure).and_then(|failed| match failed {
        Some(true) => Ok((Some(true), None)),
        _ => holds("successCondition", success).map(|succeeded| (failed, succeeded)),
    });
    let verdict = match outcome {
        Err(error) => return error,
        Ok((Some(true), _) | (None, Some(false))) => Verdict::Failed,
        Ok((Some(false), Some(false))) => Verdict::Inconclusive,
        Ok(_) => Verdict::Successful,
    };
    if verdict == Verdict::Successful && usable == Usable::Unbounded && !shapes.iter().any(Shape::handles_infinity) {
        return (
            Verdict::Inconclusive,
            format!("the result {} is infinite; say with isInf() in the condition what that means", reading.text()),
        );
    }
    (verdict, String::new())
}

/// Does a regular expression match somewhere in `text`?
///
/// # Errors
/// When it is no regular expression.
pub(super) fn matches(pattern: &str, text: &str) -> Result<bool, ConditionError> {
    let program = compile("text matches pattern")?;
    let mut context = Context::default();
    context.insert("text", text);
    context.insert("pattern", pattern);
    match ENVIRONMENT.run(&program, &context) {
        Ok(value) => Ok(value == Value::Bool(true)),
        Err(error) => Err(ConditionError::Evaluation(shorten(&error.to_string()))),
    }
}

/// What to tell the person, with the usual cause named.
fn explain(name: &str, condition: &str, reading: &Reading, error: &ConditionError) -> String {
    let hint = match reading {
        Reading::List(values) if values.is_empty() => {
            "; the query returned no series: use `len(result) == 0 || ...` or `default(...)`"
        }
        _ => "",
    };
    format!("{name} `{condition}` on {}: {error}{hint}", reading.text())
}

/// The truth of one condition.
fn evaluate(condition: &str, reading: &Reading) -> Result<bool, ConditionError> {
    limits::shape(condition)?.work(reading.size())?;
    let program = compile(condition)?;
    let mut context = Context::default();
    context.insert("result", reading.to_expr());
    // Division, slices and dates of the crate are tested well, but a panic there must not end the process.
    let value = catch_unwind(AssertUnwindSafe(|| ENVIRONMENT.run(&program, &context)))
        .map_err(|_| ConditionError::Evaluation("the evaluation broke off; please report this condition".to_owned()))?;
    match value {
        Ok(Value::Bool(truth)) => Ok(truth),
        Ok(other) => Err(ConditionError::NotBoolean(shorten(&format!("{other:?}")))),
        Err(error) => Err(ConditionError::Evaluation(shorten(&error.to_string()))),
    }
}

fn compile(condition: &str) -> Result<expr::Program, ConditionError> {
    catch_unwind(|| expr::compile(condition))
        .map_err(|_| ConditionError::Syntax("the parser broke off; please report this condition".to_owned()))?
        .map_err(|error| ConditionError::Syntax(shorten(&error.to_string())))
}

fn shorten(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.chars().count() > 200 { one_line.chars().take(197).chain("...".chars()).collect() } else { one_line }
}

/// The language with the functions that Argo Rollouts adds (X3).
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.add_function("asInt", |call| match only(&call.args)? {
        Value::Integer(n) => Ok(Value::Integer(*n)),
        #[expect(clippy::cast_possible_truncation, reason = "asInt truncates towards zero, as upstream")]
        Value::Float(f) if f.is_finite() => Ok(Value::Integer(*f as i64)),
        Value::String(s) => s.trim().parse().map(Value::Integer).map_err(|_| not_a_number("asInt", s)),
        other => Err(not_a_number("asInt", &format!("{other:?}"))),
    });
    environment.add_function("asFloat", |call| match only(&call.args)? {
        #[expect(clippy::cast_precision_loss, reason = "asFloat is allowed to round, as upstream")]
        Value::Integer(n) => Ok(Value::Float(*n as f64)),
        Value::Float(f) => Ok(Value::Float(*f)),
        Value::String(s) => s.trim().parse().map(Value::Float).map_err(|_| not_a_number("asFloat", s)),
        other => Err(not_a_number("asFloat", &format!("{other:?}"))),
    });
    environment
        .add_function("isNaN", |call| Ok(Value::Bool(matches!(only(&call.args)?, Value::Float(f) if f.is_nan()))));
    environment
        .add_function("isInf", |call| Ok(Value::Bool(matches!(only(&call.args)?, Value::Float(f) if f.is_infinite()))));
    environment.add_function("isNil", |call| Ok(Value::Bool(matches!(only(&call.args)?, Value::Nil))));
    environment.add_function("default", |call| match call.args.as_slice() {
        [Value::Nil, other] => Ok(other.clone()),
        [Value::Array(items), other] if items.is_empty() => Ok(other.clone()),
        [Value::Float(f), other] if f.is_nan() => Ok(other.clone()),
        [value, _] => Ok(value.clone()),
        _ => Err(expr::Error::ExprError("default() takes a value and its replacement".to_owned())),
    });
    environment
});

fn only(arguments: &[Value]) -> expr::Result<&Value> {
    match arguments {
        [one] => Ok(one),
        _ => Err(expr::Error::ExprError(format!("takes one argument, {} were given", arguments.len()))),
    }
}

fn not_a_number(function: &str, seen: &str) -> expr::Error {
    expr::Error::ExprError(format!("{function}() cannot make a number of {seen}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn list(values: &[f64]) -> Reading {
        Reading::List(values.to_vec())
    }

    #[test]
    fn x1_the_four_cases_of_two_conditions() {
        let good = list(&[0.99]);
        for (success, failure, verdict) in [
            ("", "", Verdict::Successful),
            ("result[0] > 0.9", "", Verdict::Successful),
            ("result[0] > 1", "", Verdict::Failed),
            ("", "result[0] > 0.9", Verdict::Failed),
            ("", "result[0] > 1", Verdict::Successful),
            ("result[0] > 0.9", "result[0] > 0.9", Verdict::Failed),
            ("result[0] > 0.9", "result[0] > 1", Verdict::Successful),
            ("result[0] > 1", "result[0] > 1", Verdict::Inconclusive),
        ] {
            assert_eq!(judge(success, failure, &good).0, verdict, "success `{success}`, failure `{failure}`");
        }
    }

    #[test]
    fn x2_an_error_or_another_type_is_an_error_that_shows_condition_and_value() {
        let (verdict, message) = judge("result[0]", "", &list(&[0.5]));
        assert_eq!(verdict, Verdict::Error);
        assert!(message.contains("`result[0]` on [0.5]") && message.contains("expected true or false"), "{message}");
        assert_eq!(judge("nosuch > 1", "", &list(&[0.5])).0, Verdict::Error);
    }

    #[test]
    fn x3_the_functions_and_idioms_of_upstream() {
        let data = Reading::Json(json!({"ok": true, "percent": 0.95, "text": "12", "none": null, "list": [1, 2, 3]}));
        for condition in [
            "result.ok && result.percent >= 0.9",
            "asInt(result.text) == 12 && asFloat(result.text) > 11.5",
            "isNil(result.none) && !isNil(result.ok)",
            "default(result.none, 3) == 3",
            "default(result.missing, 0) < 0.05",
            "(result.none ?? 4) == 4",
            "all(result.list, # > 0) && any(result.list, {# > 2}) && len(result.list) == 3",
            "filter(result.list, # > 1) | len() == 2",
            "result.text matches '^[0-9]+$' and not (result.text in ['13'])",
            "let x = result.percent; x > 0.9 ? true : false",
            "sum(result.list) == 6",
        ] {
            assert_eq!(judge(condition, "", &data), (Verdict::Successful, String::new()), "{condition}");
        }
    }

    #[test]
    fn x4_nothing_but_nan_is_no_data_unless_the_condition_speaks_of_it() {
        let nan = list(&[f64::NAN]);
        assert_eq!(judge("result[0] >= 0.9", "", &nan).0, Verdict::NoData);
        assert_eq!(judge("result[0] >= 0.9", "result[0] < 0.5", &nan).0, Verdict::NoData);
        assert_eq!(judge("", "", &nan).0, Verdict::NoData);
        assert_eq!(judge("isNaN(result[0]) || result[0] >= 0.9", "", &nan).0, Verdict::Successful);
        assert_eq!(judge("isNaN(result)", "", &Reading::Number(f64::NAN)).0, Verdict::Successful);
    }

    #[test]
    fn x5_an_empty_answer_is_no_data_unless_the_condition_speaks_of_it() {
        assert_eq!(judge("result[0] >= 0.9", "", &list(&[])).0, Verdict::NoData);
        assert_eq!(judge("len(result) == 0 || result[0] >= 0.9", "", &list(&[])).0, Verdict::Successful);
        assert_eq!(judge("default(result, 0) < 0.05", "", &list(&[])).0, Verdict::Successful);
        let (verdict, message) = judge("result[0] >= len(result)", "", &list(&[]));
        assert!(verdict == Verdict::Error && message.contains("returned no series"), "{message}");
    }

    #[test]
    fn a4_an_infinite_answer_is_never_a_success_by_accident() {
        let infinite = list(&[f64::INFINITY]);
        assert_eq!(judge("result[0] > 0.9", "", &infinite).0, Verdict::Inconclusive);
        assert_eq!(judge("result[0] < 0.9", "", &infinite).0, Verdict::Failed);
        assert_eq!(judge("isInf(result[0])", "", &infinite).0, Verdict::Successful);
    }

    #[test]
    fn a_condition_beyond_a_limit_is_an_error_and_not_a_verdict() {
        let (verdict, message) = judge("len(1..100000000) > 1", "", &list(&[1.0]));
        assert!(verdict == Verdict::Error && message.contains("whole numbers"), "{message}");
        let many = list(&vec![1.0; 5000]);
        assert_eq!(judge("all(result, any(result, # > 0))", "", &many).0, Verdict::Error);
        assert_eq!(judge("all(result, # > 0)", "", &list(&vec![1.0; 3000])).0, Verdict::Successful);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        /// Whatever a tenant writes, the process lives: a panic or an overflow of the stack fails this test.
        #[test]
        fn no_condition_ends_the_process(text in "[-a-z0-9#$(){}\\[\\].,;:?!&|<>=+*/%^'\"` ]{0,200}", value in any::<f64>()) {
            let _ = judge(&text, "", &Reading::List(vec![value; 3]));
        }

        #[test]
        fn no_pile_of_the_languages_own_words_ends_the_process(words in prop::collection::vec(prop::sample::select(vec![
            "result", "all(", "any(", "map(", "filter(", "sum(", "len(", "(", ")", "[", "]", "{", "}", "#", "1", "0", "..", "9999", "+", "-",
            "*", "/", "%", "^", "not ", " and ", " or ", " in ", ",", "?", ":", "??", "?.", ".", "let a =", ";", "a", "|", "if ", "else ",
            "groupBy(", "sortBy(", "flatten(", "first(", "'x'", "matches", "default(", "asInt(", "fromJSON(", "$env", "uniq(", "split(",
        ]), 0..80)) {
            let _ = judge(&words.concat(), "", &Reading::List(vec![1.0, f64::NAN, f64::INFINITY]));
        }

        /// Deep but allowed nesting parses and runs in little time.
        #[test]
        fn nesting_up_to_the_limits_is_quick(depth in 0usize..40, open in prop::sample::select(vec!["(", "len([", "result[", "!(", "all(", "-(", "[", "{a:", "1+(", "true?("])) {
            let _ = judge(&open.repeat(depth), "", &Reading::Number(1.0));
            let closed = format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
            let _ = judge(&format!("{closed} == 1"), "", &Reading::Number(1.0));
        }
    }
}
