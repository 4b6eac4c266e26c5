//! The command line: the program of the product's image, run here, against the real cluster and its controller.

use super::canary::{Way, first};
use super::{Scenario, Tag};
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use anyhow::{Context, ensure};
use futures::FutureExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "cli",
        name: "a_release_is_led_from_the_command_line_and_exit_codes_tell_its_end",
        tag: Tag::Wide,
        rules: &["A9", "A12"],
        limit: Duration::from_mins(7),
        run: |stand| async move { release(&stand).await }.boxed(),
    },
    Scenario {
        family: "cli",
        name: "what_cannot_be_done_from_the_command_line_is_refused_by_name",
        tag: Tag::Wide,
        rules: &[],
        limit: Duration::from_mins(4),
        run: |stand| async move { refused(&stand).await }.boxed(),
    },
];

/// What a run of the program came to.
#[derive(Debug)]
struct Answer {
    line: String,
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    /// Ended with this code and said this, on stdout or stderr.
    fn is(&self, code: i32, said: &[&str]) -> anyhow::Result<()> {
        let text = format!("{}{}", self.out, self.err);
        let missing: Vec<_> = said.iter().filter(|said| !text.contains(**said)).collect();
        ensure!(
            self.code == code && missing.is_empty(),
            "{} ended with {} instead of {code}; not said: {missing:?}\nstdout:\n{}\nstderr:\n{}",
            self.line,
            self.code,
            self.out,
            self.err
        );
        Ok(())
    }
}

async fn run(program: &Path, line: &str, more: &[&str], path: &Path) -> anyhow::Result<Answer> {
    let run = Command::new(program)
        .args(line.split(' '))
        .args(more)
        .env("PATH", path)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(150), run)
        .await
        .with_context(|| format!("tidegate {line} hangs"))?
        .with_context(|| format!("{} cannot be run", program.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Answer {
        line: format!("{} {line}", program.display()),
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    })
}

/// `tidegate LINE`, in the stand's namespace.
async fn tidegate(stand: &Stand, line: &str) -> anyhow::Result<Answer> {
    let kubeconfig = format!("--kubeconfig={}", stand.cluster.access.kubeconfig.display());
    let program = bed::images::recipes::product_binary();
    run(&program, line, &[&kubeconfig, "--namespace", stand.namespace()], Path::new("")).await
}

/// `kubectl tidegate LINE`: kubectl finds a program named `kubectl-tidegate` in the PATH.
async fn plugin(stand: &Stand, line: &str) -> anyhow::Result<Answer> {
    let folder = tempfile::tempdir()?;
    std::os::unix::fs::symlink(bed::images::recipes::product_binary(), folder.path().join("kubectl-tidegate"))?;
    let tools = &stand.cluster.access.tools;
    let kubectl = if tools.as_os_str().is_empty() { PathBuf::from("kubectl") } else { tools.join("kubectl") };
    let kubeconfig = format!("--kubeconfig={}", stand.cluster.access.kubeconfig.display());
    let line = format!("tidegate {line}");
    run(&kubectl, &line, &[&kubeconfig, "--namespace", stand.namespace()], folder.path()).await
}

fn steps() -> Value {
    json!([{"setWeight": 20}, {"pause": {}}])
}

