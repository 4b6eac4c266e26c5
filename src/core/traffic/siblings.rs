//! Other routes that may match the same requests.
//!
//! Two routers of the same priority are settled at random at each reload of Traefik (measured), so none of ours may tie with
//! anybody's, and none may take what a more specific route of somebody else serves now.
//!
//! Of a route that another Rollout put around somebody's, only the rule that it stands for counts. What it leaves out itself
//! would come back in what it leaves out of ours, twice as long with each pass of either Rollout.

use super::ingress::path_rule;
use super::rule::{first_group, may_match};
use super::{Ownership, is_made};
use crate::core::row::{IngressRouteRow, IngressRow};
use std::sync::Arc;

/// A route of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    pub rule: String,
    /// Lowest and highest priority that Traefik may give it: a prefix of an Ingress has two, by an option that is not seen.
    pub lowest: i64,
    pub highest: i64,
}

/// All routes of the cluster that may match requests for one of `hosts`, but those that our Rollout made, or a former one of its
/// name left behind.
pub fn of_hosts(
    hosts: &[String],
    ingress_routes: &[Arc<IngressRouteRow>],
    ingresses: &[Arc<IngressRow>],
    whose: &Ownership,
) -> Vec<Sibling> {
    let mut siblings = Vec::new();
    for row in ingress_routes.iter().filter(|r| !whose.owns(&r.meta)) {
        let orphan = row.meta.owner.is_none() && is_made(&row.meta);
        let layer = orphan || row.meta.owner.as_ref().is_some_and(|owner| owner.kind == "Rollout");
        for route in &row.routes {
            let stands_for = if layer { first_group(&route.rule) } else { None };
            let rule = stands_for.unwrap_or(&route.rule);
            if may_match(rule, hosts) {
                let priority = route.effective_priority();
                siblings.push(Sibling { rule: rule.to_owned(), lowest: priority, highest: priority });
            }
        }
    }
    for row in ingresses {
        for path in row.paths.iter().filter(|p| p.host.is_empty() || p.host.contains('*') || hosts.contains(&p.host)) {
            let plain = path_rule(path, false);
            let strict = path_rule(path, true);
            let length = |rule: &str| i64::try_from(rule.len()).unwrap_or(i64::MAX);
            let set = row.meta.annotations.get("traefik.ingress.kubernetes.io/router.priority");
            let set = set.and_then(|p| p.parse::<i64>().ok()).filter(|p| *p != 0);
            let (lowest, highest) = set.map_or((length(&plain), length(&strict)), |p| (p, p));
            siblings.push(Sibling { rule: strict, lowest, highest });
        }
    }
    siblings
}

/// The rules that a route of ours with priorities from `lowest` to `highest` has to leave out: those that would tie with it
/// or that won over the route it stands for (`covers`) and would lose to ours.
pub fn to_leave_out(siblings: &[Sibling], covered: &str, lowest: i64, highest: i64) -> Vec<String> {
    let mut rules: Vec<String> = (siblings.iter())
        .filter(|s| s.rule != covered && s.highest >= lowest && s.lowest <= highest)
        .map(|s| s.rule.clone())
        .collect();
    rules.sort();
    rules.dedup();
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::{Meta, Owner, Route};
    use serde_json::json;

    fn whose() -> Ownership {
        Ownership { namespace: "shop".into(), rollout: "web".into(), uid: "u".into() }
    }

    fn routes(rules: &[(&str, i64)]) -> Vec<Arc<IngressRouteRow>> {
        let routes = rules.iter().map(|(rule, priority)| Route {
            rule: (*rule).to_owned(),
            priority: *priority,
            ..Route::default()
        });
        vec![Arc::new(IngressRouteRow {
            meta: Meta::default(),
            routes: routes.collect(),
            ..IngressRouteRow::default()
        })]
    }

    #[test]
    fn routes_of_other_hosts_are_no_siblings_and_routes_without_host_are() {
        let rows = routes(&[("Host(`a.b`) && PathPrefix(`/x`)", 0), ("Host(`c.d`)", 0), ("PathPrefix(`/`)", 0)]);
        let found = of_hosts(&["a.b".into()], &rows, &[], &whose());
        assert_eq!(found.iter().map(|s| s.lowest).collect::<Vec<_>>(), [31, 15]);
    }

    #[test]
    fn the_shield_of_a_rollout_of_another_host_is_no_sibling() {
        let rows = routes(&[("(Host(`c.d`) && PathPrefix(`/`)) && (Method(`GET`) || Method(`HEAD`))", 12)]);
        assert_eq!(of_hosts(&["a.b".into()], &rows, &[], &whose()), []);
    }

    #[test]
    fn a_layer_of_another_rollout_counts_as_the_rule_that_it_stands_for() {
        let mut rows = routes(&[("(Host(`a.b`) && PathPrefix(`/x`)) && !(Host(`a.b`) && PathPrefix(`/y`))", 12)]);
        Arc::get_mut(&mut rows[0]).expect("one holder").meta.owner =
            Some(Owner { kind: "Rollout".into(), name: "other".into(), uid: "v".into() });
        let found = of_hosts(&["a.b".into()], &rows, &[], &whose());
        let rules: Vec<_> = found.iter().map(|s| s.rule.as_str()).collect();
        assert_eq!(rules, ["Host(`a.b`) && PathPrefix(`/x`)"]);
    }

    /// With each pass they were twice as long.
    #[test]
    fn what_a_former_rollout_left_behind_is_ours_and_no_sibling() {
        let mut rows = routes(&[("(Host(`a.b`) && PathPrefix(`/`)) && (Method(`GET`))", 12)]);
        let mut object = json!({"metadata": whose().metadata("web-net")});
        object["metadata"]["uid"] = json!("n");
        object["metadata"]["resourceVersion"] = json!("1");
        let mut meta = Meta::read(&object).expect("whole");
        meta.owner = None;
        Arc::get_mut(&mut rows[0]).expect("one holder").meta = meta;
        assert_eq!(of_hosts(&["a.b".into()], &rows, &[], &whose()), []);
        let other = Ownership { rollout: "other".into(), ..whose() };
        let found = of_hosts(&["a.b".into()], &rows, &[], &other);
        assert_eq!(found.iter().map(|s| s.rule.as_str()).collect::<Vec<_>>(), ["Host(`a.b`) && PathPrefix(`/`)"]);
    }

    #[test]
    fn what_would_tie_or_lose_is_left_out_and_the_covered_rule_is_not() {
        let at = |rule: &str, p| Sibling { rule: rule.into(), lowest: p, highest: p };
        let siblings = [at("r", 10), at("tie", 12), at("above", 14), at("below", 9)];
        assert_eq!(to_leave_out(&siblings, "r", 11, 13), ["tie"]);
    }
}
