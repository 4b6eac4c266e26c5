//! Rollouts that go in the middle of a canary when nobody is there to let them go, or nothing is left to go back to: the
//! controller uninstalled, or away for a while; the namespace deleted.

use super::disturbed::{all_get, at_half};
use super::{Scenario, Tag, checks};
use crate::audit;
use crate::cluster::{Cluster, Kind};
use crate::generator::{Generator, failures};
use crate::install::{CHART, Install, NAMESPACE, RELEASE};
use crate::stand::{SETTLE, Stand};
use crate::wait;
use futures::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(420);
/// How long a share may take to be live, which is what holds a Rollout at most, and as much again for a busy node.
const HELD: Duration = Duration::from_secs(30);
/// Writes to a namespace that ends which the API server may refuse: its objects go one after the other, and what is missing is made
/// again until the Rollout goes, or told of. Five were seen; a storm is another matter.
const REFUSED: usize = 20;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "deletion",
        name: "an_uninstalled_controller_holds_no_rollout_and_keeps_the_share",
        tag: Tag::Wide,
        rules: &["T15", "T16", "L8"],
        limit: LIMIT,
        run: |stand| async move { uninstalled(&stand).await }.boxed(),
    },
    Scenario {
        family: "deletion",
        name: "a_rollout_goes_where_the_controller_was_uninstalled_and_the_next_gives_its_services_back",
        tag: Tag::Wide,
        rules: &["T15"],
        limit: LIMIT,
        run: |stand| async move { left_behind(&stand).await }.boxed(),
    },
    Scenario {
        family: "deletion",
        name: "a_rollout_that_goes_while_no_controller_runs_is_let_go_by_the_next",
        tag: Tag::Wide,
        rules: &["T15", "T8"],
        limit: LIMIT,
        run: |stand| async move { away(&stand).await }.boxed(),
    },
    Scenario {
        family: "deletion",
        name: "a_namespace_that_is_deleted_in_mid_canary_is_not_held",
        tag: Tag::Wide,
        rules: &["T15"],
        limit: LIMIT,
        run: |stand| async move { namespace(&stand).await }.boxed(),
    },
];

/// What holds a Rollout while its canary has a share.
const FINALIZER: &str = "tidegate.dev/canary-weight";

/// Half of the traffic at a canary, whose Rollout is held; and the requests.
async fn held(stand: &Stand) -> anyhow::Result<Generator> {
    let traffic = at_half(stand).await?;
    let rollout = stand.live(50, SETTLE).await?;
    anyhow::ensure!(is_held(&rollout), "a canary with a share is not held: {}", rollout["metadata"]["finalizers"]);
    Ok(traffic)
}

fn is_held(rollout: &Value) -> bool {
    rollout["metadata"]["finalizers"].as_array().into_iter().flatten().any(|f| f == FINALIZER)
}

async fn uninstalled(stand: &Stand) -> anyhow::Result<()> {
    let traffic = held(stand).await?;

    // When the chart is uninstalled in the middle of a canary
    let release = Install::installed(&stand.cluster).await?;
    release.remove(&stand.cluster).await?;
    let outcome = without_controller(stand, &traffic).await;
    back(&release, stand).await?;
    outcome?;

    // Then nobody noticed, and the Rollout goes on where it was when there is a controller again
    stand.live(50, SETTLE).await?;
    stand.command("promote", "step").await?;
    stand.healthy().await?;
    all_get(&traffic, "2").await?;
    checks::no_failures(&failures(&traffic.stop().await, |_| false))
}

/// The next scenario wants the controller, whatever came of this one.
async fn back(release: &Install, stand: &Stand) -> anyhow::Result<()> {
    release.run(&stand.cluster, &bed::cache::checkout().join(CHART)).await
}

/// What is there when the controller is not: the CRDs, the Rollout with nothing that holds it and the share that it had, and
/// nothing of the chart's own.
async fn without_controller(stand: &Stand, traffic: &Generator) -> anyhow::Result<()> {
    let (cluster, space, name) = (&stand.cluster, stand.namespace(), stand.app.name.as_str());
    let rollout = cluster.get(Kind::ROLLOUT, space, name).await?.unwrap_or_default();
    anyhow::ensure!(!rollout.is_null(), "the Rollout went with the chart");
    anyhow::ensure!(!is_held(&rollout), "nobody is left to take it off: {}", rollout["metadata"]["finalizers"]);
    let crd = cluster.get(Kind::CRD, "", "rollouts.tidegate.dev").await?.unwrap_or_default();
    anyhow::ensure!(
        crd["metadata"]["name"].is_string() && crd["metadata"]["deletionTimestamp"].is_null(),
        "the definition of Rollouts went with the chart"
    );
    let left = of_the_chart(cluster).await?;
    anyhow::ensure!(left.is_empty(), "the chart left behind: {left:?}");
    let from = Timestamp::now();
    traffic.more(800).await;
    checks::share_is(&traffic.records(), (from, Timestamp::now()), "2", 50)?;
    Ok(())
}

/// Selects what the chart made.
fn labels() -> String {
    format!("app.kubernetes.io/instance={RELEASE}")
}

/// What carries the release's label.
async fn of_the_chart(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    const MADE: [(Kind, &str); 9] = [
        (Kind::DEPLOYMENT, NAMESPACE),
        (Kind::JOB, NAMESPACE),
        (Kind::SERVICE, NAMESPACE),
        (Kind::SERVICE_ACCOUNT, NAMESPACE),
        (Kind::POD_DISRUPTION_BUDGET, NAMESPACE),
        (Kind::ROLE, ""),
        (Kind::ROLE_BINDING, ""),
        (Kind::CLUSTER_ROLE, ""),
        (Kind::CLUSTER_ROLE_BINDING, ""),
    ];
    let labels = labels();
    let mut found = Vec::new();
    for (kind, space) in MADE {
        let objects = cluster.list(kind, space, &labels).await?;
        found.extend(objects.iter().map(|o| format!("{} {}", kind.kind, o["metadata"]["name"])));
    }
    Ok(found)
}

