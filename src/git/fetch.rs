//! Talking to a git server to read from it. Everything here blocks, and is called from threads that may.
//!
//! `Options::isolated` keeps the machine's git configuration, helpers and hooks out. Redirects are refused: they are how
//! credentials get to places that nobody meant. gix follows none when a request has headers of ours, so one is always there.

use super::revision::{Listed, Resolved, Revision};
use super::tip::HISTORY;
use super::url::RepositoryUrl;
use crate::core::question::{SourceError, SourceErrorClass};
use crate::http::{self, Destinations};
use gix::bstr::BStr;
use gix::remote::{Direction, fetch::Shallow, fetch::Tags};
use gix::{Repository, ThreadSafeRepository};
use secrecy::{ExposeSecret as _, SecretString};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// For one read from the server that says nothing; the only thing that ends a silent server.
const SILENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
/// No object of a repository of manifests is larger, and a header that claims so is a bomb.
const MAX_OBJECT_BYTES: u64 = 256 << 20;

/// How a server is reached.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) url: RepositoryUrl,
    pub(super) authorization: Option<SecretString>,
    pub(super) user_agent: String,
    pub(super) destinations: Destinations,
}

/// A failed look at a server.
#[derive(Debug)]
pub(super) struct FetchError {
    pub(super) error: SourceError,
    /// Neither the network nor the credential: a mirror made anew may help.
    pub(super) anew: bool,
}

impl From<SourceError> for FetchError {
    fn from(error: SourceError) -> Self {
        Self { error, anew: false }
    }
}

fn options(user_agent: &str) -> gix::open::Options {
    gix::open::Options::isolated().config_overrides([
        format!("gitoxide.userAgent={user_agent}"),
        format!("gitoxide.objects.allocLimit={MAX_OBJECT_BYTES}"),
        // Whoever writes reference logs wants a name.
        "user.name=tidegate".to_owned(),
        "user.email=tidegate@localhost".to_owned(),
    ])
}

/// Opens the mirror in `folder`, or makes an empty one.
pub(super) fn open(folder: &Path, user_agent: &str) -> Result<ThreadSafeRepository, SourceError> {
    let opened = if folder.join("HEAD").is_file() {
        ThreadSafeRepository::open_opts(folder, options(user_agent).open_path_as_is(true))
    } else {
        std::fs::create_dir_all(folder).map_err(|e| unusable(format!("the data folder cannot be written: {e}")))?;
        ThreadSafeRepository::init_opts(
            folder,
            gix::create::Kind::Bare,
            gix::create::Options::default(),
            options(user_agent),
        )
    };
    opened.map_err(|e| unusable(format!("the mirror cannot be opened: {}", chain(&e))))
}

#[cfg(test)]
pub(super) fn scratch_repository(folder: &Path) -> Repository {
    open(folder, "test").expect("a repository").to_thread_local()
}

fn unusable(message: String) -> SourceError {
    SourceError { class: SourceErrorClass::Unusable, message }
}

/// The references that the revisions may be, as the server has them now. No objects move.
pub(super) fn list(
    repository: &Repository,
    access: &Access,
    revisions: &[Revision],
) -> Result<Vec<Listed>, FetchError> {
    let mut specs: Vec<String> = revisions.iter().flat_map(Revision::candidates).collect();
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    specs.sort();
    specs.dedup();
    let fail = |e: gix::Error| classify(access, &e);
    let remote = remote(repository, access, &specs).map_err(fail)?;
    let connection = remote.connect(Direction::Fetch).map_err(fail)?;
    let (map, _) = connection
        .with_credentials(|_| Ok(None))
        .with_transport_options(transport_options(access))
        .ref_map(gix::progress::Discard, gix::remote::ref_map::Options::default())
        .map_err(fail)?;
    Ok(map.remote_refs.iter().filter_map(Listed::read).collect())
}

