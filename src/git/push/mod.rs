//! Writing the one commit that we write: smart HTTP's send-pack, by compare-and-swap on the branch.
//!
//! The rule: the server moves the branch only if it still is where the decision was made, gets nothing but the new objects,
//! and is never forced. A push whose answer was lost is asked about, and one that is repeated is found to be there: the
//! commit depends on nothing but the push.

mod pack;
mod packet;
mod surgery;

use super::fetch::Access;
use super::mirror::Mirrors;
use super::tree::TreeError;
use crate::core::plan::{Push, RefusalClass};
use crate::http;
use packet::{FLUSH, Malformed, Packet};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret as _;
use std::time::Duration;
use surgery::{Revert, SurgeryError};

/// For one request. Hooks of a forge run inside it.
const REQUEST: Duration = Duration::from_secs(45);
/// A list of references: 100,000 of them are 7 MB.
const MOST_REFERENCES_BYTES: usize = 32 << 20;
const MOST_REPORT_BYTES: usize = 1 << 20;

/// How a push ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// The branch is at our commit.
    Pushed { commit: String },
    /// It was there before: a former attempt came through, or the path has the content already.
    AlreadyThere { commit: String },
    /// The branch is somewhere else; `None` when it is gone. Look again and decide again.
    Moved { now: Option<String> },
    /// The server's rules do not let us write to this branch; in its words.
    Protected(String),
    /// The credential is missing, wrong, or may not write.
    Unauthorized(String),
    /// Nobody could say. Trying again is safe.
    Unreachable(String),
    /// Cannot work as it is.
    Refused(String),
}

impl PushOutcome {
    /// What the next decision is told of a push that did not succeed: its class and why.
    pub fn refusal(&self) -> Option<(RefusalClass, String)> {
        match self {
            Self::Pushed { .. } | Self::AlreadyThere { .. } => None,
            Self::Moved { now: Some(now) } => Some((RefusalClass::Moved, format!("the branch moved to {now}"))),
            Self::Moved { now: None } => Some((RefusalClass::Moved, "the branch is gone".to_owned())),
            Self::Protected(why) | Self::Unauthorized(why) => Some((RefusalClass::Forbidden, why.clone())),
            Self::Unreachable(why) => Some((RefusalClass::Unavailable, why.clone())),
            Self::Refused(why) => Some((RefusalClass::Invalid, why.clone())),
        }
    }
}

/// What the server says of a branch before we write.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Advertised {
    at: Option<String>,
    capabilities: Vec<String>,
}

impl Mirrors {
    /// Makes the commit and pushes it, with the credential for writing read from its Secret now. The commit that it builds on
    /// must be in a mirror, which it is after the Application was told of it.
    pub async fn push(&self, push: &Push) -> PushOutcome {
        let outcome = match self.try_push(push).await {
            Ok(outcome) | Err(outcome) => outcome,
        };
        match outcome.refusal() {
            None => tracing::info!(application = %push.by, branch = %push.reference, outcome = ?outcome, "pushed"),
            Some((class, why)) => {
                tracing::warn!(application = %push.by, branch = %push.reference, class = ?class, why, "push did not succeed");
            }
        }
        // Whoever waits for it sees it by the branch's tip.
        self.nudge(&push.url);
        outcome
    }

    async fn try_push(&self, push: &Push) -> Result<PushOutcome, PushOutcome> {
        let url = self.inner.url(&push.url).map_err(PushOutcome::Refused)?;
        if !push.reference.starts_with("refs/heads/") {
            let why = format!("{} is no branch, and only branches can be pushed to; follow a branch", push.reference);
            return Err(PushOutcome::Refused(why));
        }
        let secret = (push.by.namespace.clone(), push.secret.clone());
        let access = self.inner.access(&url, Some(&secret)).await;
        let access = access.map_err(|e| PushOutcome::Unauthorized(format!("{url}: {e}")))?;
        let revert = self.build(push, &access).await?;
        let commit = revert.commit.to_string();

        let client = http::client_without_redirects(access.destinations)
            .map_err(|e| PushOutcome::Refused(format!("{url}: {e}")))?;
        let remote = Remote { client, access };
        let before = remote.advertised(&push.reference).await?;
        if before.at.as_ref() == Some(&commit) {
            return Ok(PushOutcome::AlreadyThere { commit });
        }
        if before.at.as_ref() != Some(&push.expected) {
            return Ok(PushOutcome::Moved { now: before.at });
        }
        remote.check(&before)?;
        match remote.send(push, &revert, &before).await {
            Ok(()) => Ok(PushOutcome::Pushed { commit }),
            Err(protected @ PushOutcome::Protected(_)) => Err(protected),
            // Refused for no reason that we know, or the answer was lost: the branch tells what happened.
            Err(other) => match remote.advertised(&push.reference).await {
                Ok(now) if now.at.as_ref() == Some(&commit) => Ok(PushOutcome::Pushed { commit }),
                Ok(now) if now.at.as_ref() != Some(&push.expected) => Ok(PushOutcome::Moved { now: now.at }),
                _ => Err(other),
            },
        }
    }