async fn left_behind(stand: &Stand) -> anyhow::Result<()> {
    checks::no_failures(&failures(&held(stand).await?.stop().await, |_| false))?;
    let release = Install::installed(&stand.cluster).await?;
    let installed = of_the_chart(&stand.cluster).await?;
    anyhow::ensure!(installed.len() > 9, "the chart's own are not known by their label: {installed:?}");

    // When the Rollout is deleted with no controller left
    release.remove(&stand.cluster).await?;
    let outcome = goes_with_its_own(stand).await;
    back(&release, stand).await?;
    outcome?;

    // Then the next one finds the user's Services and gives them back
    given_back(stand).await
}

/// Deletes the Rollout, and waits until it and its pods are gone.
async fn goes_with_its_own(stand: &Stand) -> anyhow::Result<()> {
    stand.cluster.delete(Kind::ROLLOUT, stand.namespace(), &stand.app.name).await?;
    gone(stand).await
}

async fn gone(stand: &Stand) -> anyhow::Result<()> {
    stand.until(Kind::ROLLOUT, &stand.app.name, HELD, "the Rollout gone", |r| r.is_null().then_some(())).await?;
    for kind in [Kind::TRAEFIK_SERVICE, Kind::REPLICA_SET, Kind::POD] {
        none_left(&stand.cluster, kind, stand.namespace(), "").await?;
    }
    Ok(())
}

async fn none_left(cluster: &Cluster, kind: Kind, namespace: &str, labels: &str) -> anyhow::Result<()> {
    wait::poll(SETTLE, &format!("no {} in {namespace} any more", kind.kind), || async {
        let left = cluster.list(kind, namespace, labels).await.map_err(|e| e.to_string())?;
        if left.is_empty() { Ok(()) } else { Err(format!("{} are left", left.len())) }
    })
    .await
}

/// Both Services select as their user wrote them.
async fn given_back(stand: &Stand) -> anyhow::Result<()> {
    let app = &stand.app;
    for name in [app.stable(), app.canary()] {
        let written = app.service(&name)["spec"]["selector"].clone();
        let what = format!("the selector {written}");
        stand.until(Kind::SERVICE, &name, SETTLE, &what, |s| (s["spec"]["selector"] == written).then_some(())).await?;
    }
    Ok(())
}

async fn away(stand: &Stand) -> anyhow::Result<()> {
    let traffic = held(stand).await?;
    let (cluster, name) = (&stand.cluster, stand.app.name.as_str());
    let deployment = cluster.get(Kind::DEPLOYMENT, NAMESPACE, RELEASE).await?.unwrap_or_default();

    // When the Rollout is deleted, its pods left, while no controller runs
    Install::scale(cluster, &json!(0)).await?;
    let outcome = deleted_and_held(stand).await;
    // The next scenario wants it as it was, whatever came of this one.
    Install::scale(cluster, &deployment["spec"]["replicas"]).await?;
    outcome?;

    // Then the next controller sends everybody to stable and lets it go, and no request fails
    stand.until(Kind::ROLLOUT, name, SETTLE, "the Rollout gone", |r| r.is_null().then_some(())).await?;
    let weight = checks::written_weight(stand).await?;
    anyhow::ensure!(weight == 0, "the Rollout is gone, and its canary has {weight} percent");
    all_get(&traffic, "1").await?;
    checks::no_failures(&failures(&traffic.stop().await, |_| false))
}

/// The object waits, and so does the share.
async fn deleted_and_held(stand: &Stand) -> anyhow::Result<()> {
    let (cluster, space, name) = (&stand.cluster, stand.namespace(), stand.app.name.as_str());
    none_left(cluster, Kind::POD, NAMESPACE, &labels()).await?;
    cluster.orphan(Kind::ROLLOUT, space, name).await?;
    // The garbage collector has left the pods, and ours is all that holds it.
    let what = "the deletion asked for, and the object held by our finalizer alone";
    stand
        .until(Kind::ROLLOUT, name, SETTLE, what, |r| {
            let alone = r["metadata"]["finalizers"] == json!([FINALIZER]);
            (!r["metadata"]["deletionTimestamp"].is_null() && alone).then_some(())
        })
        .await?;
    let weight = checks::written_weight(stand).await?;
    anyhow::ensure!(weight == 50, "with nobody to move it the weight is {weight}");
    Ok(())
}

async fn namespace(stand: &Stand) -> anyhow::Result<()> {
    checks::no_failures(&failures(&held(stand).await?.stop().await, |_| false))?;

    // When its namespace is deleted in the middle of a canary
    let asked = Timestamp::now();
    stand.remove().await?;

    // Then the Rollout holds nobody, and the namespace goes
    stand.until(Kind::ROLLOUT, &stand.app.name, HELD, "the Rollout gone", |r| r.is_null().then_some(())).await?;
    super::gone(stand).await?;

    // ... and nothing was made anew there, nor was it tried again and again
    let within = format!("/namespaces/{}/", stand.namespace());
    let writes = audit::writes(&stand.cluster, asked)?;
    let refused: Vec<_> = writes.iter().filter(|w| w.uri.contains(&within) && w.code >= 400).collect();
    println!("      {} writes of the controller to the namespace were refused", refused.len());
    anyhow::ensure!(refused.len() <= REFUSED, "{} writes were refused: {refused:?}", refused.len());
    Ok(())
}
