//! The API server's audit log: what the controller asked, counted by who was asked and not by who asks.

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

/// The log of a cluster, read on from where the last reading ended.
#[derive(Debug)]
pub(crate) struct Audit {
    path: PathBuf,
    user: String,
    read: u64,
    requests: Vec<Request>,
}

/// One answered request of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) at: Timestamp,
    pub(crate) done: Timestamp,
    pub(crate) verb: String,
    /// `rollouts/status`, `services`.
    pub(crate) resource: String,
    pub(crate) name: String,
}

impl Request {
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// What is there at rest, too: the lease, and watches that are taken up again.
    fn is_standing(&self) -> bool {
        self.resource == "leases" || self.verb == "watch"
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    name: String,
}

impl Audit {
    /// The requests of `user` in the log at `path`, from now on.
    pub(crate) fn open(path: PathBuf, user: String) -> Self {
        Self { path, user, read: 0, requests: Vec::new() }
    }

    /// Reads what was written since. A line that is not written to its end yet is left for the next time.
    pub(crate) fn refresh(&mut self) -> anyhow::Result<()> {
        let mut file = File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        if file.metadata()?.len() < self.read {
            anyhow::bail!("the audit log {} was rotated in the middle of a measurement", self.path.display());
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += u64::try_from(whole)?;
        for line in text[..whole].lines() {
            let event: Event =
                serde_json::from_str(line).with_context(|| format!("a line of the audit log: {line}"))?;
            if event.user.username != self.user {
                continue;
            }
            let ObjectRef { resource, subresource, name } = event.object_ref;
            let resource = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
            let (at, done) = (event.request_received_timestamp, event.stage_timestamp);
            self.requests.push(Request { at, done, verb: event.verb, resource, name });
        }
        Ok(())
    }

    /// What was asked from `from` on, without what is asked at rest.
    pub(crate) fn since(&mut self, from: Timestamp) -> anyhow::Result<Vec<&Request>> {
        self.refresh()?;
        Ok(self.requests.iter().filter(|r| r.at >= from && !r.is_standing()).collect())
    }

    /// Reads of the lease and watches that were taken up again, from `from` on.
    pub(crate) fn standing_since(&mut self, from: Timestamp) -> anyhow::Result<usize> {
        self.refresh()?;
        Ok(self.requests.iter().filter(|r| r.at >= from && r.is_standing()).count())
    }
}

/// `18 patch rollouts/status, 4 patch traefikservices, …`, most first.
pub(crate) fn by_kind(requests: &[&Request]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for request in requests {
        *counts.entry((&request.verb, &request.resource)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words = counts.into_iter().map(|((verb, resource), count)| format!("{count} {verb} {resource}"));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn line(user: &str, verb: &str, resource: &str, second: u32) -> String {
        format!(
            r#"{{"kind":"Event","verb":"{verb}","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}","name":"a"}},"requestReceivedTimestamp":"2026-01-01T00:00:{second:02}.000001Z","stageTimestamp":"2026-01-01T00:00:{second:02}.002Z"}}"#
        )
    }

    #[test]
    fn the_users_requests_are_counted_and_half_a_line_waits_for_its_end() {
        let folder = std::env::temp_dir().join(format!("tidegate-audit-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("writable");
        let path = folder.join("audit.log");
        let mut file = File::create(&path).expect("writable");
        let half = line("bench", "patch", "traefikservices", 9);
        let (head, tail) = half.split_at(40);
        let lines =
            [line("bench", "patch", "leases", 1), line("other", "get", "pods", 2), line("bench", "get", "pods", 3)];
        write!(file, "{}\n{head}", lines.join("\n")).expect("writable");
        let mut audit = Audit::open(path, "bench".into());
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(by_kind(&audit.since(start).expect("readable")), "1 get pods");
        writeln!(file, "{tail}").expect("writable");
        let seen = audit.since(start).expect("readable");
        assert_eq!(seen.iter().filter(|r| r.writes()).count(), 1);
        assert_eq!(audit.standing_since(start).expect("readable"), 1);
        std::fs::remove_dir_all(&folder).expect("removable");
    }
}
