//! Composes JSON values from the events of the YAML parser, within limits.
//!
//! The limits belong here, where the work is done: an alias costs what it stands for, so that nine lines cannot become a
//! gigabyte; nesting and documents are counted before anything is built.

use super::scalar::{self, ScalarError};
use super::{Document, Limits};
use libyaml_safer::{Event, EventData, Parser, ScalarStyle};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a file, and in which line (counted from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub(super) struct YamlError {
    pub(super) line: u64,
    pub(super) problem: YamlProblem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum YamlProblem {
    #[error("not valid YAML: {0}")]
    Syntax(String),
    #[error(transparent)]
    Scalar(#[from] ScalarError),
    #[error("a mapping or list cannot be a key; only text can")]
    ComplexKey,
    #[error("the alias *{0} has no anchor before it in this document; define &{0} first")]
    UnknownAnchor(String),
    #[error("`<<` takes a mapping or a list of mappings")]
    MergeNeedsMapping,
    #[error("nested deeper than {0} levels; flatten it")]
    TooDeep(usize),
    #[error("grows beyond {0} values (aliases count as what they stand for); split the file")]
    TooLarge(usize),
    #[error("holds more than {0} documents; split the file")]
    TooManyDocuments(usize),
}

/// The documents of a stream, empty ones left out, and warnings with their lines.
pub(super) type Composed = (Vec<Document>, Vec<(u64, String)>);

/// Composes all documents of `text`, which has no byte order mark.
pub(super) fn compose(text: &str, limits: &Limits) -> Result<Composed, YamlError> {
    // The parser can panic on text that ends inside a block scalar, and adds the missing line end to its value; Go does
    // neither. So the text always ends with one, and the scalar that touches it gives it back.
    let lacks_line_end = !text.ends_with('\n');
    let mut amended = String::new();
    let bytes = if lacks_line_end {
        amended.reserve(text.len() + 1);
        amended.push_str(text);
        amended.push('\n');
        amended.as_bytes()
    } else {
        text.as_bytes()
    };
    let mut input = bytes;
    let mut parser = Parser::new();
    parser.set_input_string(&mut input);
    let mut composer = Composer {
        parser,
        limits,
        left: limits.values,
        anchors: BTreeMap::new(),
        warnings: Vec::new(),
        borrowed_end: lacks_line_end.then_some(bytes.len() as u64),
    };
    composer.stream()
}

struct Composer<'a, 'b> {
    parser: Parser<&'a mut &'b [u8]>,
    limits: &'a Limits,
    /// Budget that is left, in values.
    left: usize,
    /// Finished nodes by anchor, with their cost.
    anchors: BTreeMap<String, (Value, usize)>,
    warnings: Vec<(u64, String)>,
    /// Length of the text when its last line end is not the file's own.
    borrowed_end: Option<u64>,
}

fn line_of(event: &Event) -> u64 {
    event.start_mark.line + 1
}

fn fail<T>(line: u64, problem: impl Into<YamlProblem>) -> Result<T, YamlError> {
    Err(YamlError { line, problem: problem.into() })
}

impl Composer<'_, '_> {
    fn next(&mut self) -> Result<Event, YamlError> {
        self.parser.parse().map_err(|error| YamlError {
            line: error.problem_mark().map_or(0, |m| m.line + 1),
            problem: YamlProblem::Syntax(match error.context() {
                Some(context) => format!("{} {context}", error.problem()),
                None => error.problem().to_owned(),
            }),
        })
    }

    fn charge(&mut self, cost: usize, line: u64) -> Result<(), YamlError> {
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => fail(line, YamlProblem::TooLarge(self.limits.values)),
        }
    }

    fn stream(&mut self) -> Result<Composed, YamlError> {
        let mut documents = Vec::new();
        let mut seen = 0;
        loop {
            let event = self.next()?;
            match event.data {
                EventData::StreamEnd => return Ok((documents, std::mem::take(&mut self.warnings))),
                EventData::DocumentStart { .. } => {
                    seen += 1;
                    if seen > self.limits.documents {
                        return fail(line_of(&event), YamlProblem::TooManyDocuments(self.limits.documents));
                    }
                    self.anchors.clear();
                    let root = self.next()?;
                    let line = line_of(&root);
                    let value = self.node(root, 0)?;
                    if !value.is_null() {
                        documents.push(Document { line, value });
                    }
                }
                _ => {}
            }
        }
    }

    /// The node that begins with `event`.
    fn node(&mut self, event: Event, depth: usize) -> Result<Value, YamlError> {
        let line = line_of(&event);
        if depth > self.limits.depth {
            return fail(line, YamlProblem::TooDeep(self.limits.depth));
        }
        let before = self.left;
        let end = event.end_mark.index;
        let (anchor, value) = match event.data {
            EventData::Alias { anchor } => {
                let Some((value, cost)) = self.anchors.get(&anchor) else {
                    return fail(line, YamlProblem::UnknownAnchor(anchor));
                };
                let cost = *cost;
                // Charged before it is copied.
                if cost > self.left {
                    return fail(line, YamlProblem::TooLarge(self.limits.values));
                }
                let value = value.clone();
                self.charge(cost, line)?;
                return Ok(value);
            }
            EventData::Scalar { anchor, tag, mut value, plain_implicit, style, .. } => {
                self.charge(cost_of(&value), line)?;
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if block && self.borrowed_end == Some(end) && value.ends_with('\n') {
                    value.pop();
                }
                let scalar = scalar::resolve(value, tag.as_deref(), plain_implicit)
                    .and_then(scalar::Scalar::into_value)
                    .map_err(|e| YamlError { line, problem: e.into() })?;
                (anchor, scalar)
            }
            EventData::SequenceStart { anchor, .. } => {
                self.charge(1, line)?;
                (anchor, self.sequence(depth)?)
            }
            EventData::MappingStart { anchor, .. } => {
                self.charge(1, line)?;
                (anchor, self.mapping(depth)?)
            }
            _ => return fail(line, YamlProblem::Syntax("a value is missing".to_owned())),
        };
        if let Some(anchor) = anchor {
            let cost = before - self.left;
            // The copy that the anchor keeps.
            self.charge(cost, line)?;
            self.anchors.insert(anchor, (value.clone(), cost));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if event.data == EventData::SequenceEnd {
                return Ok(Value::Array(items));
            }
            items.push(self.node(event, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut map = Map::new();
        let mut written = BTreeSet::new();
        loop {
            let event = self.next()?;
            let line = line_of(&event);
            let key = match event.data {
                EventData::MappingEnd => return Ok(Value::Object(map)),
                EventData::Scalar { value, tag, plain_implicit, .. }
                    if value == "<<" && (plain_implicit || tag.as_deref() == Some("tag:yaml.org,2002:merge")) =>
                {
                    let event = self.next()?;
                    let source = self.node(event, depth + 1)?;
                    merge(&mut map, source, line)?;
                    continue;
                }
                EventData::Scalar { anchor, tag, value, plain_implicit, .. } => {
                    self.charge(cost_of(&value), line)?;
                    let key = scalar::resolve(value, tag.as_deref(), plain_implicit)
                        .and_then(scalar::Scalar::into_key)
                        .map_err(|e| YamlError { line, problem: e.into() })?;
                    if let Some(anchor) = anchor {
                        let cost = cost_of(&key);
                        self.charge(cost, line)?;
                        self.anchors.insert(anchor, (Value::String(key.clone()), cost));
                    }
                    key
                }
                EventData::Alias { anchor } => match self.anchors.get(&anchor) {
                    Some((Value::String(key), cost)) => {
                        let (key, cost) = (key.clone(), *cost);
                        self.charge(cost, line)?;
                        key
                    }
                    Some(_) => return fail(line, YamlProblem::ComplexKey),
                    None => return fail(line, YamlProblem::UnknownAnchor(anchor)),
                },
                _ => return fail(line, YamlProblem::ComplexKey),
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if !written.insert(key.clone()) && self.warnings.len() < self.limits.warnings {
                let shown: String = key.chars().take(80).collect();
                self.warnings.push((line, format!("the key {shown:?} is there twice; the last one counts")));
            }
            map.insert(key, value);
        }
    }
}

/// Long text costs more than short, so that copies of it are bounded too.
fn cost_of(text: &str) -> usize {
    1 + text.len() / 32
}

/// Merges into what is there, over keys that were written before: that is what kubectl does. Of a list, the first wins.
fn merge(into: &mut Map<String, Value>, source: Value, line: u64) -> Result<(), YamlError> {
    match source {
        Value::Object(map) => into.extend(map),
        Value::Array(items) => {
            for item in items.into_iter().rev() {
                let Value::Object(map) = item else { return fail(line, YamlProblem::MergeNeedsMapping) };
                into.extend(map);
            }
        }
        _ => return fail(line, YamlProblem::MergeNeedsMapping),
    }
    Ok(())
}
