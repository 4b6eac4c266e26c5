//! Rescue: a bad revision is held off and taken back in git.

use super::checks;
use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::generator::{Generator, Load, failures, share};
use crate::objects::Revision;
use crate::origin::{Origin, PATH};
use crate::stand::{SETTLE, Stand};
use anyhow::Context;
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "rescue",
        name: "a_bad_revision_is_held_and_reverted_once",
        tag: Tag::Core,
        rules: &["R1", "R10", "R15", "R21", "R26", "A8"],
        limit: Duration::from_secs(360),
        run: |stand| async move { held_and_reverted(&stand).await }.boxed(),
    },
    Scenario {
        family: "rescue",
        name: "a_protected_branch_leaves_the_good_revision_held_and_asks_a_person",
        tag: Tag::Wide,
        rules: &["R13"],
        limit: Duration::from_secs(360),
        run: |stand| async move { protected(&stand).await }.boxed(),
    },
];

/// From a bad commit to the last step of its rescue, with a change of leader on the way.
const LONGEST: Duration = Duration::from_secs(240);

fn web(stand: &Stand, revision: Revision<'_>) -> [Value; 3] {
    let app = &stand.app;
    let steps = json!([{"setWeight": 20}, {"analysis": {"templates": [{"templateName": "requests"}]}}]);
    [app.rollout(revision, &app.by_ingress(&steps)), app.service(&app.name), app.ingress()]
}

/// Version 1 from git, soaked and good.
async fn first(stand: &Stand, origin: &Origin) -> anyhow::Result<String> {
    let prometheus =
        stand.cluster.access.prometheus.as_ref().context("this cluster has no Prometheus that is known here")?;
    origin.write("web.yaml", &web(stand, Revision::good("1")))?;
    origin.write("analysis.yaml", &[stand.app.analysis(&prometheus.cluster_url)])?;
    let good = origin.copy.push("Web: version 1").await?;
    stand.cluster.create(&origin.application(&stand.app, "Push")).await?;
    stand.good(&good).await?;
    Ok(good)
}

/// A bad version that takes itself back, told in parts so that something may happen between them.
#[derive(Debug)]
pub(super) struct Story {
    pub origin: Origin,
    good: String,
    /// Hash of version 1.
    stable: Value,
}

/// The bad version is on its way, under load.
#[derive(Debug)]
pub(super) struct Pushed {
    traffic: Generator,
    pub bad: String,
}

impl Story {
    /// Version 1 from git, good and Healthy.
    pub(super) async fn begin(stand: &Stand) -> anyhow::Result<Self> {
        let origin = Origin::new(stand).await?;
        let good = first(stand, &origin).await?;
        let status = &stand.healthy().await?["status"];
        let source = &status["lastGood"]["source"];
        anyhow::ensure!(source["revision"] == good.as_str(), "the good revision is from {good}: {source}");
        let stable = status["stableRS"].clone();
        Ok(Self { origin, good, stable })
    }

    pub(super) async fn push_bad(&self, stand: &Stand) -> anyhow::Result<Pushed> {
        let traffic = stand.traffic(Load::STANDARD).await?;
        self.origin.write("web.yaml", &web(stand, Revision::failing("2", 0.3)))?;
        let bad = self.origin.push(stand, "Web: version 2").await?;
        Ok(Pushed { traffic, bad })
    }

    /// The end that it has to have, whatever happened on the way.
    pub(super) async fn ends_well(&self, stand: &Stand, pushed: Pushed) -> anyhow::Result<()> {
        let (Self { origin, good, stable }, Pushed { traffic, bad }) = (self, pushed);

        // It is rejected, and git says good again by a commit of the controller
        let application = stand.application(LONGEST, "Reverted", |s| s["rescue"]["phase"] == "Reverted").await?;
        let rescue = &application["status"]["rescue"];
        anyhow::ensure!(
            rescue["bad"]["commit"] == bad.as_str() || rescue["rejected"].to_string().contains(&bad),
            "the bad commit is not named: {rescue}"
        );
        let tip = reverted_cleanly(origin, good, &bad).await?;
        stand.applied(&tip).await?;

        // ... and the Rollout is Healthy with version 1, and remembers that version 2 was aborted
        let rollout = stand.healthy().await?;
        let status = &rollout["status"];
        anyhow::ensure!(
            status["stableRS"] == *stable && status["currentPodHash"] == *stable,
            "version 1 had the hash {stable}: {}",
            crate::wait::glance(&rollout)
        );
        let aborted = status["aborted"].as_array().and_then(|aborted| aborted.last());
        anyhow::ensure!(
            aborted.is_some_and(|a| a["class"] == "Analysis"),
            "no abort by analysis: {}",
            status["aborted"]
        );

        // ... nobody gets version 2 any more, and nobody but its users saw anything
        let from = Timestamp::now();
        traffic.more(300).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        anyhow::ensure!(origin.copy.pull().await? == tip, "another commit came after the revert");
        let records = traffic.stop().await;
        let after = share(records.iter().filter(|r| r.sent >= from), "2");
        anyhow::ensure!(after.of_version == 0 && after.requests > 0, "taken back, but version 2 answers: {after:?}");
        checks::no_failures(&failures(&records, |version| version == "2"))
    }
}

