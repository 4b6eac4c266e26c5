//! Signals to a process in a pod, from the machine that its node runs on.
//!
//! The product's image has no shell to send one from, and the API server knows only the polite end of a pod. So this works on
//! clusters of bed alone, whose processes are processes of this machine.

use crate::cluster::{Cluster, Kind};
use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;

/// Sends `signal` to the process of that name in the pod.
///
/// # Errors
/// When the cluster is not one of bed's, or there is no such process.
pub async fn send(cluster: &Cluster, namespace: &str, pod: &str, program: &str, signal: Signal) -> anyhow::Result<()> {
    anyhow::ensure!(cluster.access.run.is_some(), "only on a cluster of bed can a pod's process be sent a signal");
    let object = cluster.get(Kind::POD, namespace, pod).await?.with_context(|| format!("no pod {namespace}/{pod}"))?;
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let pid = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .find(|pid| is_of(Path::new(&format!("/proc/{pid}")), uid, program))
        .and_then(Pid::from_raw)
        .with_context(|| format!("no process {program} of pod {namespace}/{pod} on this machine"))?;
    kill_process(pid, signal).with_context(|| format!("sending a signal to {program} of pod {namespace}/{pod}"))
}

/// Whether the process with this folder under `/proc` is `program` in the pod with this uid: its control group is named after it.
fn is_of(process: &Path, uid: &str, program: &str) -> bool {
    let read = |file: &str| std::fs::read_to_string(process.join(file)).unwrap_or_default();
    // A process may end while it is looked at, and reads as nothing then.
    !uid.is_empty() && read("comm").trim() == program && read("cgroup").contains(&format!("pod{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_a_pod_by_its_control_group_and_its_name() {
        let folder = tempfile::tempdir().expect("writable");
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).expect("writable");
        write("comm", "tidegate\n");
        write("cgroup", "12:cpu:/tidegate-x/kubepods/burstable/podabc-1/77\n0::/\n");
        assert!(is_of(folder.path(), "abc-1", "tidegate"));
        assert!(!is_of(folder.path(), "abc-1", "pause"));
        assert!(!is_of(folder.path(), "abc-2", "tidegate"));
        assert!(!is_of(folder.path(), "", "tidegate"));
    }
}
