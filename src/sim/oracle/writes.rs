//! What a write may do, as the cluster stands when it arrives.

use super::super::api::{State, Wrote};
use super::Oracle;
use super::seen::{Seen, set_of};
use crate::core::rollout::LABEL_HASH;
use crate::core::scalar::{CountOrShare, Rounding};
use serde::Deserialize;
use serde_json::Value;

impl Oracle {
    /// L3, T7, T11, T12.
    pub(super) fn judge_write(&mut self, wrote: &Wrote, state: &State, seen: &Seen<'_>) {
        self.check("L3", wrote.guarded, || format!("a write of {} names nothing that it expects", wrote.target));
        match wrote.why {
            "raise-weight" if wrote.target.name == "web" => self.raised(seen),
            "select-pods" => self.selected(wrote, state, seen),
            "restart" => self.restarted(wrote, state, seen),
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

    /// Q1: pods go for younger ones only as far as the strategy lets pods of stable be missing, and one stays in any case.
    fn restarted(&mut self, wrote: &Wrote, state: &State, seen: &Seen<'_>) {
        // What broke by itself of late may not have been seen, and what was not ready is not missed.
        if self.struck.least(self.now) != self.struck.most(self.now) || !self.late.is_zero() {
            return;
        }
        let Some(stable) = seen.stable else { return };
        // Where the pods of all revisions serve together, they are counted together.
        let together = !seen.is_routed() && seen.object["spec"]["strategy"]["blueGreen"].is_null();
        if !together && !wrote.target.name.starts_with(&format!("web-{stable}-")) {
            return;
        }
        let counted = |hash: &str| together || hash == stable;
        let of_now = state.node.ready_by_set().filter(|(set, _)| set.name.strip_prefix("web-").is_some_and(counted));
        let ready = i64::try_from(of_now.map(|(_, ready)| ready).sum::<usize>()).unwrap_or(i64::MAX);
        let before: i64 = self.ready_before.iter().filter(|(hash, _)| counted(hash)).map(|(_, ready)| ready).sum();
        let all = self.wanted.least(self.now);
        // A stable that shrinks has the pods of its share.
        let dynamic = seen.object["spec"]["strategy"]["canary"]["dynamicStableScale"] == true;
        let wanted = if dynamic { (all * (100 - seen.weight.unwrap_or(0)) + 99) / 100 } else { all };
        let size = u32::try_from(wanted).unwrap_or(0);
        let missing = may_be_missing(seen.object).of(size, Rounding::Down).min(size.saturating_sub(1));
        let least = wanted - i64::from(missing);
        let lost = before > ready;
        self.check("Q1", !lost || ready >= least, || format!("a restart leaves {ready} of {wanted} pods"));
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
            // A weighted service that lists a stable without pods is not loaded: nobody comes that way.
            let stable = seen.active_selects.map_or(0, |hash| state.node.ready(&set_of(hash)));
            let weight = seen.weight.unwrap_or(0);
            let share = served || weight == 100 || weight > 0 && stable > 0;
            // What somebody took off is put back.
            let had = |object: &Value| object["status"]["traffic"]["want"]["canaryHash"] == hash;
            let same = had(seen.object) || self.before.as_deref().is_some_and(had);
            self.check("T11", !share || same, || format!("the canary's Service moves to {hash} while it has a share"));
        }
    }
}

fn may_be_missing(rollout: &Value) -> CountOrShare {
    let strategy = &rollout["spec"]["strategy"];
    let given = ["canary", "blueGreen"].iter().find_map(|body| strategy[body].get("maxUnavailable"));
    let parsed = given.and_then(|given| Deserialize::deserialize(given).ok()).map(|given| CountOrShare::parse(&given));
    parsed.and_then(Result::ok).unwrap_or(CountOrShare::QUARTER)
}
