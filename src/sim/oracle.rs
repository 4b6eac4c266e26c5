//! What must hold at every moment of a run, by the ids of the invariants. What breaks is noted with its time; a run is judged
//! at its end.
//!
//! | id | what it says |
//! |---|---|
//! | P1 | users that stable's pods could serve are never told 404 |
//! | P3 | an abort that was asked for is answered within seconds |
//! | T1 | the weights of the root sum to 100 |
//! | T2 | no share goes to pods that are not there for longer than it takes to correct |
//! | T5 | the canary's weight rises only to what a step declares |
//! | T6 | stable keeps its pods while it is what is gone back to |
//! | T7 | a raised share is carried by pods of the canary that were ready |
//! | T8 | after an abort the next weight is 0, and stays it |
//! | T10 | what Traefik sends requests to is not scaled away |
//! | T11 | the canary's Service does not change revision while it has a share |
//! | T12 | a Service moves only to a revision with ready pods |
//! | A4 | after an abort with a delay of zero the canary keeps its pods |
//! | A7 | a pause is not cut short |
//! | A9 | a revision that is listed as aborted is not under way |
//! | A11 | stable changes only to the current revision, and only with all its pods, at full weight |
//! | A12 | observedGeneration never falls and is never ahead; stable is never forgotten |
//! | B4 | a promote ends the pause of a blue-green |
//! | D1 | a deadline is put off by a new high only, or by the next step |
//! | L3 | a write names what it expects to find |
//! | L7 | a decision does not panic |
//! | L8 | it comes to rest, at the end that was wished |

use super::api::{State, Wrote};
use super::recent::Recent;
use super::shop::{name, rollout};
use super::traefik::Answered;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::rollout::LABEL_HASH;
use crate::core::scalar::Span;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long the world may stand as it must not: Traefik's throttle, a pass, and a try anew.
const CORRECTED_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// Looks at the state after each thing that happened.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    /// Everything late (watches, backoff) is allowed so much more.
    pub late: SignedDuration,
    /// With a stable that grows first, an abort may go from declared weight to declared weight for so long.
    pub back_within: Option<SignedDuration>,
    now: Timestamp,
    /// What the last look saw; an equal one has nothing new to judge.
    looked: Option<(u64, u64, u64, usize, bool)>,
    /// Weights that a step declared at some time, and those that a schedule expects besides.
    pub declared: BTreeSet<i64>,
    generation: i64,
    observed: i64,
    /// Set when users have been served once: from then on they must be.
    served: bool,
    able_since: Option<Timestamp>,
    wrong_since: BTreeMap<String, Timestamp>,
    /// A write may be refused, or not be thought of: the lowering that goes before an abort's record may be missing.
    pub writes_may_fail: bool,
    /// The canary's weight when it was aborted, and ever since.
    aborted: Option<i64>,
    ready: BTreeMap<String, Recent>,
    /// The pods of which `ready` tells.
    noted: Option<u64>,
    wanted: Recent,
    weight: Recent,
    writes: usize,
    /// The Rollout as the last look saw it.
    before: Option<Arc<Value>>,
    /// What users get, and of which pods and configurations that is true.
    served_by: (u64, u64),
    answers: Vec<Answer>,
    /// Every weight of the canary that the root object has had, in order.
    pub weights: Vec<i64>,
    checks: BTreeMap<&'static str, u64>,
    broken: BTreeSet<(&'static str, String)>,
}

impl Oracle {
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that an invariant does not hold; each text once.
    pub fn broke(&mut self, id: &'static str, what: String) {
        if !self.broken.iter().any(|(known, text)| *known == id && text.ends_with(&what)) {
            self.broken.insert((id, format!("{} {what}", self.now)));
        }
    }

    /// Counts a judgement, and notes it when it does not hold.
    pub fn check(&mut self, id: &'static str, holds: bool, what: impl FnOnce() -> String) {
        *self.checks.entry(id).or_default() += 1;
        if !holds {
            self.broke(id, what());
        }
    }

    /// All that was broken, by id.
    pub fn broken(&self) -> Vec<String> {
        self.broken.iter().map(|(id, what)| format!("{id}: {what}")).collect()
    }

