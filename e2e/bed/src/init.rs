//! Process 1 of a node: inside its own network, mount and pid namespaces it covers what would leak to the machine, starts the
//! node's programs, and reaps. When it ends, the kernel ends everything that it started.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::{WaitOptions, wait};
use serde::{Deserialize, Serialize};

use crate::failure::{Doing, Failure, Result};
use crate::lock::Lock;
use crate::process;

/// The node's address on its own bridge: API server, kubelet and DNS are reached there by pods.
pub const NODE_ADDRESS: &str = "10.10.0.1";
/// Addresses of Services.
const SERVICES: &str = "10.96.0.0/16";
/// 3 min: 3 s are usual, a machine that builds beside it takes twenty times that.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the starter tells process 1, in `node.json` of the run folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// Whether the node ends when its standard input does, that is, when its owner dies.
    pub owned: bool,
    /// For `PATH`: the run's programs, the unpacked packages, the machine.
    pub path: String,
    /// For `LD_LIBRARY_PATH` of kube-proxy, whose `nft` may come from an unpacked package.
    pub nft_libraries: String,
}

/// Files of the run folder that tell the starter how it went.
pub const READY: &str = "ready";
/// Holds the reason.
pub const FAILED: &str = "failed";

/// Runs as process 1 until it is killed.
pub fn run(folder: &Path) -> Result<()> {
    let node = Node { run: folder.to_owned(), started: BTreeMap::new(), began: Instant::now() };
    let _alive = Lock::share(&folder.join("lock"))?;
    if let Err(failure) = node.live() {
        // The starter waits for one of the two files; if even this cannot be written it sees the process end.
        let _ = fs::write(folder.join(FAILED), failure.to_string());
        return Err(failure);
    }
    Ok(())
}

struct Node {
    run: PathBuf,
    started: BTreeMap<i32, &'static str>,
    began: Instant,
}

impl Node {
    fn live(mut self) -> Result<()> {
        let text = fs::read_to_string(self.run.join("node.json")).doing(|| "reading node.json".to_owned())?;
        let orders: Orders = serde_json::from_str(&text).doing(|| "reading node.json".to_owned())?;
        if orders.owned {
            end_with_the_owner();
        }
        self.cover_the_machine()?;
        Self::bring_up_the_network()?;
        self.start_programs(&orders)?;
        fs::write(self.run.join(READY), "").doing(|| "writing ready".to_owned())?;
        self.say("node Ready");
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) => {
                    if let Some(name) = self.started.remove(&pid.as_raw_nonzero().get()) {
                        self.say(&format!("{name} ended: {status:?}"));
                    }
                }
                // No child at all: everything has ended.
                Ok(None) | Err(_) => thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    fn say(&self, text: &str) {
        eprintln!("[{:>6.2}s] {text}", self.began.elapsed().as_secs_f64());
    }

