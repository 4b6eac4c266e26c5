//! The controller as an ordinary process: started, measured and ended from outside.

use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How the controller is started, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) binary: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    /// Address of what stands for Traefik's API.
    pub(crate) traefik: String,
    pub(crate) log: PathBuf,
}

/// A running controller.
#[derive(Debug)]
pub(crate) struct Controller {
    child: Child,
    pid: u32,
}

/// Memory in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// What is not pages of its file, which the kernel may drop at any time.
    pub(crate) own: f64,
    pub(crate) peak: f64,
}

impl Program {
    /// Starts it.
    pub(crate) fn start(&self) -> anyhow::Result<Controller> {
        let log = std::fs::File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.binary)
            .args(["controller", "--lease-namespace", crate::world::NAMESPACE, "--listen", "127.0.0.1:0"])
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--allow-local-metric-addresses", "--traefik-api", &self.traefik, "--mirror-dir"])
            .arg(self.log.with_file_name("mirror"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        let pid = child.id().context("the controller ended at once")?;
        Ok(Controller { child, pid })
    }
}

impl Controller {
    /// Resident memory now and at most since its start.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let path = format!("/proc/{}/status", self.pid);
        let text = std::fs::read_to_string(Path::new(&path)).with_context(|| format!("reading {path}"))?;
        let of = |field: &str| -> anyhow::Result<f64> {
            let line = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
            let kib: f64 = line.and_then(|l| l.split_whitespace().next()?.parse().ok()).context("no such field")?;
            Ok(kib / 1024.0)
        };
        Ok(Memory { resident: of("VmRSS")?, own: of("RssAnon")?, peak: of("VmHWM")? })
    }

    /// Ends it as a pod is ended, and waits for it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid)?).context("a process number")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        tokio::time::timeout(Duration::from_secs(25), self.child.wait()).await.context("it did not end")??;
        Ok(())
    }
}
