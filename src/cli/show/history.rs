//! `history`: the revisions that are kept, and what was asked.

use super::Observed;
use super::observed::{commit, hash_of, images, revision};
use super::text::{Line, age, columns, heading, plain, word};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

/// Digits of a commit that are shown; as many name it in `@git:`.
const SHORT_COMMIT: usize = 7;

/// One revision that is kept as a ReplicaSet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revision {
    pub(crate) revision: i64,
    pub(crate) hash: String,
    /// current, stable, last good, aborted: those that hold.
    pub(crate) roles: Vec<&'static str>,
    pub(crate) images: Vec<String>,
    pub(crate) created: Option<Timestamp>,
    /// The commit that brought it, where an Application applied it.
    pub(crate) commit: Option<String>,
    /// Why it was aborted.
    pub(crate) cause: Option<String>,
}

/// Newest first.
pub(crate) fn revisions(observed: &Observed) -> Vec<Revision> {
    let of = |set| {
        let hash = hash_of(set).to_owned();
        let status = observed.status();
        let cause = status.aborted.iter().rev().find(|a| a.hash == hash).map(|a| a.cause.clone());
        Revision {
            revision: revision(set),
            roles: roles(observed, &hash),
            images: images(set),
            created: set.creation_timestamp().map(|t| t.0),
            commit: commit(set),
            hash,
            cause,
        }
    };
    observed.sets.iter().map(of).collect()
}

/// What a revision is to the Rollout.
pub(crate) fn roles(observed: &Observed, hash: &str) -> Vec<&'static str> {
    let status = observed.status();
    let is = |known: Option<&String>| known.is_some_and(|known| known == hash);
    [
        ("current", is(status.current_pod_hash.as_ref())),
        ("stable", is(status.stable_rs.as_ref())),
        ("last good", is(status.last_good.as_ref().map(|good| &good.hash))),
        ("aborted", status.aborted.iter().any(|a| a.hash == hash)),
    ]
    .into_iter()
    .filter_map(|(role, holds)| holds.then_some(role))
    .collect()
}

/// Revisions, then commands with their outcomes, newest first.
pub(crate) fn lines(observed: &Observed, now: Timestamp) -> Vec<Line> {
    let mut rows = vec![heading(&["REVISION", "HASH", "ROLE", "AGE", "COMMIT", "IMAGES", "ABORTED BECAUSE"])];
    for r in revisions(observed) {
        rows.push(vec![
            plain(r.revision.to_string()),
            plain(r.hash),
            plain(if r.roles.is_empty() { "-".to_owned() } else { r.roles.join(", ") }),
            plain(age(r.created, now)),
            plain(r.commit.map_or_else(|| "-".to_owned(), |commit| commit.chars().take(SHORT_COMMIT).collect())),
            plain(r.images.join(",")),
            plain(r.cause.unwrap_or_default()),
        ]);
    }
    let mut lines = columns(rows);
    let commands = observed.status().commands;
    if commands.is_empty() {
        return lines;
    }
    lines.push(Line::default());
    let mut rows = vec![heading(&["COMMAND", "VALUE", "OUTCOME", "AGE", "BY", "MESSAGE"])];
    for c in commands.into_iter().rev() {
        rows.push(vec![
            plain(c.name),
            plain(c.value),
            word(c.outcome),
            plain(age(c.time, now)),
            plain(c.field_manager.unwrap_or_else(|| "-".to_owned())),
            plain(c.message.unwrap_or_default()),
        ]);
    }
    lines.extend(columns(rows));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::text::paint;
    use super::*;

    #[test]
    fn history_names_roles_causes_and_who_asked() {
        let text = paint(&lines(&sample::aborted(), sample::NOW), false);
        assert_eq!(
            text,
            "REVISION  HASH  ROLE               AGE  COMMIT   IMAGES  ABORTED BECAUSE\n\
             2         new   current, aborted   5m   0123abc  app:2   errors rose\n\
             1         old   stable, last good  16m  -        app:1\n\
             \n\
             COMMAND  VALUE                    OUTCOME   AGE  BY            MESSAGE\n\
             abort    @hash:new#1 errors rose  Accepted  60s  tidegate-cli  traffic goes back to stable: errors rose\n"
        );
    }
}
