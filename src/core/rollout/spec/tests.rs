//! The spec's rules, with a canary and a blue/green Rollout as their starting points.

use super::*;
use crate::core::object::ResourceType;
use crate::core::refusal::Refusal;
use crate::core::rollout::LABEL_HASH;
use crate::core::row::WorkloadRow;
use crate::core::scalar::{CountOrShare, Span, Weight};
use serde_json::{Value, json};

fn canary() -> Value {
    json!({
        "replicas": 4,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
        "strategy": {"canary": {
            "stableService": "web-stable",
            "canaryService": "web-canary",
            "trafficRouting": {"traefik": {"weightedTraefikServiceName": "web"}},
            "steps": [{"setWeight": 20}, {"pause": {"duration": "30s"}}, {"setWeight": 60}, {"pause": {}}],
        }},
    })
}

fn blue_green() -> Value {
    let mut spec = canary();
    spec["strategy"] = json!({"blueGreen": {"activeService": "web", "previewService": "web-preview"}});
    spec
}

/// The spec with `value` put at `pointer`; objects on the way are made.
fn with(mut spec: Value, path: &str, value: Value) -> Value {
    let mut at = &mut spec;
    for part in path.split('.') {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part],
        };
    }
    *at = value;
    spec
}

fn parse(spec: &Value) -> Result<Spec, Vec<Refusal>> {
    Spec::parse("web", spec)
}

/// Fields that are refused.
fn refused(spec: &Value) -> Vec<String> {
    parse(spec).map_or_else(|refusals| refusals.into_iter().map(|r| r.field).collect(), |_| Vec::new())
}

fn read_canary(spec: &Value) -> Canary {
    match parse(spec).expect("an accepted spec").strategy {
        Strategy::Canary(canary) => canary,
        Strategy::BlueGreen(_) => panic!("a canary"),
    }
}

fn read_blue_green(spec: &Value) -> BlueGreen {
    match parse(spec).expect("an accepted spec").strategy {
        Strategy::BlueGreen(blue_green) => blue_green,
        Strategy::Canary(_) => panic!("blue/green"),
    }
}

#[test]
fn a_canary_reads_with_the_defaults_of_upstream() {
    let spec = parse(&canary()).expect("an accepted spec");
    assert_eq!((spec.replicas, spec.history_limit, spec.paused), (4, 10, false));
    assert_eq!((spec.min_ready, spec.progress_deadline), (Span::ZERO, Span::from_secs(600)));
    assert_eq!(spec.run_history, RunHistory { successful: 5, unsuccessful: 5 });
    let canary = read_canary(&canary());
    assert_eq!(
        canary.steps,
        [
            Step::SetWeight(Weight::new(20).expect("a percentage")),
            Step::Pause(Some(Span::from_secs(30))),
            Step::SetWeight(Weight::new(60).expect("a percentage")),
            Step::Pause(None),
        ]
    );
    let traffic = canary.traffic.expect("routed");
    assert_eq!(
        (traffic.way, traffic.shield, traffic.net),
        (Way::WeightedService("web".to_owned()), Shield::Idempotent, true)
    );
    assert_eq!((canary.max_surge, canary.max_unavailable), (CountOrShare::Share(25), CountOrShare::Share(25)));
    assert_eq!(canary.scale_down_delay, Span::from_secs(30));
    assert_eq!(canary.after_abort, AfterAbort::ScaleDownAfter(Span::from_secs(30)));
}

#[test]
fn without_replicas_one_pod_is_wanted() {
    let mut spec = canary();
    spec.as_object_mut().expect("an object").remove("replicas");
    assert_eq!(parse(&spec).map(|s| s.replicas), Ok(1));
}

#[test]
fn a_plain_ingress_needs_no_services_in_git() {
    let mut spec = with(canary(), "strategy.canary.trafficRouting", json!({"traefik": {"ingress": {"name": "shop"}}}));
    let strategy = spec["strategy"]["canary"].as_object_mut().expect("an object");
    strategy.remove("stableService");
    strategy.remove("canaryService");
    let canary = read_canary(&spec);
    assert_eq!(canary.stable_service, Some(ServiceName { name: "web-stable".to_owned(), ours: true }));
    assert_eq!(canary.canary_service, Some(ServiceName { name: "web-canary".to_owned(), ours: true }));
}

#[test]
fn blue_green_reads_with_the_defaults_of_upstream() {
    let spec = read_blue_green(&blue_green());
    let theirs = |name: &str| ServiceName { name: name.to_owned(), ours: false };
    assert_eq!((spec.active_service, spec.preview_service), (theirs("web"), Some(theirs("web-preview"))));
    let spec = read_blue_green(&blue_green());
    assert_eq!((spec.promotion, spec.traffic.is_none()), (Promotion::Automatic(Span::ZERO), true));
    assert_eq!(spec.scale_down_delay(), Span::from_secs(30));
}

