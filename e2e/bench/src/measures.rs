//! What is measured, in order: with nothing, with a hundred idle Rollouts, with a thousand.

mod reaction;

use crate::audit::{Audit, by_kind};
use crate::controller::{Controller, Program};
use crate::metric::Metric;
use crate::report::{Figure, Report, median};
use crate::world::{NAMESPACE, World, settled, shop, until, version};
use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tidegate_e2e::cluster::Kind;

/// Nothing asked for so long is quiet.
const QUIET: Duration = Duration::from_secs(6);
/// Canaries of ten pods that are followed one by one.
const CANARIES: usize = 5;
const ABORTS: usize = 20;
/// Canaries that are aborted in the middle of a storm.
const ABORTS_IN_STORM: usize = 5;

/// What can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    /// Requests while nothing happens.
    Rest,
    /// One canary, alone.
    Canary,
    /// Aborts, alone.
    Abort,
    /// Metrics that fail.
    Reaction,
    /// All canaries at once.
    Storm,
}

/// A run of all measures on one cluster.
#[derive(Debug)]
pub(crate) struct Measures {
    only: Vec<Measure>,
    world: World,
    program: Program,
    audit: Audit,
    metric: Metric,
    report: Report,
    /// Of the last template that was written.
    version: usize,
}

/// Figures of the incumbent at one number of Rollouts, and what is aimed at.
struct Scale {
    rollouts: usize,
    memory: (f64, f64),
    restart_requests: f64,
    storm: (f64, f64),
}

/// `requests`, `writes` and how many of the weights' object.
struct Cost {
    requests: usize,
    writes: usize,
    roots: usize,
    kinds: String,
}

impl Measures {
    /// `only`: the measures to take; empty takes all.
    pub(crate) fn new(world: World, program: Program, audit: Audit, metric: Metric, only: Vec<Measure>) -> Self {
        Self { only, world, program, audit, metric, report: Report::default(), version: 1 }
    }

    /// Takes all figures, with `most` Rollouts at the end.
    pub(crate) async fn run(mut self, most: usize) -> anyhow::Result<Report> {
        let controller = self.program.start()?;
        tokio::time::sleep(QUIET).await;
        self.memory(&controller, 0, (11.0, 86.0))?;
        let hundred = Scale { rollouts: 100, memory: (13.0, 103.0), restart_requests: 686.0, storm: (6.25, 12.5) };
        let controller = self.at(controller, hundred, true).await?;
        let controller = if most > 100 {
            let many = Scale { rollouts: most, memory: (20.0, 164.0), restart_requests: 7018.0, storm: (66.0, 132.0) };
            self.at(controller, many, false).await?
        } else {
            controller
        };
        controller.stop().await?;
        Ok(self.report)
    }

    async fn at(&mut self, controller: Controller, scale: Scale, alone: bool) -> anyhow::Result<Controller> {
        let steps = json!([{"setWeight": 50}, {"pause": {"duration": "1s"}}]);
        let names: Vec<String> = (0..scale.rollouts).map(|n| format!("r{n:04}")).collect();
        self.world.apply_all(names.iter().flat_map(|name| shop(name, 1, &steps)).collect()).await?;
        let limit = Duration::from_secs(300);
        until(&self.world, limit, "Rollouts are Healthy", &names, None, settled).await?;
        self.quiet().await?;
        self.memory(&controller, scale.rollouts, scale.memory)?;
        if alone && self.takes(Measure::Rest) {
            self.rest().await?;
        }
        controller.stop().await?;
        let controller = self.restart(&scale).await?;
        if alone && self.takes(Measure::Canary) {
            self.canaries().await?;
        }
        if alone && self.takes(Measure::Abort) {
            self.aborts().await?;
        }
        if alone && self.takes(Measure::Reaction) {
            self.reactions().await?;
        }
        if self.takes(Measure::Storm) {
            self.storm(&controller, &scale, &names, !alone).await?;
        }
        Ok(controller)
    }

    fn takes(&self, measure: Measure) -> bool {
        self.only.is_empty() || self.only.contains(&measure)
    }

    fn memory(
        &mut self,
        controller: &Controller,
        rollouts: usize,
        (target, incumbent): (f64, f64),
    ) -> anyhow::Result<()> {
        let memory = controller.memory()?;
        self.report.add(Figure {
            what: format!("resident memory at {rollouts} idle Rollouts"),
            unit: "MiB",
            measured: memory.resident,
            target: Some(target),
            incumbent: Some(incumbent),
            detail: format!(
                "{:.1} of it the program's own, the rest pages of its file; peak {:.1}",
                memory.own, memory.peak
            ),
        });
        Ok(())
    }

