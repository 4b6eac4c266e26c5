//! The push against a real git server.

use super::*;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::question::SourceTip;
use crate::git::mirror::tests::{Bed, MAP, Secrets};
use std::os::unix::fs::PermissionsExt as _;

/// Version 1 is good, version 2 is bad; the mirror has seen both.
struct Given {
    bed: Bed,
    good: String,
    tip: std::sync::Arc<SourceTip>,
    follower: crate::git::mirror::tests::Follower,
}

impl Given {
    async fn new() -> Option<Self> {
        let secrets = Secrets::with("write", &[("username", "bot"), ("password", "pw"), ("allowPlainHttp", "true")]);
        let bed = Bed::new(secrets).await?;
        bed.server.in_bare(&["config", "http.receivepack", "true"]);
        bed.server.in_bare(&["config", "receive.fsckObjects", "true"]);
        bed.server.in_bare(&["config", "transfer.fsckObjects", "true"]);
        bed.server.commit(
            &[("apps/web/a.yaml", MAP), ("apps/web-b/c.yaml", MAP), ("apps/other/b.yaml", MAP), ("README.md", "1")],
            "Version 1",
        );
        let good = bed.server.in_bare(&["rev-parse", "main:apps/web"]);
        bed.server.commit(&[("apps/web/a.yaml", "bad: true\n"), ("apps/other/b.yaml", "new: 1\n")], "Version 2");
        let mut follower = bed.follow(bed.question("main", "apps/web"));
        let tip = follower.tip().await;
        Some(Self { bed, good, tip, follower: follower })
    }

    fn push(&self) -> Push {
        Push {
            by: ObjectRef::new(ResourceType::APPLICATION, "shop", "web"),
            url: self.bed.server.url.clone(),
            reference: "refs/heads/main".to_owned(),
            expected: self.tip.commit.clone(),
            path: "apps/web".to_owned(),
            tree: self.good.clone(),
            message: "Revert shop/web\n\nGitops-Application: shop/web\n".to_owned(),
            time: "2026-01-02T03:04:05Z".parse().expect("a time"),
            secret: "write".to_owned(),
        }
    }

    fn rev(&self, what: &str) -> String {
        self.bed.server.in_bare(&["rev-parse", what])
    }