    pub fn broken_by_id(&self) -> Vec<(&'static str, String)> {
        self.broken.iter().cloned().collect()
    }

    /// How often each was judged.
    pub fn checks(&self) -> &BTreeMap<&'static str, u64> {
        &self.checks
    }

    /// What may stand for a while: judged by how long it stood. `excused`: nobody could have corrected it.
    fn lasting(&mut self, id: &'static str, what: &str, wrong: bool, excused: bool) {
        self.lasting_for(id, what, wrong, excused, CORRECTED_WITHIN);
    }

    fn lasting_for(&mut self, id: &'static str, what: &str, wrong: bool, excused: bool, within: SignedDuration) {
        *self.checks.entry(id).or_default() += 1;
        let place = format!("{id} {what}");
        if let Some(since) = self.wrong_since.get(&place).copied()
            && self.now.duration_since(since) > within + self.late
        {
            self.broke(id, what.to_owned());
        }
        if wrong && !excused {
            let now = self.now;
            self.wrong_since.entry(place).or_insert(now);
        } else {
            self.wrong_since.remove(&place);
        }
    }

    /// `awake`: a process is there, and all its watches tell.
    pub(super) fn look(&mut self, state: &State, awake: bool) {
        let traefiks = state.traefiks.iter().fold(0, |n: u64, t| n.wrapping_mul(31).wrapping_add(t.changes()));
        let looked = (state.server.version(), state.node.changes, traefiks, state.writes.len(), awake);
        if self.looked == Some(looked) && self.wrong_since.is_empty() {
            return;
        }
        self.looked = Some(looked);
        self.now = state.now;
        let Some(object) = state.server.get(&rollout()) else {
            self.forget();
            return;
        };
        let seen = Seen::of(state, object);
        self.note(state, &seen);
        self.able(state, &seen);
        self.weights_are_declared(&seen, awake);
        if self.served_by != (state.node.changes, traefiks) {
            self.served_by = (state.node.changes, traefiks);
            self.answers = answers(state);
        }
        self.users_are_served(awake, &seen);
        self.abort_is_answered(object, &seen, awake);
        self.status_goes_on(state, object);
        for wrote in &state.writes[self.writes.min(state.writes.len())..] {
            self.judge_write(wrote, state, &seen);
        }
        self.writes = state.writes.len();
        self.before = state.server.shared(&rollout());
    }

    /// Without a Rollout nothing is promised.
    fn forget(&mut self) {
        (self.served, self.able_since, self.aborted, self.observed) = (false, None, None, 0);
        self.wrong_since.clear();
        self.before = None;
    }

    /// Keeps what the past moments were like.
    fn note(&mut self, state: &State, seen: &Seen<'_>) {
        let generation = seen.object["metadata"]["generation"].as_i64().unwrap_or(0);
        if generation != self.generation {
            self.generation = generation;
            let steps = seen.object["spec"]["strategy"]["canary"]["steps"].as_array();
            self.declared.extend(steps.into_iter().flatten().filter_map(|s| s["setWeight"].as_i64()));
        }
        let now = self.now;
        self.wanted.note(now, seen.replicas);
        self.weight.note(now, seen.weight.unwrap_or(0));
        if self.noted == Some(state.node.changes) {
            return;
        }
        self.noted = Some(state.node.changes);
        for (target, ready) in state.node.ready_by_set() {
            let Some(hash) = target.name.strip_prefix("web-") else { continue };
            let ready = i64::try_from(ready).unwrap_or(i64::MAX);
            match self.ready.get_mut(hash) {
                Some(recent) => recent.note(now, ready),
                None => self.ready.entry(hash.to_owned()).or_default().note(now, ready),
            }
        }
    }

    /// Whether stable could serve everybody.
    fn able(&mut self, state: &State, seen: &Seen<'_>) {
        let there = |service: &str| state.server.get(&name(ResourceType::SERVICE, service)).is_some();
        let stable = seen.stable.filter(|_| seen.replicas > 0 && there("web-stable") && there("web-canary"));
        let able = stable.is_some_and(|hash| state.node.ready(&set_of(hash)) > 0);
        self.able_since = able.then(|| self.able_since.unwrap_or(self.now));
    }

    /// Stable could serve everybody for long enough that everybody knows.
    fn is_settled(&self) -> bool {
        self.able_since.is_some_and(|since| self.now.duration_since(since) > CORRECTED_WITHIN + self.late)
    }

    /// T1, T5, T8.
    fn weights_are_declared(&mut self, seen: &Seen<'_>, awake: bool) {
        let canary = seen.weight.unwrap_or(0);
        self.check("T1", seen.weight.is_none() || (seen.sum == 100 && canary >= 0), || {
            format!("the weights sum to {}", seen.sum)
        });
        if seen.weight.is_some() && self.weights.last() != Some(&canary) {
            self.weights.push(canary);
            let declared = canary == 0 || canary == 100 || self.declared.contains(&canary);
            self.check("T5", declared, || format!("the canary has {canary} %, which no step declares"));
        }
        let aborted = seen.status["abort"] == true;
        let able = self.able_since.is_some();
        // The next write of traffic is the one to 0: it may be refused once, and is tried again.
        let within = self.back_within.unwrap_or(CORRECTED_WITHIN);
        let carries = aborted && canary != 0;
        self.lasting_for("T8", "aborted, and the canary has a share", carries, !awake || !able, within);
        let served = seen.active_is_elsewhere();
        self.lasting("T8", "aborted, and users are sent to the new pods", aborted && served, !awake || !able);
        let before = self.aborted;
        let at_once = self.back_within.is_none() && !self.writes_may_fail;
        if aborted && before.is_none() && at_once && self.is_settled() {
            self.check("T8", canary == 0, || format!("it is aborted before the canary's {canary} % are taken back"));
        }
        self.aborted = aborted.then(|| before.unwrap_or(canary).min(canary));
        if let Some(had) = before.filter(|_| aborted) {
            self.check("T8", canary <= had, || format!("aborted at {had} %, and raised to {canary} %"));
        }
    }

    /// P1, T2, T10.
    fn users_are_served(&mut self, awake: bool, seen: &Seen<'_>) {
        let settled = self.is_settled();
        let answers = std::mem::take(&mut self.answers);
        // Who cannot be asked any more has nothing that lasts.
        self.wrong_since.retain(|place, _| {
            place.strip_prefix("T2 ").is_none_or(|whose| answers.iter().any(|answer| answer.whose == whose))
        });
        for answer in &answers {
            self.served |= !answer.not_found;
            let promised = self.served && settled;
            let excused = !awake || self.able_since.is_none();
            if seen.is_routed() {
                self.check("P1", !(answer.not_found && promised), || format!("404 for {}", answer.whose));
            } else {
                // Without a weighted service there is no net below: pods that die take their Service along until users are sent back.
                let lost = answer.not_found && promised;
                self.lasting("P1", &format!("404 for {}", answer.whose), lost, excused);
            }
            self.lasting("T2", &answer.whose, answer.dead, excused);
            let away = answer.scaled_away.filter(|_| seen.keeps_what_carries());
            self.check("T10", away.is_none(), || format!("{away:?} % goes to pods that were scaled away"));
        }
        self.answers = answers;
    }

    /// P3: an abort outranks everything.
    fn abort_is_answered(&mut self, object: &Value, seen: &Seen<'_>, awake: bool) {
        let asked = !object["metadata"]["annotations"]["tidegate.dev/abort"].is_null();
        self.lasting("P3", "an abort stays unanswered", asked, !awake);
        let carried = asked && seen.weight.unwrap_or(0) > 0 && seen.status["abort"] != true;
        let excused = !awake || self.able_since.is_none() || seen.stable == seen.current;
        self.lasting("P3", "an abort is asked for, and the canary keeps its share", carried, excused);
    }

    /// A7, A9, A11, A12.
    fn status_goes_on(&mut self, state: &State, object: &Value) {
        let last_seen = self.before.clone();
        let (status, before) = (&object["status"], last_seen.as_deref().map_or(&Value::Null, |o| &o["status"]));
        let observed = status["observedGeneration"].as_i64().unwrap_or(0);
        let (last, generation) = (self.observed, self.generation);
        self.check("A12", observed >= last && observed <= generation, || {
            format!("observedGeneration goes from {last} to {observed}, at generation {generation}")
        });
        self.observed = observed;
        if status == before {
            return;
        }
        let stable = status["stableRS"].as_str().unwrap_or_default();
        let was = before["stableRS"].as_str().unwrap_or_default();
        let current = status["currentPodHash"].as_str().unwrap_or_default();
        self.check("A12", was.is_empty() || !stable.is_empty(), || format!("stable {was} is forgotten"));
        let listed = status["aborted"].as_array().into_iter().flatten().any(|a| a["hash"] == current);
        let under_way = stable != current && !stable.is_empty() && status["abort"] != true;
        self.check("A9", !(listed && under_way), || format!("{current} is listed as aborted, and under way"));
        if stable != was {
            self.stable_changes(state, object, stable, was, current);
        }
        self.pause_was_waited_for(object, before);
        self.progress_is_progress(status, before);
        self.commands_are_obeyed(object, before);
    }

    /// P3, A7: an abort that was accepted aborts; a promote is for a template that was seen when it was asked.
    fn commands_are_obeyed(&mut self, object: &Value, before: &Value) {
        let status = &object["status"];
        let old = before["commands"].as_array().map_or(0, Vec::len);
        let records = status["commands"].as_array().into_iter().flatten().skip(old);
        let accepted: Vec<&str> =
            records.filter(|r| r["outcome"] == "Accepted").filter_map(|r| r["name"].as_str()).collect();
        for command in accepted {
            match command {
                "abort" => {
                    self.check("P3", status["abort"] == true, || "an abort is accepted, and not done".to_owned())
                }
                "promote" if !object["spec"]["strategy"]["blueGreen"].is_null() => {
                    let waits = |status: &Value| {
                        let pauses = status["pauseConditions"].as_array();
                        pauses.into_iter().flatten().any(|p| p["reason"] == "BlueGreenPause")
                    };
                    // A refused spec stands still; what was asked holds when it is mended.
                    let stands = status["message"].as_str().is_some_and(|text| text.starts_with("InvalidSpec"));
                    self.check("B4", stands || !(waits(before) && waits(status)), || {
                        "promoted, and it still waits".to_owned()
                    });
                }
                _ => {
                    let (seen, now) = (&before["observedGeneration"], &object["metadata"]["generation"]);
                    self.check("A7", seen == now, || format!("a {command} is accepted for generation {now}, unseen"));
                }
            }
        }
    }

    /// D1: the clock of the deadline starts anew for another revision, another step, another attempt, or more pods than ever.
    fn progress_is_progress(&mut self, status: &Value, before: &Value) {
        let (new, old) = (&status["progress"], &before["progress"]);
        let same = ["currentPodHash", "currentStepIndex", "currentStepHash", "attempt", "abort", "commands"];
        if new["at"] == old["at"] || old["at"].is_null() || same.iter().any(|f| status[f] != before[f]) {
            return;
        }
        let (most, least) = (new["available"].as_i64(), old["available"].as_i64());
        self.check("D1", new["hash"] != old["hash"] || most > least, || {
            format!("the deadline is put off at {most:?} pods after {least:?}")
        });
    }

    fn stable_changes(&mut self, state: &State, object: &Value, stable: &str, was: &str, current: &str) {
        let ready = self.ready.get(stable).map_or(0, |r| r.most(self.now));
        let wanted = self.wanted.least(self.now);
        let lost = state.server.get(&set_of(was)).is_none();
        self.check("A11", stable == current, || format!("stable becomes {stable}, and {current} is current"));
        self.check("A11", ready >= wanted, || format!("stable becomes {stable} with {ready} of {wanted} pods"));
        if is_routed(object) && !was.is_empty() && !lost && wanted > 0 {
            let weight = self.weight.most(self.now);
            self.check("A11", weight == 100, || format!("stable becomes {stable} at {weight} %"));
        }
    }

    /// A7: from a pause with a duration to the next step only after it, or by a command.
    fn pause_was_waited_for(&mut self, object: &Value, before: &Value) {
        let status = &object["status"];
        let (Some(from), Some(to)) = (before["currentStepIndex"].as_u64(), status["currentStepIndex"].as_u64()) else {
            return;
        };
        let same = ["currentPodHash", "currentStepHash", "stableRS", "attempt"].iter().all(|f| before[f] == status[f]);
        let index = usize::try_from(from).unwrap_or(usize::MAX);
        let pause = &object["spec"]["strategy"]["canary"]["steps"][index]["pause"];
        let commanded = status["promoteFull"] == true || before["commands"] != status["commands"];
        if to != from + 1 || !same || commanded || pause.is_null() || status["abort"] == true {
            return;
        }
        let time = Span::read(&pause["duration"]).ok().map(Span::as_duration);
        let started = before["currentStepStartedAt"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
        let waited = started.map(|started| self.now.duration_since(started));
        let enough = matches!((time, waited), (Some(time), Some(waited)) if waited >= time);
        self.check("A7", enough, || format!("the pause of step {from} ({pause}) ends after {waited:?}"));
    }

    /// L3, T7, T11, T12.
    fn judge_write(&mut self, wrote: &Wrote, state: &State, seen: &Seen<'_>) {
        self.check("L3", wrote.guarded, || format!("a write of {} names nothing that it expects", wrote.target));
        match wrote.why {
            "raise-weight" if wrote.target.name == "web" => self.raised(seen),
            "select-pods" => self.selected(wrote, state, seen),
            "scale" => self.scaled(wrote, state, seen),
            _ => {}
        }
    }

    /// T7: pods that were ready of late carry the share; what a step scales by itself is as it says.
    fn raised(&mut self, seen: &Seen<'_>) {
        let (Some(weight), Some(hash)) = (seen.weight.filter(|w| *w > 0), seen.canary_selects) else { return };
        let ready = self.ready.get(hash).map_or(0, |r| r.most(self.now));
        let scaled = seen.object["spec"]["strategy"]["canary"]["steps"].to_string().contains("setCanaryScale");
        let least = self.wanted.least(self.now);
        let needed = if scaled { least.min(1) } else { (least * weight + 99) / 100 };
        self.check("T7", ready >= needed, || format!("{weight} % for {ready} ready pods of {needed}"));
    }

    /// A4
    fn scaled(&mut self, wrote: &Wrote, state: &State, seen: &Seen<'_>) {
        let canary = seen.current.is_some_and(|hash| set_of(hash) == wrote.target) && seen.stable != seen.current;
        if !canary || seen.status["abort"] != true || seen.replicas == 0 {
            return;
        }
        let strategy = &seen.object["spec"]["strategy"];
        let keeps = ["canary", "blueGreen"].iter().any(|body| strategy[body]["abortScaleDownDelaySeconds"] == 0);
        let size = state.server.get(&wrote.target).and_then(|set| set["spec"]["replicas"].as_i64());
        self.check("A4", !(keeps && size == Some(0)), || "aborted with a delay of zero, and its pods go".to_owned());
    }

    /// T11, T12.
    fn selected(&mut self, wrote: &Wrote, state: &State, seen: &Seen<'_>) {
        let Some(service) = state.server.get(&wrote.target) else { return };
        let Some(hash) = service["spec"]["selector"][LABEL_HASH].as_str() else { return };
        let ready = self.ready.get(hash).map_or(0, |r| r.most(self.now));
        let initial = seen.stable.is_none();
        // Somebody who answers, and who was seen to.
        let anybody = self.late.is_zero() && self.ready.values().any(|r| r.least(self.now) > 0);
        self.check("T12", ready > 0 || initial || !anybody || seen.replicas == 0, || {
            format!("{} moves to {hash}, which has no ready pod", wrote.target)
        });
        if wrote.target.name == "web-canary" && seen.is_routed() && seen.status["abort"] != true {
            let served =
                state.traefiks.iter().filter(|t| !t.silent).any(|t| t.weight("shop-web", "shop-web-canary-80") > 0);
            // Traefik does not load an object that lists a stable without pods.
            let stands = seen.stable.is_some_and(|stable| state.node.ready(&set_of(stable)) > 0);
            let weight = seen.weight.unwrap_or(0);
            let share = served || weight == 100 || (weight > 0 && stands);
            // What somebody took off is put back.
            let had = |object: &Value| object["status"]["traffic"]["want"]["canaryHash"] == hash;
            let same = had(seen.object) || self.before.as_deref().is_some_and(had);
            self.check("T11", !share || same, || format!("the canary's Service moves to {hash} while it has a share"));
        }
    }
}

