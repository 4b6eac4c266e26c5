//! The inventory of Argo Rollouts' own end-to-end suite, and `docs/conformance.md`, which says how each of it fares here.
//!
//! The table is written from the scenarios of this suite and from the verdicts of a report, never by hand.

use crate::report::Verdict;
use crate::scenarios::{self, Scenario, Tag};
use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// One test of the inventory: its number there, its name, and what is to be said of it where no scenario says it.
type Entry = (u16, &'static str, &'static str);

const EXPERIMENTS: &str = "experiments are not supported";
const PLUGINS: &str = "step plugins are not supported";
const JOBS: &str = "the job provider is not built yet";
const DURATIONS: &str = "`status.duration` is tested in the simulation only; the superseded attempt is not counted";

/// Everything that needs neither another router than Traefik nor a cloud.
#[rustfmt::skip]
const INVENTORY: &[Entry] = &[
    (1, "CanarySetCanaryScale", ""), (2, "RolloutScalingWhenPaused", ""),
    (3, "RolloutWithMaxSurgeScalingDuringUpdate", ""), (4, "RolloutScalingDuringUpdate", ""),
    (5, "ReduceWeightAndHonorMaxUnavailable", ""), (6, "EphemeralMetadata (canary)", ""),
    (7, "CanaryProgressDeadlineExceededWithPause", ""), (8, "CanaryScaleDownDelayWithProgressDeadline", ""),
    (9, "CanaryScaleDownDelay", ""), (10, "CanaryScaleDownOnAbort", ""),
    (11, "CanaryScaleDownOnAbortNoTrafficRouting", ""), (12, "CanaryWithPausedRollout", ""),
    (13, "CanaryUnScaleDownOnAbort", ""), (14, "CanaryDynamicStableScale", ""),
    (15, "CanaryDynamicStableScaleAbortScaleDownDelay", ""), (16, "CanaryDynamicStableScaleRollbackToStable", ""),
    (17, "CanaryWithSpecPause", ""), (18, "EphemeralMetadata (blue/green)", ""),
    (19, "BlueGreenProgressDeadlineExceededWithPause", ""), (20, "BlueGreenProgressDeadlineExceededWithoutPause", ""),
    (21, "BlueGreenPreviewReplicaCount", ""), (22, "BlueGreenPreviewReplicaCountPromoteFull", ""),
    (23, "RolloutAbortRetryPromote", "retried by annotation; the order of events is looked at, their texts are our own"),
    (24, "CanaryPromoteFull", "an abort stays: it takes a retry before a promotion, where promote-full lifted it"),
    (25, "BlueGreenPromoteFull", ""), (26, "RolloutRestart", ""), (27, "RolloutPDBRestart", ""),
    (28, "RolloutPodVolumesItemsSpec", ""),
    (29, "MalformedRollout", "a quantity that cannot be read is refused with its field, where it was dropped in silence"),
    (30, "MalformedRolloutEphemeralCtr", "refused with its field, as above"),
    (31, "ContainerResourceFormats", ""), (32, "RolloutGoodToBadUpdate", ""), (33, "RolloutBadToGoodUpdate", ""),
    (34, "RolloutBadToBadUpdate", ""), (35, "RolloutBadToGoodSetWeightUpdate", ""), (36, "BlueGreenUpdate", ""),
    (37, "BlueGreenToCanary", ""), (38, "FixInvalidSpec", ""), (39, "BlueGreenScaleDownDelay", ""),
    (40, "BlueGreenExceedProgressDeadlineAbort", "`progressDeadlineAbort` has the default `auto`; the scenario says false and true"),
    (41, "BlueGreenScaleDownOnAbort", ""), (42, "KubectlWaitForPaused", ""), (43, "CompleteRolloutRestart", ""),
    (44, "KubectlWaitForCompleted", ""), (45, "WorkloadRefTemplate", ""), (46, "WorkloadRef", ""),
    (47, "ControllerMetrics", "the metrics have names of their own"),
    (48, "RolloutPauseDurationGreaterThanProgressDeadlineSeconds", ""), (49, "ScaleDownOnSuccess", ""),
    (50, "ScaleDownProgressively", ""), (51, "ScaleDownProgressivelyCompleted", ""),
    (52, "ScaleDownProgressivelyCompletedCanary", ""), (53, "NeverScaleDown", ""),
    (54, "SpecAndReplicaChangeSameTime", ""), (55, "RollbackAnalysisWithinWindow", ""),
    (56, "RollbackAnalysisOutsideWindow", ""), (57, "CanaryBackgroundAnalysis", ""),
    (58, "CanaryInconclusiveBackgroundAnalysis", ""), (59, "CanaryInlineAnalysis", ""),
    (60, "CanaryInlineMultipleAnalysis", ""), (61, "CanaryFailInlineMultipleAnalysis", ""),
    (62, "BlueGreenAnalysis", ""), (63, "BlueGreenPrePromotionFail", ""), (64, "BlueGreenPostPromotionFail", ""),
    (65, "BlueGreenAbortAndUpdate", ""), (66, "BlueGreenKitchenSink", ""), (67, "MultipleAnalysis", ""),
    (68, "AnalysisWithSecret", "arguments from Secrets are not built yet"), (69, "AnalysisWithArgs", ""),
    (70, "BackgroundAnalysisWithArgs", ""), (71, "CanaryInlineAnalysisLongRunningJobWithDeadline", JOBS),
    (72, "CanaryBackgroundAnalysisLongRunningJobWithDeadline", JOBS), (73, "CanaryBackgroundAnalysisLongRunningJob", JOBS),
    (74, "CanaryInlineAnalysisInvalidImageJob", JOBS), (75, "CanaryBackgroundAnalysisInvalidImageJob", JOBS),
    (76, "Duration, 25 tests up to number 100", DURATIONS),
    (101, "Experiments, 6 tests up to number 106", EXPERIMENTS), (107, "Step plugins, 10 tests up to number 116", PLUGINS),
    (117, "IstioHostSplit", ""), (121, "IstioAbortUpdate", ""), (122, "IstioUpdateInMiddleZeroCanaryReplicas", ""),
    (123, "IstioAbortUpdateDeleteAllCanaryPods", ""),
    (127, "IstioSubsetSplitInStableDownscaleAfterCanaryAbort", ""),
    (131, "SMIIngressCanaryStep", "one router per Rollout"), (133, "APISIXCanaryStep", ""),
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

fn page(verdicts: &Verdicts) -> String {
    let all = scenarios::all();
    let mut text = String::from(
        "# How Argo Rollouts' own scenarios fare\n\n\
         Generated from the suite and from its last whole report: `cargo verify --wide`, then `tidegate-e2e conformance`. A number is that\n\
         of the inventory in which its end-to-end tests are counted; those that need another router than Traefik, or a cloud, are left out.\n\n\
         | # | there | here | on | verdict | difference |\n|---|---|---|---|---|---|\n",
    );
    let (mut covered, mut passed) = (0, 0);
    for (number, name, note) in INVENTORY {
        let rule = format!("argo#{number}");
        let of: Vec<&Scenario> = all.iter().filter(|s| s.rules.contains(&rule.as_str())).collect();
        if of.is_empty() {
            let note = if note.is_empty() { "no scenario yet" } else { note };
            let _ = writeln!(text, "| {number} | {name} | – | – | – | {note} |");
        }
        for scenario in of {
            let verdict = verdicts.get(scenario.name);
            covered += 1;
            passed += u32::from(verdict == Some(&Verdict::Passed));
            let verdict = match verdict {
                Some(Verdict::Passed) => "passed",
                Some(Verdict::Failed) => "FAILED",
                Some(Verdict::NotRun) | None => "not run",
            };
            let tier = if scenario.tag == Tag::Core { "real cluster, core" } else { "real cluster, wide" };
            let _ = writeln!(text, "| {number} | {name} | `{}` | {tier} | {verdict} | {note} |", scenario.name);
        }
    }
    let _ = writeln!(text, "\n{covered} entries run on real pods; {passed} of them passed in that report.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_that_a_scenario_names_is_in_the_inventory() {
        for scenario in scenarios::all() {
            for rule in scenario.rules.iter().filter_map(|r| r.strip_prefix("argo#")) {
                let known = INVENTORY.iter().any(|(number, ..)| number.to_string() == rule);
                assert!(known, "{} names argo#{rule}", scenario.name);
            }
        }
    }

    #[test]
    fn a_scenario_that_was_not_run_is_no_pass() {
        let page = page(&Verdicts::new());
        assert!(page.contains(
            "| 1 | CanarySetCanaryScale | `set_canary_scale_apart_from_the_weight` | real cluster, wide | not run |"
        ));
        assert!(page.contains("0 of them passed"));
    }
}
