//! Starting and ending a node from outside.
//!
//! Rule: everything that lives in a run folder's cluster shares the folder's lock: the starter, process 1 and the keeper. Whoever
//! gets the lock alone knows that nothing lives there, and may remove it. So a killed run is cleaned up by the next, and a
//! living neighbour never.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cache::Cache;
use crate::cgroup::Layout;
use crate::cluster::{self, Cluster};
use crate::debian::Unpacked;
use crate::failure::{Doing, Failure, Result};
use crate::forward::{Forward, netns_of};
use crate::init::{self, Orders};
use crate::lock::Lock;
use crate::programs::{self, Program};
use crate::{images::oci::hex, process, say, template};

/// Process 1 gives up before, by itself, and says why.
const START: Duration = Duration::from_secs(240);
/// 20 s: two are usual; more means that a process hangs in the kernel.
const END: Duration = Duration::from_secs(20);

/// How to start a cluster.
#[derive(Debug, Default)]
pub struct Options {
    /// Its name; a random one otherwise.
    pub name: Option<String>,
    /// Ends with this process, however it ends; otherwise it stays until `down`.
    pub owned: bool,
}

/// A cluster that this process started.
#[derive(Debug)]
pub struct Running {
    /// As others see it.
    pub cluster: Cluster,
    /// Its closing ends an owned node.
    owner: Option<ChildStdin>,
    /// Keeps sweepers away.
    lock: Option<Lock>,
}

impl Running {
    /// Ends the cluster and removes what it left.
    pub fn end(mut self, cache: &Cache) -> Result<()> {
        drop((self.owner.take(), self.lock.take()));
        down(cache, &self.cluster.name)
    }
}

/// Name of a cluster's control group.
fn cgroup(name: &str) -> String {
    format!("tidegate-{name}")
}

/// Starts a node and waits until it is Ready. Programs have to be built before.
pub fn up(cache: &Cache, options: &Options) -> Result<Running> {
    let (name, run, lock) = claim(cache, options)?;
    match start(cache, &name, &run, options.owned) {
        Ok((cluster, owner)) => Ok(Running { cluster, owner, lock: Some(lock) }),
        Err(failure) => {
            drop(lock);
            let kept = cache.logs().join(format!("cluster-{name}"));
            // What went wrong is said already; a run that cannot be removed is swept by the next.
            let _ = down(cache, &name);
            Err(failure.moved(&run.join("log"), &kept))
        }
    }
}

/// A run folder of our own.
fn claim(cache: &Cache, options: &Options) -> Result<(String, PathBuf, Lock)> {
    let _runs = Lock::wait(&cache.root().join("runs.lock"))?;
    sweep_locked(cache)?;
    let name = match &options.name {
        Some(name) => name.clone(),
        None => random(3)?,
    };
    if name.is_empty()
        || name.len() > 30
        || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err(Failure::new(format!("naming the cluster {name:?}"), "not 1 to 30 characters of a-z, 0-9 and -"));
    }
    let run = cache.runs().join(&name);
    if run.exists() {
        return Err(Failure::new(format!("starting the cluster {name}"), "one of this name is running")
            .remedy(format!("cargo bed down {name}, or choose another --name")));
    }
    for dir in ["bin", "config/cni", "config/hosts/_default", "log", "pki"] {
        let path = run.join(dir);
        fs::create_dir_all(&path).doing(|| format!("creating {}", path.display()))?;
    }
    let lock = Lock::share(&run.join("lock"))?;
    Ok((name, run, lock))
}

