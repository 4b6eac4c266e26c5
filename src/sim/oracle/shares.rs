//! Where requests go: the weights, and what users get from Traefik.

use super::super::api::State;
use super::super::traefik::Answered;
use super::seen::Seen;
use super::{CORRECTED_WITHIN, Oracle};
use serde_json::Value;

impl Oracle {
    /// T1, T5, T8.
    pub(super) fn weights_are_declared(&mut self, seen: &Seen<'_>, awake: bool) {
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
    pub(super) fn users_are_served(&mut self, awake: bool, seen: &Seen<'_>) {
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
            // With stable dead a moment ago users still come by the Ingress itself, to pods of every revision that there are.
            let by_ingress = seen.is_behind_ingress() && !settled;
            let away = answer.scaled_away.filter(|_| seen.keeps_what_carries() && !by_ingress);
            self.check("T10", away.is_none(), || format!("{away:?} % goes to pods that were scaled away"));
        }
        self.answers = answers;
    }

    /// P3: an abort outranks everything.
    pub(super) fn abort_is_answered(&mut self, object: &Value, seen: &Seen<'_>, awake: bool) {
        let asked = !object["metadata"]["annotations"]["tidegate.dev/abort"].is_null();
        self.lasting("P3", "an abort stays unanswered", asked, !awake);
        let carried = asked && seen.weight.unwrap_or(0) > 0 && seen.status["abort"] != true;
        let excused = !awake || self.able_since.is_none() || seen.stable == seen.current;
        self.lasting("P3", "an abort is asked for, and the canary keeps its share", carried, excused);
    }
}

/// What becomes of a user's requests.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// Which requests, on which instance of Traefik.
    pub(super) whose: String,
    not_found: bool,
    /// A share goes to nobody who is ready.
    dead: bool,
    /// The share in percent of which all pods were taken away by a size.
    scaled_away: Option<f64>,
}

pub(super) fn answers(state: &State) -> Vec<Answer> {
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