    fn hook(&self, name: &str, script: &str) {
        let path = self.bed.server.bare().join("hooks").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a hook");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_put_back_and_nothing_else_changes() {
    let Some(given) = Given::new().await else { return };
    let kept = ["apps/other", "apps/web-b", "README.md"].map(|p| (p, given.rev(&format!("main:{p}"))));
    let objects =
        |given: &Given| given.bed.server.in_bare(&["cat-file", "--batch-all-objects", "--batch-check"]).lines().count();
    let before = objects(&given);
    let outcome = given.bed.mirrors.push(&given.push()).await;
    assert_eq!(outcome, PushOutcome::Pushed { commit: given.rev("main") });
    assert_eq!(given.rev("main:apps/web"), given.good);
    for (path, tree) in kept {
        assert_eq!(given.rev(&format!("main:{path}")), tree, "{path}");
    }
    assert_eq!(given.rev("main^"), given.tip.commit);
    assert_eq!(objects(&given) - before, 3, "the root, apps, and the commit");
    let log = given.bed.server.in_bare(&["log", "-1", "--format=%an <%ae> %cn %aI%n%(trailers)", "main"]);
    assert_eq!(log, "Tidegate <noreply@tidegate.dev> Tidegate 2026-01-02T03:04:05+00:00\nGitops-Application: shop/web");
    let fsck = given.bed.server.in_bare(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(fsck, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_sees_the_push_at_once() {
    let Some(mut given) = Given::new().await else { return };
    let PushOutcome::Pushed { commit } = given.bed.mirrors.push(&given.push()).await else { panic!("not pushed") };
    let tip = given.follower.tip().await;
    assert_eq!((tip.commit.as_str(), tip.tree.as_ref()), (commit.as_str(), Some(&given.good)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_finds_the_commit_there() {
    let Some(given) = Given::new().await else { return };
    let PushOutcome::Pushed { commit } = given.bed.mirrors.push(&given.push()).await else { panic!("not pushed") };
    assert_eq!(given.bed.mirrors.push(&given.push()).await, PushOutcome::AlreadyThere { commit });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_was_removed_comes_back_and_the_whole_repository_can_too() {
    let Some(mut given) = Given::new().await else { return };
    given.bed.server.in_work(&["rm", "-r", "-q", "apps"]);
    given.bed.server.commit(&[], "Remove all");
    given.bed.mirrors.nudge(&given.bed.server.url);
    given.tip = given.follower.tip().await;
    assert_eq!(given.tip.tree, None);
    let outcome = given.bed.mirrors.push(&given.push()).await;
    assert!(matches!(outcome, PushOutcome::Pushed { .. }), "{outcome:?}");
    assert_eq!(given.rev("main:apps/web"), given.good);
    given.tip = given.follower.tip().await;
    let root = given.rev("main~2^{tree}");
    let outcome = given.bed.mirrors.push(&Push { path: String::new(), tree: root.clone(), ..given.push() }).await;
    assert!(matches!(outcome, PushOutcome::Pushed { .. }), "{outcome:?}");
    assert_eq!(given.rev("main^{tree}"), root);
    given.bed.server.in_bare(&["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_there_already_is_no_push() {
    let Some(given) = Given::new().await else { return };
    let tree = given.tip.tree.clone().expect("a tree");
    let outcome = given.bed.mirrors.push(&Push { tree, ..given.push() }).await;
    assert_eq!(outcome, PushOutcome::AlreadyThere { commit: given.tip.commit.clone() });
    assert_eq!(given.rev("main"), given.tip.commit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_moved_is_never_overwritten() {
    let Some(given) = Given::new().await else { return };
    let fix = given.bed.server.commit(&[("apps/web/a.yaml", MAP)], "A fix");
    let outcome = given.bed.mirrors.push(&given.push()).await;
    assert_eq!(outcome, PushOutcome::Moved { now: Some(fix.clone()) });
    assert_eq!(given.rev("main"), fix);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_moves_between_question_and_push_is_never_overwritten() {
    let Some(given) = Given::new().await else { return };
    // The server's own compare-and-swap decides: the hook moves the branch after the list of references was read.
    given.hook(
        "pre-receive",
        &format!("env -u GIT_QUARANTINE_PATH git update-ref refs/heads/main {}", given.rev("main^")),
    );
    let outcome = given.bed.mirrors.push(&given.push()).await;
    assert_eq!(outcome, PushOutcome::Moved { now: Some(given.rev(&format!("{}^", given.tip.commit))) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_declines_is_protection_in_the_servers_words() {
    let Some(given) = Given::new().await else { return };
    given.hook("pre-receive", "echo 'error: Not allowed to push to protected branch main' >&2; exit 1");
    let PushOutcome::Protected(why) = given.bed.mirrors.push(&given.push()).await else { panic!("not protected") };
    assert_eq!(
        why,
        "refs/heads/main: the server says: pre-receive hook declined (Not allowed to push to protected branch main)"
    );
    assert_eq!(given.rev("main"), given.tip.commit);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_branch_moved_is_a_push() {
    let Some(given) = Given::new().await else { return };
    // The branch moves, then the answer breaks off in the middle of a hook's output.
    given.hook("post-receive", "kill -9 $PPID");
    let outcome = given.bed.mirrors.push(&given.push()).await;
    assert_eq!(outcome, PushOutcome::Pushed { commit: given.rev("main") });
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_do_and_hold_no_secret() {
    let Some(given) = Given::new().await else { return };
    let server = &given.bed.server;
    server.set(|c| c.authorization = Some("Basic b3RoZXI6eA==".to_owned()));
    let PushOutcome::Unauthorized(why) = given.bed.mirrors.push(&given.push()).await else { panic!("authorized") };
    assert!(why.contains("refused the credential") && !why.contains("pw"), "{why}");
    server.set(|c| *c = crate::git::server::Conduct { broken: Some(403), ..Default::default() });
    assert!(
        matches!(given.bed.mirrors.push(&given.push()).await, PushOutcome::Unauthorized(why) if why.contains("may not write"))
    );
    server.set(|c| c.broken = Some(502));
    assert!(matches!(given.bed.mirrors.push(&given.push()).await, PushOutcome::Unreachable(_)));
    server.set(|c| c.broken = None);
    let elsewhere = Push { url: given.bed.server.url.replace("web.git", "other.git"), ..given.push() };
    assert!(
        matches!(given.bed.mirrors.push(&elsewhere).await, PushOutcome::Unreachable(why) if why.contains("no mirror"))
    );
    let tag = Push { reference: "refs/tags/v1".to_owned(), ..given.push() };
    assert!(matches!(given.bed.mirrors.push(&tag).await, PushOutcome::Refused(_)));
    let absent = Push { secret: "nothing".to_owned(), ..given.push() };
    assert!(
        matches!(given.bed.mirrors.push(&absent).await, PushOutcome::Unauthorized(why) if why.contains("does not exist"))
    );
    assert_eq!(given.rev("main"), given.tip.commit);
}

#[test]
fn a_list_of_references_that_breaks_off_does_not_say_that_the_branch_is_gone() {
    let mut bytes = Vec::new();
    packet::write(b"# service=git-receive-pack\n", &mut bytes);
    bytes.extend_from_slice(FLUSH);
    packet::write(format!("{} refs/heads/a\0report-status side-band-64k\n", "1".repeat(40)).as_bytes(), &mut bytes);
    let cut = bytes.len();
    packet::write(format!("{} refs/heads/main\n", "2".repeat(40)).as_bytes(), &mut bytes);
    bytes.extend_from_slice(FLUSH);
    let whole = read_advertisement(&bytes, "refs/heads/main").expect("a list");
    assert_eq!((whole.at, whole.capabilities.len()), (Some("2".repeat(40)), 2));
    assert_eq!(read_advertisement(&bytes[..cut], "refs/heads/main"), Err(Malformed));
    assert_eq!(read_advertisement(&bytes[..cut + 9], "refs/heads/main"), Err(Malformed));
}
