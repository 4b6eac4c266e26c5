//! The simulated API server against the real one: the same random writes, and after each of them the same answer and the
//! same object.
//!
//! The simulation explores what the controller does by the thousand; that is worth as much as its API server is right. Here
//! the real server is always the one that is right: a difference is mended in `src/sim`, or, when nothing in the controller
//! depends on it, kept out of what is written and named in the list below. This is the only scenario that knows the product's
//! code. The writes go through the controller's own seam on both sides, to copies of its definitions in a group that no
//! controller works on.
//!
//! Compared after each write: done or not and the kind of refusal; whether the version moved; the object with its generation;
//! who owns which field. Not compared:
//!
//! * defaults, validation by schema, immutable fields: the simulation has none;
//! * owners of items of a list: a list is one field to the simulation; owners of maps as such, and so applies without
//!   force (the controller has none) to objects whose maps get empty;
//! * owners of what is written to a subresource;
//! * deletion other than in the background, and preconditions other than a uid.
//!
//! `TIDEGATE_COMPARE_SEED=n` plays the writes of an earlier run; `TIDEGATE_COMPARE_WRITES=FILE` those that a failure printed.

mod kinds;
mod seen;
mod servers;
mod shorten;
mod writes;

use super::{Scenario, Tag};
use crate::cluster::{Cluster, Kind};
use crate::dice::Dice;
use crate::stand::Stand;
use crate::wait;
use anyhow::Context;
use futures::FutureExt;
use kinds::{GROUP, Sort};
use seen::Seen;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use servers::{Place, Real, Simulated};
use shorten::Shortening;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};
use tidegate::sim::api::Shared;
use writes::Write;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    family: "compare",
    name: "the_simulated_api_server_answers_as_the_real_one",
    tag: Tag::Wide,
    rules: &[],
    limit: Duration::from_mins(2),
    run: |stand| async move { compare(&stand).await }.boxed(),
}];

/// Sequences of one run, and writes of each: all kinds take turns.
const SEQUENCES: usize = 36;
const LENGTH: usize = 18;
/// No sequence is begun after so long.
const TIME: Duration = Duration::from_secs(15);
/// Longest search for a shorter list, of one kind.
const SHORTEN: Duration = Duration::from_secs(10);

/// A sequence of writes that can be played again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sequence {
    kind: String,
    writes: Vec<Write>,
}

/// Where the servers differed.
#[derive(Debug)]
struct Difference {
    /// Number of the write in its sequence, from 0.
    step: usize,
    simulated: Seen,
    real: Seen,
}

async fn compare(stand: &Stand) -> anyhow::Result<()> {
    no_pods(stand).await?;
    define(&stand.cluster).await?;
    let compared = all(stand).await;
    let undefined = undefine(&stand.cluster).await;
    compared.and(undefined)
}

async fn all(stand: &Stand) -> anyhow::Result<()> {
    let mut bench = Bench { real: Real::open(&stand.cluster).await?, stand, begun: 0, answers: BTreeMap::new() };
    let sorts = kinds::all();
    if let Some(file) = std::env::var_os("TIDEGATE_COMPARE_WRITES") {
        let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let sequence: Sequence = serde_json::from_slice(&text)?;
        let sort = sorts.iter().find(|s| s.kind.kind == sequence.kind).context("no such kind is compared")?;
        return match bench.play(sort, &sequence.writes).await? {
            None => Ok(()),
            Some(difference) => Err(anyhow::anyhow!(told(sort, &sequence.writes, &difference))),
        };
    }
    let seed = match std::env::var("TIDEGATE_COMPARE_SEED") {
        Ok(text) => text.parse().context("TIDEGATE_COMPARE_SEED is no number")?,
        Err(_) => std::hash::RandomState::new().build_hasher().finish(),
    };
    println!("      seed {seed}");
    let (mut dice, start) = (Dice::new(seed), Instant::now());
    let mut differing: BTreeMap<&str, String> = BTreeMap::new();
    for (n, sort) in sorts.iter().cycle().take(SEQUENCES).enumerate() {
        // Drawn in any case, so that a sequence does not depend on what came of those before it.
        let writes = writes::sequence(&mut dice, sort, LENGTH);
        if start.elapsed() >= TIME || differing.contains_key(sort.kind.kind) {
            continue;
        }
        if let Some(difference) = bench.play(sort, &writes).await? {
            let found = format!("seed {seed}, sequence {n}, step {}", difference.step);
            let text = match bench.again(sort, &writes[..=difference.step]).await? {
                Some((shortest, difference)) => format!("{found}: {}", told(sort, &shortest, &difference)),
                // Nobody else writes the other kinds, so what they answer does not depend on luck.
                None if sort.followed => {
                    println!("      {found}: not seen again, so somebody else wrote");
                    continue;
                }
                None => format!("{found}, not seen again: {}", told(sort, &writes, &difference)),
            };
            differing.insert(sort.kind.kind, text);
        }
    }
    let answers: Vec<String> = bench.answers.iter().map(|(answer, n)| format!("{n} {answer}")).collect();
    let (total, seconds) = (bench.answers.values().sum::<usize>(), start.elapsed().as_secs_f64());
    println!("      {total} writes in {} sequences, {seconds:.1} s: {}", bench.begun, answers.join(", "));
    anyhow::ensure!(differing.is_empty(), "{}", differing.into_values().collect::<Vec<_>>().join("\n\n"));
    Ok(())
}

