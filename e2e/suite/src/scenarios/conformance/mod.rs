//! Scenarios of Argo Rollouts' own end-to-end suite, on real pods: what a user who comes from there relies on.
//!
//! Each carries `argo#N`, its number in the inventory of that suite, among its rules; `docs/conformance.md` lists them with what
//! differs. They assert objects, neither shares nor times.

/// A scenario that is the function of its name. Those that are `core` run always; they take a few seconds.
macro_rules! scenario {
    (core $rules:expr, $name:ident) => {
        scenario!(Core, $rules, $name)
    };
    ($rules:expr, $name:ident) => {
        scenario!(Together, $rules, $name)
    };
    ($tag:ident, $rules:expr, $name:ident) => {
        crate::scenarios::Scenario {
            family: "conformance",
            name: stringify!($name),
            tag: crate::scenarios::Tag::$tag,
            rules: $rules,
            limit: super::LIMIT,
            run: |stand| futures::FutureExt::boxed(async move { $name(&stand).await }),
        }
    };
}

mod analysis;
mod bluegreen;
mod canary;
mod failing;
mod returns;
mod shares;
mod workload;

use super::Scenario;
use crate::cluster::Kind;
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::wait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A scenario of this family ends well below it, also on a busy node.
const LIMIT: Duration = Duration::from_secs(240);

pub(super) fn scenarios() -> Vec<Scenario> {
    let files = [
        canary::SCENARIOS,
        shares::SCENARIOS,
        bluegreen::SCENARIOS,
        failing::SCENARIOS,
        analysis::SCENARIOS,
        returns::SCENARIOS,
        workload::SCENARIOS,
    ];
    files.concat()
}

/// A revision that is ready so late that a short deadline passes before.
const fn slow(version: &str) -> Revision<'_> {
    Revision { more: &[("READY_DELAY", "12")], ..Revision::good(version) }
}

/// A revision of which each pod needs some seconds, so that what happens meanwhile is seen.
const fn unhurried(version: &str) -> Revision<'_> {
    Revision { more: &[("READY_DELAY", "4")], ..Revision::good(version) }
}

/// A revision whose container ends at once.
const fn crashing(version: &str) -> Revision<'_> {
    Revision { more: &[("READY", "false"), ("CRASH_AFTER", "0.2")], ..Revision::good(version) }
}

/// Starts version 1 with this strategy and the Services that it names, and waits until it is Healthy.
async fn begin(stand: &Stand, replicas: u32, strategy: &Value) -> anyhow::Result<()> {
    create(stand, Revision::good("1"), replicas, strategy).await?;
    stand.healthy().await?;
    Ok(())
}

/// The same without a wait, and with any first version.
async fn create(stand: &Stand, first: Revision<'_>, replicas: u32, strategy: &Value) -> anyhow::Result<()> {
    let app = &stand.app;
    for of in [&strategy["canary"], &strategy["blueGreen"]] {
        for role in ["stableService", "canaryService", "activeService", "previewService"] {
            if let Some(name) = of[role].as_str() {
                stand.cluster.apply(&app.service(name)).await?;
            }
        }
    }
    if !strategy["canary"]["trafficRouting"].is_null() {
        stand.cluster.apply(&app.ingress_route()).await?;
    }
    let mut rollout = app.rollout(first, strategy);
    rollout["spec"]["replicas"] = replicas.into();
    stand.cluster.create(&rollout).await?;
    Ok(())
}

/// A canary behind Traefik with these steps and more fields of the strategy.
fn routed(stand: &Stand, steps: &Value, more: &Value) -> Value {
    let mut strategy = stand.app.by_route(steps);
    merge(&mut strategy["canary"], more);
    strategy
}

/// A canary by numbers of pods.
fn by_pods(steps: &Value, more: &Value) -> Value {
    let mut canary = json!({"steps": steps});
    merge(&mut canary, more);
    json!({"canary": canary})
}

fn merge(into: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}

/// Pods that each revision shall have, by its number; revisions with none are left out.
async fn sizes(stand: &Stand) -> anyhow::Result<BTreeMap<i64, u64>> {
    let sets = stand.cluster.list(Kind::REPLICA_SET, stand.namespace(), "").await?;
    let sized = sets.iter().filter_map(|set| {
        let revision = set["metadata"]["annotations"]["tidegate.dev/revision"].as_str()?.parse().ok()?;
        let size = set["spec"]["replicas"].as_u64()?;
        (size > 0).then_some((revision, size))
    });
    Ok(sized.collect())
}