    /// Waits until nothing is asked for a while; returns when the last request was answered.
    async fn quiet(&mut self) -> anyhow::Result<Timestamp> {
        let start = Timestamp::now();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let last = self.audit.since(Timestamp::UNIX_EPOCH)?.last().map_or(start, |r| r.done);
            if Timestamp::now().duration_since(last.max(start)) > SignedDuration::try_from(QUIET)? {
                return Ok(last);
            }
            anyhow::ensure!(start.elapsed_secs() < 300.0, "the controller did not get quiet within 300 s");
        }
    }

    async fn rest(&mut self) -> anyhow::Result<()> {
        let from = Timestamp::now();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let (count, kinds) = {
            let asked = self.audit.since(from)?;
            (asked.len(), by_kind(&asked))
        };
        let standing = self.audit.standing_since(from)?;
        self.report.add(Figure {
            what: "requests in 60 s at rest, 100 Rollouts".to_owned(),
            unit: "requests",
            measured: float(count),
            target: Some(0.0),
            incumbent: None,
            detail: format!("{standing} of the lease and of watches taken up again; {kinds}"),
        });
        Ok(())
    }

    async fn restart(&mut self, scale: &Scale) -> anyhow::Result<Controller> {
        let from = Timestamp::now();
        let controller = self.program.start()?;
        let last = self.quiet().await?;
        let cost = self.cost(from, None)?;
        let rollouts = scale.rollouts;
        self.report.add(Figure {
            what: format!("writes of a restart with nothing to do, {rollouts} Rollouts"),
            unit: "writes",
            measured: float(cost.writes),
            target: Some(0.0),
            incumbent: None,
            detail: cost.kinds,
        });
        self.report.add(Figure {
            what: format!("requests of it, {rollouts} Rollouts"),
            unit: "requests",
            measured: float(cost.requests),
            target: None,
            incumbent: Some(scale.restart_requests),
            detail: String::new(),
        });
        self.report.add(Figure {
            what: format!("time of it until quiet, {rollouts} Rollouts"),
            unit: "s",
            measured: last.duration_since(from).as_secs_f64().max(0.0),
            target: Some(5.0),
            incumbent: (rollouts >= 1000).then_some(98.8),
            detail: String::new(),
        });
        Ok(controller)
    }

    fn cost(&mut self, from: Timestamp, root: Option<&str>) -> anyhow::Result<Cost> {
        let asked = self.audit.since(from)?;
        let roots = asked.iter().filter(|r| r.writes() && r.resource == "traefikservices");
        Ok(Cost {
            requests: asked.len(),
            writes: asked.iter().filter(|r| r.writes()).count(),
            roots: roots.filter(|r| root.is_none_or(|name| r.name == name)).count(),
            kinds: by_kind(&asked),
        })
    }

    fn next_version(&mut self) -> Value {
        self.version += 1;
        version(self.version)
    }

    /// Ten pods, 20 %, 1 s, 50 %, 1 s, done; alone.
    async fn canaries(&mut self) -> anyhow::Result<()> {
        let second = json!({"pause": {"duration": "1s"}});
        let steps = json!([{"setWeight": 20}, second, {"setWeight": 50}, second]);
        let names = ["canary".to_owned()];
        self.world.apply_all(shop("canary", 10, &steps)).await?;
        let limit = Duration::from_secs(60);
        until(&self.world, limit, "the Rollout is Healthy", &names, None, settled).await?;
        let (mut requests, mut times, mut details) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..CANARIES {
            self.quiet().await?;
            let patch = self.next_version();
            let from = Timestamp::now();
            self.world.change_all(&names, &patch).await?;
            until(&self.world, limit, "the canary is promoted", &names, Some(self.version), settled).await?;
            times.push(from.elapsed_secs());
            self.quiet().await?;
            let cost = self.cost(from, Some("canary"))?;
            anyhow::ensure!(cost.roots > 0, "the canary's weights were never written");
            requests.push(float(cost.requests));
            details.push(format!("{} writes, {} of the weights: {}", cost.writes, cost.roots, cost.kinds));
        }
        self.report.add(Figure {
            what: format!("requests of one canary of 10 pods, n={CANARIES}"),
            unit: "requests",
            measured: median(requests),
            target: Some(38.0),
            incumbent: Some(76.0),
            detail: details.pop().unwrap_or_default(),
        });
        self.report.add(Figure {
            what: "time of it, two pauses of 1 s included".to_owned(),
            unit: "s",
            measured: median(times),
            target: None,
            incumbent: None,
            detail: "the incumbent's 1.5 to 2.2 s come from pauses that end early".to_owned(),
        });
        Ok(())
    }

    /// A new version of the Rollout `name`, which is made where it is not there, is paused at 20 %.
    async fn paused_canary(&mut self, name: &str) -> anyhow::Result<()> {
        self.paused(name, held(name)).await
    }

    /// A new version of the Rollout `name` is paused at 20 %; `objects` are applied where it is not there.
    async fn paused(&mut self, name: &str, objects: Vec<Value>) -> anyhow::Result<()> {
        let names = [name.to_owned()];
        if self.world.cluster.get(Kind::ROLLOUT, NAMESPACE, name).await?.is_none() {
            self.world.apply_all(objects).await?;
            until(&self.world, Duration::from_secs(60), "the Rollout is Healthy", &names, None, settled).await?;
        }
        let patch = self.next_version();
        self.world.change_all(&names, &patch).await?;
        let paused = |r: &Value| {
            r["status"]["phase"] == "Paused" && r["status"]["traffic"]["live"]["canary"].as_i64() == Some(20)
        };
        until(&self.world, Duration::from_secs(60), "the canary is paused at 20 %", &names, Some(self.version), paused)
            .await
    }

    /// From the request of the annotation to the answer to the write of weight 0, in milliseconds.
    async fn abort(&mut self, name: &str) -> anyhow::Result<f64> {
        let from = Timestamp::now();
        self.world.cluster.annotate(Kind::ROLLOUT, NAMESPACE, name, "tidegate.dev/abort", "measured").await?;
        let written = self.weight_written(name, from).await?;
        Ok(written.duration_since(from).as_secs_f64() * 1000.0)
    }

    /// When the first write of the weights' object since `from` was answered.
    async fn weight_written(&mut self, name: &str, from: Timestamp) -> anyhow::Result<Timestamp> {
        let start = Instant::now();
        loop {
            let written = {
                let asked = self.audit.since(from)?;
                let write =
                    |r: &&&crate::audit::Request| r.resource == "traefikservices" && r.writes() && r.name == name;
                asked.iter().find(write).map(|r| r.done)
            };
            if let Some(done) = written {
                return Ok(done);
            }
            anyhow::ensure!(start.elapsed() < Duration::from_secs(60), "{name}: weight 0 was not written in 60 s");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn aborts(&mut self) -> anyhow::Result<()> {
        let mut times = Vec::new();
        for _ in 0..ABORTS {
            self.paused_canary("abort").await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            times.push(self.abort("abort").await?);
        }
        self.report_times("abort asked -> weight 0 written, 100 idle Rollouts", times, Some(15.0), 29.0);
        Ok(())
    }

    /// The median of times in milliseconds, with the longest of them.
    fn report_times(&mut self, what: &str, times: Vec<f64>, target: Option<f64>, incumbent: f64) {
        let most = times.iter().copied().fold(0.0, f64::max);
        self.report.add(Figure {
            what: format!("{what}, n={}", times.len()),
            unit: "ms",
            measured: median(times),
            target,
            incumbent: Some(incumbent),
            detail: format!("at most {most:.1}"),
        });
    }

    /// All at once get a new version: 50 %, 1 s, done.
    async fn storm(
        &mut self,
        controller: &Controller,
        scale: &Scale,
        names: &[String],
        aborts: bool,
    ) -> anyhow::Result<()> {
        let condemned: Vec<String> =
            if aborts { (0..ABORTS_IN_STORM).map(|n| format!("abort{n}")).collect() } else { Vec::new() };
        for name in &condemned {
            self.paused_canary(name).await?;
        }
        self.quiet().await?;
        let patch = self.next_version();
        let from = Timestamp::now();
        self.world.change_all(names, &patch).await?;
        let patched = from.elapsed_secs();
        let mut times = Vec::new();
        for name in &condemned {
            times.push(self.abort(name).await?);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        until(&self.world, Duration::from_secs(600), "the storm is over", names, Some(self.version), settled).await?;
        let took = from.elapsed_secs();
        let cost = self.cost(from, None)?;
        let memory = controller.memory().context("after the storm")?;
        let rollouts = scale.rollouts;
        self.report.add(Figure {
            what: format!("{rollouts} canaries at once (1 pod, 50 %, 1 s)"),
            unit: "s",
            measured: took,
            target: Some(scale.storm.0),
            incumbent: Some(scale.storm.1),
            detail: format!(
                "patched within {patched:.1} s, {} requests, {} of the weights; memory {:.1} MiB, peak {:.1}; {}",
                cost.requests, cost.roots, memory.resident, memory.peak, cost.kinds
            ),
        });
        if !times.is_empty() {
            self.report_times("abort asked -> weight 0 written, in the storm", times, Some(100.0), 3400.0);
        }
        Ok(())
    }
}

/// Objects of a Rollout whose canary of four pods stays at 20 %.
fn held(name: &str) -> Vec<Value> {
    shop(name, 4, &json!([{"setWeight": 20}, {"pause": {}}]))
}

trait Elapsed {
    fn elapsed_secs(self) -> f64;
}

impl Elapsed for Timestamp {
    fn elapsed_secs(self) -> f64 {
        Self::now().duration_since(self).as_secs_f64()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests, far below 2^52")]
fn float(count: usize) -> f64 {
    count as f64
}