#[test]
fn a_router_of_blue_green_needs_both_services_or_a_plain_ingress() {
    const ROUTING: &str = "strategy.blueGreen.trafficRouting";
    let weighted = json!({"traefik": {"weightedTraefikServiceName": "split", "liveTimeout": "20s", "shield": "none"}});
    let routed = with(blue_green(), ROUTING, weighted);
    let traffic = read_blue_green(&routed).traffic.expect("routed");
    assert_eq!((traffic.way, traffic.shield), (Way::WeightedService("split".to_owned()), Shield::None));
    for name in ["activeService", "previewService"] {
        let path = format!("strategy.blueGreen.{name}");
        assert_eq!(refused(&with(routed.clone(), &path, Value::Null)), [format!("spec.{path}")]);
    }
    assert_eq!(refused(&with(blue_green(), "strategy.blueGreen.activeService", Value::Null)).len(), 1);
    let shadowed = with(blue_green(), ROUTING, json!({"traefik": {"ingress": {"name": "shop"}}}));
    let none = with(shadowed.clone(), "strategy.blueGreen.activeService", Value::Null);
    let none = read_blue_green(&with(none, "strategy.blueGreen.previewService", Value::Null));
    let ours = |name: &str| ServiceName { name: name.to_owned(), ours: true };
    assert_eq!((none.active_service, none.preview_service), (ours("web-stable"), Some(ours("web-canary"))));
    let active = read_blue_green(&with(shadowed, "strategy.blueGreen.previewService", Value::Null));
    assert_eq!((active.active_service.ours, active.preview_service), (false, Some(ours("web-canary"))));
    for (value, field) in [
        (json!({}), ""),
        (json!({"traefik": {}}), ".traefik"),
        (json!({"traefik": {"weightedTraefikServiceName": "a", "ingress": {"name": "b"}}}), ".traefik"),
        (json!({"traefik": {"weightedTraefikServiceName": "a", "shield": "some"}}), ".traefik.shield"),
        (json!({"traefik": {"weightedTraefikServiceName": "a", "liveTimeout": "0s"}}), ".traefik.liveTimeout"),
    ] {
        assert_eq!(refused(&with(blue_green(), ROUTING, value)), [format!("spec.{ROUTING}{field}")]);
    }
}

/// Trap 8: the seconds have no effect without automatic promotion.
#[test]
fn without_automatic_promotion_the_switch_waits_for_a_person() {
    let spec = with(blue_green(), "strategy.blueGreen.autoPromotionEnabled", json!(false));
    let spec = with(spec, "strategy.blueGreen.autoPromotionSeconds", json!(10));
    assert_eq!(read_blue_green(&spec).promotion, Promotion::Manual);
}

#[test]
fn zero_delays_mean_what_they_say() {
    let spec = with(canary(), "strategy.canary.scaleDownDelaySeconds", json!(0));
    let canary = read_canary(&with(spec, "strategy.canary.abortScaleDownDelaySeconds", json!(0)));
    assert_eq!((canary.scale_down_delay, canary.after_abort), (Span::ZERO, AfterAbort::Keep));
}

#[test]
fn a_blue_green_limit_of_waiting_revisions_is_at_most_what_history_keeps() {
    let field = "strategy.blueGreen.scaleDownDelayRevisionLimit";
    let limited = |limit: i64| with(with(blue_green(), "revisionHistoryLimit", json!(2)), field, json!(limit));
    assert_eq!(read_blue_green(&limited(2)).scale_down_delay_revisions, Some(2));
    assert_eq!(refused(&limited(3)), [format!("spec.{field}")]);
}

#[test]
fn metadata_of_a_role_is_what_an_api_server_takes_and_nothing_that_is_selected_by() {
    let fine =
        json!({"labels": {"role": "canary", "example.com/role_2": ""}, "annotations": {"note": "any text, really"}});
    let read = read_canary(&with(canary(), "strategy.canary.canaryMetadata", fine.clone())).canary_metadata;
    assert_eq!((read.labels["role"].as_str(), read.annotations.len()), ("canary", 1));
    assert_eq!(read_blue_green(&with(blue_green(), "strategy.blueGreen.activeMetadata", fine)).active_metadata, read);
    let long = "x".repeat(64);
    for (key, value) in [
        ("app", "x"),
        (LABEL_HASH, "x"),
        ("tidegate.dev/x", "x"),
        ("a b", "x"),
        ("X.com/a", "x"),
        ("a", "b c"),
        ("a", &long),
    ] {
        let spec = with(blue_green(), "strategy.blueGreen.previewMetadata", json!({"labels": {key: value}}));
        assert_eq!(refused(&spec), [format!("spec.strategy.blueGreen.previewMetadata.labels.{key}")], "{value}");
    }
    let spec = with(canary(), "strategy.canary.stableMetadata", json!({"annotations": {"tidegate.dev/x": "y"}}));
    assert_eq!(refused(&spec), ["spec.strategy.canary.stableMetadata.annotations.tidegate.dev/x"]);
}

