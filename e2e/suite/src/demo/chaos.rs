//! Kills the leading controller, again and again, while the acts go on.

use crate::cluster::{Cluster, Kind};
use crate::install::Install;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Runs until its list is done or it is dropped.
#[derive(Debug)]
pub(super) struct Chaos {
    done: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Chaos {
    pub(super) fn start(cluster: &Cluster, install: &Install, kills: Vec<Duration>) -> Self {
        let done = Arc::new(AtomicUsize::new(0));
        let (cluster, install, count) = (cluster.clone(), install.clone(), Arc::clone(&done));
        let task = tokio::spawn(async move {
            for wait in kills {
                tokio::time::sleep(wait).await;
                if let Some(pod) = leader(&cluster, &install).await
                    && cluster.kill_pod(&install.namespace, &pod).await.is_ok()
                {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { done, task }
    }

    pub(super) fn kills(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }
}

/// The pod that holds the Lease: its name with a suffix of the process is the holder's identity.
async fn leader(cluster: &Cluster, install: &Install) -> Option<String> {
    let lease = cluster.get(Kind::LEASE, &install.namespace, &install.release).await.ok()??;
    let holder = lease["spec"]["holderIdentity"].as_str()?;
    Some(holder.rsplit_once('_').map_or(holder, |(pod, _)| pod).to_owned())
}
