//! Pods of a revision. They are not watched: a decision that needs them asks, and has them from its next pass on.

use super::LABEL_HASH;
use super::pass::Pass;
use crate::core::question::{Ask, PodEvidence, Question, Told};
use crate::core::scalar::Span;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What was answered last.
#[derive(Debug)]
pub(super) struct Pods<'a> {
    pub at: Timestamp,
    pub all: Vec<&'a PodEvidence>,
}

impl<'a> Pass<'a> {
    /// Asks for the pods of a revision. `None` before the first answer, and without its ReplicaSet.
    pub(super) fn pods_of(&mut self, hash: &str) -> Option<Pods<'a>> {
        let set = self.f.sets.get(hash).copied()?;
        // Another revision is another question: an answer about one is none about the other.
        let id = format!("pods:{hash}");
        if !self.ask.iter().any(|q| q.id == id) {
            let labels = BTreeMap::from([(LABEL_HASH.to_owned(), hash.to_owned())]);
            let namespace = self.f.whose.namespace.clone();
            self.ask.push(Question { id: id.clone(), ask: Ask::Pods { namespace, labels } });
        }
        let answer = self.f.observed.answers.get(&id)?;
        let Told::Pods(told) = &answer.what else { return None };
        // Equal templates of two Rollouts have equal hashes.
        let all = told.iter().filter(|pod| pod.owner == set.meta.uid).collect();
        Some(Pods { at: answer.at, all })
    }
}

/// Counts as available: ready for so long.
pub(super) fn is_available(pod: &PodEvidence, min_ready: Span, now: Timestamp) -> bool {
    pod.ready && !pod.deleting && pod.ready_since.is_some_and(|since| min_ready.after(since) <= now)
}
