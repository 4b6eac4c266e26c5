//! Two replicas, and a leader that ends or stands still with half of the traffic at a canary that must go.

use super::canary::{Way, first};
use super::{Scenario, Tag, checks};
use crate::cluster::Kind;
use crate::faults::Armed;
use crate::generator::{Load, failures};
use crate::install::{NAMESPACE, RELEASE};
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::timeline::Timeline;
use crate::{audit, wait};
use anyhow::Context;
use futures::FutureExt;
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(420);
/// How long the leader stands still.
const STOPPED: Duration = Duration::from_secs(60);
/// How long its writes are looked for after it goes on.
const WATCHED: Duration = Duration::from_secs(20);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "leader",
        name: "a_leader_that_is_ended_politely_is_followed_within_three_seconds",
        tag: Tag::Wide,
        rules: &["L1", "L3", "T8"],
        limit: LIMIT,
        run: |stand| async move { led(&stand, End::Polite).await }.boxed(),
    },
    Scenario {
        family: "leader",
        name: "a_leader_that_is_killed_is_followed_within_ten_seconds",
        tag: Tag::Wide,
        rules: &["L1", "L8", "T8"],
        limit: LIMIT,
        run: |stand| async move { led(&stand, End::Killed).await }.boxed(),
    },
    Scenario {
        family: "leader",
        name: "a_leader_that_stood_still_writes_nothing_when_it_goes_on",
        tag: Tag::Wide,
        rules: &["L1", "L2"],
        limit: LIMIT,
        run: |stand| async move { led(&stand, End::Stopped).await }.boxed(),
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its pod is deleted: it releases the lease.
    Polite,
    /// SIGKILL: nobody releases anything.
    Killed,
    /// SIGSTOP, and SIGCONT when another one leads.
    Stopped,
}

impl End {
    /// From the leader's end to the written weight 0.
    const fn bound(self) -> Duration {
        match self {
            Self::Polite => Duration::from_secs(3),
            Self::Killed | Self::Stopped => Duration::from_secs(10),
        }
    }
}

async fn led(stand: &Stand, end: End) -> anyhow::Result<()> {
    first(stand, Way::Route, &json!([{"setWeight": 50}, {"pause": {}}])).await?;
    let armed = Armed::to_lead(&stand.cluster).await?;
    let outcome = handed_over(stand, &armed, end).await;
    if outcome.is_err() {
        stand.note("leader.log", armed.log().await);
    }
    // The next scenario wants the controller as it was installed, whatever came of this one.
    let disarmed = armed.disarm().await;
    outcome.and(disarmed)
}

async fn handed_over(stand: &Stand, armed: &Armed, end: End) -> anyhow::Result<()> {
    // Given half of the traffic at version 2, and a leader with replicas that stand by
    let traffic = stand.traffic(Load::STANDARD).await?;
    stand.change(Revision::good("2")).await?;
    stand.live(50, SETTLE).await?;
    let root = Timeline::record(&stand.cluster, Kind::TRAEFIK_SERVICE, stand.namespace(), &stand.app.name);
    traffic.more(100).await;

    // When it ends, and an abort is asked at that moment
    let ended = Timestamp::now();
    match end {
        End::Polite => armed.delete().await?,
        End::Killed => armed.signal(Signal::KILL).await?,
        End::Stopped => armed.signal(Signal::STOP).await?,
    }
    stand.command("abort", "a test says so").await?;

    // Then the next one writes weight 0 in time, and no request fails
    stand.live(0, SETTLE).await?;
    let zero = |root: &Value| checks::canary_weight(root, &stand.app.canary()) == 0;
    let written = root.first(ended, zero).context("weight 0 is live and was never seen written")?;
    let took = written.duration_since(ended);
    anyhow::ensure!(
        took <= jiff::SignedDuration::try_from(end.bound())?,
        "weight 0 was written {took:#} after the leader's end, not within {} s",
        end.bound().as_secs()
    );
    println!("      weight 0 was written {:.2} s after the leader's end", took.as_secs_f64());
    if end == End::Stopped {
        wakes(stand, armed, ended).await?;
    }
    traffic.more(100).await;
    checks::no_failures(&failures(&traffic.stop().await, |_| false))
}

/// The old leader goes on, and ends without a write: the API server's log says so.
async fn wakes(stand: &Stand, armed: &Armed, stopped: Timestamp) -> anyhow::Result<()> {
    let lease = stand.cluster.get(Kind::LEASE, NAMESPACE, RELEASE).await?.context("there is no Lease")?;
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
    anyhow::ensure!(!armed.is(&holder), "the leader that stands still holds the lease: {holder}");
    let spent = Timestamp::now().duration_since(stopped);
    tokio::time::sleep(STOPPED.saturating_sub(Duration::try_from(spent)?)).await;
    let woken = Timestamp::now();
    armed.signal(Signal::CONT).await?;
    let what = "the process ended by itself";
    wait::until(&stand.cluster, armed.pod(), Duration::from_secs(30), what, |pod| {
        let state = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        (!state.is_null()).then_some(())
    })
    .await?;
    // Something for the others to write meanwhile.
    stand.command("retry", "true").await?;
    stand.live(50, SETTLE).await?;
    tokio::time::sleep(WATCHED).await;
    let writes = audit::writes(&stand.cluster, woken)?;
    let (old, new): (Vec<_>, Vec<_>) = writes.iter().partition(|w| armed.is(&w.pod));
    anyhow::ensure!(!new.is_empty(), "the audit log has no write of the new leader: is it read right?");
    anyhow::ensure!(old.is_empty(), "the old leader wrote after it went on: {old:?}");
    Ok(())
}