fn start(cache: &Cache, name: &str, run: &Path, owned: bool) -> Result<(Cluster, Option<ChildStdin>)> {
    for program in programs::NODE {
        link(*program, cache, run)?;
    }
    let tokens = configure(cache, name, run)?;
    Layout::here()?.create(&cgroup(name))?;
    let orders = orders(cache, run, owned);
    let path = run.join("node.json");
    let text = serde_json::to_string(&orders).doing(|| "writing node.json".to_owned())?;
    fs::write(&path, text).doing(|| format!("writing {}", path.display()))?;

    let step = say::Step::begin(&format!("starting the cluster {name}"), "about 5 s");
    let this = std::env::current_exe().doing(|| "finding this program".to_owned())?;
    let log = run.join("log/init.log");
    let out = process::append(&log)?;
    let err = out.try_clone().doing(|| format!("opening {}", log.display()))?;
    let mut node = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--propagation", "private"])
        .arg(&this)
        .arg("init")
        .arg(run)
        // Not in the terminal's group: Ctrl-C is for the owner, and ending the owner ends the node.
        .process_group(0)
        .stdin(if owned { Stdio::piped() } else { Stdio::null() })
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|e| Failure::new("starting unshare", e).remedy("install util-linux"))?;
    let owner = node.stdin.take();
    let pid = node.id();
    let identity = format!("{pid} {}", process::started(pid).unwrap_or_default());
    fs::write(run.join("pid"), identity).doing(|| "writing the node's process number".to_owned())?;
    // Reaps it when it ends; what its end means is seen by the keeper.
    thread::spawn(move || node.wait());

    let ports = keeper(&this, run, pid)?;
    let admin = outside_kubeconfig(name, run, ports["apiserver"], &tokens)?;
    let cluster = Cluster {
        name: name.to_owned(),
        run: run.to_owned(),
        kubeconfig: admin,
        registry: format!("127.0.0.1:{}", ports["registry"]),
        netns: Some(netns_of(pid)),
        pid: Some(pid),
        ports,
        images: BTreeMap::new(),
    };
    await_ready(run, pid, &log)?;
    cluster.save()?;
    step.done();
    Ok((cluster, owner))
}

/// Starts the keeper and reads the ports that it opened.
fn keeper(this: &Path, run: &Path, pid: u32) -> Result<BTreeMap<String, u16>> {
    let log = run.join("log/keeper.log");
    let out = process::append(&log)?;
    let err = out.try_clone().doing(|| format!("opening {}", log.display()))?;
    let mut keeper = Command::new(this)
        .arg("keep")
        .arg(run)
        .arg(pid.to_string())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .doing(|| "starting the keeper of the cluster".to_owned())?;
    thread::spawn(move || keeper.wait());
    let path = run.join("ports.json");
    let start = Instant::now();
    while !path.exists() {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(Failure::new(
                "opening the cluster's ports",
                format!("the keeper did not answer\n{}", process::tail(&log, 8)),
            ));
        }
        thread::sleep(Duration::from_millis(10));
    }
    let text = fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).doing(|| format!("reading {}", path.display()))
}

