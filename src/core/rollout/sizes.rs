//! How many pods each revision shall have.

use super::spec::{Canary, CanaryScale, Step, Threshold};
use crate::core::scalar::{Rounding, Split, Weight, basic_split, surge_and_unavailable};

/// The share that the steps ask for at `index`: the last `setWeight` at or before it; everything after the last step (T2).
pub(super) fn weight_at(canary: &Canary, index: usize) -> Weight {
    if index >= canary.steps.len() {
        return Weight::FULL;
    }
    let steps = canary.steps[..=index].iter().rev();
    let mut weights = steps.filter_map(|s| if let Step::SetWeight(weight) = s { Some(*weight) } else { None });
    weights.next().unwrap_or(Weight::ZERO)
}

/// The pods of both roles where shares are numbers of pods (C2).
pub(super) fn split(canary: &Canary, weight: Weight, all: u32) -> Split {
    basic_split(all, weight, canary.max_surge.of(all, Rounding::Up) > 0)
}

/// The pods that the steps ask for at `index`, where `all` are wanted (T1, T3, T5; C2 and C9 without a router).
pub(super) fn canary_pods(canary: &Canary, index: usize, all: u32) -> u32 {
    if index >= canary.steps.len() {
        return all;
    }
    if canary.traffic.is_none() {
        return split(canary, weight_at(canary, index), all).canary;
    }
    let mut scale = None;
    for step in &canary.steps[..=index] {
        match step {
            Step::SetCanaryScale(CanaryScale::MatchTrafficWeight) => scale = None,
            Step::SetCanaryScale(CanaryScale::Pods(pods)) => scale = Some(*pods),
            Step::SetCanaryScale(CanaryScale::Share(percent)) => {
                let pods = (u64::from(all) * u64::from(*percent)).div_ceil(100);
                scale = Some(u32::try_from(pods).unwrap_or(u32::MAX));
            }
            _ => {}
        }
    }
    let pods = scale.unwrap_or_else(|| weight_at(canary, index).pods(all));
    if pods > 0 { pods.max(canary.min_pods.min(all)) } else { 0 }
}

/// Whether so many available pods are enough for a step that asks for `wanted` (T6).
pub(super) fn enough(threshold: Threshold, available: u32, wanted: u32) -> bool {
    match threshold {
        Threshold::All => available >= wanted,
        Threshold::Percent(percent) => u64::from(available) * 100 >= u64::from(wanted) * u64::from(percent),
        Threshold::Pods(pods) => available >= pods.min(wanted),
    }
}

/// What a canary without a router sees of its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pods {
    /// `spec.replicas` and available pods of the new revision.
    pub canary: (u32, u32),
    pub stable: (u32, u32),
    /// `spec.replicas` of all other revisions.
    pub others: u32,
}