async fn release(stand: &Stand) -> anyhow::Result<()> {
    // Given version 2 at its first pause
    first(stand, Way::Ingress, &steps()).await?;
    tidegate(stand, "status web").await?.is(0, &["Healthy"])?;
    stand.change(Revision::good("2")).await?;
    stand.live(20, SETTLE).await?;
    paused(stand).await?;

    // Then it is seen, with both weights, and what it waits for
    let tree = tidegate(stand, "get rollout web").await?;
    tree.is(0, &["Weight      20 set, 20 live", "Paused", "pause until promoted", "ReplicaSet", "Pod", "stable"])?;
    ensure!(!tree.out.contains('\u{1b}'), "colour although stdout is no terminal: {}", tree.out);
    plugin(stand, "list rollouts").await?.is(0, &["web", "canary", "Paused", "1/2"])?;
    tidegate(stand, "explain web").await?.is(0, &["a promotion", "tidegate promote web"])?;
    tidegate(stand, "status web").await?.is(3, &["Paused", "step 1/2"])?;
    tidegate(stand, "status web --timeout 1s").await?.is(3, &["not within 1 s", "a promotion"])?;
    let data = tidegate(stand, "get rollout web -o json").await?;
    let data: Value = serde_json::from_str(&data.out).context("get -o json is no JSON")?;
    ensure!(data["weight"] == json!({"set": 20, "live": 20}), "get -o json: {data}");

    // When it is promoted, then it ends Healthy
    tidegate(stand, "promote web").await?.is(0, &["promote", "Accepted", "the current step ends"])?;
    tidegate(stand, "status web --timeout 90s").await?.is(0, &["Healthy"])?;

    // When version 3 is aborted, then it ends Degraded, with the reason everywhere
    stand.change(Revision::failing("3", 1.0)).await?;
    stand.live(20, SETTLE).await?;
    paused(stand).await?;
    tidegate(stand, "abort web --reason=it-answers-500").await?.is(0, &["abort", "Accepted"])?;
    tidegate(stand, "status web --timeout 60s").await?.is(1, &["Degraded", "it-answers-500"])?;
    tidegate(stand, "explain web").await?.is(0, &["was aborted: it-answers-500", "tidegate retry web"])?;
    tidegate(stand, "history web").await?.is(0, &["aborted", "last good", "it-answers-500", "tidegate-cli"])?;

    // When it is run again, then the same words are not taken for the ones that were handled
    tidegate(stand, "retry web").await?.is(0, &["Accepted"])?;
    paused(stand).await?;
    tidegate(stand, "abort web --reason=it-answers-500").await?.is(0, &["Accepted"])?;
    tidegate(stand, "status web").await?.is(1, &["Degraded"])
}

async fn refused(stand: &Stand) -> anyhow::Result<()> {
    // Given a Rollout at its first pause
    tidegate(stand, "status web").await?.is(2, &["there is none of this name", "no Rollouts"])?;
    first(stand, Way::Ingress, &steps()).await?;
    stand.change(Revision::good("2")).await?;
    paused(stand).await?;

    // Then a wrong name and wrong arguments end with 2 and say what is right
    tidegate(stand, "status wbe").await?.is(2, &["there is none of this name; did you mean web?"])?;
    tidegate(stand, "get deployment web").await?.is(2, &["unrecognized subcommand"])?;
    tidegate(stand, "set image web sidecar=x:1").await?.is(2, &["there is no container", "app"])?;

    // And a pause holds until it is taken off; what is not there is refused with what is
    tidegate(stand, "pause web --reason=lunch").await?.is(0, &["paused by annotation: lunch"])?;
    tidegate(stand, "resume web").await?.is(0, &["CanaryPauseStep"])?;
    tidegate(stand, "resume web").await?.is(1, &["it waits for CanaryPauseStep", "tidegate promote web"])?;
    tidegate(stand, "retry web").await?.is(1, &["Refused", "the revision is not aborted"])?;
    tidegate(stand, "rollback web --to-revision 9").await?.is(1, &["Refused", "there are: 1 ("])?;
    tidegate(stand, "restart web").await?.is(0, &["Accepted", "are replaced"])?;

    // And the template is changed by hand only while no repository owns it
    tidegate(stand, "set image web app=tidegate.test/app:0").await?.is(0, &["(it was tidegate.test/app:1)"])?;
    tidegate(stand, "undo web").await?.is(0, &["The template is that of web-"])?;
    let git = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"namespace": stand.namespace(), "name": "web"},
        "spec": {"template": stand.app.template(Revision::good("2"))}
    });
    stand.cluster.apply_as(&git, "tidegate-sync").await?;
    let said = ["tidegate-sync owns spec.template", "in the repository"];
    tidegate(stand, "set image web app=tidegate.test/app:0").await?.is(1, &said)?;
    tidegate(stand, "undo web").await?.is(1, &said)
}

async fn paused(stand: &Stand) -> anyhow::Result<()> {
    stand
        .until(crate::cluster::Kind::ROLLOUT, &stand.app.name, SETTLE, "Paused at step 1", |rollout| {
            let status = &rollout["status"];
            (crate::wait::observed(rollout) && status["phase"] == "Paused" && status["currentStepIndex"] == 1)
                .then_some(())
        })
        .await?;
    Ok(())
}
