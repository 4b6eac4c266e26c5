//! Applications: what git says is what runs; what it no longer says is gone; what cannot be applied changes nothing.

use super::{Scenario, Tag};
use crate::cluster::Kind;
use crate::generator::{Load, failures};
use crate::objects::Revision;
use crate::origin::Origin;
use crate::stand::{SETTLE, Stand};
use crate::wait;
use futures::FutureExt;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        family: "sync",
        name: "a_commit_is_applied_pruned_and_healed",
        tag: Tag::Core,
        rules: &["G1", "G4", "G8", "G9"],
        limit: Duration::from_secs(240),
        run: |stand| async move { applied_pruned_healed(&stand).await }.boxed(),
    },
    Scenario {
        family: "sync",
        name: "a_bad_manifest_leaves_the_cluster_as_it_was_and_is_named",
        tag: Tag::Wide,
        rules: &["G2", "G8"],
        limit: Duration::from_secs(300),
        run: |stand| async move { refused_whole(&stand).await }.boxed(),
    },
    Scenario {
        family: "sync",
        name: "a_bad_template_applied_by_hand_is_invalid_and_traffic_stays",
        tag: Tag::Core,
        rules: &["T16"],
        limit: Duration::from_secs(180),
        run: |stand| async move { invalid_by_hand(&stand).await }.boxed(),
    },
];

fn note(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text}})
}

async fn applied_pruned_healed(stand: &Stand) -> anyhow::Result<()> {
    let space = stand.namespace();
    // Given a repository with a Rollout behind an Ingress and two notes
    let origin = Origin::new(stand).await?;
    let app = &stand.app;
    let steps = json!([{"setWeight": 20}]);
    origin.write(
        "web.yaml",
        &[app.rollout(Revision::good("1"), &app.by_ingress(&steps)), app.service(&app.name), app.ingress()],
    )?;
    origin.write("notes.yaml", &[note("kept", "one"), note("pruned", "two")])?;
    let first = origin.copy.push("Web: version 1").await?;

    // When an Application follows it, then all of it is there, and says from which commit
    stand.cluster.create(&origin.application(app, "Hold")).await?;
    let application = stand.applied(&first).await?;
    anyhow::ensure!(
        application["status"]["tip"]["message"] == "Web: version 1"
            && application["status"]["tip"]["author"].to_string().contains("Dana"),
        "status.tip does not name the commit: {}",
        application["status"]["tip"]
    );
    stand.healthy().await?;
    stand.answering().await?;

    // When a note leaves git, then it leaves the cluster, and nothing else does
    origin.write("notes.yaml", &[note("kept", "one")])?;
    let second = origin.push(stand, "Notes: one is enough").await?;
    stand.applied(&second).await?;
    stand
        .until(Kind::CONFIG_MAP, "pruned", SETTLE, "the note that left git pruned", |o| o.is_null().then_some(()))
        .await?;
    anyhow::ensure!(
        stand.cluster.get(Kind::CONFIG_MAP, space, "kept").await?.is_some(),
        "the note that git has was pruned"
    );

    // When somebody edits what git has, then it is put back
    stand.cluster.merge(Kind::CONFIG_MAP, space, "kept", &json!({"data": {"text": "edited"}})).await?;
    stand
        .until(Kind::CONFIG_MAP, "kept", SETTLE, "the edit healed", |o| (o["data"]["text"] == "one").then_some(()))
        .await?;
    // ... and when somebody deletes it, too
    stand.cluster.delete(Kind::CONFIG_MAP, space, "kept").await?;
    stand
        .until(Kind::CONFIG_MAP, "kept", SETTLE, "the deletion healed", |o| (o["data"]["text"] == "one").then_some(()))
        .await?;
    Ok(())
}

/// A way to write a manifest that cannot be: what it is, the object, and the word that status must name.
type Wrong = (&'static str, Value, &'static str);

/// The same four mistakes in a Rollout and in a Deployment.
fn wrongs(stand: &Stand) -> Vec<Wrong> {
    let app = &stand.app;
    let rollout = || app.rollout(Revision::good("2"), &app.by_ingress(&json!([{"setWeight": 20}])));
    let deployment = || {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "side"},
            "spec": {
                "selector": {"matchLabels": {"app": "side"}},
                "template": {
                    "metadata": {"labels": {"app": "side"}},
                    "spec": {"containers": [{"name": "c", "image": app.image("app:1")}]}
                }
            }
        })
    };
    let container = "/spec/template/spec/containers/0";
    let with = |mut object: Value, at: &str, value: Value| {
        if let Some((parent, field)) = at.rsplit_once('/')
            && let Some(parent) = object.pointer_mut(parent)
        {
            parent[field] = value;
        }
        object
    };
    vec![
        (
            "an unknown field in a Rollout's template",
            with(rollout(), &format!("{container}/imagee"), json!("x")),
            "imagee",
        ),
        ("an unknown field in a Deployment", with(deployment(), &format!("{container}/imagee"), json!("x")), "imagee"),
        (
            "a bad quantity in a Rollout's template",
            with(rollout(), &format!("{container}/resources"), json!({"requests": {"cpu": "much"}})),
            "cpu",
        ),
        (
            "a bad quantity in a Deployment",
            with(deployment(), &format!("{container}/resources"), json!({"requests": {"cpu": "much"}})),
            "cpu",
        ),
        ("a template without labels in a Rollout", with(rollout(), "/spec/template/metadata", json!({})), "template"),
        (
            "a template without labels in a Deployment",
            with(deployment(), "/spec/template/metadata", json!({})),
            "template",
        ),
        (
            "two strategies in a Rollout",
            with(rollout(), "/spec/strategy/blueGreen", json!({"activeService": "web"})),
            "strategy",
        ),
        (
            "two strategies in a Deployment",
            with(deployment(), "/spec/strategy", json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}})),
            "strategy",
        ),
    ]
}