/// Runs beside a cluster: forwards its fixed ports, and cleans up when the node has ended, however that came about.
pub fn keep(cache: &Cache, run: &Path, pid: u32) -> Result<()> {
    let lock = Lock::share(&run.join("lock"))?;
    let started = process::started(pid);
    // The namespace is entered only once unshare has made it: until then the process is still in ours.
    let ours = fs::read_link("/proc/self/ns/net").doing(|| "reading our own namespace".to_owned())?;
    let netns = netns_of(pid);
    while fs::read_link(&netns).is_ok_and(|theirs| theirs == ours) {
        thread::sleep(Duration::from_millis(2));
    }
    let mut open = Vec::new();
    let mut ports = BTreeMap::new();
    for (name, port) in [("apiserver", 6443), ("registry", 5000)] {
        let forward = Forward::open(&netns, SocketAddr::from(([127, 0, 0, 1], port)))?;
        ports.insert(name, forward.local().port());
        open.push(forward);
    }
    let half = run.join(".ports.json");
    fs::write(&half, serde_json::to_string(&ports).doing(|| "writing the ports".to_owned())?)
        .doing(|| format!("writing {}", half.display()))?;
    fs::rename(&half, run.join("ports.json")).doing(|| "naming ports.json".to_owned())?;
    while started.is_some() && process::started(pid) == started {
        thread::sleep(Duration::from_millis(200));
    }
    drop((open, lock));
    // The starter may still hold its share, to read the logs and clean up itself.
    let start = Instant::now();
    while start.elapsed() < END {
        if !run.exists() {
            return Ok(());
        }
        if let Some(alone) = Lock::attempt(&run.join("lock"))? {
            return clean(cache, run, alone);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn await_ready(run: &Path, pid: u32, log: &Path) -> Result<()> {
    let begun = Instant::now();
    loop {
        if run.join(init::READY).exists() {
            return Ok(());
        }
        if let Ok(why) = fs::read_to_string(run.join(init::FAILED)) {
            return Err(Failure::new("starting the node", why));
        }
        if process::started(pid).is_none() {
            return Err(Failure::new("starting the node", format!("it ended\n{}", process::tail(log, 12)))
                .remedy("cargo bed check lists what the machine lacks"));
        }
        if begun.elapsed() > START {
            return Err(Failure::new(
                "starting the node",
                format!("not Ready within {} s\n{}", START.as_secs(), process::tail(log, 12)),
            ));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn link(program: Program, cache: &Cache, run: &Path) -> Result<()> {
    let target = program.path(cache)?;
    if !target.is_file() {
        return Err(Failure::new(format!("linking {}", program.name), "it is not built").remedy("run cargo bed build"));
    }
    let link = run.join("bin").join(program.name);
    symlink(&target, &link).doing(|| format!("linking {}", link.display()))
}

/// Where the node finds `nft`: the machine's, else the unpacked one with its libraries.
fn orders(cache: &Cache, run: &Path, owned: bool) -> Orders {
    let debian = Unpacked::at(cache);
    let joined =
        |paths: &[PathBuf]| std::env::join_paths(paths).map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let mut path = vec![run.join("bin")];
    let mut nft_libraries = String::new();
    if process::find("nft").is_none() {
        path.extend(debian.programs());
        nft_libraries = joined(&debian.libraries());
    }
    path.extend(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
    Orders { owned, path: joined(&path), nft_libraries }
}

/// Writes keys, tokens and configuration files; returns the administrator's token.
fn configure(cache: &Cache, name: &str, run: &Path) -> Result<String> {
    let pki = run.join("pki");
    process::output("making the cluster's keys", Command::new(run.join("bin/pki")).arg(&pki))?;
    let (admin, node, proxy) = (random(16)?, random(16)?, random(16)?);
    secret(
        &pki.join("tokens.csv"),
        &format!(
            "{admin},admin,admin,system:masters\n{node},system:node:node1,node1,system:nodes\n{proxy},system:kube-proxy,kube-proxy,\n"
        ),
    )?;
    let (folder, registry) = (run.display().to_string(), cache.registry().display().to_string());
    let values = [("RUN", folder.as_str()), ("REGISTRY", registry.as_str()), ("CGROUP", &cgroup(name))];
    for (file, text) in [
        ("containerd.toml", include_str!("../config/containerd.toml")),
        ("cni/10-bridge.conflist", include_str!("../config/cni.conflist")),
        ("hosts/_default/hosts.toml", include_str!("../config/hosts.toml")),
        ("registry.yaml", include_str!("../config/registry.yaml")),
        ("kubelet.yaml", include_str!("../config/kubelet.yaml")),
        ("kube-proxy.yaml", include_str!("../config/kube-proxy.yaml")),
        ("Corefile", include_str!("../config/Corefile")),
        ("audit.yaml", include_str!("../config/audit.yaml")),
    ] {
        let path = run.join("config").join(file);
        fs::write(&path, template::fill(file, text, &values)?).doing(|| format!("writing {}", path.display()))?;
    }
    for (file, token) in [("admin", &admin), ("node", &node), ("proxy", &proxy)] {
        let path = run.join(format!("config/{file}.kubeconfig"));
        secret(&path, &kubeconfig(name, run, "https://127.0.0.1:6443", token)?)?;
    }
    Ok(admin)
}

fn outside_kubeconfig(name: &str, run: &Path, port: u16, token: &str) -> Result<PathBuf> {
    let path = run.join("kubeconfig");
    secret(&path, &kubeconfig(name, run, &format!("https://127.0.0.1:{port}"), token)?)?;
    Ok(path)
}

/// The API server signs for `localhost` and the Service's address, not for the loopback's number.
fn kubeconfig(name: &str, run: &Path, server: &str, token: &str) -> Result<String> {
    let trust = format!("certificate-authority: {}/pki/apiserver.crt\n    tls-server-name: localhost", run.display());
    let values = [("NAME", name), ("SERVER", server), ("TRUST", trust.as_str()), ("TOKEN", token)];
    template::fill("kubeconfig.yaml", include_str!("../config/kubeconfig.yaml"), &values)
}

fn secret(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .doing(|| format!("writing {}", path.display()))
}

fn random(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut buffer))
        .doing(|| "reading /dev/urandom".to_owned())?;
    Ok(hex(&buffer))
}

/// Ends the cluster `name` and removes what it left.
pub fn down(cache: &Cache, name: &str) -> Result<()> {
    let run = cache.runs().join(name);
    if !run.is_dir() {
        return Err(Failure::new(format!("ending the cluster {name}"), "there is none of this name")
            .remedy("cargo bed list shows those that run"));
    }
    kill(&run);
    let start = Instant::now();
    loop {
        // The keeper may have been quicker.
        if !run.exists() {
            return Ok(());
        }
        if let Some(alone) = Lock::attempt(&run.join("lock"))? {
            return clean(cache, &run, alone);
        }
        if start.elapsed() > END {
            return Err(Failure::new(
                format!("ending the cluster {name}"),
                format!("something still lives in it after {} s", END.as_secs()),
            )
            .remedy("is the command that started it still running? end that first"));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Kills the node of a run folder, unless its number belongs to another process by now.
fn kill(run: &Path) {
    let Ok(text) = fs::read_to_string(run.join("pid")) else { return };
    let mut words = text.split(' ').map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(start))) = (words.next(), words.next()) else { return };
    let Ok(pid) = u32::try_from(pid) else { return };
    if process::started(pid) == Some(start)
        && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
    {
        // Gone between the look and the kill is as good.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Removes what a dead cluster left; its logs are kept.
fn clean(cache: &Cache, run: &Path, _alone: Lock) -> Result<()> {
    let name = run.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    kill(run);
    if !Layout::here()?.remove(&cgroup(&name)) {
        say::line(&format!("the cgroup {} is still busy; the next run removes it", cgroup(&name)));
        return Ok(());
    }
    let kept = cache.logs().join(format!("cluster-{name}"));
    let _ = fs::remove_dir_all(&kept);
    let _ = fs::rename(run.join("log"), &kept);
    match fs::remove_dir_all(run) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).doing(|| format!("removing {}", run.display())),
        _ => Ok(()),
    }
}

/// Cleans up after runs that were killed.
pub fn sweep(cache: &Cache) -> Result<()> {
    let _runs = Lock::wait(&cache.root().join("runs.lock"))?;
    sweep_locked(cache)
}

fn sweep_locked(cache: &Cache) -> Result<()> {
    for run in folders(cache)? {
        if let Some(alone) = Lock::attempt(&run.join("lock"))? {
            say::line(&format!(
                "cleaning up after the killed run {}",
                run.file_name().unwrap_or_default().to_string_lossy()
            ));
            clean(cache, &run, alone)?;
        }
    }
    Ok(())
}

fn folders(cache: &Cache) -> Result<Vec<PathBuf>> {
    let runs = cache.runs();
    let entries = fs::read_dir(&runs).doing(|| format!("reading {}", runs.display()))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    found.sort();
    Ok(found)
}

/// The clusters that run, by their descriptions; one that is starting has none yet.
pub fn list(cache: &Cache) -> Result<Vec<Cluster>> {
    Ok(folders(cache)?
        .iter()
        .filter(|run| run.join(cluster::FILE).is_file())
        .filter_map(|run| Cluster::open(run).ok())
        .collect())
}
