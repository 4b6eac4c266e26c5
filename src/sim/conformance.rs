//! Which schedule of the simulated cluster is which entry of the inventory of Argo Rollouts' own end-to-end suite.
//!
//! The suite makes `docs/conformance.md` from it; a test below holds it to the tests that there are.

/// Numbers in that inventory, and the test below `sim::schedules`.
pub const SIMULATED: &[(&[u16], &str)] = &[
    (&[1], "conformance::canary::set_canary_scale_sizes_the_canary_apart_from_its_weight"),
    (&[2], "conformance::canary::scaling_while_paused_keeps_the_split"),
    (&[3], "conformance::canary::scaling_with_a_large_surge_while_new_pods_crash_follows_in_the_new_revision"),
    (&[4], "conformance::canary::scaling_with_no_pod_to_spare_while_new_pods_crash_keeps_stable_whole"),
    (&[5], "conformance::canary::a_weight_that_falls_and_a_failure_take_the_canary_only_when_stable_is_up"),
    (&[6], "conformance::canary::pods_of_a_canary_carry_the_metadata_of_their_role"),
    (&[7], "conformance::canary::a_missed_deadline_is_forgiven_before_and_after_a_pause"),
    (&[8], "conformance::canary::an_old_revision_in_its_delay_does_not_trip_the_deadline"),
    (&[9], "conformance::canary::the_old_revision_waits_with_a_deadline_and_is_used_again"),
    (&[10], "conformance::canary::an_aborted_canary_goes_after_its_delay_and_its_service_is_stables"),
    (&[11], "conformance::canary::an_abort_without_a_router_gives_the_service_back_and_takes_the_pods"),
    (&[12], "conformance::canary::a_newer_revision_takes_the_place_of_one_that_is_paused"),
    (&[13], "conformance::canary::an_abort_delay_of_zero_keeps_the_canary_without_a_deadline"),
    (&[14], "conformance::canary::stable_has_the_pods_of_its_share_and_the_way_back_follows_it"),
    (&[15], "conformance::canary::a_given_abort_delay_holds_the_canary_from_when_it_has_no_share"),
    (&[16], "conformance::canary::going_back_to_stable_keeps_the_share_until_stable_carries_everybody"),
    (&[17], "conformance::canary::pausing_a_complete_rollout_changes_no_condition_of_progress"),
    (&[18], "conformance::blue_green::pods_of_a_pair_carry_the_metadata_of_their_role_and_swap_it"),
    (&[19], "conformance::blue_green::a_preview_that_is_late_is_degraded_and_then_waits_for_a_person"),
    (&[20], "conformance::blue_green::a_new_revision_that_is_late_is_degraded_and_then_healthy"),
    (&[21], "conformance::blue_green::a_preview_of_fewer_pods_grows_when_it_is_promoted"),
    (&[22], "conformance::blue_green::promote_full_does_not_wait_for_the_preview"),
    (&[23], "conformance::functional::abort_retry_and_promote_are_told_in_their_order"),
    (&[24], "conformance::functional::promote_full_after_an_abort_and_a_retry_runs_no_analysis"),
    (&[25], "conformance::functional::promote_full_ends_an_analysis_before_the_switch_and_starts_none_after_it"),
    (&[26], "conformance::functional::a_restart_takes_as_many_pods_at_once_as_may_be_missing"),
    (&[27], "conformance::functional::a_budget_that_refuses_holds_a_restart_until_it_allows_it"),
    (&[28], "conformance::functional::a_template_with_a_list_named_items_is_rolled_out"),
    (&[29], "conformance::functional::a_quantity_that_cannot_be_read_is_refused_with_its_field"),
    (&[30], "conformance::functional::an_ephemeral_container_is_refused_with_its_field"),
    (&[31], "conformance::functional::quantities_of_every_spelling_arrive_as_written"),
    (&[32], "conformance::failing::one_bad_version_after_another_leaves_stable_at_full_size"),
    (&[33], "conformance::failing::a_good_version_follows_a_first_one_that_never_worked"),
    (&[34], "conformance::failing::a_bad_version_after_a_bad_one_keeps_the_pods_of_stable"),
    (&[35], "conformance::failing::a_good_version_follows_through_its_steps"),
    (&[36], "conformance::blue_green::the_old_revision_stays_up_after_the_switch_which_comes_before_the_end"),
    (&[37], "conformance::blue_green::a_change_to_canary_gives_the_active_service_back"),
    (&[38], "conformance::functional::a_missing_analysis_template_is_mended_by_creating_it"),
    (&[39], "conformance::blue_green::as_many_old_revisions_wait_as_the_limit_allows"),
    (&[40], "conformance::blue_green::a_missed_deadline_aborts_only_when_it_shall"),
    (&[41], "conformance::blue_green::an_aborted_preview_goes_after_its_delay"),
    (&[42], "conformance::functional::the_condition_paused_can_be_waited_on"),
    (&[43], "conformance::functional::a_restart_of_a_complete_rollout_past_its_deadline_aborts_nothing"),
    (&[44], "conformance::functional::the_condition_completed_is_true_at_the_end_and_false_meanwhile"),
    (&[45], "workload::a_pod_template_and_a_replica_set_are_followed_too"),
    (&[46, 53], "workload::a_change_of_the_deployment_goes_through_the_steps_and_never_into_the_rollout"),
    (&[47], "conformance::functional::what_was_written_is_in_the_metrics"),
    (&[48], "conformance::functional::a_pause_longer_than_the_deadline_is_no_failure"),
    (&[49], "workload::onsuccess_takes_the_pods_of_the_deployment_when_users_are_served_by_the_rollout"),
    (&[50], "workload::progressively_takes_one_pod_for_each_that_is_available"),
    (&[51], "workload::progressively_leaves_nothing_of_the_deployment_beside_a_pair"),
    (&[52], "workload::progressively_leaves_nothing_of_the_deployment_beside_a_canary"),
    (&[54], "conformance::functional::template_and_replicas_in_one_change_are_both_followed"),
    (&[55], "conformance::returns::a_return_within_the_window_runs_no_analysis"),
    (&[56], "conformance::returns::a_return_beyond_the_window_runs_it"),
    (&[57], "conformance::analysis::a_background_analysis_runs_until_the_end"),
    (&[58], "conformance::analysis::an_inconclusive_background_analysis_pauses_after_its_limit"),
    (&[59], "conformance::analysis::each_analysis_step_has_a_run_of_its_own"),
    (&[60], "conformance::analysis::several_templates_of_a_step_are_measured_in_one_run"),
    (&[61], "conformance::analysis::one_failed_metric_of_several_aborts"),
    (&[62], "conformance::analysis::a_quick_return_of_a_pair_runs_no_analysis_and_is_a_revision"),
    (&[63], "conformance::analysis::a_failed_analysis_before_the_switch_leaves_users_where_they_are"),
    (&[64], "conformance::analysis::a_failed_analysis_after_the_switch_takes_users_back"),
    (&[65], "conformance::analysis::a_new_version_after_an_abort_goes_its_way"),
    (&[66], "conformance::analysis::a_preview_a_timed_promotion_and_a_failure_after_it"),
    (&[67], "conformance::analysis::background_and_steps_run_together"),
    (&[69], "conformance::analysis::arguments_of_a_step_come_from_text_and_from_fields"),
    (&[70], "conformance::analysis::arguments_of_a_background_analysis_come_from_text_and_from_fields"),
    (&[76], "conformance::durations::the_first_canary_is_promoted"),
    (&[77], "conformance::durations::a_canary_that_spec_pauses_waits_for_a_person"),
    (&[78], "conformance::durations::a_timed_pause_of_a_canary_is_nobodys_wait"),
    (&[79], "conformance::durations::a_pause_without_end_waits_for_a_person"),
    (&[80], "conformance::durations::a_canary_that_is_promoted_in_full_is_promoted_fast"),
    (&[81], "conformance::durations::an_aborted_canary_ends_then"),
    (&[82], "conformance::durations::a_retried_canary_counts_anew"),
    (&[83], "conformance::durations::a_canary_that_is_superseded_is_not_counted"),
    (&[84], "conformance::durations::a_canary_that_gives_way_to_stable_is_rolled_back_fast"),
    (&[85], "conformance::durations::a_canary_of_a_revision_beyond_the_window_is_rolled_back"),
    (&[86], "conformance::durations::a_canary_of_a_revision_inside_the_window_is_rolled_back_fast"),
    (&[87], "conformance::durations::scaling_a_canary_is_no_update"),
    (&[88], "conformance::durations::the_first_pair_is_promoted"),
    (&[89], "conformance::durations::a_pair_that_spec_pauses_waits_for_a_person"),
    (&[90], "conformance::durations::a_timed_promotion_is_nobodys_wait"),
    (&[91], "conformance::durations::a_promotion_by_hand_is_waited_for"),
    (&[92], "conformance::durations::a_pair_that_is_promoted_in_full_is_promoted_fast"),
    (&[93], "conformance::durations::an_aborted_pair_ends_then"),
    (&[94], "conformance::durations::a_retried_pair_counts_anew"),
    (&[95], "conformance::durations::a_preview_that_is_superseded_is_not_counted"),
    (&[96], "conformance::durations::a_preview_that_gives_way_to_stable_is_rolled_back_fast"),
    (&[97], "conformance::durations::a_preview_that_gives_way_to_an_older_revision_is_rolled_back"),
    (&[98], "conformance::durations::a_pair_of_a_revision_beyond_the_window_is_rolled_back"),
    (&[99], "conformance::durations::a_pair_of_a_revision_inside_the_window_is_rolled_back_fast"),
    (&[100], "conformance::durations::scaling_a_pair_is_no_update"),
    (&[117], "conformance::routers::the_share_goes_up_and_all_of_it_goes_back_to_stable_at_the_end"),
    (&[121], "conformance::routers::an_abort_of_a_complete_rollout_changes_nothing"),
    (&[122], "conformance::routers::a_newer_revision_gets_the_pods_that_its_step_asks_for"),
    (&[123], "conformance::routers::an_abort_whose_canary_pods_are_gone_is_carried_out"),
    (&[127], "conformance::routers::a_scale_in_after_an_abort_is_followed_and_the_canary_goes_at_its_deadline"),
    (&[131], "conformance::routers::two_ways_in_give_the_canary_the_same_share"),
    (&[133], "conformance::routers::every_weight_of_the_steps_is_what_users_get"),
];

