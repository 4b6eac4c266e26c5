//! The world of a schedule: one Rollout with a strategy, and how its cluster behaves.

use super::super::api::{Shared, State};
use super::super::oracle::Oracle;
use super::super::run::Run;
use super::super::shop::{Entry, lay, name, put, template};
use super::random::Random;
use crate::core::object::ResourceType;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;

/// The image that a world starts with.
pub(super) const FIRST: &str = "web:1";
/// Long enough for the first revision to be served and at rest.
const OPENING: SignedDuration = SignedDuration::from_secs(120);
/// A minute in which stable grows first, and what it takes to be seen.
const BACK_WITHIN: SignedDuration = SignedDuration::from_secs(65);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// A canary by weights of a TraefikService.
    Routed,
    /// The same behind a plain Ingress: Services and routes of both roles are ours.
    Ingress,
    /// A canary by numbers of pods, with or without Services.
    Basic,
    /// By the active Service's selector.
    BlueGreen,
    /// By weights of a TraefikService.
    RoutedBlueGreen,
}

impl Strategy {
    /// Users come through a TraefikService.
    pub(super) fn is_routed(self) -> bool {
        matches!(self, Self::Routed | Self::Ingress | Self::RoutedBlueGreen)
    }

    pub(super) fn is_canary(self) -> bool {
        matches!(self, Self::Routed | Self::Ingress | Self::Basic)
    }

    /// Every Service that there is.
    pub(super) fn services(self) -> &'static [&'static str] {
        if self == Self::Ingress { &["web", "web-stable", "web-canary"] } else { &["web-stable", "web-canary"] }
    }

    /// Whether git has the Service too, and puts it back.
    pub(super) fn is_in_git(self, service: &str) -> bool {
        self != Self::Ingress || service == "web"
    }

    fn entry(self) -> Entry {
        match self {
            Self::Routed | Self::RoutedBlueGreen => Entry::Weighted,
            Self::Ingress => Entry::Ingress,
            Self::Basic | Self::BlueGreen => Entry::Stable,
        }
    }
}

/// Everything about a world that is drawn.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) strategy: Strategy,
    /// Shared by the tens of thousands of schedules within bounds.
    pub(super) spec: Arc<Value>,
    start_up: SignedDuration,
    instances: usize,
}

impl World {
    pub(super) fn draw(random: &mut Random) -> Self {
        let strategy = *random.pick(&[
            Strategy::Routed,
            Strategy::Routed,
            Strategy::Routed,
            Strategy::Ingress,
            Strategy::Basic,
            Strategy::BlueGreen,
            Strategy::RoutedBlueGreen,
        ]);
        let switches = matches!(strategy, Strategy::BlueGreen | Strategy::RoutedBlueGreen);
        // Between a switch and its end there is nothing but analysis.
        let analysed = random.chance(if switches { 60 } else { 25 });
        let body = match strategy {
            Strategy::Routed => json!({"canary": routed(random, analysed)}),
            Strategy::Ingress => json!({"canary": behind_ingress(random, analysed)}),
            Strategy::Basic => json!({"canary": basic(random, analysed)}),
            Strategy::BlueGreen => json!({"blueGreen": blue_green(random, analysed)}),
            Strategy::RoutedBlueGreen => json!({"blueGreen": routed_blue_green(random, analysed)}),
        };
        let mut spec = json!({
            "replicas": random.between(1, 5),
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(FIRST),
            "strategy": body,
        });
        if random.chance(30) {
            spec["minReadySeconds"] = json!(random.between(1, 5));
        }
        if random.chance(50) {
            spec["progressDeadlineSeconds"] = json!(random.between(20, 120));
        }
        if random.chance(20) {
            spec["revisionHistoryLimit"] = json!(random.between(0, 2));
        }
        if random.chance(25) {
            spec["rollbackWindow"] = json!({"revisions": random.between(0, 2)});
        }
        if random.chance(15) {
            spec["progressDeadlineAbort"] = json!(random.chance(50));
        }
        let start_up = SignedDuration::from_millis(*random.pick(&[200, 1000, 3000, 8000]));
        let instances = usize::try_from(random.between(1, 2)).unwrap_or(1);
        Self { strategy, spec: Arc::new(spec), start_up, instances }
    }

    /// Two pods that are quick, and one instance of Traefik.
    pub(super) fn small(strategy: Strategy, body: Value) -> Self {
        let spec = json!({
            "replicas": 2, "progressDeadlineSeconds": 20,
            "selector": {"matchLabels": {"app": "web"}}, "template": template(FIRST), "strategy": body,
        });
        Self { strategy, spec: Arc::new(spec), start_up: SignedDuration::from_secs(1), instances: 1 }
    }

    /// The world as the first revision is served and all is at rest.
    pub(super) fn open(&self) -> State {
        let mut run = self.run();
        run.pass_time(OPENING.as_secs());
        let mut state = run.shared.state().clone();
        state.server.forget_history();
        state.writes.clear();
        state.notices.clear();
        state
    }

    /// The world with nothing in it but what people put there.
    pub(super) fn run(&self) -> Run {
        let start = "2026-01-01T00:00:00Z".parse().expect("a valid time");
        let shared = Shared::new(self.instances, start);
        self.lay(&mut shared.state());
        Run::from(shared, self.oracle())
    }

    pub(super) fn oracle(&self) -> Oracle {
        let dynamic = self.spec["strategy"]["canary"]["dynamicStableScale"] == true;
        let mut oracle = Oracle::new();
        oracle.back_within = dynamic.then_some(BACK_WITHIN);
        oracle
    }

