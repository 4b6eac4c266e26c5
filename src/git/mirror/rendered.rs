//! What was rendered, kept by what it depends on: the tree and the parameters. A tree never changes, so nothing here goes
//! stale; it is only bounded.

use super::Key;
use crate::core::question::{RenderError, RenderQuestion, Rendered};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of files whose objects are kept. As objects in memory they are about five times that.
const MOST_BYTES: usize = 12 << 20;
const MOST_ENTRIES: usize = 512;

type Answer = Result<Arc<Rendered>, Vec<RenderError>>;

/// The mirror is part of it, so that an answer stays with those who may read its repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Key, String, bool, String, String);

impl Place {
    pub(super) fn of(key: &Key, question: &RenderQuestion) -> Self {
        let RenderQuestion { url: _, secret: _, tree, recurse, include, exclude } = question;
        Self(key.clone(), tree.clone(), *recurse, include.clone(), exclude.clone())
    }
}

#[derive(Default)]
pub(super) struct Cache {
    entries: BTreeMap<Place, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    answer: Answer,
    bytes: usize,
    used: u64,
}

impl Cache {
    pub(super) fn get(&mut self, place: &Place) -> Option<Answer> {
        self.clock += 1;
        let entry = self.entries.get_mut(place)?;
        entry.used = self.clock;
        Some(entry.answer.clone())
    }

    /// Keeps an answer, and lets go of those that were not used for longest.
    pub(super) fn put(&mut self, place: Place, answer: Answer, bytes: usize) {
        self.clock += 1;
        let used = self.clock;
        self.bytes += bytes;
        if let Some(old) = self.entries.insert(place, Entry { answer, bytes, used }) {
            self.bytes -= old.bytes;
        }
        while self.entries.len() > MOST_ENTRIES || self.bytes > MOST_BYTES && self.entries.len() > 1 {
            let oldest = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(place, _)| place.clone());
            let Some(gone) = oldest.and_then(|place| self.entries.remove(&place)) else { return };
            self.bytes -= gone.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::url::RepositoryUrl;

    fn place(secret: Option<&str>, tree: usize) -> Place {
        let url = RepositoryUrl::parse("https://example.com/a").expect("an address");
        let secret = secret.map(|s| ("shop".to_owned(), s.to_owned()));
        Place(Key { url, secret }, tree.to_string(), false, String::new(), String::new())
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut cache = Cache::default();
        for tree in 0..3 {
            cache.put(place(None, tree), Err(Vec::new()), MOST_BYTES / 3);
        }
        assert!(cache.get(&place(None, 0)).is_some());
        cache.put(place(None, 3), Err(Vec::new()), MOST_BYTES / 3);
        assert!(cache.get(&place(None, 1)).is_none());
        assert!(cache.get(&place(None, 0)).is_some());
    }

    #[test]
    fn another_credential_is_another_answer() {
        let mut cache = Cache::default();
        cache.put(place(Some("theirs"), 0), Err(Vec::new()), 1);
        assert!(cache.get(&place(None, 0)).is_none() && cache.get(&place(Some("ours"), 0)).is_none());
    }
}
