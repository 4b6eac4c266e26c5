//! Why the bed could not do something, and what the reader can do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// A step of the bed that failed.
///
/// One type for the whole crate: every failure here ends the run and is read by a person, so it carries words, not cases.
#[derive(Debug)]
pub struct Failure {
    /// What was being done, with its object: `building kube-apiserver`.
    what: String,
    /// What went wrong, as reported.
    why: String,
    /// What to do about it.
    remedy: Option<String>,
    /// Where the full output is.
    log: Option<PathBuf>,
}

/// Result of a step of the bed.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// `what` did not work, because of `why`.
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { what: what.into(), why: why.to_string(), remedy: None, log: None }
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Follows a folder of logs that was moved.
    #[must_use]
    pub fn moved(mut self, from: &Path, to: &Path) -> Self {
        self.why = self.why.replace(&from.display().to_string(), &to.display().to_string());
        self.log = self.log.map(|log| log.strip_prefix(from).map_or(log.clone(), |rest| to.join(rest)));
        self
    }

    /// Adds where the full output is.
    #[must_use]
    pub fn log(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  what to do: {remedy}")?;
        }
        if let Some(log) = &self.log {
            write!(f, "\n  full output: {}", log.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Gives an error of the standard library or the kernel its place.
pub trait Doing<T> {
    /// Names what was being done.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Failure::new(what(), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_logs_where_they_are_now() {
        let failure = Failure::new("starting", "see /run/x/log/etcd.log").log(Path::new("/run/x/log/init.log"));
        let text = failure.moved(Path::new("/run/x/log"), Path::new("/kept")).to_string();
        assert_eq!(text, "starting: see /kept/etcd.log\n  full output: /kept/init.log");
    }
}