/// Fetches what is not there yet, shallow.
pub(super) fn fetch(
    repository: &Repository,
    access: &Access,
    wanted: &[Resolved],
    stop: &AtomicBool,
) -> Result<(), FetchError> {
    let specs: Vec<String> = wanted
        .iter()
        .map(|resolved| match &resolved.reference {
            Some(name) if name == "HEAD" => "+HEAD:refs/mirror/HEAD".to_owned(),
            Some(name) => format!("+{name}:refs/mirror/{}", name.strip_prefix("refs/").unwrap_or(name)),
            // Servers may refuse what no reference points to.
            None => format!("+{0}:refs/mirror/commits/{0}", resolved.commit),
        })
        .collect();
    let fail = |e: gix::Error| classify(access, &e);
    let remote = remote(repository, access, &specs).map_err(fail)?;
    let connection = remote.connect(Direction::Fetch).map_err(fail)?;
    let depth = NonZeroU32::new(u32::try_from(HISTORY).expect("a small number")).expect("not zero");
    connection
        .with_credentials(|_| Ok(None))
        .with_transport_options(transport_options(access))
        .prepare_fetch(gix::progress::Discard, gix::remote::ref_map::Options::default())
        .map_err(fail)?
        .with_shallow(Shallow::DepthAtRemote(depth))
        .receive(gix::progress::Discard, stop)
        .map_err(fail)?;
    Ok(())
}

fn remote<'a>(repository: &'a Repository, access: &Access, specs: &[String]) -> Result<gix::Remote<'a>, gix::Error> {
    let url = gix::url::parse(BStr::new(access.url.as_str()))?;
    repository
        .remote_at_without_url_rewrite(url)?
        .with_fetch_tags(Tags::None)
        .with_refspecs(specs.iter().map(|s| BStr::new(s.as_str())), Direction::Fetch)
}

fn transport_options(access: &Access) -> Box<dyn std::any::Any> {
    use gix::protocol::transport::client::blocking_io::http as transport;
    let mut options = transport::Options::default();
    options.follow_redirects = transport::options::FollowRedirects::None;
    options.user_agent = Some(access.user_agent.clone());
    options.extra_headers.push("Pragma: no-cache".to_owned());
    if let Some(authorization) = &access.authorization {
        options.extra_headers.push(format!("Authorization: {}", authorization.expose_secret()));
    }
    let (user_agent, destinations) = (access.user_agent.clone(), access.destinations);
    options.backend = Some(Arc::new(Mutex::new(transport::reqwest::Options {
        configure_client: Some(Box::new(move |builder| {
            let builder = http::set_up(builder, destinations);
            Ok(builder.timeout(SILENCE).connect_timeout(CONNECT).user_agent(user_agent.clone()))
        })),
        configure_request: None,
    })));
    Box::new(options)
}

/// All messages of an error, outermost first.
fn chain(error: &gix::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.iter_errors() {
        let text = cause.to_string();
        if !text.is_empty() && !parts.iter().any(|p| p.contains(&text)) {
            parts.push(text);
        }
    }
    let text: String = parts.join(": ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect();
    text
}

/// What an error means for whoever waits, in words that hold no secret: credentials are only ever in a header.
fn classify(access: &Access, error: &gix::Error) -> FetchError {
    let text = chain(error);
    let url = &access.url;
    let (class, message) =
        if error.is_unauthenticated() || text.contains("HTTP status 401") || text.contains("obtain credentials") {
            let remedy = match access.authorization {
                Some(_) => "the server refused the credential; put a valid one into the Secret",
                None => "the server wants a credential; name a Secret with username and password, or bearerToken",
            };
            (SourceErrorClass::Unauthorized, format!("{url}: {remedy}"))
        } else if error.is_permission_denied() || text.contains("HTTP status 403") {
            (
                SourceErrorClass::Unauthorized,
                format!("{url}: the server forbids reading; give the account the right to read"),
            )
        } else if text.contains("HTTP status 404") {
            // Forges say so for private repositories too, so as not to tell that they exist.
            let remedy = "no such repository, or the account may not see it; check the address and the Secret";
            (SourceErrorClass::Unauthorized, format!("{url}: {remedy}"))
        } else if text.contains("refusing to follow redirect") {
            (
                SourceErrorClass::Unusable,
                format!("{url}: the server redirects, which is not followed; write the final address"),
            )
        } else if error.is_unsupported() {
            (SourceErrorClass::Unusable, format!("{url}: {text}"))
        } else {
            (SourceErrorClass::Unreachable, format!("{url}: {text}"))
        };
    let anew = class == SourceErrorClass::Unreachable && !error.is_retryable();
    FetchError { error: SourceError { class, message }, anew }
}
