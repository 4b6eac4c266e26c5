//! Applications: what git says is what runs; what it no longer says is gone; what cannot be applied changes nothing.

use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::generator::{Load, failures};
use crate::objects::Revision;
use crate::stand::{SETTLE, Stand};
use crate::wait;
use futures::FutureExt;
use serde_json::json;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    family: "sync",
    name: "a_bad_template_applied_by_hand_is_invalid_and_traffic_stays",
    tag: Tag::Core,
    rules: &["T16"],
    limit: Duration::from_secs(180),
    run: |stand| async move { invalid_by_hand(&stand).await }.boxed(),
}];

async fn invalid_by_hand(stand: &Stand) -> anyhow::Result<()> {
    // Given version 1 under load
    super::canary::first(stand, super::canary::Way::Route, &json!([{"setWeight": 20}, {"pause": {}}])).await?;
    let before = stand.healthy().await?;
    let traffic = stand.traffic(Load::STANDARD).await?;

    // When somebody applies a template with a field that does not exist
    let mut template = stand.app.template(Revision::good("2"));
    template["spec"]["containers"][0]["imagee"] = json!("x");
    let patch = json!({"spec": {"template": template}});
    stand.cluster.merge(Kind::ROLLOUT, stand.namespace(), &stand.app.name, &patch).await?;

    // Then the Rollout is InvalidSpec and names the field, no pod is new, and no request fails
    let rollout = stand
        .until(Kind::ROLLOUT, &stand.app.name, SETTLE, "InvalidSpec that names the field", |r| {
            (wait::condition(r, "InvalidSpec", "True").is_some() && r["status"].to_string().contains("imagee"))
                .then(|| r.clone())
        })
        .await?;
    anyhow::ensure!(rollout["status"]["stableRS"] == before["status"]["stableRS"], "the stable revision changed");
    traffic.more(500).await;
    let records = traffic.stop().await;
    anyhow::ensure!(records.iter().all(|r| &*r.version != "2"), "a pod of the invalid template answers");
    super::checks::no_failures(&failures(&records, |_| false))
}
