//! Repositories: what they hold now, their files, and the one commit that we ever write.
//!
//! The rule: no work tree, no git program, no configuration of the machine. A bare mirror per repository and credential is
//! filled by one poller; everything is read from its object database by id, and written by a compare-and-swap of our own.
//! Whatever comes from a repository is hostile; whatever goes to a server over plain http, or after a redirect, carries no
//! credential. All of this is rim: what a tip or a tree means is decided in `core/application`.

mod credential;
mod fetch;
mod mirror;
mod push;
mod revision;
mod tip;
mod tree;
mod url;

pub use credential::{CredentialError, Credentials, SecretData};
pub use mirror::{Identity, MirrorConfig, Mirrors};
pub use push::PushOutcome;

#[cfg(test)]
mod server;