async fn held_and_reverted(stand: &Stand) -> anyhow::Result<()> {
    let story = Story::begin(stand).await?;
    let pushed = story.push_bad(stand).await?;
    story.ends_well(stand, pushed).await
}

/// Exactly one commit after `bad`; the Application's directory is as in `good`, all others as before; the repository is sound.
///
/// # Errors
/// What is not so.
pub async fn reverted_cleanly(origin: &Origin, good: &str, bad: &str) -> anyhow::Result<String> {
    let copy = &origin.copy;
    let tip = copy.pull().await?;
    let after = copy.subjects_since(bad).await?;
    anyhow::ensure!(after.len() == 1, "wanted one commit after the bad one, there are {}: {after:?}", after.len());
    anyhow::ensure!(copy.tip("HEAD^").await? == bad, "the revert's parent is not the bad commit");
    let tree = |revision: &str| format!("{revision}:{PATH}");
    anyhow::ensure!(
        copy.tip(&tree("HEAD")).await? == copy.tip(&tree(good)).await?,
        "{PATH} is not as in the good commit"
    );
    let others = |entries: Vec<String>| entries.into_iter().filter(|e| !e.ends_with("\tweb")).collect::<Vec<_>>();
    anyhow::ensure!(
        others(copy.entries("HEAD", "apps").await?) == others(copy.entries(bad, "apps").await?),
        "another directory under apps was changed"
    );
    let root = |entries: Vec<String>| entries.into_iter().filter(|e| !e.ends_with("\tapps")).collect::<Vec<_>>();
    anyhow::ensure!(
        root(copy.entries("HEAD", "").await?) == root(copy.entries(bad, "").await?),
        "another path of the repository was changed"
    );
    let message = copy.git(&["log", "-1", "--format=%B"]).await?;
    anyhow::ensure!(
        message.contains(&format!("Gitops-Restores: {good}")),
        "no trailer names the good commit:\n{message}"
    );
    copy.git(&["fsck", "--strict", "--full"]).await?;
    Ok(tip)
}

async fn protected(stand: &Stand) -> anyhow::Result<()> {
    let origin = Origin::new(stand).await?;
    let good = first(stand, &origin).await?;
    // Given a branch that only the developer may push to
    origin.forge.protect(&origin.developer, &origin.repository, "main", &[&origin.developer.user]).await?;
    origin.write("web.yaml", &web(stand, Revision::failing("2", 0.4)))?;
    let traffic = stand.traffic(Load::STANDARD).await?;
    let bad = origin.push(stand, "Web: version 2").await?;

    // Then the good revision stays applied and status asks for a person
    let application = stand.application(LONGEST, "NeedsHuman", |s| s["rescue"]["phase"] == "NeedsHuman").await?;
    anyhow::ensure!(
        application["status"]["applied"]["tree"] == application["status"]["good"]["tree"],
        "not the good tree is applied: {}",
        application["status"]["applied"]
    );
    anyhow::ensure!(application["status"]["good"]["revision"] == good.as_str(), "good is not the first commit");
    stand.healthy().await?;
    anyhow::ensure!(origin.copy.pull().await? == bad, "the protected branch moved");
    let _ = traffic.stop().await;
    let rollout = stand.cluster.get(Kind::ROLLOUT, stand.namespace(), &stand.app.name).await?;
    anyhow::ensure!(rollout.is_some(), "the Rollout is gone");
    stand
        .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "all traffic at stable", |r| {
            (r["status"]["traffic"]["live"]["canary"] == 0).then_some(())
        })
        .await?;
    Ok(())
}
