//! Addresses of repositories, as far as we go to them.

use std::fmt;
use std::net::IpAddr;

/// An http(s) address without credentials, in one spelling, so that it can be a key and be shown anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RepositoryUrl(url::Url);

/// Why an address is not used. Never repeats what may be a secret in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlError {
    #[error("the repository URL cannot be read; write https://host/path")]
    Unreadable,
    #[error(
        "the repository URL is not http or https; other ways (ssh, git, file) are not supported yet, write https://host/path"
    )]
    Scheme,
    #[error(
        "the repository URL holds a user or password; take it out and name a Secret with username and password instead"
    )]
    Credentials,
    #[error("the repository URL has a query or a fragment; write https://host/path")]
    Query,
    #[error("the repository URL has no path; write https://host/owner/repository")]
    NoPath,
    #[error(
        "the repository URL points to a link-local address, where cloud metadata is served; that is never a git server"
    )]
    LinkLocal,
}

impl RepositoryUrl {
    /// # Errors
    /// When it is not a plain http(s) address.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let mut url = url::Url::parse(text.trim()).map_err(|_| UrlError::Unreadable)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::Query);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if path.is_empty() {
            return Err(UrlError::NoPath);
        }
        let address = url.host().and_then(|host| match host {
            url::Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            url::Host::Ipv6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)),
            url::Host::Domain(_) => None,
        });
        if address.is_some_and(|a| match a {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        }) {
            return Err(UrlError::LinkLocal);
        }
        url.set_path(&path);
        Ok(Self(url))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether what is sent can be read on the way.
    pub(super) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_spelling() {
        let url = RepositoryUrl::parse(" HTTPS://Git.Example.com:443/shop/web.git/ ").expect("an address");
        assert_eq!(url.as_str(), "https://git.example.com/shop/web.git");
        assert!(!url.is_plain());
    }

    #[test]
    fn what_is_not_a_plain_address_is_refused_and_secrets_are_not_repeated() {
        let refused = |text: &str| RepositoryUrl::parse(text).expect_err("must be refused");
        assert_eq!(refused("https://me:s3cret@example.com/a"), UrlError::Credentials);
        assert!(!refused("https://me:s3cret@example.com/a").to_string().contains("s3cret"));
        assert_eq!(refused("ssh://git@example.com/a"), UrlError::Scheme);
        assert_eq!(refused("file:///etc"), UrlError::Scheme);
        assert_eq!(refused("git@example.com:a/b"), UrlError::Unreadable);
        assert_eq!(refused("https://example.com/a?token=x"), UrlError::Query);
        assert_eq!(refused("https://example.com/"), UrlError::NoPath);
        assert_eq!(refused("http://169.254.169.254/latest"), UrlError::LinkLocal);
        assert_eq!(refused("http://[::ffff:169.254.169.254]/latest"), UrlError::LinkLocal);
        assert_eq!(refused("http://0xa9fea9fe/latest"), UrlError::LinkLocal);
    }
}
