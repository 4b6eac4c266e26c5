//! Going back by command: a former ReplicaSet runs while spec stays as it is, until spec has another template.
//!
//! The intent lives in status, where no sync from git undoes it. From the next pass on the former revision is the current one,
//! and everything follows from that as for any other change; the template in spec is neither made nor run again meanwhile.

use super::facts::Facts;
use super::pass::Pass;
use crate::api::{AbortedRevision, RollbackStatus};

/// Where one may go back to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Goals<'a> {
    /// Number and hash of every ReplicaSet.
    pub revisions: &'a [(i64, String)],
    /// Hash of the template in spec; `None` when spec cannot be read.
    pub in_spec: Option<&'a str>,
    pub aborted: &'a [AbortedRevision],
}

impl<'a> Goals<'a> {
    /// The hash that is meant by a number or by a hash or its beginning.
    pub(super) fn find(self, word: &str) -> Result<&'a str, String> {
        let with = |test: &dyn Fn(&(i64, String)) -> bool| -> Vec<&'a (i64, String)> {
            self.revisions.iter().filter(|revision| test(revision)).collect()
        };
        let mut found = with(&|(number, _)| word.parse() == Ok(*number));
        if found.is_empty() {
            found = with(&|(_, hash)| hash == word);
        }
        // A number is a revision's, whatever hashes begin with it.
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        if found.is_empty() && !is_number {
            found = with(&|(_, hash)| hash.starts_with(word));
        }
        match found.as_slice() {
            [(_, hash)] => Ok(hash),
            [] => Err(format!(
                "no ReplicaSet has the revision or hash {word:?}; there are: {}",
                list(self.revisions.iter().collect())
            )),
            several => Err(format!("{word:?} is ambiguous; give one of: {}", list(several.to_vec()))),
        }
    }

    /// Whether it is carried out, with the text for its record.
    pub(super) fn judge(self, word: &str, current: Option<&str>) -> Result<String, String> {
        let hash = self.find(word)?;
        if current == Some(hash) {
            return Err(format!("revision {hash} is the current one"));
        }
        let Some(in_spec) = self.in_spec else {
            return Err("spec cannot be read; correct it first, or abort what is under way".to_owned());
        };
        if let Some(aborted) = self.aborted.iter().find(|a| a.hash == hash) {
            return Err(format!("revision {hash} was aborted: {}; name another one", aborted.cause));
        }
        Ok(if hash == in_spec {
            format!("revision {hash} is that of spec.template: the rollback ends")
        } else {
            format!("going back to revision {hash}; spec.template ({in_spec}) waits until it changes")
        })
    }
}

fn list(revisions: Vec<&(i64, String)>) -> String {
    let names: Vec<String> = revisions.into_iter().map(|(number, hash)| format!("{number} ({hash})")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Number and hash of every ReplicaSet, oldest first.
pub(super) fn revisions(f: &Facts<'_>) -> Vec<(i64, String)> {
    let mut found: Vec<(i64, String)> = f.sets.keys().map(|hash| (f.revision(hash), hash.clone())).collect();
    found.sort();
    found
}

impl Pass<'_> {
    /// Notes where to go back to; the next pass does.
    pub(super) fn go_back(&mut self, hash: &str) {
        let f = self.f;
        self.next.rollback = (hash != f.in_spec).then(|| RollbackStatus {
            hash: hash.to_owned(),
            template: f.in_spec.clone(),
            since: Some(f.now),
        });
    }

    /// Another revision was asked for in this very pass: nothing moves on before it is the current one.
    pub(super) fn is_turning(&self) -> bool {
        self.next.rollback.as_ref().map(|r| &r.hash) != self.f.rollback.map(|r| &r.hash)
    }

    /// What a rollback that is in force means, for status.
    pub(super) fn rolled_back(&self) -> Option<String> {
        let rollback = self.f.rollback?;
        let (hash, revision) = (&rollback.hash, self.next.current_revision.unwrap_or(0));
        Some(format!(
            "rolled back to revision {revision} ({hash}); spec.template ({}) waits until it changes",
            rollback.template
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revisions() -> Vec<(i64, String)> {
        [(1, "bcd4"), (2, "bcf5"), (3, "4bcd"), (5, "5xyz")].map(|(n, h)| (n, h.to_owned())).to_vec()
    }

    #[test]
    fn a_revision_is_found_by_number_by_hash_and_by_the_beginning_of_a_hash() {
        let revisions = revisions();
        let goals = Goals { revisions: &revisions, ..Goals::default() };
        for (word, hash) in [("1", "bcd4"), ("bcd4", "bcd4"), ("bcf", "bcf5"), ("4b", "4bcd"), ("5", "5xyz")] {
            assert_eq!(goals.find(word), Ok(hash), "{word}");
        }
    }

    #[test]
    fn what_is_not_there_or_ambiguous_is_refused_with_what_there_is() {
        let revisions = revisions();
        let goals = Goals { revisions: &revisions, ..Goals::default() };
        assert!(goals.find("9").is_err_and(|e| e.contains("1 (bcd4), 2 (bcf5), 3 (4bcd)")));
        assert!(goals.find("").is_err());
        assert!(goals.find("4").is_err(), "a number, and no revision's: not the beginning of a hash");
        let ambiguous = goals.find("bc").expect_err("two begin so");
        assert!(ambiguous.contains("1 (bcd4), 2 (bcf5)") && !ambiguous.contains("4bcd"), "{ambiguous}");
        let twins = [(1, "bcd4".to_owned()), (1, "bcf5".to_owned())];
        assert!(Goals { revisions: &twins, ..Goals::default() }.find("1").is_err_and(|e| e.contains("ambiguous")));
    }

    #[test]
    fn the_current_an_aborted_and_a_hidden_one_are_refused_and_that_of_spec_ends_the_rollback() {
        let revisions = revisions();
        let aborted =
            [AbortedRevision { hash: "4bcd".to_owned(), cause: "slow".to_owned(), ..AbortedRevision::default() }];
        let goals = Goals { revisions: &revisions, in_spec: Some("bcf5"), aborted: &aborted };
        assert!(goals.judge("1", Some("bcd4")).is_err_and(|e| e.contains("is the current one")));
        assert!(goals.judge("3", Some("bcf5")).is_err_and(|e| e.contains("was aborted: slow")));
        assert!(goals.judge("1", Some("bcf5")).is_ok_and(|m| m.contains("waits until it changes")));
        assert!(goals.judge("2", Some("bcd4")).is_ok_and(|m| m.contains("the rollback ends")));
        assert!(Goals { in_spec: None, ..goals }.judge("1", Some("bcf5")).is_err_and(|e| e.contains("cannot be read")));
    }
}