/// 1.1.6
#[test]
fn anti_affinity_is_required_or_preferred_with_a_weight() {
    const FIELD: &str = "strategy.canary.antiAffinity";
    let preferred = |weight: i64| json!({"preferredDuringSchedulingIgnoredDuringExecution": {"weight": weight}});
    let mut both = preferred(5);
    both["requiredDuringSchedulingIgnoredDuringExecution"] = json!({});
    for (value, rule) in [
        (json!({"requiredDuringSchedulingIgnoredDuringExecution": {}}), AntiAffinity::Required),
        (preferred(100), AntiAffinity::Preferred(100)),
    ] {
        assert_eq!(read_canary(&with(canary(), FIELD, value.clone())).anti_affinity, Some(rule));
        let spec = with(blue_green(), "strategy.blueGreen.antiAffinity", value);
        assert_eq!(read_blue_green(&spec).anti_affinity, Some(rule));
    }
    for (value, below) in [
        (both, ""),
        (json!({}), ""),
        (preferred(0), ".preferredDuringSchedulingIgnoredDuringExecution.weight"),
        (preferred(101), ".preferredDuringSchedulingIgnoredDuringExecution.weight"),
        (json!({"always": {}}), ".always"),
    ] {
        assert_eq!(refused(&with(canary(), FIELD, value)), [format!("spec.{FIELD}{below}")]);
    }
}

/// 1.1.4: a number, a text without unit and a duration.
#[test]
fn pauses_are_read_as_upstream_reads_them() {
    for (duration, seconds) in [(json!(10), 10), (json!("10"), 10), (json!("1m"), 60), (json!("0"), 0)] {
        let spec = with(canary(), "strategy.canary.steps", json!([{"pause": {"duration": duration}}]));
        assert_eq!(read_canary(&spec).steps, [Step::Pause(Some(Span::from_secs(seconds)))]);
    }
}