/// What becomes of a user's requests.
#[derive(Debug, Clone)]
struct Answer {
    /// Which requests, on which instance of Traefik.
    whose: String,
    not_found: bool,
    /// A share goes to nobody who is ready.
    dead: bool,
    /// The share in percent of which all pods were taken away by a size.
    scaled_away: Option<f64>,
}

fn answers(state: &State) -> Vec<Answer> {
    let ready = state.node.ready_addresses();
    let pods = state.node.addresses();
    let mut answers = Vec::new();
    for (n, traefik) in state.traefiks.iter().enumerate().filter(|(_, t)| !t.silent) {
        for method in ["GET", "POST"] {
            let whose = format!("a share of {method} on instance {n}");
            let mut answer = Answer { whose, not_found: false, dead: false, scaled_away: None };
            match traefik.request(method) {
                Answered::NotFound => answer.not_found = true,
                Answered::By(groups) => {
                    for (share, urls) in groups.iter().filter(|(share, _)| *share > 0.0) {
                        let hosts: Vec<&str> = urls.iter().map(|url| host(url)).collect();
                        answer.dead |= !hosts.iter().any(|host| ready.contains(host));
                        let there = hosts.iter().any(|host| pods.contains(host) || state.node.was_lost(host));
                        if !there && !hosts.is_empty() {
                            answer.scaled_away = Some(*share);
                        }
                    }
                }
            }
            answers.push(answer);
        }
    }
    answers
}

