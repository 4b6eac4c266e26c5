//! What people and programs ask of a Rollout by annotation, and what becomes of it.
//!
//! Unscoped is imperative: bound to the current revision, recorded, then taken off the object. Scoped is declarative: safe in
//! git, handled once, its record kept as long as the annotation is there. Abort is carried out whatever else is wrong.

use super::edits;
use super::rollback::Goals;
use crate::api::{CommandRecord, RolloutStatus};
use crate::core::plan::Effect;
use crate::core::row::RolloutRow;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

const PREFIX: &str = "tidegate.dev/";
const KEPT: usize = 20;

/// Fewer digits may be anybody's.
const SHORTEST_COMMIT: usize = 7;

/// Hashes of the revisions that are there, each with the commit that brought its template, if that is known.
pub(super) type Known = BTreeMap<String, Option<String>>;

/// What shall be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    PromoteStep,
    PromoteFull,
    /// With the reason.
    Abort(String),
    Retry,
    /// Pods that are older go.
    Restart(Timestamp),
    /// Number or hash of the revision.
    Rollback(String),
}

/// What a command may meet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    /// The current revision.
    pub hash: Option<&'a str>,
    pub step: i32,
    /// Which attempt at it, from 1.
    pub attempt: i32,
    /// An update is under way, or waits.
    pub updating: bool,
    pub aborted: bool,
    pub has_stable: bool,
    /// The spec can be read and was seen before.
    pub settled_spec: bool,
    /// The spec is refused: steps stand still until it is mended.
    pub frozen: bool,
    pub goals: Goals<'a>,
    pub now: Timestamp,
    pub restarted_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Taken {
    pub orders: Vec<Order>,
    /// Annotations that were handled and shall go.
    pub removals: Vec<Effect>,
    /// Reason of an event for each command that was handled in this pass: whether refused, and the text.
    pub notices: Vec<(bool, String)>,
}

/// The reason of the annotation that stops the steps, while it is there.
pub(super) fn pause_reason(rollout: &RolloutRow) -> Option<&str> {
    rollout.meta.annotations.get("tidegate.dev/pause").map(String::as_str)
}

/// Handles what is there and was not handled before.
pub(super) fn take(rollout: &RolloutRow, next: &mut RolloutStatus, known: &Known, situation: Situation<'_>) -> Taken {
    let mut taken = Taken::default();
    // A record that waits for its annotation to go is done when it is gone: the same words are a new command then.
    for record in &mut next.commands {
        if record.pending == Some(true) && annotation(rollout, &record.name) != Some(record.value.as_str()) {
            record.pending = None;
        }
    }
    // Abort first: it beats a promote of the same pass.
    for name in ["abort", "retry", "promote", "restart", "rollback"] {
        let Some(value) = annotation(rollout, name) else { continue };
        let key = format!("{PREFIX}{name}");
        let (order, scope) = parse(name, value);
        let manager = rollout.annotation_managers.get(&key);
        let from_git = manager.is_some_and(|m| m == "tidegate-sync" || m.starts_with("argocd"));
        let stays = scope.is_some() || from_git;
        let handled =
            next.commands.iter().any(|r| r.name == name && r.value == value && (stays || r.pending == Some(true)));
        if !handled {
            let outcome = judge(name, order.as_ref(), scope, from_git, known, situation, &taken.orders);
            let (accepted, message) = match outcome {
                Ok(message) => (true, message),
                Err(message) => (false, message),
            };
            taken.notices.push((!accepted, format!("{name} {value:?}: {message}")));
            next.commands.push(CommandRecord {
                name: name.to_owned(),
                value: value.to_owned(),
                revision: situation.hash.map(str::to_owned),
                time: Some(situation.now),
                field_manager: manager.cloned(),
                outcome: if accepted { "Accepted" } else { "Refused" }.to_owned(),
                message: Some(message),
                pending: (!stays).then_some(true),
            });
            if let (true, Some(order)) = (accepted, order) {
                taken.orders.push(order);
            }
        }
        if !stays {
            taken.removals.push(edits::remove_annotation(&rollout.meta, &key, value));
        }
    }
    forget(rollout, next);
    taken
}

fn annotation<'a>(rollout: &'a RolloutRow, name: &str) -> Option<&'a str> {
    rollout.meta.annotations.get(&format!("{PREFIX}{name}")).map(String::as_str)
}

/// Keeps the last 20, and those whose annotation is still there.
fn forget(rollout: &RolloutRow, next: &mut RolloutStatus) {
    while next.commands.len() > KEPT {
        let old = next.commands.iter().position(|r| annotation(rollout, &r.name) != Some(r.value.as_str()));
        next.commands.remove(old.unwrap_or(0));
    }
}