/// Waits until the revisions have these numbers of pods: `[(1, 3), (2, 1)]`.
async fn has_pods(stand: &Stand, wanted: &[(i64, u64)]) -> anyhow::Result<()> {
    let wanted: BTreeMap<i64, u64> = wanted.iter().copied().collect();
    wait::poll(SETTLE, &format!("revisions with pods {wanted:?}"), || async {
        let found = sizes(stand).await.map_err(|e| e.to_string())?;
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// The same, and it stays so for a while: nothing more was about to happen.
async fn keeps_pods(stand: &Stand, wanted: &[(i64, u64)]) -> anyhow::Result<()> {
    has_pods(stand, wanted).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (found, wanted) = (sizes(stand).await?, wanted.iter().copied().collect());
    anyhow::ensure!(found == wanted, "pods were {wanted:?} and became {found:?}");
    Ok(())
}

/// Waits until what is wanted was observed and the Rollout is in this phase; gives the object.
async fn phase(stand: &Stand, phase: &str) -> anyhow::Result<Value> {
    let found = stand.until(Kind::ROLLOUT, &stand.app.name, SETTLE, phase, |rollout| {
        (wait::observed(rollout) && rollout["status"]["phase"] == phase).then(|| rollout.clone())
    });
    Ok(found.await?)
}

/// Paused at the step of this index.
async fn paused_at(stand: &Stand, index: i64) -> anyhow::Result<Value> {
    let what = format!("Paused at step {index}");
    let found = stand.until(Kind::ROLLOUT, &stand.app.name, SETTLE, &what, |rollout| {
        let status = &rollout["status"];
        (wait::observed(rollout) && status["phase"] == "Paused" && status["currentStepIndex"] == index)
            .then(|| rollout.clone())
    });
    Ok(found.await?)
}

/// Changes the Rollout's spec by a merge patch.
async fn edit(stand: &Stand, spec: &Value) -> anyhow::Result<()> {
    stand.cluster.merge(Kind::ROLLOUT, stand.namespace(), &stand.app.name, &json!({"spec": spec})).await?;
    Ok(())
}

async fn rollout(stand: &Stand) -> anyhow::Result<Value> {
    let found = stand.cluster.get(Kind::ROLLOUT, stand.namespace(), &stand.app.name).await?;
    found.ok_or_else(|| anyhow::anyhow!("the Rollout is gone"))
}

/// The numbers that users read: desired, current, updated, ready, available.
fn counts(rollout: &Value) -> [u64; 5] {
    let of = |field: &str| rollout["status"][field].as_u64().unwrap_or(0);
    [
        rollout["spec"]["replicas"].as_u64().unwrap_or(0),
        of("replicas"),
        of("updatedReplicas"),
        of("readyReplicas"),
        of("availableReplicas"),
    ]
}

/// Waits until the Rollout's numbers are these.
async fn has_counts(stand: &Stand, wanted: [u64; 5]) -> anyhow::Result<()> {
    let what = format!("desired, current, updated, ready, available {wanted:?}");
    let counted = |rollout: &Value| (counts(rollout) == wanted).then_some(());
    Ok(stand.until(Kind::ROLLOUT, &stand.app.name, SETTLE, &what, counted).await?)
}

/// The number of the revision that a Service selects.
async fn selected(stand: &Stand, service: &str) -> anyhow::Result<Option<i64>> {
    let service = stand.cluster.get(Kind::SERVICE, stand.namespace(), service).await?.unwrap_or_default();
    let hash = &service["spec"]["selector"]["rollouts-pod-template-hash"];
    let sets = stand.cluster.list(Kind::REPLICA_SET, stand.namespace(), "").await?;
    let of = sets.iter().find(|s| !hash.is_null() && s["metadata"]["labels"]["rollouts-pod-template-hash"] == *hash);
    Ok(of.and_then(|s| s["metadata"]["annotations"]["tidegate.dev/revision"].as_str()?.parse().ok()))
}

/// Waits until a Service selects this revision.
async fn selects(stand: &Stand, service: &str, revision: i64) -> anyhow::Result<()> {
    wait::poll(SETTLE, &format!("Service {service} selects revision {revision}"), || async {
        let found = selected(stand, service).await.map_err(|e| e.to_string())?;
        if found == Some(revision) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// How many AnalysisRuns there are.
async fn runs(stand: &Stand) -> anyhow::Result<usize> {
    Ok(stand.cluster.list(Kind::ANALYSIS_RUN, stand.namespace(), "").await?.len())
}

/// Waits until the AnalysisRuns have these phases, in any order.
async fn run_phases(stand: &Stand, wanted: &[&str]) -> anyhow::Result<()> {
    let mut wanted: Vec<String> = wanted.iter().map(|phase| (*phase).to_owned()).collect();
    wanted.sort_unstable();
    wait::poll(SETTLE, &format!("AnalysisRuns that are {wanted:?}"), || async {
        let runs = stand.cluster.list(Kind::ANALYSIS_RUN, stand.namespace(), "").await.map_err(|e| e.to_string())?;
        let phase = |run: &Value| run["status"]["phase"].as_str().unwrap_or("-").to_owned();
        let mut found: Vec<String> = runs.iter().map(phase).collect();
        found.sort_unstable();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// Where the cluster's Prometheus is asked from pods.
fn prometheus(stand: &Stand) -> anyhow::Result<&str> {
    let known = stand.cluster.access.prometheus.as_ref();
    known.map(|p| p.cluster_url.as_str()).ok_or_else(|| anyhow::anyhow!("the cluster has no Prometheus"))
}

/// An AnalysisTemplate whose only measurement is the number: above zero it is good.
async fn template(stand: &Stand, name: &str, query: &str) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"namespace": stand.namespace(), "name": name},
        "spec": {"metrics": [{
            "name": name, "interval": "2s", "count": 2, "successCondition": "result[0] > 0",
            "provider": {"prometheus": {"address": prometheus(stand)?, "query": query}}
        }]}
    });
    stand.cluster.apply(&object).await?;
    Ok(())
}

/// The deadline annotations of all ReplicaSets.
async fn deadlines(stand: &Stand) -> anyhow::Result<usize> {
    let sets = stand.cluster.list(Kind::REPLICA_SET, stand.namespace(), "").await?;
    Ok(sets.iter().filter(|s| !s["metadata"]["annotations"]["scale-down-deadline"].is_null()).count())
}

async fn has_deadlines(stand: &Stand, wanted: usize) -> anyhow::Result<()> {
    wait::poll(SETTLE, &format!("{wanted} ReplicaSets with a deadline"), || async {
        let found = deadlines(stand).await.map_err(|e| e.to_string())?;
        if found == wanted { Ok(()) } else { Err(found.to_string()) }
    })
    .await
}