    async fn build(&self, push: &Push, access: &Access) -> Result<Revert, PushOutcome> {
        let url = &access.url;
        let (stores, wanted, identity) = (self.inner.stores(url), push.clone(), self.inner.config.identity.clone());
        let built = self.inner.read(move || {
            let none = TreeError::Database("no mirror of the repository is there yet".to_owned());
            let mut last = SurgeryError::Mirror(none);
            for store in stores {
                match surgery::build(&store.to_thread_local(), &wanted, &identity) {
                    Err(SurgeryError::Mirror(error)) => last = SurgeryError::Mirror(error),
                    other => return Ok(other),
                }
            }
            Ok(Err(last))
        });
        let absent = |why: &dyn std::fmt::Display| PushOutcome::Unreachable(format!("{url}: {why}"));
        match built.await {
            Ok(Ok(revert)) => Ok(revert),
            Ok(Err(SurgeryError::Nothing)) => Err(PushOutcome::AlreadyThere { commit: push.expected.clone() }),
            Ok(Err(SurgeryError::Mirror(TreeError::Absent(id)))) => {
                Err(absent(&format!("the mirror does not have {id} yet")))
            }
            Ok(Err(SurgeryError::Unusable(why))) => Err(PushOutcome::Refused(format!("{url}: {why}"))),
            Ok(Err(SurgeryError::Mirror(error))) | Err(error) => Err(absent(&error)),
        }
    }
}

struct Remote {
    client: reqwest::Client,
    access: Access,
}

impl Remote {
    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.access.url))
            .timeout(REQUEST)
            .header(CACHE_CONTROL, "no-cache");
        let value = self.access.authorization.as_ref().and_then(|a| HeaderValue::from_str(a.expose_secret()).ok());
        match value {
            Some(mut value) => {
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            None => request,
        }
    }

    fn unreachable(&self, why: impl std::fmt::Display) -> PushOutcome {
        PushOutcome::Unreachable(format!("{}: {why}", self.access.url))
    }

    /// Sends a request and reads the answer, if it is one of git's.
    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
        wanted: &str,
        most: usize,
    ) -> Result<Vec<u8>, PushOutcome> {
        let url = &self.access.url;
        let response = request.send().await.map_err(|e| self.unreachable(http::deepest(&e)))?;
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => {
                let why =
                    format!("{url}: the server refused the credential for writing; put a valid one into the Secret");
                return Err(PushOutcome::Unauthorized(why));
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let why = format!(
                    "{url}: the account may not write here (HTTP {}); give it the right to push",
                    status.as_u16()
                );
                return Err(PushOutcome::Unauthorized(why));
            }
            _ if status.is_redirection() => {
                let why = format!("{url}: the server redirects, which is not followed; write the final address");
                return Err(PushOutcome::Refused(why));
            }
            _ if status.is_server_error()
                || status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::REQUEST_TIMEOUT =>
            {
                return Err(self.unreachable(format_args!("HTTP {}", status.as_u16())));
            }
            _ => return Err(PushOutcome::Refused(format!("{url}: the server answers HTTP {}", status.as_u16()))),
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if kind != wanted {
            return Err(PushOutcome::Refused(format!("{url}: this is no git server that takes pushes over HTTP")));
        }
        http::body(response, most).await.map_err(|e| self.unreachable(e))
    }

    async fn advertised(&self, reference: &str) -> Result<Advertised, PushOutcome> {
        let request = self.request(reqwest::Method::GET, "/info/refs?service=git-receive-pack");
        let kind = "application/x-git-receive-pack-advertisement";
        let bytes = self.answer(request.header(ACCEPT, "*/*"), kind, MOST_REFERENCES_BYTES).await?;
        read_advertisement(&bytes, reference).map_err(|e| self.unreachable(e))
    }

    /// What the server must be able to do.
    fn check(&self, before: &Advertised) -> Result<(), PushOutcome> {
        let has = |name: &str| before.capabilities.iter().any(|c| c == name);
        let refused = |why: &str| Err(PushOutcome::Refused(format!("{}: {why}", self.access.url)));
        if !has("report-status") {
            return refused("the server cannot report whether a push worked, so none is made");
        }
        if before.capabilities.iter().any(|c| c.starts_with("object-format=") && c != "object-format=sha1") {
            return refused("the repository does not use SHA-1, which is not supported yet");
        }
        Ok(())
    }

    async fn send(&self, push: &Push, revert: &Revert, before: &Advertised) -> Result<(), PushOutcome> {
        let refused = |why: String| PushOutcome::Refused(format!("{}: {why}", self.access.url));
        let banded = before.capabilities.iter().any(|c| c == "side-band-64k");
        let command = format!(
            "{} {} {}\0 report-status{} agent={}",
            push.expected,
            revert.commit,
            push.reference,
            if banded { " side-band-64k" } else { "" },
            self.access.user_agent,
        );
        let mut body = Vec::new();
        packet::write(command.as_bytes(), &mut body);
        body.extend_from_slice(FLUSH);
        body.extend_from_slice(&pack::pack(&revert.objects).map_err(refused)?);
        let request = self
            .request(reqwest::Method::POST, "/git-receive-pack")
            .header(CONTENT_TYPE, "application/x-git-receive-pack-request")
            .header(ACCEPT, "application/x-git-receive-pack-result")
            .body(body);
        let bytes = self.answer(request, "application/x-git-receive-pack-result", MOST_REPORT_BYTES).await?;
        let report = read_report(&bytes, banded, &push.reference).map_err(|e| self.unreachable(e))?;
        report.outcome(&push.reference)
    }
}