/// `http://10.0.0.7:8080` → `10.0.0.7`
fn host(url: &str) -> &str {
    url.trim_start_matches("http://").split(':').next().unwrap_or_default()
}

/// What a look reads of the Rollout and its root.
struct Seen<'a> {
    object: &'a Value,
    status: &'a Value,
    replicas: i64,
    stable: Option<&'a str>,
    current: Option<&'a str>,
    canary_selects: Option<&'a str>,
    active_selects: Option<&'a str>,
    /// The canary's weight in the root; `None` without a root.
    weight: Option<i64>,
    sum: i64,
}

impl<'a> Seen<'a> {
    fn of(state: &'a State, object: &'a Value) -> Self {
        let status = &object["status"];
        let root = state.server.get(&name(ResourceType::TRAEFIK_SERVICE, "web"));
        let children = root.and_then(|r| r["spec"]["weighted"]["services"].as_array());
        let weight_of = |c: &Value| c["weight"].as_i64().unwrap_or(1);
        let of_canary = children.into_iter().flatten().filter(|c| c["name"] == "web-canary").map(weight_of).sum();
        let selects = |service: &str| {
            let service = state.server.get(&name(ResourceType::SERVICE, service));
            service.and_then(|s| s["spec"]["selector"][LABEL_HASH].as_str())
        };
        Self {
            object,
            status,
            replicas: object["spec"]["replicas"].as_i64().unwrap_or(1),
            stable: status["stableRS"].as_str().filter(|s| !s.is_empty()),
            current: status["currentPodHash"].as_str(),
            canary_selects: selects("web-canary"),
            active_selects: selects("web-stable"),
            weight: root.map(|_| of_canary),
            sum: children.into_iter().flatten().map(weight_of).sum(),
        }
    }

    /// A blue-green's users are sent to another revision than stable.
    fn active_is_elsewhere(&self) -> bool {
        let blue_green = !self.object["spec"]["strategy"]["blueGreen"].is_null();
        blue_green && self.active_selects.is_some() && self.active_selects != self.stable
    }

    /// Where the share of a revision is known apart from its pods, they stay while it has one. Without a router Services
    /// lose and gain pods as a Deployment's do.
    fn keeps_what_carries(&self) -> bool {
        self.replicas > 0 && (self.is_routed() || !self.object["spec"]["strategy"]["blueGreen"].is_null())
    }

    fn is_routed(&self) -> bool {
        is_routed(self.object)
    }
}

fn is_routed(rollout: &Value) -> bool {
    ["canary", "blueGreen"].iter().any(|s| !rollout["spec"]["strategy"][s]["trafficRouting"].is_null())
}

fn set_of(hash: &str) -> ObjectRef {
    name(ResourceType::REPLICA_SET, &format!("web-{hash}"))
}
