//! The scenarios: what must be so on a real cluster.
//!
//! One file per family. Each scenario has a stand of its own and names the rules that it checks by id (traffic T, promotion A,
//! ownership G, leadership L of the invariants; rescue R and W as the design has them). They run one after the other: every
//! write to the router reloads it for all, and shares are measured.

mod analysis;
mod autoscaling;
pub mod bluegreen;
mod canary;
pub mod checks;
mod cli;
#[cfg(feature = "compare")]
mod compare;
mod conformance;
mod deletion;
mod disturbed;
mod faults;
mod leader;
pub mod rescue;
mod sync;
mod tutorial;

use crate::cluster::Cluster;
use crate::evidence::Evidence;
use crate::report::{Entry, Report, Verdict};
use crate::stand::Stand;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// When a scenario runs, and beside which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Always, alone.
    Core,
    /// With `--wide`, alone.
    Wide,
    /// With `--wide`, beside others of this tag: it asserts neither shares nor times, and disturbs nobody.
    Together,
}

/// Scenarios of [`Tag::Together`] at a time.
const TOGETHER: usize = 4;

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub family: &'static str,
    /// The rule in words, as the name of a test.
    pub name: &'static str,
    pub tag: Tag,
    /// Ids of the rules that it checks.
    pub rules: &'static [&'static str],
    /// Longest time until it counts as hung.
    pub limit: Duration,
    pub run: fn(Stand) -> BoxFuture<'static, anyhow::Result<()>>,
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let families = [
        canary::SCENARIOS,
        analysis::SCENARIOS,
        autoscaling::SCENARIOS,
        bluegreen::SCENARIOS,
        sync::SCENARIOS,
        tutorial::SCENARIOS,
        rescue::SCENARIOS,
        cli::SCENARIOS,
        faults::SCENARIOS,
        disturbed::SCENARIOS,
        leader::SCENARIOS,
        deletion::SCENARIOS,
        #[cfg(feature = "compare")]
        compare::SCENARIOS,
    ];
    let mut all = families.concat();
    all.extend(conformance::scenarios());
    all
}

/// What of the scenarios is run, and how.
#[derive(Debug, Clone)]
pub struct Selection {
    pub wide: bool,
    /// Only those whose family or name holds one of these; all when empty.
    pub only: Vec<String>,
    /// Where evidence of failures goes.
    pub evidence: PathBuf,
    /// Leaves the namespaces of failed scenarios.
    pub keep: bool,
    /// Namespace of the product.
    pub product: String,
}

impl Selection {
    fn takes(&self, scenario: &Scenario) -> bool {
        (self.wide || scenario.tag == Tag::Core)
            && (self.only.is_empty()
                || self.only.iter().any(|part| scenario.family.contains(part) || scenario.name.contains(part)))
    }
}

/// Runs the selected scenarios, printing each as it ends.
pub async fn run(cluster: &Cluster, selection: &Selection) -> Report {
    let mut report = Report::default();
    let mut stands = Vec::new();
    let selected: Vec<Scenario> = all().into_iter().filter(|s| selection.takes(s)).collect();
    let (together, alone): (Vec<_>, Vec<_>) = selected.iter().partition(|s| s.tag == Tag::Together);
    for scenario in alone {
        let (entry, stand) = timed(cluster, selection, scenario).await;
        report.add(entry);
        stands.extend(stand);
    }
    let runs = together.into_iter().map(|scenario| timed(cluster, selection, scenario));
    let mut ends = futures::stream::iter(runs).buffer_unordered(TOGETHER);
    while let Some((entry, stand)) = ends.next().await {
        report.add(entry);
        stands.extend(stand);
    }
    drop(ends);
    for stand in stands {
        if let Err(e) = gone(&stand).await {
            println!("FAIL  namespace {} does not go: {e:#}", stand.namespace());
            report.add(Entry {
                family: "stands",
                scenario: "a_namespace_with_tidegates_objects_can_be_deleted",
                rules: vec!["T15"],
                verdict: Verdict::Failed,
                seconds: 0.0,
                message: format!("{e:#}"),
            });
        }
    }
    report
}

/// Runs one scenario and prints how it ended; gives its stand when that was removed.
async fn timed(cluster: &Cluster, selection: &Selection, scenario: &Scenario) -> (Entry, Option<Stand>) {
    let begun = Instant::now();
    let (outcome, stand) = match one(cluster, selection, scenario).await {
        Ok((outcome, stand)) => (outcome, stand),
        Err(e) => (Err(e), None),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let (verdict, word) = match outcome {
        Ok(()) => (Verdict::Passed, "PASS"),
        Err(_) => (Verdict::Failed, "FAIL"),
    };
    println!("{word}  {:>6.1} s  {}: {}", seconds, scenario.family, scenario.name);
    let message = outcome.err().map(|e| format!("{e:#}")).unwrap_or_default();
    if !message.is_empty() {
        println!("      {}", message.replace('\n', "\n      "));
    }
    let (family, rules) = (scenario.family, scenario.rules.to_vec());
    (Entry { family, scenario: scenario.name, rules, verdict, seconds, message }, stand)
}

/// What came of the scenario, and its stand when that is on its way out. An error is one of the stand itself.
async fn one(
    cluster: &Cluster,
    selection: &Selection,
    scenario: &Scenario,
) -> anyhow::Result<(anyhow::Result<()>, Option<Stand>)> {
    let stand = Stand::new(cluster, scenario.name).await?;
    let run = AssertUnwindSafe((scenario.run)(stand.clone())).catch_unwind();
    let outcome = match tokio::time::timeout(scenario.limit, run).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(anyhow::anyhow!("the scenario panicked; its message is above")),
        Err(_) => Err(anyhow::anyhow!("not done within {:?}", scenario.limit)),
    };
    let outcome = match outcome {
        Ok(()) => Ok(()),
        Err(e) => {
            let folder = selection.evidence.join(scenario.name);
            if let Ok(mut evidence) = Evidence::in_folder(&folder) {
                evidence.requests(&stand.records());
                stand.notes().iter().for_each(|(name, text)| evidence.more(name, text));
                evidence.gather(cluster, stand.namespace(), &selection.product, &format!("{e:?}")).await;
            }
            Err(e.context(format!("evidence in {}", folder.display())))
        }
    };
    if outcome.is_err() && selection.keep {
        return Ok((outcome, None));
    }
    stand.remove().await?;
    Ok((outcome, Some(stand)))
}

/// Waits until a stand's namespace is gone.
async fn gone(stand: &Stand) -> anyhow::Result<()> {
    use crate::cluster::Kind;
    crate::wait::until(
        &stand.cluster,
        (Kind::NAMESPACE, "", stand.namespace()),
        Duration::from_secs(90),
        "the namespace gone",
        |namespace| namespace.is_null().then_some(()),
    )
    .await?;
    Ok(())
}
