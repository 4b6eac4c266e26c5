//! A real git server for tests: `git http-backend` behind a small HTTP server on loopback, with a repository to commit to.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;

/// What the server does besides serving.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// The only accepted value of the `Authorization` header.
    pub(super) authorization: Option<String>,
    /// Answers this status to everything.
    pub(super) broken: Option<u16>,
    /// Method and path of each request.
    pub(super) asked: Vec<String>,
}

/// A server with one repository, `web.git`, and a work tree next to it.
pub(super) struct GitServer {
    folder: tempfile::TempDir,
    pub(super) url: String,
    pub(super) conduct: Arc<Mutex<Conduct>>,
}

impl GitServer {
    /// `None` where no `git http-backend` is installed: the caller then says that it did not run.
    pub(super) async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let exec = std::process::Command::new("git").arg("--exec-path").output().ok()?;
        if !Path::new(String::from_utf8_lossy(&exec.stdout).trim()).join("git-http-backend").exists() {
            eprintln!("NOT RUN: git http-backend is not installed");
            return None;
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/web.git", listener.local_addr().expect("bound"));
        let conduct = Arc::new(Mutex::new(Conduct::default()));
        let router = Router::new().fallback(serve).with_state((root, conduct.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let server = Self { folder, url, conduct };
        server.git(server.folder.path(), &["init", "-q", "--bare", "-b", "main", "web.git"]);
        server.git(server.folder.path(), &["clone", "-q", "web.git", "work"]);
        Some(server)
    }

    pub(super) fn bare(&self) -> PathBuf {
        self.folder.path().join("web.git")
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Runs git without anybody's configuration, and returns what it prints.
    pub(super) fn git(&self, at: &Path, arguments: &[&str]) -> String {
        let done = std::process::Command::new("git")
            .args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(at)
            .env_clear()
            .envs(environment(self.folder.path()))
            .output()
            .expect("git runs");
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    pub(super) fn in_bare(&self, arguments: &[&str]) -> String {
        self.git(&self.bare(), arguments)
    }

    /// Commits the files to the branch that is checked out, pushes, and returns the commit.
    pub(super) fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, text) in files {
            let path = self.work().join(path);
            std::fs::create_dir_all(path.parent().expect("inside the work tree")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        self.git(&self.work(), &["add", "-A"]);
        self.git(&self.work(), &["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&self.work(), &["push", "-q", "-f", "origin", "HEAD"]);
        self.git(&self.work(), &["rev-parse", "HEAD"])
    }

    pub(super) fn in_work(&self, arguments: &[&str]) -> String {
        self.git(&self.work(), arguments)
    }

    /// Requests since the last call.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.conduct.lock().expect("no panic under it").asked)
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Conduct)) {
        change(&mut self.conduct.lock().expect("no panic under it"));
    }
}

fn environment(home: &Path) -> Vec<(String, String)> {
    let text = |s: &str| s.to_owned();
    vec![
        (text("PATH"), std::env::var("PATH").unwrap_or_default()),
        (text("HOME"), home.display().to_string()),
        (text("GIT_CONFIG_NOSYSTEM"), text("1")),
        (text("GIT_AUTHOR_NAME"), text("Dev")),
        (text("GIT_AUTHOR_EMAIL"), text("dev@example.com")),
        (text("GIT_COMMITTER_NAME"), text("Dev")),
        (text("GIT_COMMITTER_EMAIL"), text("dev@example.com")),
    ]
}

async fn serve(
    State((root, conduct)): State<(PathBuf, Arc<Mutex<Conduct>>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    {
        let mut conduct = conduct.lock().expect("no panic under it");
        conduct.asked.push(format!("{method} {uri}"));
        if let Some(status) = conduct.broken {
            return StatusCode::from_u16(status).expect("a status").into_response();
        }
        if conduct.authorization.as_ref().is_some_and(|wanted| header("authorization") != *wanted) {
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"git\"")]).into_response();
        }
    }
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env_clear()
        .envs(environment(&root))
        .env("GIT_PROJECT_ROOT", &root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "somebody")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("git http-backend starts");
    let mut stdin = child.stdin.take().expect("piped");
    let feed = tokio::spawn(async move {
        let _ = stdin.write_all(&body).await;
    });
    let output = child.wait_with_output().await.expect("git http-backend ends").stdout;
    let _ = feed.await;
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").expect("headers");
    let mut response = Response::builder();
    let mut status = 200;
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", text)) => status = text[..3].parse().expect("a status"),
            Some((name, value)) => response = response.header(name, value),
            None => {}
        }
    }
    response.status(status).body(output[end + 4..].to_vec().into()).expect("a response")
}
