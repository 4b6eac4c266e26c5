//! The forge, by its API: who there is, what they may do.

use crate::cluster::Forge as Access;
use anyhow::Context;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// The forge and its administrator.
#[derive(Debug, Clone)]
pub struct Forge {
    access: Access,
    http: reqwest::Client,
}

/// Someone with an account; the password serves for git over HTTP too.
#[derive(Debug, Clone)]
pub struct Account {
    pub user: String,
    pub password: String,
}

/// A repository with the addresses that people and pods use.
#[derive(Debug, Clone)]
pub struct Repository {
    pub owner: String,
    pub name: String,
    here: String,
    /// As pods see it.
    pub cluster_url: String,
}

impl Repository {
    /// Address from here that holds the credential.
    pub fn url_for(&self, account: &Account) -> String {
        let (scheme, rest) = self.here.split_once("://").unwrap_or(("http", &self.here));
        format!("{scheme}://{}:{}@{rest}", account.user, account.password)
    }

    /// Address from here, without credential.
    pub fn url(&self) -> &str {
        &self.here
    }
}

impl Forge {
    /// # Errors
    /// When no client can be made.
    pub fn new(access: &Access) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build()?;
        Ok(Self { access: access.clone(), http })
    }

    async fn call(
        &self,
        who: &Account,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let url = format!("{}/api/v1{path}", self.access.endpoint.url);
        let answer = self
            .http
            .request(method.clone(), &url)
            .basic_auth(&who.user, Some(&who.password))
            .json(body)
            .send()
            .await
            .with_context(|| format!("{method} {url}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    async fn must(&self, who: &Account, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.call(who, method.clone(), path, body).await?;
        anyhow::ensure!(status.is_success(), "forge: {method} {path}: {status}: {answer}");
        Ok(answer)
    }

    fn administrator(&self) -> Account {
        Account { user: self.access.user.clone(), password: self.access.password.clone() }
    }

    /// A new account.
    ///
    /// # Errors
    /// What the forge says.
    pub async fn user(&self, name: &str) -> anyhow::Result<Account> {
        let account = Account { user: name.to_owned(), password: format!("Pw-{}-{}", crate::stand::unique(), name) };
        let body = json!({
            "username": account.user, "password": account.password, "email": format!("{name}@example.test"),
            "must_change_password": false
        });
        self.must(&self.administrator(), Method::POST, "/admin/users", &body).await?;
        Ok(account)
    }

    /// A new private repository of `owner` with one commit on `main`.
    ///
    /// # Errors
    /// What the forge says.
    pub async fn repository(&self, owner: &Account, name: &str) -> anyhow::Result<Repository> {
        let body = json!({"name": name, "private": true, "auto_init": true, "default_branch": "main"});
        self.must(owner, Method::POST, "/user/repos", &body).await?;
        let path = format!("/{}/{name}.git", owner.user);
        Ok(Repository {
            owner: owner.user.clone(),
            name: name.to_owned(),
            here: format!("{}{path}", self.access.endpoint.url),
            cluster_url: format!("{}{path}", self.access.endpoint.cluster_url),
        })
    }

    /// Lets someone else read or write.
    ///
    /// # Errors
    /// What the forge says.
    pub async fn invite(
        &self,
        owner: &Account,
        repository: &Repository,
        guest: &Account,
        write: bool,
    ) -> anyhow::Result<()> {
        let path = format!("/repos/{}/{}/collaborators/{}", repository.owner, repository.name, guest.user);
        let body = json!({"permission": if write { "write" } else { "read" }});
        self.must(owner, Method::PUT, &path, &body).await.map(drop)
    }

    /// Only these may push to the branch.
    ///
    /// # Errors
    /// What the forge says.
    pub async fn protect(
        &self,
        owner: &Account,
        repository: &Repository,
        branch: &str,
        may: &[&str],
    ) -> anyhow::Result<()> {
        let path = format!("/repos/{}/{}/branch_protections", repository.owner, repository.name);
        let body = json!({
            "rule_name": branch, "enable_push": !may.is_empty(), "enable_push_whitelist": true,
            "push_whitelist_usernames": may
        });
        self.must(owner, Method::POST, &path, &body).await.map(drop)
    }
}
