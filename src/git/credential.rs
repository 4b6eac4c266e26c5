//! What is shown to a git server, read from a Secret by name at each use and never kept.

use super::url::RepositoryUrl;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use std::collections::BTreeMap;

/// Reads Secrets. The cluster implements it with a `get` by name; nothing lists or watches Secrets.
pub trait Credentials: Send + Sync + 'static {
    fn get<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<SecretData, CredentialError>>;
}

/// The `data` of a Secret; its values are not printable.
#[derive(Debug, Default)]
pub struct SecretData(BTreeMap<String, SecretSlice<u8>>);

impl FromIterator<(String, Vec<u8>)> for SecretData {
    fn from_iter<T: IntoIterator<Item = (String, Vec<u8>)>>(pairs: T) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key, value.into())).collect())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The text comes from whoever reads Secrets, and must not hold data of them.
    #[error("Secret {namespace}/{name} cannot be read: {reason}")]
    Unreadable { namespace: String, name: String, reason: String },
    #[error("Secret {namespace}/{name} does not exist; create it with username and password, or bearerToken")]
    Missing { namespace: String, name: String },
    #[error("the Secret holds neither username and password nor bearerToken; add them")]
    Empty,
    #[error("the Secret holds both a password and a bearerToken; keep one")]
    Both,
    #[error("{0} in the Secret holds characters that cannot be sent; write visible ASCII without line ends")]
    Characters(&'static str),
    #[error(
        "credentials are not sent over http, where everyone on the way can read them; use https, or put allowPlainHttp: \"true\" into the Secret"
    )]
    PlainHttp,
}

/// A value for the `Authorization` header.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    authorization: SecretString,
    allow_plain_http: bool,
}

impl Credential {
    /// # Errors
    /// When the Secret does not say who we are, or in characters that a header cannot hold.
    pub(super) fn from_secret(data: &SecretData) -> Result<Self, CredentialError> {
        let text = |key: &'static str| match data.0.get(key) {
            None => Ok(None),
            Some(bytes) => {
                let text = std::str::from_utf8(bytes.expose_secret()).map_err(|_| CredentialError::Characters(key))?;
                // `echo secret | base64` adds one, and it is never meant.
                let text = text.trim_end_matches(['\r', '\n']);
                if text.contains(char::is_control) {
                    return Err(CredentialError::Characters(key));
                }
                Ok((!text.is_empty()).then(|| SecretString::from(text)))
            }
        };
        let authorization = match (text("username")?, text("password")?, text("bearerToken")?) {
            (_, Some(_), Some(_)) => return Err(CredentialError::Both),
            (_, None, Some(token)) if token.expose_secret().bytes().all(|b| b.is_ascii_graphic()) => {
                format!("Bearer {}", token.expose_secret())
            }
            (_, None, Some(_)) => return Err(CredentialError::Characters("bearerToken")),
            (user, Some(password), None) => {
                let user = user.unwrap_or_else(|| SecretString::from("git"));
                if user.expose_secret().contains(':') {
                    return Err(CredentialError::Characters("username"));
                }
                format!("Basic {}", STANDARD.encode(format!("{}:{}", user.expose_secret(), password.expose_secret())))
            }
            (_, None, None) => return Err(CredentialError::Empty),
        };
        let allow_plain_http = text("allowPlainHttp")?.is_some_and(|t| t.expose_secret() == "true");
        Ok(Self { authorization: authorization.into(), allow_plain_http })
    }

    /// The header's value for this address.
    ///
    /// # Errors
    /// For a plain http address, unless the Secret allows it.
    pub(super) fn authorization_for(&self, url: &RepositoryUrl) -> Result<&SecretString, CredentialError> {
        if url.is_plain() && !self.allow_plain_http { Err(CredentialError::PlainHttp) } else { Ok(&self.authorization) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(pairs: &[(&str, &str)]) -> SecretData {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect()
    }

    fn url(text: &str) -> RepositoryUrl {
        RepositoryUrl::parse(text).expect("an address")
    }

    #[test]
    fn user_and_password_become_basic_and_a_token_becomes_bearer() {
        let https = url("https://example.com/a");
        let shown = |pairs: &[(&str, &str)]| {
            let credential = Credential::from_secret(&secret(pairs)).expect("a credential");
            credential.authorization_for(&https).expect("https").expose_secret().to_owned()
        };
        assert_eq!(shown(&[("username", "me"), ("password", "pw\n")]), "Basic bWU6cHc=");
        assert_eq!(shown(&[("bearerToken", "abc")]), "Bearer abc");
    }

    #[test]
    fn plain_http_needs_the_secrets_consent() {
        let plain = url("http://example.com/a");
        let mut pairs = vec![("password", "pw")];
        let without = Credential::from_secret(&secret(&pairs)).expect("a credential");
        assert_eq!(without.authorization_for(&plain).err(), Some(CredentialError::PlainHttp));
        pairs.push(("allowPlainHttp", "true"));
        assert!(Credential::from_secret(&secret(&pairs)).expect("a credential").authorization_for(&plain).is_ok());
    }

    #[test]
    fn a_secret_that_says_nothing_usable_is_refused_without_being_shown() {
        let refused = |pairs: &[(&str, &str)]| Credential::from_secret(&secret(pairs)).expect_err("must be refused");
        assert_eq!(refused(&[("user", "x")]), CredentialError::Empty);
        assert_eq!(refused(&[("password", "a"), ("bearerToken", "b")]), CredentialError::Both);
        assert_eq!(refused(&[("bearerToken", "a\r\nX-Evil: 1")]), CredentialError::Characters("bearerToken"));
        let data = secret(&[("password", "hunter2")]);
        let credential = Credential::from_secret(&data).expect("a credential");
        assert!(!format!("{data:?} {credential:?}").contains("hunter2"));
    }
}