#[test]
fn analysis_is_read_with_its_arguments() {
    let analysis = json!({
        "templates": [{"templateName": "errors"}, {"templateName": "slow", "clusterScope": true}],
        "args": [
            {"name": "host", "value": ""},
            {"name": "new", "valueFrom": {"podTemplateHashValue": "Latest"}},
            {"name": "old", "valueFrom": {"podTemplateHashValue": "Stable"}},
            {"name": "app", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        ],
        "dryRun": [{"metricName": "slow.*"}],
    });
    let canary = read_canary(&with(canary(), "strategy.canary.steps", json!([{"analysis": analysis}])));
    let [Step::Analysis(analysis)] = canary.steps.as_slice() else { panic!("one analysis step") };
    assert_eq!(analysis.templates.len(), 2);
    assert_eq!(analysis.args["host"], ArgumentValue::Text(String::new()));
    assert_eq!(analysis.args["new"], ArgumentValue::LatestHash);
    assert_eq!(analysis.args["old"], ArgumentValue::StableHash);
    assert_eq!(analysis.args["app"], ArgumentValue::Field("metadata.labels['app']".to_owned()));
    assert_eq!(analysis.dry_run, [json!({"metricName": "slow.*"})]);
}

/// Promise 7. Written out from the reference's field tables, apart from the table that refuses them.
#[test]
fn each_unsupported_field_is_refused_by_name() {
    let object = json!({"any": "thing"});
    let of_canary: &[(&str, Value)] = &[
        ("pingPong", json!({"pingService": "a", "pongService": "b"})),
        ("steps.0.setHeaderRoute", json!({"name": "h"})),
        ("steps.0.setMirrorRoute", json!({"name": "m"})),
        ("steps.0.experiment", json!({"templates": []})),
        ("steps.0.plugin", json!({"name": "p"})),
    ];
    let of_both: &[(&str, Value)] = &[
        ("trafficRouting.istio", object.clone()),
        ("trafficRouting.nginx", object.clone()),
        ("trafficRouting.alb", object.clone()),
        ("trafficRouting.smi", object.clone()),
        ("trafficRouting.ambassador", object.clone()),
        ("trafficRouting.appMesh", object.clone()),
        ("trafficRouting.apisix", object.clone()),
        ("trafficRouting.plugins", object.clone()),
        ("trafficRouting.managedRoutes", json!([{"name": "r"}])),
        ("trafficRouting.maxTrafficWeight", json!(1000)),
        ("trafficRouting.traefik.ingressRoute", json!({"name": "r"})),
        ("trafficRouting.traefik.httpRoute", json!({"name": "r"})),
    ];
    let mut silent = Vec::new();
    let below = |strategy: &str, fields: &[(&str, Value)]| -> Vec<(String, Value)> {
        fields.iter().map(|(path, value)| (format!("strategy.{strategy}.{path}"), value.clone())).collect()
    };
    let all = [
        (canary(), [below("canary", of_canary), below("canary", of_both)].concat()),
        (blue_green(), below("blueGreen", of_both)),
    ];
    for (base, fields) in all {
        for (path, value) in fields {
            let spec = with(base.clone(), &path, value);
            let name = format!("spec.{}", path.replace(".0.", "[0]."));
            let found = parse(&spec).err().unwrap_or_default();
            let named = found.iter().find(|r| r.field == name);
            if named.is_none_or(|r| r.remedy.is_empty() || r.problem.is_empty()) {
                silent.push(format!("{name}: {found:?}"));
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

fn of_workload(workload: Value) -> Value {
    let mut spec = canary();
    for field in ["template", "selector"] {
        spec.as_object_mut().expect("an object").remove(field);
    }
    with(spec, "workloadRef", workload)
}

/// 1.1.1
#[test]
fn a_workload_is_a_deployment_a_replica_set_or_a_pod_template() {
    let kinds = [
        ("apps/v1", "Deployment", WorkloadKind::Deployment),
        ("apps/v1", "ReplicaSet", WorkloadKind::ReplicaSet),
        ("v1", "PodTemplate", WorkloadKind::PodTemplate),
    ];
    for (version, kind, read) in kinds {
        let spec = of_workload(json!({"apiVersion": version, "kind": kind, "name": "web.v1"}));
        let expected = WorkloadRef { kind: read, name: "web.v1".to_owned(), scale_down: ScaleDown::Never };
        assert_eq!(parse(&spec).map(|s| s.workload), Ok(Some(expected)));
    }
    let deployment =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": "progressively"});
    let spec = parse(&of_workload(deployment)).expect("accepted");
    assert_eq!(spec.workload.map(|w| w.scale_down), Some(ScaleDown::Progressively));
}

#[test]
fn what_cannot_be_followed_is_refused_by_field() {
    let with_workload = |version: &str, kind: &str, name: &str, scale_down: &str| {
        let workload = json!({"apiVersion": version, "kind": kind, "name": name, "scaleDown": scale_down});
        refused(&of_workload(workload))
    };
    assert_eq!(with_workload("apps/v1", "StatefulSet", "web", ""), ["spec.workloadRef.kind"]);
    assert_eq!(with_workload("extensions/v1beta1", "Deployment", "web", ""), ["spec.workloadRef.kind"]);
    assert_eq!(with_workload("apps/v1", "Deployment", "", ""), ["spec.workloadRef.name"]);
    assert_eq!(with_workload("apps/v1", "Deployment", "web,kind=x", ""), ["spec.workloadRef.name"]);
    assert_eq!(with_workload("apps/v1", "Deployment", "web", "soon"), ["spec.workloadRef.scaleDown"]);
    assert_eq!(with_workload("v1", "PodTemplate", "web", "onsuccess"), ["spec.workloadRef.scaleDown"]);
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    assert_eq!(refused(&with(canary(), "workloadRef", workload)), ["spec.template"]);
}

#[test]
fn a_workloads_template_is_checked_where_it_stands() {
    let object = json!({"metadata": {"name": "web", "uid": "u", "resourceVersion": "1"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}}}});
    let row = WorkloadRow::read(&ResourceType::DEPLOYMENT, &object).expect("a Deployment");
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let read = |spec: &Value| Spec::parse_with("web", spec, Some(&row));
    let spec = read(&of_workload(workload.clone())).expect("accepted");
    assert_eq!((&*spec.selector, &*spec.template), (&object["spec"]["selector"], &object["spec"]["template"]));
    let own = with(of_workload(workload), "selector", json!({"matchLabels": {"tier": "front"}}));
    let refusals = read(&own).expect_err("the labels differ");
    assert_eq!(refusals[0].field, "Deployment web: spec.template.metadata.labels");
}

#[test]
fn dynamic_stable_scale_excludes_what_upstream_excludes() {
    let dynamic = with(canary(), "strategy.canary.dynamicStableScale", json!(true));
    assert_eq!(read_canary(&dynamic).dynamic_stable, DynamicStable::On);
    let held = with(dynamic.clone(), "strategy.canary.abortScaleDownDelaySeconds", json!(30));
    assert_eq!(read_canary(&held).dynamic_stable, DynamicStable::HoldsCanary);
    let delayed = with(dynamic.clone(), "strategy.canary.scaleDownDelaySeconds", json!(30));
    assert_eq!(refused(&delayed), ["spec.strategy.canary.scaleDownDelaySeconds"]);
    let mut bare = dynamic;
    bare["strategy"]["canary"].as_object_mut().expect("an object").remove("trafficRouting");
    assert_eq!(refused(&bare), ["spec.strategy.canary.dynamicStableScale"]);
}

#[test]
fn what_is_wrong_is_found_together() {
    let spec = json!({
        "replicas": -1,
        "minReadySeconds": 700,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "other"}}},
        "progressDeadlineAbort": "maybe",
        "strategy": {"canary": {
            "stableService": "web", "canaryService": "web", "maxSurge": 0, "maxUnavailable": "0%",
            "trafficRouting": {"traefik": {"weightedTraefikServiceName": "web", "shield": "some"}},
            "steps": [{"setWeight": 101}, {"pause": {"duration": "soon"}}, {}, {"setWeight": 1, "pause": {}},
                      {"analysis": {"templates": []}}],
        }},
    });
    assert_eq!(
        refused(&spec),
        [
            "spec.progressDeadlineAbort",
            "spec.progressDeadlineSeconds",
            "spec.replicas",
            "spec.strategy.canary.canaryService",
            "spec.strategy.canary.maxUnavailable",
            "spec.strategy.canary.steps[0].setWeight",
            "spec.strategy.canary.steps[1].pause.duration",
            "spec.strategy.canary.steps[2]",
            "spec.strategy.canary.steps[3]",
            "spec.strategy.canary.steps[4].analysis.templates",
            "spec.strategy.canary.trafficRouting.traefik.shield",
            "spec.template.metadata.labels",
        ]
    );
}

