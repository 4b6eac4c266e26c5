//! From a commit to what an Application is told of it: the tree of its path, who made it, and what came before.

use super::tree::{TreeError, find};
use crate::core::question::{PastCommit, SourceTip};
use gix::objs::CommitRef;
use gix::{ObjectId, Repository};
use jiff::Timestamp;

/// As far back as a tip tells. The mirror is as deep.
pub(super) const HISTORY: usize = 50;
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// A path inside a repository, without anything that could leave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RepositoryPath(Vec<String>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "spec.source.path: {0:?}: is no path inside the repository; write it from the root without `..`, such as apps/web"
)]
pub(super) struct PathError(String);

impl RepositoryPath {
    /// # Errors
    /// For absolute paths, `..`, and names that no file has.
    pub(super) fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = || PathError(text.chars().take(200).collect());
        if text.starts_with('/') || text.len() > 4096 {
            return Err(wrong());
        }
        let parts: Vec<String> = text.split('/').filter(|p| !p.is_empty() && *p != ".").map(str::to_owned).collect();
        let strange = |p: &String| p == ".." || p.contains(char::is_control) || p.contains('\\');
        if parts.iter().any(strange) { Err(wrong()) } else { Ok(Self(parts)) }
    }

    pub(super) fn parts(&self) -> &[String] {
        &self.0
    }
}

/// The directory at `path` below `root`; `None` when there is none.
pub(super) fn directory(
    repository: &Repository,
    root: ObjectId,
    path: &RepositoryPath,
) -> Result<Option<ObjectId>, TreeError> {
    let mut at = root;
    for part in path.parts() {
        let object = find(repository, at)?;
        let tree = gix::objs::TreeRef::from_bytes(&object.data, at.kind())
            .map_err(|e| TreeError::Database(format!("tree {at}: {e}")))?;
        match tree.entries.iter().find(|e| e.filename == part.as_str()) {
            Some(entry) if entry.mode.is_tree() => at = entry.oid.to_owned(),
            _ => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Reads a tip with its history: the commits that the branch itself was at, newest first, as far as the mirror has them.
pub(super) fn read(
    repository: &Repository,
    reference: Option<String>,
    commit: ObjectId,
    path: &RepositoryPath,
) -> Result<SourceTip, TreeError> {
    let object = find(repository, commit)?;
    let decoded = decode(&object.data, commit)?;
    let author = decoded.author().map_err(|e| TreeError::Database(format!("commit {commit}: {e}")))?;
    let seconds = decoded.committer().ok().and_then(|c| c.time().ok()).map_or(0, |t| t.seconds);
    let mut tip = SourceTip {
        reference,
        commit: commit.to_string(),
        author: line(&format!("{} <{}>", author.name, author.email)),
        time: Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH),
        message: message(&decoded),
        tree: directory(repository, decoded.tree(), path)?.map(|t| t.to_string()),
        history: Vec::new(),
    };
    let mut next = Some(commit);
    while let Some(id) = next.filter(|_| tip.history.len() < HISTORY) {
        // Behind the shallow boundary there is nothing.
        let object = match find(repository, id) {
            Ok(object) => object,
            Err(TreeError::Absent(_)) => break,
            Err(other) => return Err(other),
        };
        let decoded = decode(&object.data, id)?;
        tip.history.push(PastCommit {
            commit: id.to_string(),
            tree: directory(repository, decoded.tree(), path)?.map(|t| t.to_string()),
            message: message(&decoded),
        });
        next = decoded.parents().next();
    }
    Ok(tip)
}

fn decode(data: &[u8], id: ObjectId) -> Result<CommitRef<'_>, TreeError> {
    CommitRef::from_bytes(data, id.kind()).map_err(|e| TreeError::Database(format!("commit {id}: {e}")))
}

fn message(commit: &CommitRef<'_>) -> String {
    let bytes = &commit.message[..commit.message.len().min(MAX_MESSAGE_BYTES)];
    // Terminal sequences and the like have no business in a status.
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
