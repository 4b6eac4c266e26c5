//! What is refused of a condition before it is parsed.
//!
//! The expression crate has no limits of its own. Measured on 2.1.0: 2,000 terms or 3,000 parentheses overflow the stack
//! and abort the process, `1..100000000` takes 16 s and gigabytes, predicates nested seven deep over ten elements take 2 s.
//! Brackets nested in brackets are parsed twice per level. So the text is read once, token by token, and what could grow is
//! bounded: the bound is coarse on purpose, since a condition is one comparison or two.

use super::condition::ConditionError;

/// Longest condition, in bytes.
const MAX_BYTES: usize = 1024;
/// Deepest nesting of all brackets together.
const MAX_DEPTH: usize = 32;
/// Deepest nesting of `[` and `{`: each level doubles the parser's work.
const MAX_SQUARE_AND_CURLY: usize = 6;
/// Most operators and brackets: 300 are known to be fine on a 2 MiB stack.
const MAX_TERMS: usize = 200;
/// Deepest nesting of functions that go through a list.
const MAX_PREDICATES_NESTED: usize = 2;
/// Most `let` statements: each may multiply the size of what it names.
const MAX_LETS: u32 = 4;
/// Longest range.
const MAX_RANGE: u64 = 10_000;
/// Most values that an evaluation may visit or make, by the bound of [`Shape::work`].
const MAX_WORK: f64 = 1e7;

/// Functions that run an expression for each element of a list.
const WALKING: [&str; 14] = [
    "all",
    "any",
    "one",
    "none",
    "map",
    "filter",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "groupBy",
    "sortBy",
    "count",
    "sum",
];
/// Functions whose result may be larger than all that goes in, without bound when nested.
const GROWING: [&str; 5] = ["reduce", "repeat", "replace", "join", "toJSON"];
const WORD_OPERATORS: [&str; 8] = ["and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches"];
const SYMBOLS: [&str; 12] = ["?.", "??", "..", "**", "<=", ">=", "==", "!=", "&&", "||", "//", "/*"];

/// What of a condition decides how much its evaluation can cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shape {
    names: u32,
    lets: u32,
    walks: u32,
    largest_range: u64,
    /// The functions and names that occur.
    words: Vec<String>,
}

impl Shape {
    /// Does the condition itself say what a missing value means?
    pub(super) fn handles_missing_values(&self) -> bool {
        ["len", "default", "isNaN", "isNil", "isInf"].iter().any(|f| self.words.iter().any(|w| w == f))
            || self.words.iter().any(|w| w == "??" || w == "nil")
    }

    pub(super) fn handles_infinity(&self) -> bool {
        self.words.iter().any(|w| w == "isInf" || w == "default")
    }