    /// The Rollout as git has it, with this image.
    pub(super) fn manifest(&self, image: &str) -> Value {
        let mut spec = Value::clone(&self.spec);
        spec["template"] = template(image);
        json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"}, "spec": spec})
    }

    fn lay(&self, state: &mut State) {
        state.node.start_up = self.start_up;
        let metric = json!({"name": "good", "interval": "5s", "count": 2, "failureLimit": 0,
                            "successCondition": "result == 1",
                            "provider": {"prometheus": {"address": "http://p", "query": "q"}}});
        let target = name(ResourceType::ANALYSIS_TEMPLATE, "good");
        let object = json!({"spec": {"metrics": [metric]}});
        put(state, &target, "tidegate.dev/v1alpha1", "AnalysisTemplate", object);
        lay(state, self.strategy.entry(), &self.spec);
    }
}

fn analysis() -> Value {
    json!({"templates": [{"templateName": "good"}]})
}

fn routed(random: &mut Random, analysed: bool) -> Value {
    let mut canary = json!({
        "stableService": "web-stable", "canaryService": "web-canary", "steps": steps(random, true, analysed),
        "trafficRouting": {"traefik": {"weightedTraefikServiceName": "web"}},
    });
    if random.chance(15) {
        canary["dynamicStableScale"] = json!(true);
    } else if random.chance(40) {
        canary["scaleDownDelaySeconds"] = json!(*random.pick(&[0, 5, 60]));
    }
    if random.chance(40) {
        canary["abortScaleDownDelaySeconds"] = json!(*random.pick(&[0, 5, 60]));
    }
    if random.chance(30) {
        canary["maxUnavailable"] = json!(random.between(0, 2));
    }
    if random.chance(20) {
        canary["minPodsPerReplicaSet"] = json!(random.between(1, 3));
    }
    if random.chance(20) {
        canary["trafficRouting"]["traefik"]["shield"] = json!(*random.pick(&["none", "all"]));
    }
    if analysed && random.chance(40) {
        canary["analysis"] = analysis();
    }
    canary
}

/// Services are made where none are named.
fn behind_ingress(random: &mut Random, analysed: bool) -> Value {
    let mut canary = routed(random, analysed);
    let mut traefik = json!({"ingress": {"name": "web"}});
    if let Some(shield) = canary["trafficRouting"]["traefik"].get("shield") {
        traefik["shield"] = shield.clone();
    }
    canary["trafficRouting"] = json!({"traefik": traefik});
    canary["stableService"] = Value::Null;
    canary["canaryService"] = Value::Null;
    canary
}

fn basic(random: &mut Random, analysed: bool) -> Value {
    let mut canary = json!({"steps": steps(random, false, analysed), "stableService": "web-stable"});
    if random.chance(50) {
        canary["canaryService"] = json!("web-canary");
    }
    if random.chance(50) {
        let surge = random.between(0, 2);
        canary["maxSurge"] = json!(surge);
        canary["maxUnavailable"] = json!(if surge == 0 { random.between(1, 2) } else { random.between(0, 2) });
    }
    canary
}

fn blue_green(random: &mut Random, analysed: bool) -> Value {
    let mut strategy = json!({"activeService": "web-stable"});
    if random.chance(60) {
        strategy["previewService"] = json!("web-canary");
    }
    match random.between(0, 2) {
        0 => strategy["autoPromotionEnabled"] = json!(false),
        1 => strategy["autoPromotionSeconds"] = json!(random.between(1, 30)),
        _ => {}
    }
    if random.chance(30) {
        strategy["maxUnavailable"] = json!(random.between(0, 2));
    }
    if random.chance(30) {
        strategy["previewReplicaCount"] = json!(1);
    }
    if random.chance(40) {
        // Not 0: the switch is not checked against what Traefik serves (docs/shortcomings.md).
        strategy["scaleDownDelaySeconds"] = json!(*random.pick(&[5, 60]));
    }
    if random.chance(30) {
        strategy["abortScaleDownDelaySeconds"] = json!(*random.pick(&[0, 5, 60]));
    }
    if analysed {
        let place = random.pick(&["prePromotionAnalysis", "postPromotionAnalysis"]);
        strategy[*place] = analysis();
    }
    strategy
}

fn routed_blue_green(random: &mut Random, analysed: bool) -> Value {
    let mut strategy = blue_green(random, analysed);
    strategy["previewService"] = json!("web-canary");
    strategy["trafficRouting"] = json!({"traefik": {"weightedTraefikServiceName": "web"}});
    if random.chance(30) {
        strategy["scaleDownDelaySeconds"] = json!(0);
    }
    strategy
}

/// One to five steps; now and then a weight that falls.
pub(super) fn steps(random: &mut Random, routed: bool, analysed: bool) -> Value {
    let count = random.between(1, 5);
    let mut weight = 0;
    let mut steps = Vec::new();
    for _ in 0..count {
        let kind = random.between(1, 100);
        steps.push(if kind <= 50 {
            weight = if random.chance(90) { (weight + random.between(5, 50)).min(100) } else { random.between(0, 100) };
            json!({"setWeight": weight})
        } else if kind <= 80 {
            pause(random)
        } else if kind <= 90 && routed {
            match random.between(0, 2) {
                0 => json!({"setCanaryScale": {"replicas": random.between(1, 4)}}),
                1 => json!({"setCanaryScale": {"weight": random.between(1, 120)}}),
                _ => json!({"setCanaryScale": {"matchTrafficWeight": true}}),
            }
        } else if analysed {
            json!({"analysis": analysis()})
        } else {
            pause(random)
        });
    }
    json!(steps)
}

fn pause(random: &mut Random) -> Value {
    if random.chance(15) { json!({"pause": {}}) } else { json!({"pause": {"duration": random.between(1, 30)}}) }
}
