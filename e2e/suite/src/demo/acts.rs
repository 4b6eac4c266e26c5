//! The acts, in order.

use super::chaos::Chaos;
use super::figures::{Figures, MeasuredShare};
use super::plan::Failing;
use super::{Options, Story};
use crate::cluster::Kind;
use crate::generator::{Generator, Load, Record, failures, share, tally};
use crate::objects::{App, Revision};
use crate::origin::{Origin, PATH};
use crate::scenarios::{bluegreen, checks, rescue};
use crate::stand::{SETTLE, Stand};
use crate::timeline::Timeline;
use crate::traefik::AccessLog;
use crate::wait;
use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longest from a bad commit to its revert: the slowest are those whose failure is only a deadline.
const RESCUE: Duration = Duration::from_secs(240);
/// Seconds without progress until the update counts as failed.
const DEADLINE: u32 = 30;
/// Long enough to measure a share with [`REQUESTS`] at some 60 a second.
const SECOND_PAUSE: &str = "12s";
/// With how many a share is measured; 500 have to be left when the step ended early.
const REQUESTS: usize = 700;

/// What is left on the stage.
#[derive(Debug)]
pub(super) struct Stage {
    pub origin: Origin,
}

/// All acts.
///
/// # Errors
/// The first thing that is not as it should be.
pub(super) async fn all(
    story: &Story,
    stand: &Stand,
    options: &Options,
    figures: &mut Figures,
) -> anyhow::Result<Stage> {
    let plan = &options.plan;
    let origin = repository(story, stand).await?;
    let first = version_one(story, stand, plan.weights, &origin, figures).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let log = AccessLog::follow(&stand.cluster, &stand.app.host).await?;
    let traffic = stand.requests(Load::STANDARD);
    story.tell("requests run from here on: 8 keep-alive clients, and 40 a second on new connections");
    let chaos = Chaos::start(&stand.cluster, &options.install, plan.kills.clone());

    let good = version_two(story, stand, plan.weights, &origin, &traffic, figures).await?;
    anyhow::ensure!(good != first, "both versions are one commit");
    if plan.failing == Failing::Nothing {
        harmless_version_three(story, stand, plan.weights, &origin, figures).await?;
    } else {
        bad_version_three(story, stand, options, &origin, &good, &traffic, figures).await?;
    }
    figures.kills = chaos.kills();
    drop(chaos);

    let records = traffic.stop().await;
    let app = &stand.app.name;
    let bad_may_fail = |version: &str| version == "3" && plan.failing != Failing::Nothing;
    let failed = failures(&records, bad_may_fail);
    figures.requests.push((app.clone(), tally(&records)));
    figures.failed_requests = failed.len();
    checks::no_failures(&failed)?;
    let answered = records.iter().filter(|r| r.status != 0).count();
    figures.logged_requests = log.settled(answered).await.values().sum();
    anyhow::ensure!(
        figures.logged_requests == answered,
        "{answered} requests were answered, Traefik's access log has {}",
        figures.logged_requests
    );
    story.tell(&format!(
        "{answered} requests were answered, as many are in Traefik's access log, none failed that should not have"
    ));
    blue_green(story, stand, options, figures).await?;
    Ok(Stage { origin })
}

async fn repository(story: &Story, stand: &Stand) -> anyhow::Result<Origin> {
    story.act("A repository on the forge, an account that may read, one that may write");
    let origin = Origin::new(stand).await?;
    let (url, space) = (origin.repository.url(), stand.namespace());
    story.tell(&format!("{url}, directory {PATH}; namespace {space}"));
    Ok(origin)
}

/// The manifests of one version: what a team keeps in git.
fn manifests(app: &App, weights: [u32; 2], revision: Revision<'_>) -> [Value; 3] {
    let analysis = json!({"analysis": {"templates": [{"templateName": "requests"}]}});
    let steps = json!([
        {"setWeight": weights[0]}, analysis, {"pause": {}}, {"setWeight": weights[1]}, {"pause": {"duration": SECOND_PAUSE}}
    ]);
    let mut rollout = app.rollout(revision, &app.by_ingress(&steps));
    rollout["spec"]["progressDeadlineSeconds"] = json!(DEADLINE);
    [rollout, app.service(&app.name), app.ingress()]
}

