//! When an update began and ended, and how (U1).

use super::*;

fn duration(run: &Run) -> Value {
    status(run)["duration"].clone()
}

fn steps() -> Value {
    json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": "10s"}}])
}

/// app:1 is Healthy, and app:2 waits for a person.
fn paused() -> Run {
    let mut run = cluster(canary(steps()));
    run.pass_time(60);
    set_image(&run, "app:2");
    run.pass_time(60);
    assert_eq!(status(&run)["phase"], "Paused");
    run
}

#[test]
fn u1_the_first_revision_is_promoted_and_a_scaling_does_not_count() {
    let mut run = cluster(canary(steps()));
    run.pass_time(60);
    let first = duration(&run);
    assert_eq!(first["completionStatus"], "Promoted");
    assert!(first["finishedAt"].is_string() && first["totalManualPauseDurationSeconds"].is_null(), "{first}");
    change(&run, |object| object["spec"]["replicas"] = json!(6));
    run.pass_time(60);
    assert_eq!(duration(&run), first);
    at_rest(&mut run);
}

#[test]
fn u1_only_what_waits_for_a_person_is_counted_as_a_manual_pause() {
    let mut run = paused();
    let waiting = duration(&run);
    assert!(waiting["manualPauseStartedAt"].is_string() && waiting["finishedAt"].is_null(), "{waiting}");
    run.pass_time(60);
    annotate(&run, "promote", "step");
    run.pass_time(120);
    let done = duration(&run);
    assert_eq!(done["completionStatus"], "Promoted");
    let seconds = done["totalManualPauseDurationSeconds"].as_i64().expect("a number");
    assert!((100..125).contains(&seconds), "the timed pause of 10 s is none: {done}");
    assert!(done["manualPauseStartedAt"].is_null());
    at_rest(&mut run);
}

#[test]
fn u1_endings_are_told_apart() {
    let mut run = paused();
    annotate(&run, "promote", "full");
    run.pass_time(60);
    assert_eq!(duration(&run)["completionStatus"], "FastPromoted");

    let mut run = paused();
    set_image(&run, "app:1");
    run.pass_time(60);
    assert_eq!(duration(&run)["completionStatus"], "FastRolledBack", "back to stable");

    let mut run = paused();
    annotate(&run, "abort", "no");
    run.pass_time(60);
    let aborted = duration(&run);
    assert_eq!(aborted["completionStatus"], "Aborted");
    assert!(aborted["finishedAt"].is_string(), "{aborted}");
    annotate(&run, "retry", "true");
    run.pass_time(20);
    let again = duration(&run);
    assert!(again["finishedAt"].is_null() && again["completionStatus"].is_null(), "{again}");
    assert_ne!(again["rolloutStartedAt"], aborted["rolloutStartedAt"]);
}

#[test]
fn u1_the_way_through_the_steps_to_an_older_revision_is_a_way_back() {
    let mut run = cluster(canary(json!([{"setWeight": 20}])));
    run.pass_time(60);
    for (image, ending) in [("app:2", "Promoted"), ("app:1", "RolledBack"), ("app:2", "Promoted")] {
        set_image(&run, image);
        run.pass_time(120);
        assert_eq!(duration(&run)["completionStatus"], ending, "to {image}");
    }
}
