//! The order of a pass, and what becomes of it when a write fails, the process dies, or the tenure is lost.

use super::*;
use crate::cluster::Became;
use crate::core::object::{ObjectRef, ResourceType};
use crate::core::plan::{Actor, Manager, Notice, Propagation, StatusWrite, Verb, Why};
use crate::core::question::{ApiRefusal, Question};
use crate::execute::faults::{Fault, Faults, Kill};
use serde_json::json;
use std::sync::Mutex;

/// Notes what reaches it, and fails what it is told to fail.
#[derive(Debug, Default)]
struct Recorder {
    seen: Mutex<Vec<String>>,
    failing: Vec<(&'static str, WriteError)>,
}

impl Recorder {
    fn take(&self, what: &str, target: &ObjectRef) -> Result<Written, WriteError> {
        self.seen.lock().unwrap().push(what.to_owned());
        match self.failing.iter().find(|(failing, _)| *failing == what) {
            Some((_, error)) => Err(error.clone()),
            None => Ok(Written { target: target.clone(), uid: "u".into(), became: Became::Version("9".into()) }),
        }
    }
}

impl Api for Recorder {
    async fn write(&self, _: &Tenure, _: Lane, effect: &Effect) -> Result<Written, WriteError> {
        self.take(effect.why.as_str(), &effect.target())
    }

    async fn write_status(&self, _: &Tenure, _: Lane, status: &StatusWrite) -> Result<Written, WriteError> {
        self.take("status", &status.target)
    }

    async fn notice(&self, _: &Tenure, notice: &Notice) {
        self.seen.lock().unwrap().push(notice.reason.to_owned());
    }
}

#[derive(Debug)]
struct Nobody;

impl Desk for Nobody {
    fn ask(&self, _: &Key, _: &[Question]) {}
}

fn key() -> Key {
    ObjectRef::new(ResourceType::ROLLOUT, "shop", "web")
}

fn controller(failing: Vec<(&'static str, WriteError)>, faults: Vec<Fault>) -> Controller<Recorder, Nobody> {
    let api = Recorder { seen: Mutex::default(), failing };
    let executor = Executor { api, faults: Faults::new(faults, Kill::Simulated), metrics: Arc::default() };
    Controller { world: Arc::default(), desk: Nobody, executor }
}

fn apply(why: Why) -> Effect {
    let object = json!({"apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": {"name": "web", "namespace": "shop"}});
    let verb = Verb::Apply {
        object: object.into(),
        manager: Manager::Rollout,
        force: true,
        uid: None,
        actor: Actor::Controller,
    };
    Effect { verb, why }
}

fn delete(why: Why) -> Effect {
    let target = ObjectRef::new(ResourceType::REPLICA_SET, "shop", "web-1");
    let verb = Verb::Delete { target, uid: "u".into(), propagation: Propagation::Background, actor: Actor::Controller };
    Effect { verb, why }
}

fn plan() -> Plan {
    Plan {
        safety: vec![apply(Why::LowerWeight), apply(Why::SelectPods)],
        status: Some(StatusWrite { target: key(), resource_version: "8".into(), patch: json!({"phase": "Degraded"}) }),
        effects: vec![apply(Why::Scale), delete(Why::HistoryLimit)],
        notices: vec![Notice {
            on: key(),
            uid: "u".into(),
            warning: true,
            reason: "RolloutAborted",
            message: String::new(),
        }],
        ..Plan::default()
    }
}

fn carry_out(controller: &Controller<Recorder, Nobody>, tenure: &Tenure) -> Result<(), WriteError> {
    let (key, plan) = (key(), plan());
    let carrying = controller.carry_out(tenure, &key, Lane::Urgent, &plan, Timestamp::UNIX_EPOCH);
    carrying.now_or_never().expect("nothing here waits")
}

/// What reached the API, and how it ended.
fn carried_out(controller: &Controller<Recorder, Nobody>) -> (Vec<String>, Result<(), WriteError>) {
    let outcome = carry_out(controller, &Tenure::without_end());
    (controller.executor.api.seen.lock().unwrap().clone(), outcome)
}

#[test]
fn a_plan_is_carried_out_safety_first_then_status_then_effects_then_notices() {
    let (seen, outcome) = carried_out(&controller(vec![], vec![]));
    assert_eq!(seen, ["lower-weight", "select-pods", "status", "scale", "history-limit", "RolloutAborted"]);
    assert_eq!(outcome, Ok(()));
}

#[test]
fn a_failed_safety_effect_stops_nothing_and_is_tried_again() {
    let lost = WriteError::Unavailable("down".into());
    let (seen, outcome) = carried_out(&controller(vec![("lower-weight", lost.clone())], vec![]));
    assert_eq!(seen.len(), 6);
    assert_eq!(outcome, Err(lost));
}

#[test]
fn a_refused_status_drops_the_rest() {
    let (seen, outcome) = carried_out(&controller(vec![("status", WriteError::Conflict("newer".into()))], vec![]));
    assert_eq!(seen, ["lower-weight", "select-pods", "status"]);
    assert!(outcome.is_err());
}

#[test]
fn the_first_failed_effect_ends_the_pass_and_is_a_row_for_the_next_decision() {
    let refusal = ApiRefusal { code: 403, reason: "Forbidden".into(), message: "no right".into(), causes: vec![] };
    let controller = controller(vec![("scale", WriteError::Refused(refusal))], vec![]);
    let (seen, _) = carried_out(&controller);
    assert_eq!(seen.last().map(String::as_str), Some("scale"));
    let rows = controller.world.refused.of(&key());
    assert_eq!(rows.iter().map(|r| r.why).collect::<Vec<_>>(), [Why::Scale]);
    assert!(rows[0].message.contains("no right"));
}

#[test]
fn l4_what_was_written_is_waited_for() {
    let controller = controller(vec![], vec![]);
    let _ = carried_out(&controller);
    controller.world.caches.rollouts.declare(None);
    assert!(controller.world.caches.fresh(&key()).is_err());
}

#[test]
fn l2_without_tenure_nothing_is_sent() {
    let controller = controller(vec![], vec![]);
    assert_eq!(carry_out(&controller, &Tenure::ended()), Err(WriteError::LostTenure));
    assert!(controller.executor.api.seen.lock().unwrap().is_empty());
    assert!(controller.world.refused.of(&key()).is_empty());
}

#[test]
fn a_fault_plan_ends_the_pass_before_or_after_its_write() {
    for (action, sent) in [("kill-before", 2), ("kill-after", 3)] {
        let fault = json!([{"kind": "Rollout", "why": "status", "action": action}]);
        let (seen, outcome) = carried_out(&controller(vec![], serde_json::from_value(fault).unwrap()));
        assert_eq!((seen.len(), outcome), (sent, Err(WriteError::Killed)), "{action}");
    }
}

#[test]
fn a_lost_answer_happened_and_is_unknown() {
    let fault = json!([{"kind": "Rollout", "why": "scale", "action": "lose-answer"}]);
    let controller = controller(vec![], serde_json::from_value(fault).unwrap());
    let (seen, outcome) = carried_out(&controller);
    assert_eq!(seen.last().map(String::as_str), Some("scale"));
    assert!(matches!(outcome, Err(WriteError::Unknown(_))));
}

#[test]
fn l7_a_panic_is_told_with_its_text() {
    assert_eq!(panic_text(&"index out of range"), "index out of range");
    assert_eq!(panic_text(&"with data".to_owned()), "with data");
}
