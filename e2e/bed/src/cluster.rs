//! A running cluster as its users see it: the file `cluster.json` of its run folder.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Doing, Failure, Result};
use crate::forward::Forward;

/// What `cargo bed up` writes down about a cluster.
///
/// A foreign cluster (`--kubeconfig FILE --registry HOST`) has neither `netns` nor `pid`: nothing is forwarded into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name, unique on the machine.
    pub name: String,
    /// The run folder: logs in `log/`, programs in `bin/`, this file.
    pub run: PathBuf,
    /// Kubeconfig of an administrator, for use from the host.
    pub kubeconfig: PathBuf,
    /// The registry as reached from the host, `HOST:PORT` over plain HTTP. Images are named without it: the node looks every name up there.
    pub registry: String,
    /// The network namespace, `/proc/PID/ns/net`; `nsenter --net=NETNS` enters it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<PathBuf>,
    /// The process whose end is the cluster's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Ports on the host's loopback that are always open: `apiserver`, `registry`.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// References of the pushed images by short name: `tidegate`, `app`, `nginx`, …
    #[serde(default)]
    pub images: BTreeMap<String, String>,
}

/// File name of the description in the run folder.
pub const FILE: &str = "cluster.json";

impl Cluster {
    /// Reads the cluster whose run folder is `run`.
    pub fn open(run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        let text = fs::read_to_string(&path).map_err(|e| {
            Failure::new(format!("reading {}", path.display()), e)
                .remedy("start a cluster with cargo bed up; cargo bed list shows those that run")
        })?;
        serde_json::from_str(&text).doing(|| format!("reading {}", path.display()))
    }

    /// Writes the description into the run folder, at once or not at all.
    pub fn save(&self) -> Result<()> {
        let path = self.run.join(FILE);
        let half = self.run.join(".cluster.json");
        let text = serde_json::to_string_pretty(self).doing(|| "describing the cluster".to_owned())?;
        fs::write(&half, text).doing(|| format!("writing {}", half.display()))?;
        fs::rename(&half, &path).doing(|| format!("naming {}", path.display()))
    }

    /// A port of the host's loopback that leads to `target` (a pod, a Service or the node) inside; open until it is dropped.
    pub fn forward(&self, target: SocketAddr) -> Result<Forward> {
        match &self.netns {
            Some(netns) => Forward::open(netns, target),
            None => Err(Failure::new(
                format!("forwarding to {target}"),
                format!("the cluster {} is not one of the bed's", self.name),
            )
            .remedy("use kubectl port-forward on a foreign cluster")),
        }
    }

    /// The cluster's own `kubectl`.
    pub fn kubectl(&self) -> PathBuf {
        self.run.join("bin/kubectl")
    }
}