/// The real server, and what it was asked so far.
struct Bench<'a> {
    real: Real,
    stand: &'a Stand,
    /// Sequences that were begun: each has an object of its own.
    begun: usize,
    /// How often each answer came.
    answers: BTreeMap<String, usize>,
}

impl Bench<'_> {
    /// Plays a sequence on an object that is new to both servers.
    async fn play(&mut self, sort: &Sort, writes: &[Write]) -> anyhow::Result<Option<Difference>> {
        self.begun += 1;
        let place = Place { sort, namespace: self.stand.namespace(), name: format!("played-{}", self.begun) };
        let simulated = Simulated(Shared::new(0, jiff::Timestamp::UNIX_EPOCH));
        let (mut found, mut known) = (None, Value::Null);
        for (step, write) in writes.iter().enumerate() {
            let real = self.real.write(&place, write, &mut known).await?;
            let simulated = simulated.write(&place, write).await;
            *self.answers.entry(real.answer.clone()).or_default() += 1;
            if real != simulated {
                found = Some(Difference { step, simulated, real });
                break;
            }
        }
        self.real.clear(&place).await?;
        Ok(found)
    }

    /// Plays it again, and ever shorter lists. `None` when the difference does not come back.
    async fn again(&mut self, sort: &Sort, writes: &[Write]) -> anyhow::Result<Option<(Vec<Write>, Difference)>> {
        let end = Instant::now() + SHORTEN;
        let Some(mut last) = self.play(sort, writes).await? else { return Ok(None) };
        let mut shortening = Shortening::of(writes[..=last.step].to_vec());
        while Instant::now() < end
            && let Some(list) = shortening.shorter()
        {
            let found = self.play(sort, &list).await?;
            shortening.tell(list, found.as_ref().map(|difference| difference.step + 1));
            last = found.unwrap_or(last);
        }
        Ok(Some((shortening.into_list(), last)))
    }
}

/// A difference in words.
fn told(sort: &Sort, writes: &[Write], difference: &Difference) -> String {
    let lines: Vec<String> = writes.iter().map(|w| serde_json::to_string(w).unwrap_or_default()).collect();
    format!(
        "the servers differ after the last of\n{{\"kind\": \"{}\", \"writes\": [\n{}\n]}}\n{}",
        sort.kind.kind,
        lines[..=difference.step.min(lines.len() - 1)].join(",\n"),
        difference.simulated.against(&difference.real)
    )
}

/// ReplicaSets here are objects and nothing else.
async fn no_pods(stand: &Stand) -> anyhow::Result<()> {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-pods", "namespace": stand.namespace()},
        "spec": {"hard": {"pods": "0"}}
    });
    stand.cluster.create(&quota).await?;
    Ok(())
}

/// The definitions that are copied.
const COPIED: [&str; 2] = ["rollouts", "analysisruns"];

/// Copies the product's definitions into [`GROUP`], as they are in the cluster.
async fn define(cluster: &Cluster) -> anyhow::Result<()> {
    for plural in COPIED {
        let name = format!("{plural}.tidegate.dev");
        let original = cluster.get(Kind::CRD, "", &name).await?;
        let original = original.with_context(|| format!("the cluster has no definition {name}"))?;
        let copy = copy(&original, plural);
        match cluster.create(&copy).await {
            // Left by a run that was killed.
            Err(e) if e.code == 409 => {}
            other => drop(other?),
        }
        let established = |crd: &Value| wait::condition(crd, "Established", "True");
        let place = (Kind::CRD, "", copy["metadata"]["name"].as_str().unwrap_or_default());
        wait::until(cluster, place, Duration::from_secs(20), "established", established).await?;
    }
    Ok(())
}

fn copy(original: &Value, plural: &str) -> Value {
    let mut spec = original["spec"].clone();
    spec["group"] = json!(GROUP);
    // Names for people to type belong to the originals.
    if let Some(names) = spec["names"].as_object_mut() {
        names.retain(|key, _| ["kind", "listKind", "plural", "singular"].contains(&key.as_str()));
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")}, "spec": spec
    })
}

async fn undefine(cluster: &Cluster) -> anyhow::Result<()> {
    for plural in COPIED {
        cluster.delete(Kind::CRD, "", &format!("{plural}.{GROUP}")).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_definition_has_the_same_schema_and_other_names() {
        let names = json!({"kind": "Rollout", "plural": "rollouts", "singular": "rollout", "shortNames": ["ro"]});
        let original = json!({"spec": {"group": "tidegate.dev", "names": names, "versions": [{"name": "v1alpha1"}]}});
        let copy = copy(&original, "rollouts");
        assert_eq!(copy["metadata"]["name"], "rollouts.compare.tidegate.dev");
        assert_eq!(copy["spec"]["versions"], original["spec"]["versions"]);
        assert!(copy["spec"]["names"]["shortNames"].is_null());
    }
}
