//! Questions and their answers: the declared set of each key is kept running, nothing else is.

use crate::core::object::Key;
use crate::core::question::{Answer, Question, Told};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Where plans put the questions of a key. The real one runs workers; the simulation answers by itself.
pub trait Desk: Send + Sync + 'static {
    /// From now on exactly these are asked for `key`: new ones start, missing ones end and their answers are forgotten.
    fn ask(&self, key: &Key, questions: &[Question]);
}

/// The last answer to each open question.
#[derive(Debug, Default)]
pub struct Answers {
    rows: Mutex<BTreeMap<Key, BTreeMap<String, Answer>>>,
}

impl Answers {
    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, BTreeMap<String, Answer>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers of a key, by question id.
    pub fn of(&self, key: &Key) -> BTreeMap<String, Answer> {
        self.rows().get(key).cloned().unwrap_or_default()
    }

    /// Keeps an answer, and says whether it tells something new, so that its key is to be decided again.
    pub fn put(&self, key: &Key, id: &str, what: Told, at: Timestamp) -> bool {
        let mut rows = self.rows();
        let of_key = rows.entry(key.clone()).or_default();
        let new = of_key.get(id).is_none_or(|old| old.what != what);
        of_key.insert(id.to_owned(), Answer { at, what });
        new
    }

    /// Forgets the answers to all but these questions.
    pub fn keep(&self, key: &Key, ids: impl Fn(&str) -> bool) {
        let mut rows = self.rows();
        if let Some(of_key) = rows.get_mut(key) {
            of_key.retain(|id, _| ids(id));
            if of_key.is_empty() {
                rows.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::{ObjectRef, ResourceType};
    use std::sync::Arc;

    #[test]
    fn only_an_answer_that_tells_something_new_wakes_its_key() {
        let (answers, now) = (Answers::default(), Timestamp::UNIX_EPOCH);
        let key = ObjectRef::new(ResourceType::ROLLOUT, "shop", "web");
        assert!(answers.put(&key, "pods", Told::Pods(Arc::default()), now));
        assert!(!answers.put(&key, "pods", Told::Pods(Arc::default()), now));
        answers.keep(&key, |_| false);
        assert!(answers.of(&key).is_empty());
        assert!(answers.put(&key, "pods", Told::Pods(Arc::default()), now));
    }
}