/// The order in a value, and its scope without the `@`.
fn parse<'a>(name: &str, value: &'a str) -> (Option<Order>, Option<&'a str>) {
    if name == "abort" {
        // Only a leading scope is one, so that a reason may contain anything.
        let scoped = value.strip_prefix('@').map(|rest| rest.split_once(' ').unwrap_or((rest, "")));
        let (scope, reason) = scoped.map_or((None, value), |(scope, reason)| (Some(scope), reason));
        let reason = if reason.trim().is_empty() { "by annotation" } else { reason.trim() };
        return (Some(Order::Abort(reason.to_owned())), scope);
    }
    let (word, scope) = value.split_once('@').map_or((value, None), |(word, scope)| (word, Some(scope)));
    let order = match (name, word.trim()) {
        ("promote", "step" | "true") => Some(Order::PromoteStep),
        ("promote", "full") => Some(Order::PromoteFull),
        ("retry", "true") => Some(Order::Retry),
        ("restart", word) => word.parse().ok().map(Order::Restart),
        ("rollback", word) if !word.is_empty() => Some(Order::Rollback(word.to_owned())),
        _ => None,
    };
    (order, scope)
}

/// Whether it is carried out, with the text for its record.
fn judge(
    name: &str,
    order: Option<&Order>,
    scope: Option<&str>,
    from_git: bool,
    known: &Known,
    situation: Situation<'_>,
    already: &[Order],
) -> Result<String, String> {
    let Some(order) = order else {
        let accepted = match name {
            "promote" => "step, true or full",
            "restart" => "a time like 2026-01-02T03:04:05Z",
            "rollback" => "the number or the hash of a revision",
            _ => "true",
        };
        return Err(format!(
            "the value is not known; give {accepted}, with a scope like @hash:<hash> or @git:<commit> if it lives in git"
        ));
    };
    // A retry names the attempt that it begins.
    let attempt = situation.attempt + i32::from(*order == Order::Retry);
    let scoped = scope.map(|scope| in_scope(scope, known, Situation { attempt, ..situation }));
    if let Order::Abort(reason) = order {
        if !situation.updating {
            return Err("nothing is being rolled out".to_owned());
        }
        if !situation.has_stable {
            return Err("there is no revision to go back to: none was ever available".to_owned());
        }
        return Ok(match scoped {
            Some(Err(problem)) => format!("carried out although {problem}: {reason}"),
            _ => format!("traffic goes back to stable: {reason}"),
        });
    }
    if already.iter().any(|o| matches!(o, Order::Abort(_))) {
        return Err("an abort came with it, and outranks it".to_owned());
    }
    match scoped {
        Some(Err(problem)) => return Err(problem),
        Some(Ok(())) => {}
        None if from_git => {
            let hash = situation.hash.unwrap_or("<hash>");
            return Err(format!("a command without a scope cannot live in git; use …@hash:{hash}"));
        }
        None if !situation.settled_spec => {
            return Err("the template changed in the same moment; look at the new revision and ask again".to_owned());
        }
        None => {}
    }
    match order {
        Order::Retry if !situation.aborted => Err("the revision is not aborted".to_owned()),
        Order::Restart(at) => restart(*at, situation),
        Order::Rollback(word) => situation.goals.judge(word, situation.hash),
        Order::Retry => Ok("the revision starts again from its first step".to_owned()),
        _ if situation.aborted => Err("the revision is aborted; retry it first".to_owned()),
        _ if !situation.updating => Err("nothing is being rolled out".to_owned()),
        Order::PromoteStep if situation.frozen => Err("the spec is not accepted; mend it, and ask again".to_owned()),
        Order::PromoteFull => Ok("all that is left is skipped".to_owned()),
        _ => Ok("the current step ends".to_owned()),
    }
}

/// A clock may be a little ahead of ours: such a time counts as now.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

fn restart(at: Timestamp, situation: Situation<'_>) -> Result<String, String> {
    if at > situation.now + CLOCKS_DIFFER {
        return Err(format!("{at} is in the future; give a time that has passed"));
    }
    match situation.restarted_at.filter(|done| *done >= at) {
        Some(done) => Err(format!("pods older than {done} were replaced already")),
        None => Ok(format!("pods older than {at} are replaced")),
    }
}

