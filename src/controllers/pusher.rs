//! Commits leave the executor through the room that knows git.

use crate::cluster::{Pusher, WriteError};
use crate::core::plan::{Push, RefusalClass};
use crate::core::question::ApiRefusal;
use crate::git::{Mirrors, PushOutcome};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Pushes with the mirrors that also answer where a branch is.
#[derive(Debug)]
pub struct GitPusher(pub Arc<Mirrors>);

impl Pusher for GitPusher {
    fn push<'a>(&'a self, push: &'a Push, limit: Duration) -> BoxFuture<'a, Result<(), WriteError>> {
        async move {
            match tokio::time::timeout(limit, self.0.push(push)).await {
                Ok(outcome) => result(&outcome),
                // The same push makes the same commit, so the next attempt finds out.
                Err(_) => Err(WriteError::Unknown(format!("the git server of {} took too long", push.url))),
            }
        }
        .boxed()
    }
}

fn result(outcome: &PushOutcome) -> Result<(), WriteError> {
    let Some((class, message)) = outcome.refusal() else { return Ok(()) };
    let refused = |code, reason: &str, message| {
        WriteError::Refused(ApiRefusal { code, reason: reason.to_owned(), message, causes: Vec::new() })
    };
    Err(match class {
        RefusalClass::Moved => WriteError::Conflict(message),
        RefusalClass::Forbidden => refused(403, "PushForbidden", message),
        RefusalClass::Invalid => refused(422, "PushRefused", message),
        RefusalClass::Unavailable => WriteError::Unavailable(message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_push_reaches_the_next_decision_in_its_class() {
        let why = || "why".to_owned();
        let table = [
            (PushOutcome::Moved { now: None }, RefusalClass::Moved),
            (PushOutcome::Protected(why()), RefusalClass::Forbidden),
            (PushOutcome::Unauthorized(why()), RefusalClass::Forbidden),
            (PushOutcome::Unreachable(why()), RefusalClass::Unavailable),
            (PushOutcome::Refused(why()), RefusalClass::Invalid),
        ];
        for (outcome, class) in table {
            assert_eq!(result(&outcome).err().and_then(|e| e.class()), Some(class), "{outcome:?}");
        }
        assert_eq!(result(&PushOutcome::AlreadyThere { commit: why() }), Ok(()));
    }
}