async fn version_one(
    story: &Story,
    stand: &Stand,
    weights: [u32; 2],
    origin: &Origin,
    figures: &mut Figures,
) -> anyhow::Result<String> {
    story.act("Version 1 from git");
    let prometheus =
        stand.cluster.access.prometheus.as_ref().context("this cluster has no Prometheus that is known here")?;
    origin.write("web.yaml", &manifests(&stand.app, weights, Revision::good("1")))?;
    origin.write("analysis.yaml", &[stand.app.analysis(&prometheus.cluster_url)])?;
    let commit = origin.copy.push("Web: version 1").await?;
    story.tell(&format!(
        "pushed {commit:.10} \"Web: version 1\": a Rollout, a Service, a plain Ingress, an AnalysisTemplate"
    ));
    let begun = Instant::now();
    stand.cluster.create(&origin.application(&stand.app, "Push")).await?;
    stand.applied(&commit).await?;
    figures.time("Application created \u{2192} version 1 applied", begun.elapsed());
    stand.healthy().await?;
    stand.answering().await?;
    figures.time("Application created \u{2192} version 1 answers", begun.elapsed());
    story.tell(&format!("version 1 answers for http://{}/", stand.app.host));
    stand.good(&commit).await?;
    story.tell("it stayed Healthy for its soak time: this commit is good");
    Ok(commit)
}

async fn version_two(
    story: &Story,
    stand: &Stand,
    weights: [u32; 2],
    origin: &Origin,
    traffic: &Generator,
    figures: &mut Figures,
) -> anyhow::Result<String> {
    story.act("Version 2, a good one");
    origin.write("web.yaml", &manifests(&stand.app, weights, Revision::good("2")))?;
    let (pushed, begun) = (Timestamp::now(), Instant::now());
    let rollout = Timeline::record(&stand.cluster, Kind::ROLLOUT, stand.namespace(), &stand.app.name);
    let commit = origin.push(stand, "Web: version 2").await?;
    stand.applied(&commit).await?;
    figures.time("commit of version 2 \u{2192} applied", begun.elapsed());
    story.tell(&format!("pushed {commit:.10}, applied after {:.1} s", begun.elapsed().as_secs_f64()));

    for (i, weight) in weights.into_iter().enumerate() {
        stand.live(weight, SETTLE).await?;
        let from = Timestamp::now();
        let wanted = rollout.first(pushed, |r| r["status"]["traffic"]["want"]["canary"] == weight);
        let live = rollout.first(pushed, |r| r["status"]["traffic"]["live"]["canary"] == weight);
        if let (Some(wanted), Some(live)) = (wanted, live) {
            figures.seconds(&format!("weight {weight} written \u{2192} live on every Traefik"), seconds(wanted, live));
        }
        story.tell(&format!("weight {weight} is live on every instance of Traefik"));
        traffic.more(REQUESTS).await;
        // On a busy machine the second pause may end before the last of these requests.
        let over = rollout.first(from, |r| r["status"]["traffic"]["want"]["canary"] != weight);
        measure(story, figures, &traffic.records(), (from, over.unwrap_or_else(Timestamp::now)), weight)?;
        if i == 0 {
            stand
                .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "the analysis Successful and the pause reached", |r| {
                    (r["status"]["currentStepIndex"] == 2 && r["status"]["phase"] == "Paused").then_some(())
                })
                .await?;
            story.tell("its analysis is Successful; the Rollout waits for a person");
            story.tell(&format!("$ kubectl annotate rollout {} tidegate.dev/promote=step", stand.app.name));
            stand.command("promote", "step").await?;
        }
    }
    let healthy = stand.healthy().await?;
    anyhow::ensure!(
        healthy["status"]["stableRS"] == healthy["status"]["currentPodHash"],
        "Healthy without promotion: {}",
        wait::glance(&healthy)
    );
    figures.time("commit of version 2 \u{2192} promoted", begun.elapsed());
    story.tell("promoted: all requests get version 2");
    stand.good(&commit).await?;
    story.tell("this commit is good now");
    Ok(commit)
}

