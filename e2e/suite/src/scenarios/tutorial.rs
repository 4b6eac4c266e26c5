//! The tutorial that this project started from: its own three files, a real nginx, and the way on to a canary.

use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::origin::{Origin, PATH};
use crate::stand::{IN_A_ROW, SETTLE, Stand};
use crate::wait;
use anyhow::Context;
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    family: "tutorial",
    name: "the_tutorials_sample_runs_as_written_and_goes_on_to_a_canary",
    tag: Tag::Wide,
    rules: &["G1", "G4", "T1", "T2", "T5"],
    limit: Duration::from_secs(300),
    run: |stand| async move { as_written(&stand).await }.boxed(),
}];

const FILES: [(&str, &str); 3] = [
    ("deployment.yaml", include_str!("../../fixtures/tutorial/deployment.yaml")),
    ("service.yaml", include_str!("../../fixtures/tutorial/service.yaml")),
    ("ingress.yaml", include_str!("../../fixtures/tutorial/ingress.yaml")),
];
/// The host of the sample's Ingress, and the name of its Deployment and its Service.
const HOST: &str = "mynginx.127.0.0.1.sslip.io";
const NAME: &str = "mynginx";
const PAUSE: Duration = Duration::from_millis(20);

/// The Rollout that takes the Deployment's place: the same pods, and steps.
fn rollout(version: &str) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": NAME},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"run": NAME}},
            "template": {
                "metadata": {"labels": {"run": NAME}},
                "spec": {"containers": [{
                    "image": "nginx", "name": NAME, "ports": [{"containerPort": 80}],
                    "env": [{"name": "VERSION", "value": version}]
                }]}
            },
            "strategy": {"canary": {
                "steps": [{"setWeight": 50}, {"pause": {}}],
                "trafficRouting": {"traefik": {"ingress": {"name": "mynginx-traefik-ingress"}}}
            }}
        }
    })
}

async fn as_written(stand: &Stand) -> anyhow::Result<()> {
    let (space, app) = (stand.namespace(), &stand.app);
    // Given the three files in git, byte for byte, and an Application that is synced by hand
    let origin = Origin::new(stand).await?;
    for (file, text) in FILES {
        origin.copy.write(&format!("{PATH}/{file}"), text)?;
    }
    let first = origin.copy.push("The tutorial's sample").await?;
    let mut application = origin.application(app, "Off");
    application["spec"]["syncPolicy"] = Value::Null;
    stand.cluster.create(&application).await?;
    stand
        .application(SETTLE, "OutOfSync, and nothing applied", |s| {
            s["sync"]["status"] == "OutOfSync" && s["tip"]["revision"] == first.as_str() && s["applied"].is_null()
        })
        .await?;

    // When somebody asks for the sync, then nginx answers under the Ingress's host
    let sync = |commit: String| async move {
        stand.cluster.annotate(Kind::APPLICATION, space, &app.name, "tidegate.dev/sync", "true").await?;
        stand.applied(&commit).await.map_err(anyhow::Error::from)
    };
    sync(first).await?;
    healthy(stand).await?;
    wait::poll(SETTLE, "nginx's page from every instance of the router", || async {
        for _ in 0..IN_A_ROW {
            page(stand).await.map_err(|e| format!("{e:#}"))?;
        }
        Ok(())
    })
    .await?;
    let reader = Reader::start(stand);

    // When git asks for two pods, then it is OutOfSync until the next sync, and they run
    origin.copy.write(&format!("{PATH}/deployment.yaml"), &FILES[0].1.replace("replicas: 1", "replicas: 2"))?;
    let second = origin.push(stand, "Two of them").await?;
    stand
        .application(SETTLE, "OutOfSync with the second commit", |s| {
            s["sync"]["status"] == "OutOfSync" && s["tip"]["revision"] == second.as_str()
        })
        .await?;
    sync(second).await?;
    stand
        .until(Kind::DEPLOYMENT, NAME, SETTLE, "two pods ready", |d| (d["status"]["readyReplicas"] == 2).then_some(()))
        .await?;

    // When a Rollout of the same pods takes the Deployment's place, then the Deployment goes
    let automated = json!({"spec": {"syncPolicy": {"automated": {"prune": true}}}});
    stand.cluster.merge(Kind::APPLICATION, space, &app.name, &automated).await?;
    origin.copy.git(&["rm", "--quiet", &format!("{PATH}/deployment.yaml")]).await?;
    origin.write("rollout.yaml", &[rollout("1")])?;
    let third = origin.push(stand, "A Rollout in its place").await?;
    stand.applied(&third).await?;
    phase(stand, "Healthy", None).await?;
    stand.until(Kind::DEPLOYMENT, NAME, SETTLE, "the Deployment pruned", |d| d.is_null().then_some(())).await?;

    // When the next version comes, then half of the requests are its own, seen in Traefik, until somebody promotes it
    origin.write("rollout.yaml", &[rollout("2")])?;
    let fourth = origin.push(stand, "Version 2").await?;
    stand.applied(&fourth).await?;
    phase(stand, "Paused", Some(50)).await?;
    stand.cluster.annotate(Kind::ROLLOUT, space, NAME, "tidegate.dev/promote", "step").await?;
    phase(stand, "Healthy", Some(0)).await?;
    healthy(stand).await?;

    // ... and through all of it nginx answered
    reader.stop().await
}

/// Waits until the Rollout has this phase for its newest spec, with this canary weight live.
async fn phase(stand: &Stand, phase: &str, weight: Option<u32>) -> anyhow::Result<()> {
    let what = format!("{phase} with weight {weight:?}");
    let holds = |r: &Value| {
        wait::observed(r)
            && r["status"]["phase"] == phase
            && weight.is_none_or(|w| r["status"]["traffic"]["live"]["canary"] == w)
    };
    Ok(stand.until(Kind::ROLLOUT, NAME, SETTLE, &what, |r| holds(r).then_some(())).await?)
}

async fn healthy(stand: &Stand) -> anyhow::Result<()> {
    let healthy = |s: &Value| s["health"]["status"] == "Healthy" && s["sync"]["status"] == "Synced";
    stand.application(SETTLE, "the Application Healthy and Synced", healthy).await?;
    Ok(())
}

/// One request as a browser would send it; an error unless it is nginx's page.
async fn page(stand: &Stand) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let request = http.get(&stand.cluster.access.entry).header(reqwest::header::HOST, HOST);
    let answer = request.send().await.context("no answer")?;
    let (status, text) = (answer.status(), answer.text().await?);
    anyhow::ensure!(status == 200 && text.contains("nginx"), "status {status}: {text:.200}");
    Ok(())
}

/// Somebody who reads the page all the time.
struct Reader {
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(usize, Vec<String>)>,
}

impl Reader {
    fn start(stand: &Stand) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (stand, flag) = (stand.clone(), Arc::clone(&over));
        let task = tokio::spawn(async move {
            let (mut good, mut bad) = (0, Vec::new());
            while !flag.load(Ordering::Relaxed) {
                match page(&stand).await {
                    Ok(()) => good += 1,
                    Err(e) => bad.push(format!("{} {e:#}", Timestamp::now())),
                }
                tokio::time::sleep(PAUSE).await;
            }
            (good, bad)
        });
        Self { over, task }
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.over.store(true, Ordering::Relaxed);
        let (good, bad) = self.task.await?;
        anyhow::ensure!(bad.is_empty() && good > 0, "{} of {} requests failed: {bad:#?}", bad.len(), good + bad.len());
        Ok(())
    }
}