/// `hash:<hash>` or `git:<commit>`, with `/<step>` and `#<attempt>`.
fn in_scope(scope: &str, known: &Known, situation: Situation<'_>) -> Result<(), String> {
    let (named, attempt) = scope.split_once('#').map_or((scope, None), |(named, attempt)| (named, Some(attempt)));
    let (named, step) = named.split_once('/').map_or((named, None), |(named, step)| (named, Some(step)));
    let matches: Vec<&String> = match named.split_once(':') {
        Some(("hash", hash)) => known.keys().filter(|h| h.starts_with(hash)).collect(),
        Some(("git", commit)) if commit.len() < SHORTEST_COMMIT => {
            return Err(format!("the commit {commit:?} is too short; give {SHORTEST_COMMIT} digits or more"));
        }
        Some(("git", commit)) => {
            let brought = |of: &Option<String>| of.as_ref().is_some_and(|of| of.starts_with(commit));
            known.iter().filter(|(_, of)| brought(of)).map(|(hash, _)| hash).collect()
        }
        _ => return Err(format!("the scope {scope:?} is not known; use hash:<hash> or git:<commit>")),
    };
    match (matches.as_slice(), situation.hash) {
        ([one], Some(current)) if *one == current => {}
        ([_], _) => return Err(format!("revision {named} is not the current one")),
        _ => return Err(format!("the scope {named} matches {} revisions", matches.len())),
    }
    for (what, named, now) in [("step", step, situation.step), ("attempt", attempt, situation.attempt)] {
        if let Some(named) = named.filter(|named| named.parse() != Ok(now)) {
            return Err(format!("it would be {what} {now}, not {named}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::Row;
    use serde_json::json;

    fn rollout(annotations: &[(&str, &str)]) -> RolloutRow {
        let annotations: BTreeMap<String, &str> =
            annotations.iter().map(|(k, v)| (format!("{PREFIX}{k}"), *v)).collect();
        let meta =
            json!({"namespace": "shop", "name": "web", "uid": "u", "resourceVersion": "1", "annotations": annotations});
        RolloutRow::read(&json!({"metadata": meta})).expect("a whole Rollout")
    }

    fn updating() -> Situation<'static> {
        let (goals, now) = (Goals::default(), Timestamp::UNIX_EPOCH);
        let (updating, aborted, has_stable, settled_spec) = (true, false, true, true);
        Situation {
            hash: Some("abc"),
            step: 1,
            attempt: 2,
            updating,
            aborted,
            has_stable,
            settled_spec,
            frozen: false,
            goals,
            now,
            restarted_at: None,
        }
    }

    fn taken(annotations: &[(&str, &str)], next: &mut RolloutStatus, situation: Situation<'_>) -> Taken {
        let commit = |word: &str| Some(word.repeat(5));
        let known = [
            ("abc", commit("0123abcd")),
            ("xyz", commit("0123beef")),
            ("old", commit("99999999")),
            ("elder", commit("99999999")),
        ];
        let known = known.map(|(hash, commit)| (hash.to_owned(), commit)).into();
        take(&rollout(annotations), next, &known, situation)
    }

    #[test]
    fn an_unscoped_command_is_carried_out_once_and_taken_off_until_it_is_gone() {
        let mut next = RolloutStatus::default();
        let first = taken(&[("promote", "step")], &mut next, updating());
        assert_eq!((first.orders, first.removals.len()), (vec![Order::PromoteStep], 1));
        let again = taken(&[("promote", "step")], &mut next, updating());
        assert_eq!((again.orders, again.removals.len()), (vec![], 1));
        let gone = taken(&[], &mut next, updating());
        assert_eq!((gone.orders.len(), gone.removals.len(), next.commands[0].pending), (0, 0, None));
        assert_eq!(taken(&[("promote", "step")], &mut next, updating()).orders, [Order::PromoteStep]);
    }

    #[test]
    fn a_scoped_command_stays_and_is_carried_out_once() {
        let mut next = RolloutStatus::default();
        let value = [("promote", "full@hash:abc")];
        let first = taken(&value, &mut next, updating());
        assert_eq!((first.orders, first.removals.len()), (vec![Order::PromoteFull], 0));
        assert!(taken(&value, &mut next, updating()).orders.is_empty());
        assert!(taken(&value, &mut next, updating()).orders.is_empty());
    }

    #[test]
    fn a_promote_out_of_scope_is_refused_and_an_abort_is_carried_out_with_a_warning() {
        let mut next = RolloutStatus::default();
        assert!(taken(&[("promote", "step@hash:xyz")], &mut next, updating()).orders.is_empty());
        assert!(taken(&[("promote", "step@hash:abc/3")], &mut next, updating()).orders.is_empty());
        let abort = taken(&[("abort", "@hash:nope slow")], &mut next, updating());
        assert_eq!(abort.orders, [Order::Abort("slow".into())]);
        assert!(next.commands[2].message.as_deref().is_some_and(|m| m.starts_with("carried out although")));
    }

    /// Design, section 2: a step, and an attempt. That of a retry is the one that it begins.
    #[test]
    fn a_scope_may_name_the_step_and_the_attempt() {
        let aborted = Situation { aborted: true, updating: false, ..updating() };
        for (name, value, situation, refused) in [
            ("promote", "step@hash:abc/1#2", updating(), None),
            ("promote", "full@hash:abc#2", updating(), None),
            ("promote", "step@hash:abc#1", updating(), Some("it would be attempt 2, not 1")),
            ("promote", "step@hash:abc/2#2", updating(), Some("it would be step 1, not 2")),
            ("promote", "step@hash:abc#", updating(), Some("it would be attempt 2, not ")),
            ("promote", "step@git:0123abc", updating(), None),
            ("promote", "step@git:0123abcd01/1#2", updating(), None),
            ("promote", "step@git:0123", updating(), Some("the commit \"0123\" is too short; give 7 digits or more")),
            ("promote", "step@git:0123bee", updating(), Some("revision git:0123bee is not the current one")),
            ("promote", "step@git:9999999", updating(), Some("the scope git:9999999 matches 2 revisions")),
            ("promote", "step@git:1234567", updating(), Some("the scope git:1234567 matches 0 revisions")),
            ("retry", "true@hash:abc#3", aborted, None),
            ("retry", "true@hash:abc#2", aborted, Some("it would be attempt 3, not 2")),
        ] {
            let mut next = RolloutStatus::default();
            let orders = taken(&[(name, value)], &mut next, situation).orders;
            let message = next.commands[0].message.as_deref().unwrap_or_default();
            assert_eq!(orders.len() == 1, refused.is_none(), "{value}: {message}");
            assert!(refused.is_none_or(|text| text == message), "{value}: {message}");
        }
        let mut next = RolloutStatus::default();
        assert_eq!(taken(&[("abort", "@hash:abc#1 slow")], &mut next, updating()).orders.len(), 1);
        let message = next.commands[0].message.as_deref();
        assert_eq!(message, Some("carried out although it would be attempt 2, not 1: slow"));
    }

    #[test]
    fn abort_beats_a_promote_of_the_same_pass() {
        let mut next = RolloutStatus::default();
        let both = taken(&[("promote", "full"), ("abort", "me@home is slow")], &mut next, updating());
        assert_eq!(both.orders, [Order::Abort("me@home is slow".into())]);
    }

    #[test]
    fn a_promote_for_a_template_that_was_not_seen_is_refused_and_an_abort_is_not() {
        let mut next = RolloutStatus::default();
        let unseen = Situation { settled_spec: false, ..updating() };
        assert!(taken(&[("promote", "true")], &mut next, unseen).orders.is_empty());
        assert_eq!(taken(&[("abort", "x")], &mut next, unseen).orders.len(), 1);
    }

    #[test]
    fn a_promote_of_a_step_is_refused_while_the_spec_is() {
        let mut next = RolloutStatus::default();
        let frozen = Situation { frozen: true, ..updating() };
        assert!(taken(&[("promote", "step")], &mut next, frozen).orders.is_empty());
        assert_eq!(taken(&[("abort", "x")], &mut next, frozen).orders.len(), 1);
    }

    #[test]
    fn a_rollback_is_taken_once_and_not_together_with_an_abort() {
        let revisions = [(1, "xyz".to_owned()), (2, "abc".to_owned())];
        let goals = Goals { revisions: &revisions, in_spec: Some("abc"), aborted: &[] };
        let (mut next, situation) = (RolloutStatus::default(), Situation { goals, ..updating() });
        let both = taken(&[("rollback", "1"), ("abort", "x")], &mut next, situation);
        assert_eq!(both.orders, [Order::Abort("x".into())]);
        taken(&[], &mut next, situation);
        assert_eq!(taken(&[("rollback", "1")], &mut next, situation).orders, [Order::Rollback("1".into())]);
        assert!(taken(&[("rollback", "1")], &mut next, situation).orders.is_empty());
        assert_eq!(
            taken(&[("rollback", "xyz@hash:abc")], &mut next, situation).orders,
            [Order::Rollback("xyz".into())]
        );
    }

    #[test]
    fn a_restart_is_of_a_time_that_has_passed_and_later_than_the_last() {
        let restarted_at = Some("2026-01-02T03:00:00Z".parse().expect("a time"));
        let now = "2026-01-02T04:00:00Z".parse().expect("a time");
        for (value, taken_up) in [
            ("2026-01-02T03:59:59Z", true),
            ("2026-01-02T04:00:30Z", true),
            ("2026-01-02T04:02:00Z", false),
            ("2026-01-02T03:00:00Z", false),
            ("now", false),
        ] {
            let situation = Situation { restarted_at, now, updating: false, ..updating() };
            let orders = taken(&[("restart", value)], &mut RolloutStatus::default(), situation).orders;
            assert_eq!(orders.len() == 1, taken_up, "{value}");
        }
    }

    #[test]
    fn an_abort_with_nothing_to_go_back_to_says_so() {
        let mut next = RolloutStatus::default();
        let first = Situation { has_stable: false, ..updating() };
        assert!(taken(&[("abort", "x")], &mut next, first).orders.is_empty());
        assert!(next.commands[0].message.as_deref().is_some_and(|m| m.contains("no revision to go back to")));
    }
}
