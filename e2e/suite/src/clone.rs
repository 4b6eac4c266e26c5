//! A working copy, as a developer has one: the `git` program in a folder that goes with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::Command;

/// Someone who commits.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub name: &'a str,
    pub email: &'a str,
}

/// A clone of one repository.
#[derive(Debug)]
pub struct WorkingCopy {
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl WorkingCopy {
    /// Clones into a temporary folder. `url` holds the credential: `http://user:token@host/owner/name.git`.
    ///
    /// # Errors
    /// What git says.
    pub async fn clone(url: &str, author: Author<'_>) -> anyhow::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("tidegate-e2e-").tempdir()?;
        let folder = temporary.path().join("work");
        Self::into_folder(url, author, folder, Some(temporary)).await
    }

    /// Clones into a folder that stays.
    ///
    /// # Errors
    /// What git says.
    pub async fn clone_to(url: &str, author: Author<'_>, folder: &Path) -> anyhow::Result<Self> {
        Self::into_folder(url, author, folder.to_owned(), None).await
    }

    async fn into_folder(
        url: &str,
        author: Author<'_>,
        folder: PathBuf,
        temporary: Option<TempDir>,
    ) -> anyhow::Result<Self> {
        run(Path::new("/"), &["clone", "--quiet", url, &folder.to_string_lossy()]).await?;
        let copy = Self { folder, _temporary: temporary };
        copy.git(&["config", "user.name", author.name]).await?;
        copy.git(&["config", "user.email", author.email]).await?;
        Ok(copy)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs git in the folder and gives what it printed, without the end of the last line.
    ///
    /// # Errors
    /// What git says.
    pub async fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(&self.folder, arguments).await
    }

    /// Writes a file, with the folders above it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &str, text: &str) -> std::io::Result<()> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)
    }

    /// Commits all changes on the current branch; gives the commit.
    ///
    /// # Errors
    /// What git says, also that nothing changed.
    pub async fn commit(&self, message: &str) -> anyhow::Result<String> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", message]).await?;
        self.tip("HEAD").await
    }

    /// Commits all changes and pushes them; gives the commit.
    ///
    /// # Errors
    /// What git says.
    pub async fn push(&self, message: &str) -> anyhow::Result<String> {
        let commit = self.commit(message).await?;
        self.git(&["push", "--quiet", "origin", "HEAD"]).await?;
        Ok(commit)
    }

    /// Takes over what others pushed.
    ///
    /// # Errors
    /// What git says.
    pub async fn pull(&self) -> anyhow::Result<String> {
        self.git(&["pull", "--quiet", "--ff-only"]).await?;
        self.tip("HEAD").await
    }

    /// The commit of a revision: 40 hex digits.
    ///
    /// # Errors
    /// What git says.
    pub async fn tip(&self, revision: &str) -> anyhow::Result<String> {
        self.git(&["rev-parse", "--verify", revision]).await
    }

    /// Names with kind and object id of the entries of a tree, one level: `040000 tree <id>\t<name>`.
    ///
    /// # Errors
    /// What git says.
    pub async fn entries(&self, revision: &str, path: &str) -> anyhow::Result<Vec<String>> {
        Ok(self.git(&["ls-tree", &format!("{revision}:{path}")]).await?.lines().map(str::to_owned).collect())
    }

    /// Subjects of the commits after `from`, newest first.
    ///
    /// # Errors
    /// What git says.
    pub async fn subjects_since(&self, from: &str) -> anyhow::Result<Vec<String>> {
        let range = format!("{from}..HEAD");
        Ok(self.git(&["log", "--format=%s", &range]).await?.lines().map(str::to_owned).collect())
    }
}

async fn run(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "credential.helper=", "-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null"])
        .args(arguments)
        // Neither the user's settings nor a prompt: the same everywhere, and never a hang.
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), output)
        .await
        .map_err(|_| anyhow::anyhow!("git {} took more than 60 s", arguments.join(" ")))??;
    anyhow::ensure!(
        output.status.success(),
        "git {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHOR: Author<'_> = Author { name: "Dana", email: "dana@example.test" };

    #[tokio::test]
    async fn a_push_of_one_copy_is_pulled_by_another() {
        let origin = tempfile::tempdir().expect("there is a temporary folder");
        let path = origin.path().join("repo.git");
        run(origin.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "repo.git"])
            .await
            .expect("git is here");
        let url = path.to_string_lossy();
        let first = WorkingCopy::clone(&url, AUTHOR).await.expect("the repository is there");
        first.git(&["checkout", "--quiet", "-b", "main"]).await.expect("the branch is free");
        first.write("apps/web/a.yaml", "a: 1\n").expect("the folder is ours");
        let commit = first.push("Web: first").await.expect("the origin takes it");
        let second = WorkingCopy::clone(&url, AUTHOR).await.expect("the repository is there");
        assert_eq!(second.tip("HEAD").await.expect("there is a commit"), commit);

        first.write("apps/web/a.yaml", "a: 2\n").expect("the folder is ours");
        let next = first.push("Web: second").await.expect("the origin takes it");
        assert_eq!(second.pull().await.expect("nothing stands in the way"), next);
        assert_eq!(second.subjects_since(&commit).await.expect("both are known"), ["Web: second"]);
        assert!(second.entries("HEAD", "apps").await.expect("it is a folder")[0].ends_with("\tweb"));
    }
}