fn measure(
    story: &Story,
    figures: &mut Figures,
    records: &[Record],
    (from, to): (Timestamp, Timestamp),
    weight: u32,
) -> anyhow::Result<()> {
    let measured = share(records.iter().filter(|r| r.sent >= from && r.sent < to), "2");
    let (percent, requests) = (measured.percent(), measured.requests);
    figures.shares.push(MeasuredShare { version: "2".to_owned(), weight, percent, requests });
    story.tell(&format!("{percent:.1} % of {requests} requests got version 2"));
    checks::share_is(records, (from, to), "2", weight).map(drop)
}

async fn harmless_version_three(
    story: &Story,
    stand: &Stand,
    weights: [u32; 2],
    origin: &Origin,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    story.act("Version 3, as good as the others");
    origin.write("web.yaml", &manifests(&stand.app, weights, Revision::good("3")))?;
    let begun = Instant::now();
    let commit = origin.push(stand, "Web: version 3").await?;
    stand.applied(&commit).await?;
    stand
        .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "the pause reached", |r| {
            (r["status"]["currentStepIndex"] == 2 && r["status"]["phase"] == "Paused").then_some(())
        })
        .await?;
    stand.command("promote", "step").await?;
    stand.good(&commit).await?;
    figures.time("commit of version 3 \u{2192} good", begun.elapsed());
    anyhow::ensure!(origin.copy.pull().await? == commit, "a commit came after a good version");
    story.tell("promoted, and nothing was taken back");
    Ok(())
}

async fn bad_version_three(
    story: &Story,
    stand: &Stand,
    options: &Options,
    origin: &Origin,
    good: &str,
    traffic: &Generator,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let failing = options.plan.failing;
    story.act(&format!("Version 3, a bad one: {}", in_words(failing)));
    let after = match failing {
        Failing::Crash { after } => after.to_string(),
        _ => String::new(),
    };
    let more = match failing {
        Failing::Crash { .. } => vec![("CRASH_AFTER", after.as_str())],
        Failing::NeverReady => vec![("READY", "false")],
        _ => Vec::new(),
    };
    let mut revision = Revision { more: &more, ..Revision::good("3") };
    match failing {
        Failing::Errors { percent } => revision.error_rate = f64::from(percent) / 100.0,
        Failing::Slow { ms } => revision.latency_ms = ms,
        Failing::BadImage => revision.image = "app:no-such-tag",
        _ => {}
    }
    origin.write("web.yaml", &manifests(&stand.app, options.plan.weights, revision))?;

    let rollout = Timeline::record(&stand.cluster, Kind::ROLLOUT, stand.namespace(), &stand.app.name);
    let root = Timeline::record(&stand.cluster, Kind::TRAEFIK_SERVICE, stand.namespace(), &stand.app.name);
    let application = Timeline::record(&stand.cluster, Kind::APPLICATION, stand.namespace(), &stand.app.name);
    let pushed = Timestamp::now();
    let bad = origin.push(stand, "Web: version 3, faster than ever").await?;
    story.tell(&format!("pushed {bad:.10} \"Web: version 3, faster than ever\""));

    stand
        .until(Kind::ROLLOUT, &stand.app.name, RESCUE, "version 3 aborted", |r| {
            r["status"]["aborted"].as_array().is_some_and(|a| !a.is_empty()).then_some(())
        })
        .await?;
    let cause = rollout
        .states()
        .iter()
        .rev()
        .find_map(|(_, r)| r["status"]["aborted"].as_array()?.last()?["cause"].as_str().map(str::to_owned));
    story.tell(&format!("aborted by itself: {}", cause.unwrap_or_default()));
    stand
        .application(RESCUE, "the bad revision rejected", |s| {
            s["rescue"]["phase"] == "Reverted" || s["rescue"]["rejected"].to_string().contains(&bad)
        })
        .await?;
    story.tell("held: the last good revision stays applied whatever the branch says");
    stand.application(RESCUE, "Reverted", |s| s["rescue"]["phase"] == "Reverted").await?;
    let revert = rescue::reverted_cleanly(origin, good, &bad).await?;
    story.tell("git says good again, by one commit that changes nothing but this directory:");
    for line in origin.copy.git(&["log", "-3", "--format=%h  %an: %s"]).await?.lines() {
        story.tell(&format!("    {line}"));
    }
    let healthy = stand.healthy().await?;
    stand
        .application(SETTLE, "Synced and Healthy again", |s| {
            s["sync"]["status"] == "Synced"
                && s["health"]["status"] == "Healthy"
                && s["tip"]["revision"] == revert.as_str()
        })
        .await?;
    story.tell(&format!("Healthy again with version 2 ({})", wait::glance(&healthy)));
    traffic.more(500).await;
    anyhow::ensure!(origin.copy.pull().await? == revert, "another commit came after the revert");
    figures.revert_commit = Some(revert.clone());

    // What happened when
    let records = traffic.records();
    let bad_answers: Vec<Timestamp> =
        records.iter().filter(|r| r.sent >= pushed && &*r.version == "3").map(|r| r.sent).collect();
    let canary = stand.app.canary();
    let raised = root.first(pushed, |r| checks::canary_weight(r, &canary) > 0);
    let lowered = raised.and_then(|from| root.first(from, |r| checks::canary_weight(r, &canary) == 0));
    if let (Some(first), Some(last), Some(lowered)) = (bad_answers.iter().min(), bad_answers.iter().max(), lowered) {
        figures.seconds("first answer of version 3 \u{2192} weight 0 written", seconds(*first, lowered));
        figures.seconds("weight 0 written \u{2192} last answer of version 3", seconds(lowered, *last).max(0.0));
    }
    let held = application.first(pushed, |a| a["status"]["rescue"]["rejected"].to_string().contains(&bad));
    let aborted = rollout.first(pushed, |r| r["status"]["abort"] == true);
    let reverted = application.first(pushed, |a| a["status"]["rescue"]["phase"] == "Reverted");
    let settled = application.first(pushed, |a| {
        a["status"]["tip"]["revision"] == revert.as_str() && a["status"]["health"]["status"] == "Healthy"
    });
    for (what, from, to) in [
        ("commit of version 3 \u{2192} aborted", Some(pushed), aborted),
        ("aborted \u{2192} held", aborted, held),
        ("held \u{2192} reverted in git", held, reverted),
        ("reverted \u{2192} Synced and Healthy", reverted, settled),
    ] {
        if let (Some(from), Some(to)) = (from, to) {
            figures.seconds(what, seconds(from, to).max(0.0));
        }
    }
    Ok(())
}

