//! The mirror against a real git server.

use super::*;
use crate::git::server::GitServer;
use crate::git::{CredentialError, SecretData};
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Secrets by name.
#[derive(Default)]
pub(in crate::git) struct Secrets(pub(in crate::git) Mutex<BTreeMap<String, Vec<(String, String)>>>);

impl Secrets {
    pub(in crate::git) fn with(name: &str, pairs: &[(&str, &str)]) -> Arc<Self> {
        let secrets = Self::default();
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        lock(&secrets.0).insert(name.to_owned(), pairs);
        Arc::new(secrets)
    }
}

impl Credentials for Secrets {
    fn get<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<SecretData, CredentialError>> {
        let found = lock(&self.0).get(name).cloned();
        let missing = || CredentialError::Missing { namespace: namespace.to_owned(), name: name.to_owned() };
        let data = found.map(|pairs| pairs.into_iter().map(|(k, v)| (k, v.into_bytes())).collect());
        Box::pin(std::future::ready(data.ok_or_else(missing)))
    }
}

pub(in crate::git) struct Bed {
    pub(in crate::git) server: GitServer,
    pub(in crate::git) mirrors: Arc<Mirrors>,
    _data: tempfile::TempDir,
}

impl Bed {
    /// Polls only when nudged, unless a test says otherwise.
    pub(in crate::git) async fn new(secrets: Arc<Secrets>) -> Option<Self> {
        Self::polling(secrets, Duration::from_hours(1)).await
    }

    pub(in crate::git) async fn polling(secrets: Arc<Secrets>, poll: Duration) -> Option<Self> {
        let server = GitServer::start().await?;
        let data = tempfile::tempdir().expect("a folder");
        let config = MirrorConfig {
            data: data.path().to_owned(),
            poll,
            destinations: Destinations::Trusted,
            ..MirrorConfig::default()
        };
        Some(Self { server, mirrors: Arc::new(Mirrors::new(config, secrets)), _data: data })
    }

    pub(in crate::git) fn question(&self, revision: &str, path: &str) -> SourceQuestion {
        SourceQuestion {
            url: self.server.url.clone(),
            revision: revision.to_owned(),
            path: path.to_owned(),
            secret: None,
            nonce: String::new(),
        }
    }

    pub(in crate::git) fn follow(&self, question: SourceQuestion) -> Follower {
        let (sender, told) = mpsc::unbounded_channel();
        let mirrors = self.mirrors.clone();
        let task = tokio::spawn(async move { mirrors.follow(&question, move |t| drop(sender.send(t))).await });
        Follower { told, task }
    }

    pub(in crate::git) async fn render(&self, tree: &str) -> Told {
        let question = RenderQuestion {
            url: self.server.url.clone(),
            secret: None,
            tree: tree.to_owned(),
            recurse: true,
            include: String::new(),
            exclude: String::new(),
        };
        let (sender, mut told) = mpsc::unbounded_channel();
        let mirrors = self.mirrors.clone();
        let task = tokio::spawn(async move { mirrors.render(&question, move |t| drop(sender.send(t))).await });
        let answer = tokio::time::timeout(Duration::from_secs(20), told.recv()).await.expect("in time").expect("told");
        task.abort();
        answer
    }
}

