//! Bytes of a file to the objects in it, as Kubernetes reads them.
//!
//! The rule: what kubectl would send to the API server for a file is what we send, or we refuse the file by name and line. A
//! difference in reading is a phantom change, or worse. So the YAML is that of Go's parser (1.1, `0644` is octal, `on` is
//! true), not of the current standard. Files are hostile until proven otherwise: every kind of growth has a limit, and a panic
//! in the parser is an error of that file. Pure: nothing here knows git, the cluster, or a disk.

mod identity;
mod scalar;
mod yaml;

pub use identity::IdentityError;

use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How large a file may be and become.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one file.
    pub bytes: usize,
    pub documents: usize,
    pub depth: usize,
    /// Values in one file after aliases were put in; long text counts once more per 32 bytes.
    pub values: usize,
    pub warnings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // The largest public manifests (bundles of resource definitions) have 3 MB and 250,000 values; the API server
        // itself takes 3 MiB per object. Depth as in serde_json, less what we add around it.
        Self { bytes: 8 << 20, documents: 10_000, depth: 100, values: 600_000, warnings: 50 }
    }
}

/// How the bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Json,
}

impl Format {
    /// From the end of a file's name; `None` for files that hold no manifests.
    pub fn of(name: &str) -> Option<Self> {
        let ending = name.rsplit_once('.')?.1;
        match ending {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// One object, and the line (from 1) at which its document begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub line: u64,
    pub object: Value,
}

/// What a file holds. Warnings have the line that they are about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifests {
    pub objects: Vec<Manifest>,
    pub warnings: Vec<(u64, String)>,
}

/// What is wrong in a file, and in which line (from 1; 0 when it is about the whole file).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ManifestError {
    pub line: u64,
    pub problem: ManifestProblem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestProblem {
    #[error("has {bytes} bytes, at most {most} are read; split it")]
    TooLarge { bytes: usize, most: usize },
    #[error("is not UTF-8; save it as UTF-8")]
    NotUtf8,
    /// What the parser said, already in words.
    #[error("{0}")]
    Syntax(String),
    #[error("the YAML parser failed on this file; validate it with another tool and report the file")]
    ParserPanicked,
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

pub(crate) struct Document {
    line: u64,
    value: Value,
}

/// Reads all objects of a file; finds all that are wrong, not only the first.
///
/// # Errors
/// A syntax error ends the file; errors of identity are collected over its documents. Never partly: one bad object refuses
/// the file.
pub fn read(bytes: &[u8], format: Format, limits: &Limits) -> Result<Manifests, Vec<ManifestError>> {
    let whole = |problem| vec![ManifestError { line: 0, problem }];
    if bytes.len() > limits.bytes {
        return Err(whole(ManifestProblem::TooLarge { bytes: bytes.len(), most: limits.bytes }));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole(ManifestProblem::NotUtf8))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (documents, warnings) = match format {
        // kubectl looks at the first character, whatever the file is called.
        Format::Yaml if !text.trim_start().starts_with('{') => yaml_documents(text, limits)?,
        Format::Yaml => match json_documents(text, limits) {
            Ok(found) => found,
            // A flow mapping is YAML that begins like JSON.
            Err(_) => yaml_documents(text, limits)?,
        },
        Format::Json => json_documents(text, limits)?,
    };
    let mut found = Manifests { objects: Vec::new(), warnings };
    let mut errors = Vec::new();
    for Document { line, value } in documents {
        let mut objects = Vec::new();
        if let Err(error) = identity::expand(value, &mut objects) {
            errors.push(ManifestError { line, problem: error.into() });
        }
        for object in objects {
            match identity::check(&object) {
                Ok(()) => found.objects.push(Manifest { line, object }),
                Err(error) => errors.push(ManifestError { line, problem: error.into() }),
            }
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

fn yaml_documents(text: &str, limits: &Limits) -> Result<yaml::Composed, Vec<ManifestError>> {
    match catch_unwind(AssertUnwindSafe(|| yaml::compose(text, limits))) {
        Ok(Ok(composed)) => Ok(composed),
        Ok(Err(error)) => {
            Err(vec![ManifestError { line: error.line, problem: ManifestProblem::Syntax(error.to_string()) }])
        }
        Err(_) => Err(vec![ManifestError { line: 0, problem: ManifestProblem::ParserPanicked }]),
    }
}

fn json_documents(text: &str, limits: &Limits) -> Result<yaml::Composed, Vec<ManifestError>> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let rest = &text[stream.byte_offset()..];
        let begin = text.len() - rest.trim_start().len();
        let line = text[..begin].matches('\n').count() as u64 + 1;
        let failed = |line, problem| Err(vec![ManifestError { line, problem: ManifestProblem::Syntax(problem) }]);
        match stream.next() {
            None => return Ok((documents, Vec::new())),
            Some(Ok(Value::Null)) => {}
            Some(Ok(value)) if documents.len() < limits.documents => {
                documents.push(Document { line, value: as_kubernetes_counts(value) });
            }
            Some(Ok(_)) => {
                return failed(line, format!("holds more than {} documents; split the file", limits.documents));
            }
            Some(Err(error)) => {
                let at = error.line() as u64;
                return failed(at, format!("not valid JSON: {}", without_position(&error)));
            }
        }
    }
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// JSON numbers as Kubernetes keeps them: integers of 64 bits with sign, or doubles. `1e3` in JSON stays a double there.
fn as_kubernetes_counts(value: Value) -> Value {
    match value {
        Value::Number(n) if n.is_u64() && !n.is_i64() => {
            n.as_f64().and_then(scalar::float_value).unwrap_or(Value::Number(n))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(as_kubernetes_counts).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, as_kubernetes_counts(v))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