#[cfg(test)]
mod tests {
    use super::SIMULATED;
    use std::collections::BTreeSet;
    use std::process::Command;

    const AT: &str = "sim::schedules::";

    /// Names of all tests below the schedules, as the test program itself lists them.
    fn tests() -> BTreeSet<String> {
        let program = std::env::current_exe().expect("this program");
        let listed = Command::new(program).args(["--list", "--format", "terse"]).output().expect("a list of tests");
        let listed = String::from_utf8(listed.stdout).expect("text");
        let names = listed.lines().filter_map(|line| line.strip_suffix(": test")?.strip_prefix(AT).map(str::to_owned));
        names.collect()
    }

    #[test]
    fn the_table_and_the_tests_are_the_same() {
        let tests = tests();
        let named: BTreeSet<String> = SIMULATED.iter().map(|(_, test)| (*test).to_owned()).collect();
        assert_eq!(named.len(), SIMULATED.len(), "a test is named twice");
        let missing: Vec<_> = named.difference(&tests).collect();
        assert!(missing.is_empty(), "no such tests: {missing:#?}");
        let unnamed: Vec<_> = tests.difference(&named).filter(|test| test.starts_with("conformance::")).collect();
        assert!(unnamed.is_empty(), "tests of no entry: {unnamed:#?}");
    }

    #[test]
    fn each_entry_has_one_test() {
        let numbers: Vec<u16> = SIMULATED.iter().flat_map(|(numbers, _)| numbers.iter().copied()).collect();
        let once: BTreeSet<u16> = numbers.iter().copied().collect();
        assert_eq!(once.len(), numbers.len());
    }
}