fn in_words(failing: Failing) -> String {
    match failing {
        Failing::Errors { percent } => format!("it fails {percent} % of its requests"),
        Failing::Slow { ms } => format!("each answer takes {ms} ms"),
        Failing::Crash { after } => format!("it crashes {after} s after its start"),
        Failing::NeverReady => "it is never ready".to_owned(),
        Failing::BadImage => "its image does not exist".to_owned(),
        Failing::Nothing => "not at all".to_owned(),
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// A stand of its own, for its namespace only.
async fn blue_green(story: &Story, stand: &Stand, options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    story.act("Blue/green: all at once");
    let stand = Stand::new(&stand.cluster, "demo-blue-green").await?;
    let played = async {
        bluegreen::first(&stand).await?;
        let traffic = stand.traffic(Load { keep_alive: 4, paced: 20, ..Load::STANDARD }).await?;
        story.tell("version 1 is active");
        bluegreen::preview(&stand).await?;
        story.tell("version 2 is ready beside it; nobody gets it yet");
        let begun = Instant::now();
        story.tell(&format!("$ kubectl annotate rollout {} tidegate.dev/promote=step", stand.app.name));
        stand.command("promote", "step").await?;
        let switched = Timestamp::now();
        stand.healthy().await?;
        figures.time("blue/green: promoted \u{2192} Healthy", begun.elapsed());
        traffic.more(300).await;
        let records = traffic.stop().await;
        let last = records.iter().filter(|r| &*r.version == "1").map(|r| r.sent).max();
        if let Some(last) = last {
            figures.seconds("blue/green: promoted \u{2192} last answer of version 1", seconds(switched, last).max(0.0));
        }
        figures.requests.push(("blue/green".to_owned(), tally(&records)));
        let failed = failures(&records, |_| false);
        figures.failed_requests += failed.len();
        checks::no_failures(&failed)?;
        anyhow::ensure!(records.iter().any(|r| &*r.version == "2"), "nobody got version 2");
        story.tell("switched; no request failed");
        Ok(())
    };
    let outcome: anyhow::Result<()> = played.await;
    if let Err(e) = &outcome {
        super::keep_evidence(&stand, options, &format!("{e:?}")).await;
    }
    stand.remove().await?;
    outcome
}
