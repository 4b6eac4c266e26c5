//! Progress, and what it means when there is none.
//!
//! The clock is a high-water mark of available pods, so that a crash loop between none and one is no progress (D1). What
//! stands in the way is read from the pods: only what the revision itself caused aborts it by itself.

use super::Mutant;
use super::pass::{Pass, Phase};
use super::spec::DeadlineAbort;
use crate::api::Condition;
use crate::core::question::PodEvidence;
use crate::core::scalar::Span;

/// The reason of the condition Progressing once a deadline is exceeded.
pub(super) const REASON: &str = "ProgressDeadlineExceeded";
/// How the message of an exceeded deadline begins.
pub(super) const EXCEEDED: &str = "ProgressDeadlineExceeded: ";
/// How long the pods are waited for before nobody knows why: several rounds of reading them.
const HEARD: Span = Span::from_secs(5);

/// Who is to blame for pods that do not become available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// The revision: it would fail anywhere.
    Revision(String),
    /// The cluster, or nobody knows.
    Infrastructure(String),
}

/// Reads the cause from what the pods say; the worst of the revision's own wins.
pub(super) fn cause<'p>(pods: impl IntoIterator<Item = &'p PodEvidence>) -> Cause {
    let mut other = None;
    for pod in pods.into_iter().filter(|p| !p.ready) {
        let text = if pod.message.is_empty() { pod.reason.clone() } else { format!("{}: {}", pod.reason, pod.message) };
        let text = format!("pod {}: {text}", pod.name);
        match pod.reason.as_str() {
            // A registry that does not answer is not the revision's fault, an image that is not there is.
            "ErrImagePull" | "ImagePullBackOff" => {
                let message = pod.message.to_lowercase();
                let absent = ["not found", "manifest unknown", "does not exist", "denied", "unauthorized"];
                if absent.iter().any(|word| message.contains(word)) {
                    return Cause::Revision(text);
                }
                other.get_or_insert(text);
            }
            "CrashLoopBackOff"
            | "OOMKilled"
            | "Error"
            | "ContainerCannotRun"
            | "RunContainerError"
            | "StartError"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "CreateContainerConfigError"
            | "CreateContainerError"
            | "Unhealthy"
            | "ProbeFailed"
            | "NotReady"
            | "ContainersNotReady" => return Cause::Revision(text),
            "" => {}
            _ => _ = other.get_or_insert(text),
        }
        if pod.restarts > 0 {
            return Cause::Revision(format!("pod {} restarted {} times", pod.name, pod.restarts));
        }
    }
    Cause::Infrastructure(other.unwrap_or_else(|| "no pod says why".to_owned()))
}

impl Pass<'_> {
    /// The text of the deadline that was exceeded already, as status has it.
    fn late_before(&self) -> Option<String> {
        let seen = self.f.seen;
        let late = |c: &Condition| c.kind == "Progressing" && c.reason == REASON;
        let message = seen.message.as_deref().filter(|_| seen.current_pod_hash == self.f.hash)?;
        // A refused template has a message of its own, an abort a reason of its own.
        let known = message.starts_with(EXCEEDED) || seen.conditions.iter().any(late);
        known.then(|| message.strip_prefix(EXCEEDED).unwrap_or(message).to_owned())
    }

    /// Keeps the high-water mark, and returns the text of an exceeded deadline. `wanted`: pods that the current revision
    /// shall have now. With all of them there is nothing to wait for: pauses and analysis have their own clocks.
    pub(super) fn watch_progress(&mut self, wanted: u32) -> Option<String> {
        let hash = self.f.hash.clone()?;
        let now = self.f.now;
        let available = self.f.available(&hash);
        let mut progress = self.next.progress.clone().filter(|p| p.hash == hash).unwrap_or_default();
        let seen = i32::try_from(available).unwrap_or(i32::MAX);
        let moved = self.f.breaks(Mutant::DeadlineRestarts) && Some(seen) != progress.available;
        if progress.hash.is_empty() || seen > progress.available.unwrap_or(0) || moved {
            progress.hash.clone_from(&hash);
            progress.available = Some(seen);
            progress.at = Some(now);
        }
        let missing = available < wanted;
        let was_complete = progress.available.and_then(|a| u32::try_from(a).ok()).is_some_and(|a| a >= wanted);
        if !missing {
            progress.lost_at = None;
        } else if was_complete {
            progress.lost_at = progress.lost_at.or(Some(now));
        }
        let since = progress.at.max(progress.lost_at).unwrap_or(now);
        self.next.progress = Some(progress);
        if self.phase() == Phase::Aborted || !missing {
            return None;
        }
        let deadline = self.f.spec.progress_deadline.after(since);
        if now < deadline {
            self.wake_at(deadline);
            return None;
        }
        // Not before: it is a look at all of them, and most updates never need it.
        let pods = match self.pods_of(&hash) {
            Some(pods) => pods.all,
            // A process that was just started says what was known before, until it knows better.
            None if self.late_before().is_some() => return self.late_before(),
            None if now < HEARD.after(deadline) => {
                self.wake_at(HEARD.after(deadline));
                return None;
            }
            None => Vec::new(),
        };
        let revision = self.next.current_revision.unwrap_or(0);
        let late = format!("revision {revision} made no progress for {}", self.f.spec.progress_deadline);
        let cause = cause(pods);
        let text = match &cause {
            Cause::Revision(why) => format!("{late}; the revision is the cause: {why}"),
            Cause::Infrastructure(why) => format!("{late}; the cluster is the cause, as far as can be seen: {why}"),
        };
        let abort = match self.f.spec.deadline_abort {
            DeadlineAbort::Always => true,
            DeadlineAbort::Never => false,
            DeadlineAbort::Auto => matches!(cause, Cause::Revision(_)),
        };
        if abort && self.phase() == Phase::Updating {
            self.abort("Deadline", text);
            return None;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(reason: &str, message: &str, restarts: i64) -> PodEvidence {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        PodEvidence { name: "p".into(), reason, message, restarts, ..PodEvidence::default() }
    }

    #[test]
    fn an_image_that_is_not_there_is_the_revision_and_a_silent_registry_is_not() {
        assert!(matches!(cause(&[pod("ErrImagePull", "manifest unknown: not found", 0)]), Cause::Revision(_)));
        assert!(matches!(cause(&[pod("ImagePullBackOff", "dial tcp: i/o timeout", 0)]), Cause::Infrastructure(_)));
    }

    #[test]
    fn crashes_are_the_revision_and_no_room_is_the_cluster() {
        assert!(matches!(cause(&[pod("", "", 3)]), Cause::Revision(_)));
        assert!(matches!(cause(&[pod("Unschedulable", "0/3 nodes", 0)]), Cause::Infrastructure(_)));
        assert!(matches!(cause(&[]), Cause::Infrastructure(_)));
    }
}