fn read_advertisement(mut bytes: &[u8], reference: &str) -> Result<Advertised, Malformed> {
    let mut found = Advertised { at: None, capabilities: Vec::new() };
    let mut first = true;
    let mut complete = false;
    while let Some(packet) = packet::next(&mut bytes)? {
        let Packet::Data(line) = packet else {
            complete = true;
            continue;
        };
        complete = false;
        let line = packet::text(line);
        if line.starts_with("# service=") || line.starts_with("shallow ") {
            continue;
        }
        let (line, capabilities) = line.split_once('\0').map_or((line.as_str(), ""), |(l, c)| (l, c));
        if std::mem::take(&mut first) {
            found.capabilities = capabilities.split_whitespace().map(str::to_owned).collect();
        }
        let (id, name) = line.split_once(' ').ok_or(Malformed)?;
        if name == reference {
            found.at = Some(id.to_owned());
        }
    }
    // A list that breaks off would say that the branch is gone.
    if complete { Ok(found) } else { Err(Malformed) }
}

/// What the server reports of a push.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Report {
    unpack: String,
    /// `Ok` or the reason, for our reference.
    command: Option<Result<(), String>>,
    /// What hooks print for people.
    said: String,
}

fn read_report(bytes: &[u8], banded: bool, reference: &str) -> Result<Report, Malformed> {
    let mut report = Report::default();
    let mut status = Vec::new();
    if banded {
        let mut rest = bytes;
        let mut said = Vec::new();
        while let Some(packet) = packet::next(&mut rest)? {
            match packet {
                Packet::Data([1, data @ ..]) => status.extend_from_slice(data),
                Packet::Data([2 | 3, data @ ..]) => said.extend_from_slice(data),
                Packet::Data(_) => return Err(Malformed),
                Packet::Flush => {}
            }
        }
        report.said = flat(&String::from_utf8_lossy(&said));
    } else {
        status.extend_from_slice(bytes);
    }
    let mut rest = status.as_slice();
    while let Some(packet) = packet::next(&mut rest)? {
        let Packet::Data(line) = packet else { continue };
        let line = packet::text(line);
        if let Some(result) = line.strip_prefix("unpack ") {
            report.unpack = flat(result);
        } else if line.strip_prefix("ok ") == Some(reference) {
            report.command = Some(Ok(()));
        } else if let Some(reason) = line.strip_prefix("ng ").and_then(|l| l.strip_prefix(reference)) {
            report.command = Some(Err(flat(reason)));
        }
    }
    Ok(report)
}

impl Report {
    fn outcome(self, reference: &str) -> Result<(), PushOutcome> {
        let Self { unpack, command, said } = self;
        let with = |reason: &str| {
            let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
            format!("{reference}: the server says: {reason}{said}")
        };
        if unpack != "ok" {
            return Err(PushOutcome::Refused(with(&format!("unpack {unpack}"))));
        }
        match command {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) if is_rule(&reason) => Err(PushOutcome::Protected(with(&reason))),
            Some(Err(reason)) => Err(PushOutcome::Refused(with(&reason))),
            None => Err(PushOutcome::Unreachable(with("nothing about the branch"))),
        }
    }
}

/// Whether a reason is a rule of the server rather than a race: GitHub says `protected branch hook declined`, Gitea and
/// GitLab `pre-receive hook declined`, Gerrit `prohibited`, Azure `not permitted`.
fn is_rule(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    [
        "hook declined",
        "protected",
        "prohibited",
        "not permitted",
        "not allowed",
        "denied",
        "read-only",
        "deletion prohibited",
    ]
    .iter()
    .any(|word| reason.contains(word))
}

/// Foreign text on one line, bounded.
fn flat(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    // Each layer of a forge puts its own in front of the same line.
    clean.split_whitespace().filter(|w| !matches!(*w, "error:" | "remote:")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
