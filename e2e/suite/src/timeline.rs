//! Every state of one object that was seen, with its time: to say afterwards when something was written, and for how long.

use crate::cluster::{Cluster, Kind};
use futures::StreamExt;
use jiff::Timestamp;
use kube::Api;
use kube::api::DynamicObject;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// No object of a scenario changes more often.
const MOST_STATES: usize = 10_000;

/// A recording. Dropping it ends it.
#[derive(Debug)]
pub struct Timeline {
    states: Arc<Mutex<Vec<(Timestamp, Value)>>>,
    task: JoinHandle<()>,
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Timeline {
    pub fn record(cluster: &Cluster, kind: Kind, namespace: &str, name: &str) -> Self {
        let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), namespace, &kind.resource());
        let states = Arc::new(Mutex::new(Vec::new()));
        let (kept, name) = (Arc::clone(&states), name.to_owned());
        let task = tokio::spawn(async move {
            let mut watch = std::pin::pin!(kube::runtime::watcher::watch_object(api, &name));
            while let Some(state) = watch.next().await {
                let Ok(object) = state else {
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                    continue;
                };
                let value = object.map_or(Value::Null, |o| serde_json::to_value(o).unwrap_or(Value::Null));
                let mut kept = kept.lock().expect("no holder of this lock can panic");
                if kept.len() < MOST_STATES {
                    kept.push((Timestamp::now(), value));
                }
            }
        });
        Self { states, task }
    }

    /// All states so far.
    pub fn states(&self) -> Vec<(Timestamp, Value)> {
        self.states.lock().expect("no holder of this lock can panic").clone()
    }

    /// When a state was first seen that `holds`, not before `from`.
    pub fn first(&self, from: Timestamp, holds: impl Fn(&Value) -> bool) -> Option<Timestamp> {
        self.states().iter().find(|(at, state)| *at >= from && holds(state)).map(|(at, _)| *at)
    }

    /// The longest time in a row within which every state `holds`, from the first such state to the first other one.
    pub fn stretch(&self, from: Timestamp, holds: impl Fn(&Value) -> bool) -> Option<(Timestamp, Timestamp)> {
        stretch(&self.states(), from, Timestamp::now(), holds)
    }
}

fn stretch(
    states: &[(Timestamp, Value)],
    from: Timestamp,
    now: Timestamp,
    holds: impl Fn(&Value) -> bool,
) -> Option<(Timestamp, Timestamp)> {
    let mut best: Option<(Timestamp, Timestamp)> = None;
    let mut open: Option<Timestamp> = None;
    let mut close = |open: &mut Option<Timestamp>, at: Timestamp| {
        if let Some(begun) = open.take()
            && best.is_none_or(|(a, b)| at.duration_since(begun) > b.duration_since(a))
        {
            best = Some((begun, at));
        }
    };
    for (at, state) in states.iter().filter(|(at, _)| *at >= from) {
        if holds(state) {
            open.get_or_insert(*at);
        } else {
            close(&mut open, *at);
        }
    }
    close(&mut open, now);
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longest_stretch_ends_with_the_first_other_state() {
        let at = |s: i64| Timestamp::from_second(s).expect("in range");
        let states: Vec<_> =
            [(1, 0), (2, 20), (3, 0), (5, 20), (6, 20), (9, 0)].map(|(s, w)| (at(s), json!(w))).to_vec();
        assert_eq!(stretch(&states, at(0), at(10), |w| *w == 20), Some((at(5), at(9))));
        assert_eq!(stretch(&states, at(0), at(30), |w| *w == 0), Some((at(9), at(30))));
        assert_eq!(stretch(&states, at(0), at(30), |w| *w == 50), None);
    }
}