/// Sizes of new and stable where shares are numbers of pods (C2, C4 to C6): grows inside `all + maxSurge`, shrinks inside
/// `all - maxUnavailable` available ones.
pub(super) fn basic(canary: &Canary, weight: Weight, all: u32, seen: Pods) -> (u32, u32) {
    let (surge, unavailable) = surge_and_unavailable(canary.max_surge, canary.max_unavailable, all);
    let split = split(canary, weight, all);
    let (mut new, mut stable) = (seen.canary.0, seen.stable.0);
    let ceiling = all.saturating_add(surge);
    // Stable first: it is what users are served by.
    let mut room = ceiling.saturating_sub(new + stable + seen.others);
    if stable < split.stable {
        let more = room.min(split.stable - stable);
        stable += more;
        room -= more;
    }
    if new < split.canary {
        new += room.min(split.canary - new);
    }
    if (new, stable) != (seen.canary.0, seen.stable.0) || seen.others > 0 {
        return (new, stable);
    }
    let floor = all.saturating_sub(unavailable);
    let growing = split.canary >= new;
    // A crash-looping canary must neither block making room nor let stable fall below the floor.
    let count = if growing { seen.canary.1.min(new) + stable } else { new + seen.stable.1.min(stable) };
    let budget = count.saturating_sub(floor);
    if growing {
        stable = split.stable.max(stable.saturating_sub(budget)).min(stable);
    } else {
        // Pods that serve nobody may always go: a stable that is short of pods must not keep them.
        let idle = new.saturating_sub(seen.canary.1);
        new = split.canary.max(new.saturating_sub(budget.max(idle))).min(new);
    }
    // After a scale-in there may be more than the surge allows: pods that serve nobody go first, the new ones before stable's.
    let mut over = (new + stable).saturating_sub(ceiling);
    for (size, available) in [(&mut new, seen.canary.1), (&mut stable, seen.stable.1)] {
        let cut = over.min(size.saturating_sub(available));
        *size -= cut;
        over -= cut;
    }
    (new, stable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rollout::spec::{Spec, Strategy};
    use serde_json::json;

    fn canary(steps: &serde_json::Value, more: &serde_json::Value) -> Canary {
        let mut strategy = json!({"steps": steps});
        for (key, value) in more.as_object().expect("an object") {
            strategy[key] = value.clone();
        }
        let spec = json!({"replicas": 10, "selector": {"matchLabels": {"app": "w"}},
            "template": {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
            "strategy": {"canary": strategy}});
        match Spec::parse("web", &spec).expect("accepted").strategy {
            Strategy::Canary(canary) => canary,
            Strategy::BlueGreen(_) => panic!("a canary was written"),
        }
    }

    #[test]
    fn the_last_weight_at_or_before_a_step_rules() {
        let c = canary(&json!([{"pause": {}}, {"setWeight": 20}, {"pause": {}}, {"setWeight": 60}]), &json!({}));
        let at = |i| weight_at(&c, i).percent();
        assert_eq!([at(0), at(1), at(2), at(3), at(4)], [0, 20, 20, 60, 100]);
        assert_eq!([canary_pods(&c, 0, 10), canary_pods(&c, 2, 10), canary_pods(&c, 4, 10)], [0, 2, 10]);
    }

    /// C2: 1 of 10 is nearer to 14 % than 2 of 10; a router gives 14 % of the requests to 2.
    #[test]
    fn a_step_asks_for_the_nearest_split_or_for_the_weight_rounded_up() {
        let steps = json!([{"setWeight": 14}]);
        assert_eq!(canary_pods(&canary(&steps, &json!({"maxSurge": 0})), 0, 10), 1);
        let traffic = json!({"traefik": {"weightedTraefikServiceName": "w"}});
        let routed = json!({"stableService": "s", "canaryService": "c", "trafficRouting": traffic});
        assert_eq!(canary_pods(&canary(&steps, &routed), 0, 10), 2);
    }

    #[test]
    fn thresholds_count_as_written() {
        assert!(enough(Threshold::Percent(50), 2, 4) && !enough(Threshold::Percent(51), 2, 4));
        assert!(enough(Threshold::Pods(1), 1, 4) && enough(Threshold::All, 0, 0));
    }

    #[test]
    fn after_a_scale_in_pods_beyond_the_surge_go_and_those_that_serve_stay() {
        let c = canary(&json!([]), &json!({"maxSurge": 2, "maxUnavailable": 0}));
        let settle = |mut sizes: (u32, u32), (new, old): (u32, u32), all| {
            for _ in 0..4 {
                let seen = Pods { canary: (sizes.0, new), stable: (sizes.1, old), others: 0 };
                sizes = basic(&c, Weight::FULL, all, seen);
            }
            sizes
        };
        assert_eq!(settle((6, 4), (0, 4), 4), (2, 4), "none of the six is available");
        assert_eq!(settle((2, 4), (0, 4), 8), (6, 4), "and a scale-out is followed");
    }

    /// C7: N = 10, all stable, none new.
    #[test]
    fn worked_cases_of_the_reference_hold() {
        for (weight, surge, unavailable, passes, end) in
            [(10, 1, 1, 2, (1, 9)), (30, 3, 0, 2, (3, 10)), (30, 0, 5, 1, (0, 7))]
        {
            let c = canary(&json!([{"setWeight": weight}]), &json!({"maxSurge": surge, "maxUnavailable": unavailable}));
            let weight = Weight::new(weight).expect("in range");
            let mut sizes = (0, 10);
            for _ in 0..passes {
                // The new pods never get available, stable's always are.
                let seen = Pods { canary: (sizes.0, 0), stable: (sizes.1, sizes.1), others: 0 };
                sizes = basic(&c, weight, 10, seen);
            }
            assert_eq!(sizes, end, "weight {weight}, surge {surge}, unavailable {unavailable}");
        }
    }

    #[test]
    fn a_stable_that_is_short_of_pods_does_not_keep_those_of_the_canary_that_serve_nobody() {
        let c = canary(&json!([]), &json!({"maxSurge": 0, "maxUnavailable": 1}));
        let seen = |available| Pods { canary: (1, available), stable: (3, 0), others: 0 };
        assert_eq!(basic(&c, Weight::ZERO, 4, seen(0)), (0, 3));
        assert_eq!(basic(&c, Weight::ZERO, 4, seen(1)), (1, 3));
    }
}