    /// Refuses an evaluation that could visit too much. A walk over `n` elements may make `n` new values for each, and a
    /// `let` may multiply what it names by the number of times it names it.
    pub(super) fn work(&self, reading_size: u64) -> Result<(), ConditionError> {
        let elements = reading_size.max(self.largest_range).max(1) + 1;
        #[expect(clippy::cast_precision_loss, reason = "a bound of magnitude")]
        let elements_f = elements as f64;
        let walks = i32::try_from(self.walks).unwrap_or(i32::MAX);
        let lets = i32::try_from(self.lets).unwrap_or(i32::MAX);
        let bound = elements_f.powi(walks + i32::from(walks > 0))
            * f64::from(self.names.max(1)).powi(lets)
            * elements_f.powi(i32::from(lets > 0));
        if bound > MAX_WORK {
            return Err(ConditionError::TooMuchWork { elements, walks: self.walks });
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// A whole decimal number.
    Int(&'a str),
    Other(&'a str),
    Symbol(&'a str),
    Text,
}

/// Reads the shape of a condition, or says which limit it breaks.
pub(super) fn shape(text: &str) -> Result<Shape, ConditionError> {
    if text.len() > MAX_BYTES {
        return Err(ConditionError::TooLong { bytes: text.len(), limit: MAX_BYTES });
    }
    let tokens = tokens(text);
    let mut shape = Shape::default();
    let mut open: Vec<(char, bool)> = Vec::new();
    let mut terms = 0;
    for (i, token) in tokens.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| tokens.get(i));
        match token {
            Token::Word(word) => {
                shape.names += 1;
                shape.lets += u32::from(*word == "let");
                terms += usize::from(WORD_OPERATORS.contains(word));
                if GROWING.contains(word) && tokens.get(i + 1) == Some(&Token::Symbol("(")) {
                    return Err(ConditionError::Function { name: (*word).to_owned() });
                }
                if !shape.words.iter().any(|w| w == word) {
                    shape.words.push((*word).to_owned());
                }
            }
            Token::Symbol(symbol) => {
                terms += 1;
                match *symbol {
                    "(" | "[" | "{" => {
                        let walking = *symbol == "(" && matches!(before, Some(Token::Word(w)) if WALKING.contains(w));
                        shape.walks += u32::from(walking);
                        open.push((symbol.chars().next().unwrap_or('('), walking));
                    }
                    ")" | "]" | "}" => {
                        open.pop();
                    }
                    ".." => {
                        let length = range_length(&tokens, i)?;
                        shape.largest_range = shape.largest_range.max(length);
                    }
                    "??" => shape.words.push("??".to_owned()),
                    _ => {}
                }
            }
            Token::Int(_) | Token::Other(_) | Token::Text => {}
        }
        let nested = |what, seen: usize, limit| {
            if seen > limit { Err(ConditionError::Nested { what, limit }) } else { Ok(()) }
        };
        nested("brackets", open.len(), MAX_DEPTH)?;
        nested("[ and {", open.iter().filter(|(c, _)| *c != '(').count(), MAX_SQUARE_AND_CURLY)?;
        nested("functions over lists", open.iter().filter(|(_, walking)| *walking).count(), MAX_PREDICATES_NESTED)?;
    }
    if terms > MAX_TERMS {
        return Err(ConditionError::TooManyTerms { seen: terms, limit: MAX_TERMS });
    }
    if shape.lets > MAX_LETS {
        return Err(ConditionError::Nested { what: "let statements", limit: MAX_LETS as usize });
    }
    Ok(shape)
}

/// Length of the range whose `..` is at `i`. Both ends must be written out: an end that is computed could be anything.
fn range_length(tokens: &[Token<'_>], i: usize) -> Result<u64, ConditionError> {
    let end_at = |at: Option<usize>, beyond: Option<usize>| -> Option<u64> {
        let Some(Token::Int(digits)) = tokens.get(at?) else { return None };
        let arithmetic = ["+", "-", "*", "/", "%", "^", "**"];
        match beyond.and_then(|b| tokens.get(b)) {
            Some(Token::Symbol(s)) if arithmetic.contains(s) => None,
            _ => digits.replace('_', "").parse().ok(),
        }
    };
    let (start, end) = (end_at(i.checked_sub(1), i.checked_sub(2)), end_at(Some(i + 1), Some(i + 2)));
    let (Some(start), Some(end)) = (start, end) else {
        return Err(ConditionError::Range { limit: MAX_RANGE });
    };
    let length = end.saturating_sub(start).saturating_add(1);
    if length > MAX_RANGE { Err(ConditionError::Range { limit: MAX_RANGE }) } else { Ok(length) }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            c if c.is_whitespace() => (None, c.len_utf8()),
            '"' | '\'' => (Some(Token::Text), quoted(rest, c)),
            '`' => (Some(Token::Text), rest[1..].find('`').map_or(rest.len(), |end| end + 2)),
            _ if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            _ if rest.starts_with("/*") => (None, rest.find("*/").map_or(rest.len(), |end| end + 2)),
            c if c.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let decimal = rest[..end].bytes().all(|b| b.is_ascii_digit() || b == b'_');
                // `1.5` is one number, `1..5` is two with a range between them.
                let fraction = rest[end..].starts_with('.') && !rest[end..].starts_with("..");
                if decimal && !fraction {
                    (Some(Token::Int(&rest[..end])), end)
                } else {
                    (Some(Token::Other(&rest[..end])), end + usize::from(fraction))
                }
            }
            c if c.is_ascii_alphabetic() || c == '_' || c == '$' || c == '#' => {
                let end =
                    rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |e| e + 1);
                (Some(Token::Word(&rest[..end])), end)
            }
            c => {
                let long = SYMBOLS.iter().find(|s| rest.starts_with(**s)).map(|s| s.len());
                let length = long.unwrap_or(c.len_utf8());
                (Some(Token::Symbol(&rest[..length])), length)
            }
        };
        tokens.extend(token);
        rest = &rest[length..];
    }
    tokens
}

/// Length of a quoted text with its quotes; an unclosed one reaches to the end, and the parser will refuse it.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_comments_are_not_code() {
        let quiet = shape(r#"result == "((((1..99999999))))" // ((((("#).expect("within limits");
        assert_eq!((quiet.walks, quiet.largest_range), (0, 0));
    }

    #[test]
    fn every_measured_hazard_is_refused() {
        let terms = vec!["1"; 2000].join(" + ");
        let parens = format!("{}1{}", "(".repeat(200), ")".repeat(200));
        let nested = "all(result, any(result, none(result, # > 1)))";
        for hazard in [
            terms.as_str(),
            &parens,
            nested,
            "len(1..100000000) > 1",
            "len(1..9999999*99999) > 1",
            "len(0..result[0]) > 1",
            "a[a[a[a[a[a[a[a[0]]]]]]]]",
            r#"len(repeat("x", 1000000)) > 1"#,
        ] {
            assert!(shape(hazard).is_err(), "{hazard} was let through");
        }
    }

    #[test]
    fn doubling_by_let_is_bounded_by_work() {
        let shape = shape("let a = 1..10000; let b = [a,a,a,a,a,a,a,a]; let c = [b,b,b,b,b,b,b,b]; len(c) > 0")
            .expect("few lets");
        assert!(matches!(shape.work(1), Err(ConditionError::TooMuchWork { .. })));
    }

    #[test]
    fn usual_conditions_on_a_hundred_series_are_let_through() {
        for usual in [
            "result[0] >= 0.95",
            "all(result, # > 0.5) && any(result, {# > 0.9})",
            "x in 1..5",
            "let x = result[0]; x > 0.5",
        ] {
            shape(usual).and_then(|s| s.work(101)).expect(usual);
        }
    }
}