async fn refused_whole(stand: &Stand) -> anyhow::Result<()> {
    let (space, app) = (stand.namespace(), &stand.app);
    let origin = Origin::new(stand).await?;
    let web = [
        app.rollout(Revision::good("1"), &app.by_ingress(&json!([{"setWeight": 20}]))),
        app.service(&app.name),
        app.ingress(),
    ];
    origin.write("web.yaml", &web)?;
    let good = origin.copy.push("Web: version 1").await?;
    stand.cluster.create(&origin.application(app, "Off")).await?;
    stand.applied(&good).await?;
    let before = stand.healthy().await?;
    let traffic = stand.traffic(Load::STANDARD).await?;

    for (what, wrong, word) in wrongs(stand) {
        // When a commit holds one wrong object and one that is new and right
        let kind = wrong["kind"].as_str().unwrap_or_default().to_owned();
        let objects =
            if kind == "Rollout" { vec![wrong, web[1].clone(), web[2].clone()] } else { [&web[..], &[wrong]].concat() };
        origin.write("web.yaml", &objects)?;
        origin.write("fresh.yaml", &[note("fresh", "new")])?;
        let bad = origin.push(stand, &format!("Web: {what}")).await?;

        // Then status names file, object and field
        stand
            .application(SETTLE, &format!("{what}: named with its file, its object and {word}"), |s| {
                let errors = s["operationState"]["errors"].as_array();
                let names = |e: &Value| {
                    let has = |field: &str, part: &str| e[field].as_str().is_some_and(|text| text.contains(part));
                    has("file", "web.yaml") && has("object", &kind) && (has("field", word) || has("message", word))
                };
                s["tip"]["revision"] == bad.as_str() && errors.is_some_and(|all| all.iter().any(names))
            })
            .await?;

        // ... and nothing of the commit is in the cluster
        anyhow::ensure!(
            stand.cluster.get(Kind::CONFIG_MAP, space, "fresh").await?.is_none(),
            "{what}: another object of the commit was applied"
        );
        anyhow::ensure!(
            stand.cluster.get(Kind::DEPLOYMENT, space, "side").await?.is_none(),
            "{what}: the Deployment was applied"
        );
        let after = stand.cluster.get(Kind::ROLLOUT, space, &app.name).await?.unwrap_or_default();
        anyhow::ensure!(after["spec"] == before["spec"], "{what}: the Rollout's spec was changed");

        // Back to what is good, so that the next one's errors are its own
        origin.copy.git(&["rm", "--quiet", &format!("{}/fresh.yaml", crate::origin::PATH)]).await?;
        origin.write("web.yaml", &web)?;
        let back = origin.push(stand, "Web: version 1 again").await?;
        stand.applied(&back).await?;
    }
    super::checks::no_failures(&failures(&traffic.stop().await, |_| false))
}

async fn invalid_by_hand(stand: &Stand) -> anyhow::Result<()> {
    // Given version 1 under load
    super::canary::first(stand, super::canary::Way::Route, &json!([{"setWeight": 20}, {"pause": {}}])).await?;
    let before = stand.healthy().await?;
    let traffic = stand.traffic(Load::STANDARD).await?;

    let good = json!({"spec": {"template": stand.app.template(Revision::good("1"))}});
    for (what, wrong, word) in wrongs(stand).into_iter().filter(|(_, wrong, _)| wrong["kind"] == "Rollout") {
        // When somebody applies a Rollout with one of the mistakes
        let template = wrong["spec"]["template"].clone();
        let blue_green = &wrong["spec"]["strategy"]["blueGreen"];
        let mut patch = json!({"spec": {"template": template, "strategy": {"blueGreen": blue_green}}});
        if wrong.pointer("/spec/template/metadata/labels").is_none() {
            patch["spec"]["template"]["metadata"] = json!({"labels": null});
        }
        let changed = stand.cluster.merge(Kind::ROLLOUT, stand.namespace(), &stand.app.name, &patch).await?;

        // Then the Rollout is InvalidSpec and names the field
        let generation = &changed["metadata"]["generation"];
        let named = |r: &Value| {
            let conditions = r["status"]["conditions"].as_array().into_iter().flatten();
            let invalid = |c: &&Value| c["type"] == "InvalidSpec" && c["status"] == "True";
            conditions.filter(invalid).any(|c| c["message"].as_str().is_some_and(|m| m.contains(word)))
        };
        let rollout = stand
            .until(Kind::ROLLOUT, &stand.app.name, SETTLE, &format!("{what}: InvalidSpec that names {word}"), |r| {
                (named(r) && wait::observed(r) && r["metadata"]["generation"] == *generation).then(|| r.clone())
            })
            .await?;
        anyhow::ensure!(rollout["status"]["stableRS"] == before["status"]["stableRS"], "{what}: stable changed");
        traffic.more(200).await;

        // ... until it is put right
        let mut back = good.clone();
        back["spec"]["strategy"] = json!({"blueGreen": null});
        stand.cluster.merge(Kind::ROLLOUT, stand.namespace(), &stand.app.name, &back).await?;
        stand.healthy().await?;
    }

    // ... and no pod was new, and no request failed
    let records = traffic.stop().await;
    anyhow::ensure!(records.iter().all(|r| &*r.version != "2"), "a pod of an invalid template answers");
    super::checks::no_failures(&failures(&records, |_| false))
}