pub(in crate::git) struct Follower {
    told: mpsc::UnboundedReceiver<Told>,
    task: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Follower {
    async fn next(&mut self) -> Result<Arc<SourceTip>, SourceError> {
        match tokio::time::timeout(Duration::from_secs(20), self.told.recv()).await.expect("in time") {
            Some(Told::Source(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::git) async fn tip(&mut self) -> Arc<SourceTip> {
        self.next().await.expect("a tip")
    }

    async fn silent(&mut self) {
        let told = tokio::time::timeout(Duration::from_millis(2500), self.told.recv()).await;
        assert!(told.is_err(), "told {told:?}");
    }
}

pub(in crate::git) const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_tip_says_who_what_when_and_what_came_before_and_comes_again_at_each_push() {
    let Some(bed) = Bed::new(Arc::default()).await else { return };
    let first = bed.server.commit(&[("apps/web/a.yaml", MAP), ("README.md", "x")], "First\n\nwith a body");
    let mut follower = bed.follow(bed.question("main", "apps/web/"));
    let tip = follower.tip().await;
    assert_eq!((tip.commit.as_str(), tip.reference.as_deref()), (first.as_str(), Some("refs/heads/main")));
    assert_eq!((tip.author.as_str(), tip.message.as_str()), ("Dev <dev@example.com>", "First\n\nwith a body\n"));
    assert_eq!(tip.tree.as_deref(), Some(bed.server.in_bare(&["rev-parse", "main:apps/web"]).as_str()));
    let second = bed.server.commit(&[("README.md", "y")], "Second");
    bed.mirrors.nudge(&bed.server.url);
    let again = follower.tip().await;
    assert_eq!(again.commit, second);
    assert_eq!(again.tree, tip.tree, "the path did not change");
    assert_eq!(again.history.iter().map(|p| p.commit.as_str()).collect::<Vec<_>>(), [&second, &first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_moves_when_the_tip_is_known() {
    let Some(bed) = Bed::new(Arc::default()).await else { return };
    bed.server.commit(&[("a.yaml", MAP)], "First");
    let mut follower = bed.follow(bed.question("HEAD", ""));
    follower.tip().await;
    bed.server.asked();
    bed.mirrors.nudge(&bed.server.url);
    follower.silent().await;
    let asked = bed.server.asked();
    assert_eq!(asked.len(), 2, "a handshake and a list of references: {asked:?}");
    // A second one who asks for the same is told from what is there.
    let mut other = bed.follow(bed.question("main", ""));
    assert_eq!(other.tip().await.reference.as_deref(), Some("refs/heads/main"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_poller_finds_a_push_by_itself() {
    let Some(bed) = Bed::polling(Arc::default(), Duration::from_secs(2)).await else { return };
    bed.server.commit(&[("a.yaml", MAP)], "First");
    let mut follower = bed.follow(bed.question("main", "."));
    follower.tip().await;
    let second = bed.server.commit(&[], "Second");
    assert_eq!(follower.tip().await.commit, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_tags_and_commits_are_followed() {
    let Some(bed) = Bed::new(Arc::default()).await else { return };
    let first = bed.server.commit(&[("a.yaml", MAP)], "First");
    bed.server.in_work(&["tag", "-a", "v1", "-m", "one"]);
    bed.server.in_work(&["push", "-q", "origin", "v1"]);
    let second = bed.server.commit(&[], "Second");
    let tag = bed.follow(bed.question("v1", "")).tip().await;
    assert_eq!((tag.commit.as_str(), tag.reference.as_deref()), (first.as_str(), Some("refs/tags/v1")));
    let commit = bed.follow(bed.question(&second, "")).tip().await;
    assert_eq!((commit.commit.as_str(), commit.reference.as_deref()), (second.as_str(), None));
    let error = bed.follow(bed.question("nope", "")).next().await.expect_err("no such branch");
    assert_eq!(error.class, SourceErrorClass::NoSuchRevision);
    let unknown = "1".repeat(40);
    let error = bed.follow(bed.question(&unknown, "")).next().await.expect_err("no such commit");
    assert_eq!(error.class, SourceErrorClass::NoSuchRevision, "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_branch_is_followed_and_a_deleted_one_is_an_error_and_not_empty() {
    let Some(bed) = Bed::new(Arc::default()).await else { return };
    bed.server.commit(&[("a.yaml", MAP)], "First");
    bed.server.commit(&[("b.yaml", MAP)], "Second");
    let mut follower = bed.follow(bed.question("main", ""));
    follower.tip().await;
    bed.server.in_work(&["checkout", "-q", "--orphan", "new"]);
    bed.server.in_work(&["branch", "-q", "-D", "main"]);
    bed.server.in_work(&["branch", "-q", "-m", "main"]);
    let rewritten = bed.server.commit(&[("c.yaml", MAP)], "Rewritten");
    bed.mirrors.nudge(&bed.server.url);
    let tip = follower.tip().await;
    assert_eq!((tip.commit.as_str(), tip.history.len()), (rewritten.as_str(), 1));
    bed.server.in_bare(&["update-ref", "-d", "refs/heads/main"]);
    bed.mirrors.nudge(&bed.server.url);
    assert_eq!(follower.next().await.expect_err("it is gone").class, SourceErrorClass::NoSuchRevision);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_as_deep_as_the_mirror_and_no_deeper() {
    let Some(bed) = Bed::new(Arc::default()).await else { return };
    for i in 0..60 {
        bed.server.in_work(&["commit", "-q", "--allow-empty", "-m", &format!("commit {i}")]);
    }
    bed.server.commit(&[("a.yaml", MAP)], "Last");
    let mut follower = bed.follow(bed.question("main", ""));
    assert_eq!(follower.tip().await.history.len(), tip::HISTORY);
    let next = bed.server.commit(&[("a.yaml", "")], "One more");
    bed.mirrors.nudge(&bed.server.url);
    let tip = follower.tip().await;
    assert_eq!((tip.commit.as_str(), tip.history.len()), (next.as_str(), tip::HISTORY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_a_moment_does_not_take_back_what_is_known() {
    let Some(bed) = Bed::new(Arc::default()).await else { return };
    bed.server.commit(&[("a.yaml", MAP)], "First");
    let mut follower = bed.follow(bed.question("main", ""));
    follower.tip().await;
    bed.server.set(|c| c.broken = Some(503));
    bed.mirrors.nudge(&bed.server.url);
    follower.silent().await;
    for _ in 0..2 {
        bed.mirrors.nudge(&bed.server.url);
        tokio::time::sleep(Duration::from_millis(1300)).await;
    }
    assert_eq!(follower.next().await.expect_err("away for long").class, SourceErrorClass::Unreachable);
    bed.server.set(|c| c.broken = None);
    bed.mirrors.nudge(&bed.server.url);
    follower.tip().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository_is_read_with_its_secret_and_never_through_anothers_mirror() {
    let pairs = [("username", "me"), ("password", "hunter2"), ("allowPlainHttp", "true")];
    let secrets = Secrets::with("read", &pairs);
    lock(&secrets.0).insert(
        "wrong".to_owned(),
        vec![("bearerToken".to_owned(), "hunter3".to_owned()), ("allowPlainHttp".to_owned(), "true".to_owned())],
    );
    lock(&secrets.0).insert("shy".to_owned(), vec![("password".to_owned(), "hunter2".to_owned())]);
    let Some(bed) = Bed::new(secrets).await else { return };
    bed.server.commit(&[("a.yaml", MAP)], "First");
    bed.server.set(|c| c.authorization = Some("Basic bWU6aHVudGVyMg==".to_owned()));
    let asking = |secret: Option<&str>| SourceQuestion {
        secret: secret.map(|s| ("shop".to_owned(), s.to_owned())),
        ..bed.question("main", "")
    };
    let tip = bed.follow(asking(Some("read"))).tip().await;
    assert!(tip.tree.is_some());
    for secret in [None, Some("wrong"), Some("shy"), Some("absent")] {
        let error = bed.follow(asking(secret)).next().await.expect_err("must be refused");
        assert_eq!(error.class, SourceErrorClass::Unauthorized, "{secret:?}: {}", error.message);
        assert!(!error.message.contains("hunter"), "{}", error.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_rendered_from_the_mirror_and_kept() {
    let Some(bed) = Bed::new(Arc::default()).await else { return };
    bed.server.commit(
        &[("web/a.yaml", MAP), ("web/sub/b.json", r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"b"}}"#)],
        "First",
    );
    let mut follower = bed.follow(bed.question("main", "web"));
    let tree = follower.tip().await.tree.clone().expect("a tree");
    let Told::Rendered(Ok(rendered)) = bed.render(&tree).await else { panic!("not rendered") };
    assert_eq!(rendered.objects.iter().map(|o| o.file.as_str()).collect::<Vec<_>>(), ["a.yaml", "sub/b.json"]);
    bed.server.commit(&[("web/a.yaml", "a: [")], "Broken");
    bed.mirrors.nudge(&bed.server.url);
    let tree = follower.tip().await.tree.clone().expect("a tree");
    let Told::Rendered(Err(errors)) = bed.render(&tree).await else { panic!("rendered") };
    assert_eq!((errors[0].file.as_str(), errors[0].line), ("a.yaml", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_this_machine_are_refused_to_tenants() {
    let Some(server) = GitServer::start().await else { return };
    let data = tempfile::tempdir().expect("a folder");
    let config = MirrorConfig { data: data.path().to_owned(), ..MirrorConfig::default() };
    let bed = Bed { server, mirrors: Arc::new(Mirrors::new(config, Arc::new(Secrets::default()))), _data: data };
    let mut question = bed.question("main", "");
    let error = bed.follow(question.clone()).next().await.expect_err("loopback");
    assert_eq!(error.class, SourceErrorClass::Unusable);
    question.url = question.url.replace("127.0.0.1", "localhost");
    let error = bed.follow(question).next().await.expect_err("loopback by name");
    assert_eq!(error.class, SourceErrorClass::Unreachable, "{}", error.message);
    assert!(bed.server.asked().is_empty());
}
