//! A commit that puts one path to a tree, made in memory from what the mirror has.
//!
//! Trees are edited as bytes: one entry is replaced and all others stay as they are, whatever they hold. So the new objects
//! are the trees on the way to the path and the commit, and nothing outside the path can change.

use super::pack::NewObject;
use crate::core::plan::Push;
use crate::git::mirror::Identity;
use crate::git::tip::RepositoryPath;
use crate::git::tree::{TreeError, find};
use gix::actor::Signature;
use gix::objs::{Commit, CommitRef, Kind, WriteTo as _};
use gix::{ObjectId, Repository};
use std::cmp::Ordering;

/// The commit and what comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revert {
    pub(super) commit: ObjectId,
    /// New trees, deepest first, and the commit.
    pub(super) objects: Vec<NewObject>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SurgeryError {
    #[error(transparent)]
    Mirror(#[from] TreeError),
    #[error("the path has this content already")]
    Nothing,
    #[error("{0}")]
    Unusable(String),
}

/// Builds the commit. The same push gives the same commit, so a second attempt is found to be there.
pub(super) fn build(repository: &Repository, push: &Push, identity: &Identity) -> Result<Revert, SurgeryError> {
    let unusable = |what: &str, why: &dyn std::fmt::Display| SurgeryError::Unusable(format!("{what}: {why}"));
    let id = |text: &str| ObjectId::from_hex(text.as_bytes()).map_err(|e| unusable(text, &e));
    let (parent, target) = (id(&push.expected)?, id(&push.tree)?);
    let path = RepositoryPath::parse(&push.path).map_err(|e| unusable("path", &e))?;
    let object = find(repository, parent)?;
    let base = CommitRef::from_bytes(&object.data, parent.kind()).map_err(|e| unusable(&push.expected, &e))?.tree();

    // Down: the tree that each part of the path is in; empty where the bad revision has removed a directory.
    let mut trees = Vec::new();
    let mut at = Some(base);
    for part in path.parts() {
        let entries = match at {
            Some(tree) => entries(&find(repository, tree)?.data).ok_or_else(|| unusable("tree", &tree))?,
            None => Vec::new(),
        };
        at = entries.iter().find(|e| e.name == part.as_bytes() && e.is_tree()).map(|e| e.id);
        trees.push((part, entries));
    }
    if at == Some(target) {
        return Err(SurgeryError::Nothing);
    }
    // Up: each with the one below it put in.
    let mut objects = Vec::new();
    let mut below = target;
    for (part, mut entries) in trees.into_iter().rev() {
        entries.retain(|e| e.name != part.as_bytes());
        let entry = Entry { mode: b"40000".to_vec(), name: part.clone().into_bytes(), id: below };
        let place = entries.partition_point(|e| e.order(&entry) == Ordering::Less);
        entries.insert(place, entry);
        let tree = NewObject::new(Kind::Tree, bytes(&entries)).map_err(|e| unusable("tree", &e))?;
        below = tree.id;
        objects.push(tree);
    }
    let signature = Signature {
        name: identity.name.as_str().into(),
        email: identity.email.as_str().into(),
        time: gix::date::Time { seconds: push.time.as_second(), offset: 0 },
    };
    let commit = Commit {
        tree: below,
        parents: [parent].into_iter().collect(),
        author: signature.clone(),
        committer: signature,
        encoding: None,
        message: push.message.as_str().into(),
        extra_headers: Vec::new(),
    };
    let mut data = Vec::new();
    commit.write_to(&mut data).map_err(|e| unusable("commit", &e))?;
    let commit = NewObject::new(Kind::Commit, data).map_err(|e| unusable("commit", &e))?;
    let id = commit.id;
    objects.push(commit);
    Ok(Revert { commit: id, objects })
}

/// An entry of a tree, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Octal digits.
    mode: Vec<u8>,
    name: Vec<u8>,
    id: ObjectId,
}

impl Entry {
    fn is_tree(&self) -> bool {
        matches!(self.mode.as_slice(), b"40000" | b"040000")
    }

    /// Git's order: a directory sorts as if its name ended with a slash.
    fn order(&self, other: &Self) -> Ordering {
        let key = |e: &Self| e.is_tree().then_some(b'/');
        self.name.iter().copied().chain(key(self)).cmp(other.name.iter().copied().chain(key(other)))
    }
}

fn entries(mut data: &[u8]) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let space = data.iter().position(|b| *b == b' ')?;
        let zero = space + data[space..].iter().position(|b| *b == 0)?;
        let id = ObjectId::try_from(data.get(zero + 1..zero + 21)?).ok()?;
        found.push(Entry { mode: data[..space].to_vec(), name: data[space + 1..zero].to_vec(), id });
        data = &data[zero + 21..];
    }
    Some(found)
}

fn bytes(entries: &[Entry]) -> Vec<u8> {
    let mut data = Vec::new();
    for Entry { mode, name, id } in entries {
        data.extend_from_slice(mode);
        data.push(b' ');
        data.extend_from_slice(name);
        data.push(0);
        data.extend_from_slice(id.as_slice());
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: &str, name: &str) -> Entry {
        let id = ObjectId::from_hex(&[b'1'; 40]).expect("an id");
        Entry { mode: mode.into(), name: name.into(), id }
    }

    #[test]
    fn a_tree_read_and_written_is_the_same_bytes_even_with_modes_of_old_times() {
        let odd = vec![entry("100664", "a"), entry("040000", "b"), entry("160000", "c")];
        let data = bytes(&odd);
        assert_eq!(entries(&data).map(|e| bytes(&e)), Some(data));
        assert_eq!(entries(b"40000 x"), None);
    }

    #[test]
    fn directories_sort_as_if_they_ended_with_a_slash() {
        let mut names =
            [entry("40000", "web"), entry("100644", "web.yaml"), entry("100644", "web-a"), entry("100644", "web0")];
        names.sort_by(Entry::order);
        let sorted: Vec<_> = names.iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect();
        assert_eq!(sorted, ["web-a", "web.yaml", "web", "web0"]);
    }
}
