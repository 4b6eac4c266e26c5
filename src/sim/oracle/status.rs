//! How status goes on from one write to the next.

use super::super::api::State;
use super::Oracle;
use super::seen::{is_routed, set_of};
use crate::core::scalar::Span;
use jiff::Timestamp;
use serde_json::Value;

impl Oracle {
    /// A7, A9, A11, A12.
    pub(super) fn status_goes_on(&mut self, state: &State, object: &Value) {
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
}
