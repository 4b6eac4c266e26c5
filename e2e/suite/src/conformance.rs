//! The inventory of Argo Rollouts' own end-to-end suite, and `docs/conformance.md`, which says how each of it fares here.
//!
//! The table is written from the product's list of simulated entries, from the scenarios of this suite and from the verdicts of
//! a report, never by hand.

use crate::report::Verdict;
use crate::scenarios::{self, Scenario, Tag};
use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use tidegate::sim::conformance::SIMULATED;

/// How an entry fares here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fares {
    /// As there.
    Same,
    /// In another way, on purpose.
    Different(&'static str),
    /// Refused by name so far.
    NotYet(&'static str),
}
use Fares::{Different, NotYet, Same};

/// One test of the inventory: its number there and its name.
type Entry = (u16, &'static str, Fares);

const JOB: Fares = NotYet("the job provider is refused by name until it is built");
const EXPERIMENTS: Fares = NotYet("experiments are refused by name");
const PLUGINS: Fares = NotYet("step plugins are refused by name");
const FOLLOWS: Fares = Different(
    "on the way back stable grows to what the next lower declared weight needs, and after 60 s at the latest the share is 0",
);
const PREVIEW: Fares = Different("after an abort the preview Service selects stable's pods too, as a canary's does");
const SUPERSEDED: Fares = Different("the attempt that was superseded is counted nowhere, where a metric counted it");

/// Everything that needs neither another router than Traefik nor a cloud.
#[rustfmt::skip]
const INVENTORY: &[Entry] = &[
    (1, "CanarySetCanaryScale", Same), (2, "RolloutScalingWhenPaused", Same),
    (3, "RolloutWithMaxSurgeScalingDuringUpdate", Same), (4, "RolloutScalingDuringUpdate", Same),
    (5, "ReduceWeightAndHonorMaxUnavailable", Same), (6, "EphemeralMetadata (canary)", Same),
    (7, "CanaryProgressDeadlineExceededWithPause", Same), (8, "CanaryScaleDownDelayWithProgressDeadline", Same),
    (9, "CanaryScaleDownDelay", Same), (10, "CanaryScaleDownOnAbort", Same),
    (11, "CanaryScaleDownOnAbortNoTrafficRouting", Same), (12, "CanaryWithPausedRollout", Same),
    (13, "CanaryUnScaleDownOnAbort", Same), (14, "CanaryDynamicStableScale", FOLLOWS),
    (15, "CanaryDynamicStableScaleAbortScaleDownDelay", FOLLOWS), (16, "CanaryDynamicStableScaleRollbackToStable", Same),
    (17, "CanaryWithSpecPause", Same), (18, "EphemeralMetadata (blue/green)", Same),
    (19, "BlueGreenProgressDeadlineExceededWithPause", Same), (20, "BlueGreenProgressDeadlineExceededWithoutPause", Same),
    (21, "BlueGreenPreviewReplicaCount", Same), (22, "BlueGreenPreviewReplicaCountPromoteFull", Same),
    (23, "RolloutAbortRetryPromote", Different("commands are annotations; the order of events is the same, their texts are our own")),
    (24, "CanaryPromoteFull", Different("an abort stays: it takes a retry before a promotion, where promote-full lifted it")),
    (25, "BlueGreenPromoteFull", Same), (26, "RolloutRestart", Same), (27, "RolloutPDBRestart", Same),
    (28, "RolloutPodVolumesItemsSpec", Same),
    (29, "MalformedRollout", Different("a quantity that cannot be read is refused with its field, where it was dropped in silence")),
    (30, "MalformedRolloutEphemeralCtr", Different("refused with its field, as above")),
    (31, "ContainerResourceFormats", Same), (32, "RolloutGoodToBadUpdate", Same), (33, "RolloutBadToGoodUpdate", Same),
    (34, "RolloutBadToBadUpdate", Same), (35, "RolloutBadToGoodSetWeightUpdate", Same), (36, "BlueGreenUpdate", Same),
    (37, "BlueGreenToCanary", Same), (38, "FixInvalidSpec", Same), (39, "BlueGreenScaleDownDelay", Same),
    (40, "BlueGreenExceedProgressDeadlineAbort", Different("`progressDeadlineAbort` has the default `auto`; the tests say false and true")),
    (41, "BlueGreenScaleDownOnAbort", Same), (42, "KubectlWaitForPaused", Same), (43, "CompleteRolloutRestart", Same),
    (44, "KubectlWaitForCompleted", Same), (45, "WorkloadRefTemplate", Same), (46, "WorkloadRef", Same),
    (47, "ControllerMetrics", Different("the metrics have names of their own")),
    (48, "RolloutPauseDurationGreaterThanProgressDeadlineSeconds", Same), (49, "ScaleDownOnSuccess", Same),
    (50, "ScaleDownProgressively", Same), (51, "ScaleDownProgressivelyCompleted", Same),
    (52, "ScaleDownProgressivelyCompletedCanary", Same), (53, "NeverScaleDown", Same),
    (54, "SpecAndReplicaChangeSameTime", Same), (55, "RollbackAnalysisWithinWindow", Same),
    (56, "RollbackAnalysisOutsideWindow", Same), (57, "CanaryBackgroundAnalysis", Same),
    (58, "CanaryInconclusiveBackgroundAnalysis", Same), (59, "CanaryInlineAnalysis", Same),
    (60, "CanaryInlineMultipleAnalysis", Same), (61, "CanaryFailInlineMultipleAnalysis", Same),
    (62, "BlueGreenAnalysis", Same), (63, "BlueGreenPrePromotionFail", PREVIEW), (64, "BlueGreenPostPromotionFail", Same),
    (65, "BlueGreenAbortAndUpdate", Same), (66, "BlueGreenKitchenSink", PREVIEW), (67, "MultipleAnalysis", Same),
    (68, "AnalysisWithSecret", NotYet("arguments from Secrets are refused by name until they are built")),
    (69, "AnalysisWithArgs", Same), (70, "BackgroundAnalysisWithArgs", Same),
    (71, "CanaryInlineAnalysisLongRunningJobWithDeadline", JOB),
    (72, "CanaryBackgroundAnalysisLongRunningJobWithDeadline", JOB), (73, "CanaryBackgroundAnalysisLongRunningJob", JOB),
    (74, "CanaryInlineAnalysisInvalidImageJob", JOB), (75, "CanaryBackgroundAnalysisInvalidImageJob", JOB),
    (76, "Duration, canary: InitialRollout", Same), (77, "Duration, canary: SpecPaused", Same),
    (78, "Duration, canary: PauseStep", Same), (79, "Duration, canary: IndefinitePauseStep", Same),
    (80, "Duration, canary: FullyPromoted", Same), (81, "Duration, canary: Abort", Same),
    (82, "Duration, canary: Retry", Same), (83, "Duration, canary: SupersededRollout", SUPERSEDED),
    (84, "Duration, canary: SupersededRollback", Same), (85, "Duration, canary: RollbackOutsideWindow", Same),
    (86, "Duration, canary: RollbackInsideWindow", Same), (87, "Duration, canary: ScalingOnly", Same),
    (88, "Duration, blue/green: InitialRollout", Same), (89, "Duration, blue/green: SpecPaused", Same),
    (90, "Duration, blue/green: AutoPromotion", Same), (91, "Duration, blue/green: ManualPromotion", Same),
    (92, "Duration, blue/green: FullyPromoted", Same), (93, "Duration, blue/green: Abort", Same),
    (94, "Duration, blue/green: Retry", Same), (95, "Duration, blue/green: SupersededRollout", SUPERSEDED),
    (96, "Duration, blue/green: SupersededRollbackToStable", Same), (97, "Duration, blue/green: SupersededRollback", Same),
    (98, "Duration, blue/green: RollbackOutsideWindow", Same), (99, "Duration, blue/green: RollbackInsideWindow", Same),
    (100, "Duration, blue/green: ScalingOnly", Same),
    (101, "Experiments, 6 tests up to number 106", EXPERIMENTS), (107, "Step plugins, 10 tests up to number 116", PLUGINS),
    (117, "IstioHostSplit", Different("before the Services change at the end, the new revision has all requests by weight")),
    (121, "IstioAbortUpdate", Same), (122, "IstioUpdateInMiddleZeroCanaryReplicas", Same),
    (123, "IstioAbortUpdateDeleteAllCanaryPods", Same),
    (127, "IstioSubsetSplitInStableDownscaleAfterCanaryAbort", Same),
    (131, "SMIIngressCanaryStep", Different("one router per Rollout; two routes to its TraefikService get the same share")),
    (133, "APISIXCanaryStep", Different("the weights are those of a TraefikService")),
];

/// Verdicts by the names of scenarios.
type Verdicts = BTreeMap<String, Verdict>;

/// The page, with the verdicts of the suite's report at `path`.
///
/// # Errors
/// When there is no such report.
pub fn page_of(path: &Path) -> anyhow::Result<String> {
    let text =
        std::fs::read(path).with_context(|| format!("reading {}: run cargo verify --wide first", path.display()))?;
    let report: Value = serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
    let entries = report["scenarios"].as_array().into_iter().flatten();
    let verdicts = entries.filter_map(|e| {
        let verdict = serde_json::from_value(e["verdict"].clone()).ok()?;
        Some((e["scenario"].as_str()?.to_owned(), verdict))
    });
    Ok(page(&verdicts.collect()))
}

const HEAD: &str = "# How Argo Rollouts' own scenarios fare\n\n\
    Generated from the tests, from the suite and from its last whole report: `cargo verify --wide`, then `tidegate-e2e conformance`.\n\
    A number is that of the inventory in which its end-to-end tests are counted; those that need another router than Traefik, or a\n\
    cloud, are left out.\n\n\
    * **Simulated cluster**: a test below `sim::schedules`, in virtual time. They are part of `cargo test`, which fails with any of them.\n\
    * **Real cluster**: a scenario on real pods, and how it ended in that report. Those of `core` run with every `cargo verify`.\n\n\
    | # | there | simulated cluster | real cluster | here |\n|---|---|---|---|---|\n";

fn page(verdicts: &Verdicts) -> String {
    let all = scenarios::all();
    let mut text = String::from(HEAD);
    let (mut simulated, mut real, mut passed) = (0, 0, 0);
    for (number, name, fares) in INVENTORY {
        let test = test_of(*number);
        let of: Vec<&Scenario> = scenarios_of(*number, &all).collect();
        simulated += u32::from(test.is_some());
        real += u32::from(!of.is_empty());
        let good = |s: &&Scenario| verdicts.get(s.name) == Some(&Verdict::Passed);
        passed += u32::from(!of.is_empty() && of.iter().all(good));
        let test = test.map_or_else(|| "–".to_owned(), |test| format!("`{test}`"));
        let ran: Vec<String> = of.iter().map(|s| ran(s, verdicts)).collect();
        let ran = if ran.is_empty() { "–".to_owned() } else { ran.join("; ") };
        let fares = match fares {
            Same => "the same".to_owned(),
            Different(how) => format!("different: {how}"),
            NotYet(why) => format!("not yet: {why}"),
        };
        let _ = writeln!(text, "| {number} | {name} | {test} | {ran} | {fares} |");
    }
    let _ = writeln!(
        text,
        "\n{simulated} entries run on the simulated cluster, {real} of them on real pods too; {passed} of these passed in that report."
    );
    text
}

/// A scenario of the real cluster, its tier and its verdict.
fn ran(scenario: &Scenario, verdicts: &Verdicts) -> String {
    let verdict = match verdicts.get(scenario.name) {
        Some(Verdict::Passed) => "passed",
        Some(Verdict::Failed) => "FAILED",
        Some(Verdict::NotRun) | None => "not run",
    };
    let tier = if scenario.tag == Tag::Core { "core" } else { "wide" };
    format!("`{}` ({tier}): {verdict}", scenario.name)
}

fn test_of(number: u16) -> Option<&'static str> {
    SIMULATED.iter().find(|(numbers, _)| numbers.contains(&number)).map(|(_, test)| *test)
}

fn scenarios_of(number: u16, all: &[Scenario]) -> impl Iterator<Item = &Scenario> {
    let rule = format!("argo#{number}");
    all.iter().filter(move |s| s.rules.contains(&rule.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_that_a_test_or_a_scenario_names_is_in_the_inventory() {
        let known = |number: &str| INVENTORY.iter().any(|(n, ..)| n.to_string() == number);
        for (numbers, test) in SIMULATED {
            assert!(numbers.iter().all(|n| known(&n.to_string())), "{test} is for {numbers:?}");
        }
        for scenario in scenarios::all() {
            for number in scenario.rules.iter().filter_map(|r| r.strip_prefix("argo#")) {
                assert!(known(number), "{} names argo#{number}", scenario.name);
            }
        }
    }

    /// What is not built has no test, and all else has one.
    #[test]
    fn every_entry_is_simulated_or_says_why_it_is_not() {
        for (number, name, fares) in INVENTORY {
            assert_eq!(test_of(*number).is_none(), matches!(fares, NotYet(_)), "{number} {name}");
        }
    }

    #[test]
    fn each_family_of_scenarios_has_one_that_always_runs() {
        let core: Vec<&str> = scenarios::all()
            .iter()
            .filter(|s| s.family == "conformance" && s.tag == Tag::Core)
            .map(|s| s.name)
            .collect();
        assert!(core.len() >= 5, "{core:?}");
    }

    #[test]
    fn a_scenario_that_was_not_run_is_no_pass() {
        let page = page(&Verdicts::new());
        let row = page.lines().find(|line| line.starts_with("| 1 | CanarySetCanaryScale |")).expect("the row");
        assert!(row.contains("`set_canary_scale_apart_from_the_weight` (wide): not run | the same |"), "{row}");
        assert!(page.contains("; 0 of these passed"));
    }
}
