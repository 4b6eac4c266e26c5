//! One workload that a Rollout takes its template from, for as long as it is asked for: a watch of that object alone, so that
//! a cluster full of Deployments costs nothing.

use super::client::Client;
use super::watch::{api, to_value};
use crate::core::object::ObjectRef;
use crate::core::question::{ApiRefusal, Told};
use crate::core::row::WorkloadRow;
use futures::StreamExt as _;
use kube::core::Status;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher as watch};
use std::sync::Arc;

/// As for the other watches: below the silence after which a connection counts as dead.
const LIFETIME_SECONDS: u32 = 110;

/// Tells the object, or that there is none, now and at each change, until it is dropped.
pub async fn follow(client: &Client, target: &ObjectRef, tell: impl Fn(Told) + Send) {
    let config = watcher::Config::default().timeout(LIFETIME_SECONDS).fields(&format!("metadata.name={}", target.name));
    let mut events = watch(api(client, &target.resource, Some(&target.namespace)), config).default_backoff().boxed();
    let mut listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = false,
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                listed = true;
                match WorkloadRow::read(&target.resource, &to_value(object)) {
                    Ok(row) => tell(Told::Workload(Ok(Some(Arc::new(row))))),
                    Err(error) => tracing::error!(%target, %error, "a workload cannot be read; its last state counts"),
                }
            }
            Ok(Event::InitDone) if listed => {}
            Ok(Event::InitDone | Event::Delete(_)) => tell(Told::Workload(Ok(None))),
            Err(error) => match refusal(&error) {
                Some(refusal) => tell(Told::Workload(Err(refusal))),
                None => tracing::warn!(%target, %error, "a workload cannot be watched; its last state counts"),
            },
        }
    }
}

/// A no for lack of rights is an answer; that nobody could say is none.
fn refusal(error: &watcher::Error) -> Option<ApiRefusal> {
    let status: &Status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status,
        _ => return None,
    };
    matches!(status.code, 401 | 403).then(|| ApiRefusal {
        code: status.code,
        reason: status.reason.clone(),
        message: status.message.clone(),
        causes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_an_answer_and_a_server_that_is_down_is_none() {
        let error = |code: u16| {
            let status = Status { code, ..Status::success() };
            watcher::Error::InitialListFailed(kube::Error::Api(status.boxed()))
        };
        assert_eq!(refusal(&error(403)).map(|r| r.code), Some(403));
        assert_eq!(refusal(&error(500)), None);
        assert_eq!(refusal(&watcher::Error::NoResourceVersion), None);
    }
}