    /// Nothing below reaches the machine: `/var` is an overlay, `/run` a tmpfs, and the machine-wide settings that a kubelet
    /// writes are files that already hold what it wants.
    fn cover_the_machine(&self) -> Result<()> {
        let doing = |what: &'static str| move || format!("mounting {what} in the node");
        mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).doing(doing("/ shared"))?;
        let options = format!("lowerdir=/var,upperdir={0}/var.upper,workdir={0}/var.work", self.run.display());
        for dir in ["var.upper", "var.work"] {
            let path = self.run.join(dir);
            fs::create_dir_all(&path).doing(|| format!("creating {}", path.display()))?;
        }
        let options = std::ffi::CString::new(options).doing(doing("the overlay of /var"))?;
        mount("overlay", "/var", "overlay", MountFlags::empty(), Some(options.as_c_str())).map_err(|e| {
            Failure::new("mounting an overlay over /var", e)
                .remedy("set TIDEGATE_CACHE to a folder on ext4, xfs or btrfs: an overlay cannot lie on an overlay")
        })?;
        // Where names are looked up is often a link into /run.
        let resolver = fs::canonicalize("/etc/resolv.conf").unwrap_or_else(|_| PathBuf::from("/etc/resolv.conf"));
        mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).doing(doing("a tmpfs over /run"))?;
        // No look-up leaves the namespace.
        let nobody = Path::new("/run/resolv.conf");
        fs::write(nobody, format!("nameserver {NODE_ADDRESS}\n")).doing(doing("resolv.conf"))?;
        if resolver.starts_with("/run") {
            if resolver != nobody {
                fs::create_dir_all(resolver.parent().unwrap_or(nobody))
                    .and_then(|()| fs::copy(nobody, &resolver))
                    .doing(doing("resolv.conf"))?;
            }
        } else if resolver.exists() {
            mount_bind(nobody, &resolver).doing(doing("resolv.conf"))?;
        }
        fs::create_dir_all("/run/sysctl").doing(doing("sysctls"))?;
        for (setting, value) in [
            ("vm/overcommit_memory", "1"),
            ("vm/panic_on_oom", "0"),
            ("kernel/panic", "10"),
            ("kernel/panic_on_oops", "1"),
            ("kernel/keys/root_maxkeys", "1000000"),
            ("kernel/keys/root_maxbytes", "25000000"),
        ] {
            let cover = PathBuf::from("/run/sysctl").join(setting.replace('/', "-"));
            let real = Path::new("/proc/sys").join(setting);
            if real.exists() {
                fs::write(&cover, format!("{value}\n")).doing(|| format!("writing {}", cover.display()))?;
                mount_bind(&cover, &real).doing(|| format!("covering {}", real.display()))?;
            }
        }
        Ok(())
    }

    fn bring_up_the_network() -> Result<()> {
        let ip = |arguments: &str| {
            process::output("bringing up the node's network", Command::new("ip").args(arguments.split(' ')))
        };
        ip("link set lo up")?;
        ip("link add node0 type bridge")?;
        ip(&format!("addr add {NODE_ADDRESS}/24 dev node0"))?;
        ip("link set node0 up")?;
        // There is no default route; Service addresses are rewritten before they would leave by this one.
        ip(&format!("route add {SERVICES} dev node0"))?;
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").doing(|| "letting the node forward".to_owned())
    }

    fn start_programs(&mut self, orders: &Orders) -> Result<()> {
        let run = self.run.display().to_string();
        let at = |file: &str| format!("{run}/{file}");
        let admin = at("config/admin.kubeconfig");
        self.start("registry", orders, &["serve".to_owned(), at("config/registry.yaml")])?;
        self.start("containerd", orders, &["--config".to_owned(), at("config/containerd.toml")])?;
        self.start(
            "etcd",
            orders,
            &words(&format!(
                "--data-dir {run}/etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
                 --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync --log-level warn"
            )),
        )?;
        self.start(
            "kube-apiserver",
            orders,
            &words(&format!(
                "--etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=6443 --cert-dir={run}/pki \
                 --service-cluster-ip-range={SERVICES} --advertise-address={NODE_ADDRESS} --allow-privileged=true \
                 --service-account-issuer=https://kubernetes.default.svc --service-account-signing-key-file={run}/pki/sa.key \
                 --service-account-key-file={run}/pki/sa.pub --authorization-mode=Node,RBAC --token-auth-file={run}/pki/tokens.csv \
                 --kubelet-preferred-address-types=InternalIP --enable-aggregator-routing=true \
                 --requestheader-client-ca-file={run}/pki/fp-ca.crt --requestheader-allowed-names=front-proxy-client \
                 --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
                 --requestheader-extra-headers-prefix=X-Remote-Extra- --proxy-client-cert-file={run}/pki/fp.crt \
                 --proxy-client-key-file={run}/pki/fp.key --audit-policy-file={run}/config/audit.yaml \
                 --audit-log-path={run}/log/audit.log"
            )),
        )?;
        self.until("containerd answers", || Path::new("/run/containerd/containerd.sock").exists())?;
        self.until("the API server listens", || TcpStream::connect("127.0.0.1:6443").is_ok())?;
        let kubectl = self.run.join("bin/kubectl");
        let ask = |arguments: &[&str]| {
            let out =
                Command::new(&kubectl).arg("--kubeconfig").arg(&admin).args(arguments).stdin(Stdio::null()).output();
            out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
        };
        self.until("the API server is ready", || ask(&["get", "--raw", "/readyz"]) == "ok")?;
        // 20 requests a second are their default: what is measured shall not be their own brake.
        let unhurried = "--kube-api-qps=1000 --kube-api-burst=2000";
        self.start(
            "kube-controller-manager",
            orders,
            &words(&format!(
                "--kubeconfig={admin} --service-account-private-key-file={run}/pki/sa.key --root-ca-file={run}/pki/apiserver.crt \
                 --use-service-account-credentials=true --leader-elect=false --bind-address=127.0.0.1 {unhurried}"
            )),
        )?;
        self.start(
            "kube-scheduler",
            orders,
            &words(&format!("--kubeconfig={admin} --leader-elect=false --bind-address=127.0.0.1")),
        )?;
        self.start(
            "kubelet",
            orders,
            &words(&format!(
                "--config={run}/config/kubelet.yaml --kubeconfig={run}/config/node.kubeconfig --root-dir={run}/kubelet \
                 --cert-dir={run}/kubelet-pki --hostname-override=node1 --node-ip={NODE_ADDRESS} -v=2"
            )),
        )?;
        self.start("kube-proxy", orders, &words(&format!("--config={run}/config/kube-proxy.yaml -v=2")))?;
        self.start("coredns", orders, &words(&format!("-conf {run}/config/Corefile")))?;
        let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        self.until("the node is Ready", || ask(&["get", "node", "node1", "-o", ready]) == "True")
    }

    fn start(&mut self, name: &'static str, orders: &Orders, arguments: &[String]) -> Result<()> {
        let log = self.run.join(format!("log/{name}.log"));
        let out = process::append(&log)?;
        let err = out.try_clone().doing(|| format!("opening {}", log.display()))?;
        let mut command = Command::new(self.run.join("bin").join(name));
        command.args(arguments).env("PATH", &orders.path).env("OTEL_TRACES_EXPORTER", "none");
        if name == "kube-proxy" && !orders.nft_libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", &orders.nft_libraries);
        }
        let child =
            command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().doing(|| format!("starting {name}"))?;
        // Its end is seen by the reaper, not through this handle.
        self.started.insert(i32::try_from(child.id()).doing(|| format!("starting {name}"))?, name);
        Ok(())
    }

    /// Waits until `holds`, and ends at once with the log of a program that ended instead.
    fn until(&mut self, what: &str, holds: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !holds() {
            for (pid, name) in &self.started {
                if process::started(pid.unsigned_abs()).is_none() {
                    let log = self.run.join(format!("log/{name}.log"));
                    return Err(Failure::new(
                        format!("waiting until {what}"),
                        format!("{name} ended\n{}", process::tail(&log, 12)),
                    )
                    .log(&log));
                }
            }
            if start.elapsed() > PATIENCE {
                return Err(Failure::new(
                    format!("waiting until {what}"),
                    format!("not within {} s", PATIENCE.as_secs()),
                )
                .log(&self.run.join("log")));
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.say(what);
        Ok(())
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The owner holds the other end of standard input. However it dies, the kernel closes it.
fn end_with_the_owner() {
    thread::spawn(|| {
        let mut rest = [0; 64];
        let mut input: Box<dyn Read> = match File::open("/dev/stdin") {
            Ok(file) => Box::new(file),
            Err(_) => Box::new(io::stdin()),
        };
        while matches!(input.read(&mut rest), Ok(n) if n > 0) {}
        #[expect(clippy::exit, reason = "the end of process 1 is how a node ends")]
        std::process::exit(0);
    });
}
