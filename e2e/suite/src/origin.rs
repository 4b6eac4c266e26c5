//! A repository on the forge, the developer who works on it, and the Application that follows it.

use crate::clone::{Author, WorkingCopy};
use crate::cluster::Kind;
use crate::gitea::{Account, Forge, Repository};
use crate::objects::{self, App, Source};
use crate::stand::{SETTLE, Stand, unique};
use crate::wait::{self, NotSeen};
use anyhow::Context;
use serde_json::{Value, json};
use std::time::Duration;

/// The Application's directory.
pub const PATH: &str = "apps/web";
/// The developer.
pub const DANA: Author<'static> = Author { name: "Dana", email: "dana@example.test" };

/// All of it.
#[derive(Debug)]
pub struct Origin {
    pub forge: Forge,
    pub developer: Account,
    pub repository: Repository,
    pub copy: WorkingCopy,
    /// Account that Tidegate reverts as.
    pub writer: Account,
}

impl Origin {
    /// A repository with another directory beside the Application's, accounts for reading and writing with their Secrets in
    /// the stand, and the account that applies.
    ///
    /// # Errors
    /// When there is no forge, or it refuses.
    pub async fn new(stand: &Stand) -> anyhow::Result<Self> {
        let access = stand.cluster.access.forge.as_ref();
        let forge = Forge::new(access.context("this cluster has no forge; the one that bed brings up has")?)?;
        let unique = unique();
        let developer = forge.user(&format!("dana-{unique}")).await?;
        let reader = forge.user(&format!("reader-{unique}")).await?;
        let writer = forge.user(&format!("tidegate-{unique}")).await?;
        let repository = forge.repository(&developer, "deploy").await?;
        forge.invite(&developer, &repository, &reader, false).await?;
        forge.invite(&developer, &repository, &writer, true).await?;
        let copy = WorkingCopy::clone(&repository.url_for(&developer), DANA).await?;
        copy.write("apps/other/note.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-others}\n")?;
        let space = stand.namespace();
        stand.cluster.apply_all(&stand.app.applier()).await?;
        stand.cluster.apply(&objects::credential(space, "git-read", &reader.user, &reader.password)).await?;
        stand.cluster.apply(&objects::credential(space, "git-write", &writer.user, &writer.password)).await?;
        Ok(Self { forge, developer, repository, copy, writer })
    }

    /// Writes objects as one file of the Application's directory.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, file: &str, objects: &[Value]) -> anyhow::Result<()> {
        // Manifests in git name no namespace: the destination does.
        let mut objects = objects.to_vec();
        for object in &mut objects {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("namespace");
            }
        }
        Ok(self.copy.write(&format!("{PATH}/{file}"), &objects::yaml(&objects)?)?)
    }

    /// The Application that follows the repository, with this rescue mode (`Push`, `Hold`, `Off`) and a short soak.
    pub fn application(&self, app: &App, rescue: &str) -> Value {
        let source = Source { url: &self.repository.cluster_url, branch: "main", path: PATH, read: "git-read" };
        let mut application = objects::application(&app.namespace, &app.name, &source);
        application["spec"]["rescue"] =
            json!({"mode": rescue, "soak": "3s", "window": "10m", "push": {"secretRef": {"name": "git-write"}}});
        application
    }

    /// Asks Tidegate to look at the repository now, as a webhook would.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn poke(&self, stand: &Stand) -> anyhow::Result<()> {
        stand
            .cluster
            .annotate(Kind::APPLICATION, stand.namespace(), &stand.app.name, "tidegate.dev/refresh", "true")
            .await?;
        Ok(())
    }

    /// Pushes all changes and asks Tidegate to look; gives the commit.
    ///
    /// # Errors
    /// What git or the API server says.
    pub async fn push(&self, stand: &Stand, message: &str) -> anyhow::Result<String> {
        let commit = self.copy.push(message).await?;
        self.poke(stand).await?;
        Ok(commit)
    }
}

impl Stand {
    /// Waits until the Application's status is as wanted; gives the object.
    ///
    /// # Errors
    /// [`NotSeen`] after `limit`.
    pub async fn application(
        &self,
        limit: Duration,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value, NotSeen> {
        self.until(Kind::APPLICATION, &self.app.name, limit, what, |a| {
            (wait::observed(a) && holds(&a["status"])).then(|| a.clone())
        })
        .await
    }

    /// Waits until this commit is applied and all is in sync.
    ///
    /// # Errors
    /// [`NotSeen`] after [`SETTLE`].
    pub async fn applied(&self, commit: &str) -> Result<Value, NotSeen> {
        self.application(SETTLE, &format!("{commit:.10} applied and Synced"), |s| {
            s["applied"]["revision"] == commit && s["sync"]["status"] == "Synced"
        })
        .await
    }

    /// Waits until this commit is good: applied, Healthy, soaked.
    ///
    /// # Errors
    /// [`NotSeen`] after [`SETTLE`].
    pub async fn good(&self, commit: &str) -> Result<Value, NotSeen> {
        self.application(SETTLE, &format!("{commit:.10} good"), |s| s["good"]["revision"] == commit).await
    }
}