#[test]
fn exactly_one_strategy_and_one_way_in() {
    let mut both = canary();
    both["strategy"]["blueGreen"] = json!({"activeService": "web"});
    assert_eq!(refused(&both), ["spec.strategy"]);
    assert_eq!(refused(&with(canary(), "strategy", json!({}))), ["spec.strategy"]);
    let ways = with(canary(), "strategy.canary.trafficRouting.traefik.ingress", json!({"name": "web"}));
    assert_eq!(refused(&ways), ["spec.strategy.canary.trafficRouting.traefik"]);
    let none = with(canary(), "strategy.canary.trafficRouting", json!({}));
    assert_eq!(refused(&none), ["spec.strategy.canary.trafficRouting"]);
}

#[test]
fn the_selector_must_match_the_template_and_leave_the_hash_alone() {
    assert_eq!(refused(&with(canary(), "selector", json!({}))), ["spec.selector"]);
    let expression = json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]});
    assert_eq!(refused(&with(canary(), "selector", expression)), ["spec.template.metadata.labels"]);
    let unknown = json!({"matchExpressions": [{"key": "app", "operator": "Like", "values": ["web"]}]});
    assert_eq!(refused(&with(canary(), "selector", unknown)), ["spec.selector.matchExpressions[0].operator"]);
    let hash = with(canary(), "selector.matchLabels.rollouts-pod-template-hash", json!("abc"));
    assert_eq!(refused(&hash), ["spec.selector.matchLabels.rollouts-pod-template-hash"]);
}

#[test]
fn a_quantity_in_the_template_is_named_by_its_field() {
    let containers = json!([{"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "much"}}}]);
    let spec = with(canary(), "template.spec.containers", containers);
    assert_eq!(refused(&spec), ["spec.template.spec.containers[0].resources.requests.cpu"]);
}

#[test]
fn a_wrong_type_is_refused_and_not_a_crash() {
    assert_eq!(refused(&with(canary(), "replicas", json!("three"))), ["spec"]);
    assert_eq!(refused(&Value::Null), ["spec"]);
}

#[test]
fn fields_that_say_nothing_are_not_refused() {
    let spec = with(canary(), "strategy.canary.dynamicStableScale", json!(false));
    let spec = with(spec, "workloadRef", Value::Null);
    let spec = with(spec, "strategy.canary.trafficRouting.managedRoutes", json!([]));
    assert_eq!(refused(&spec), Vec::<String>::new());
}
