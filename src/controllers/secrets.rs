//! Secrets that repositories are read and written with: read when needed, kept nowhere.

use crate::cluster::Client;
use crate::core::object::ResourceType;
use crate::core::plan::Actor;
use crate::git::{CredentialError, Credentials, SecretData};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use std::collections::BTreeMap;

/// Secrets of the cluster.
#[derive(Debug)]
pub struct ClusterSecrets(pub Client);

impl Credentials for ClusterSecrets {
    fn get<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<SecretData, CredentialError>> {
        async move {
            let unreadable = |reason: String| CredentialError::Unreadable {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                reason,
            };
            let secret = self.0.get(&ResourceType::SECRET, namespace, name, &Actor::Controller).await;
            let Some(mut secret) = secret.map_err(|error| unreadable(error.to_string()))? else {
                return Err(CredentialError::Missing { namespace: namespace.to_owned(), name: name.to_owned() });
            };
            // The error of a wrong encoding may quote the data, so it is not told.
            let data: Option<BTreeMap<String, ByteString>> = serde_json::from_value(secret["data"].take())
                .map_err(|_| unreadable("its data is not base64".to_owned()))?;
            Ok(data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect())
        }
        .boxed()
    }
}
