//! What the machine has and lacks for a cluster, found out before anything is built.
//!
//! Rule: looking changes nothing that stays; nothing is installed. Each lack comes with the command or the setting that ends it.
//! Only with `CI=true`, on a machine that is thrown away, may [`install`] call the package manager.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cache::{self, Cache};
use crate::cgroup::Layout;
use crate::debian::Unpacked;
use crate::failure::{Failure, Result};
use crate::{process, rust, say};

/// What the programs, images and one cluster take: 4 GB of programs, images and packages, 1 GB a cluster, the rest Go's and
/// cargo's own caches of a cold build.
const DISK_GB: u64 = 15;
/// With everything built: a cluster and its images.
const DISK_WARM_GB: u64 = 3;
/// What cargo writes beside the checkout's sources in a whole verification, from nothing.
const BUILD_GB: u64 = 13;
/// The linker of the largest program takes 2.6 GB, a cluster 1.2.
const MEMORY_GB: u64 = 4;

/// One line of the table.
#[derive(Debug)]
pub struct Item {
    /// What is looked for.
    pub name: String,
    /// What is there, or what is not.
    pub found: std::result::Result<String, String>,
    /// What to do about a lack.
    pub remedy: String,
    /// Debian's package that ends the lack.
    package: Option<&'static str>,
}

/// Looks at everything.
pub fn look(cache: &Cache) -> Vec<Item> {
    let mut items = vec![system(), root(), namespaces(), cgroups()];
    items
        .push(probe("overlay", "a kernel with overlayfs, and TIDEGATE_CACHE on ext4, xfs or btrfs", || overlay(cache)));
    let link = |kind: &'static [&'static str]| move || run_apart(&[&["ip", "link", "add"], kind].concat());
    items.push(probe("bridge", "modprobe bridge", link(&["b0", "type", "bridge"])));
    items.push(probe("veth", "modprobe veth", link(&["v0", "type", "veth", "peer", "name", "v1"])));
    items.push(nf_tables(cache));
    items.extend(tools(cache));
    items.push(disk(cache));
    items.push(memory());
    items
}

/// Prints the table.
pub fn print(items: &[Item]) {
    let width = items.iter().map(|i| i.name.len()).max().unwrap_or_default();
    for item in items {
        match &item.found {
            Ok(found) => println!("  have  {:width$}  {found}", item.name),
            Err(lack) => println!("  LACK  {:width$}  {lack}\n        {:width$}  → {}", item.name, "", item.remedy),
        }
    }
}

/// Fails with every lack and its remedy, if there is one.
pub fn require(items: &[Item]) -> Result<()> {
    let lacks: Vec<String> = items
        .iter()
        .filter_map(|i| i.found.as_ref().err().map(|lack| format!("\n  {}: {lack} → {}", i.name, i.remedy)))
        .collect();
    if lacks.is_empty() {
        return Ok(());
    }
    Err(Failure::new("checking the machine", format!("it lacks{}", lacks.concat()))
        .remedy("cargo bed check shows the whole table"))
}

/// Looks, and on a CI machine installs what a package can end.
pub fn ensure(cache: &Cache) -> Result<()> {
    let items = look(cache);
    let packages: Vec<&str> = items.iter().filter(|i| i.found.is_err()).filter_map(|i| i.package).collect();
    if std::env::var("CI").as_deref() != Ok("true") || packages.is_empty() {
        return require(&items);
    }
    install(cache, &packages)?;
    require(&look(cache))
}

fn install(cache: &Cache, packages: &[&str]) -> Result<()> {
    let what = format!("installing {} (CI=true)", packages.join(" "));
    let step = say::Step::begin(&what, "about a minute");
    let log = cache.logs().join("apt.log");
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages);
        command
    };
    if process::logged(&what, &mut apt(), &log).is_err() {
        process::logged(&what, Command::new("apt-get").arg("update"), &log)?;
        process::logged(&what, &mut apt(), &log)?;
    }
    step.done();
    Ok(())
}

fn item(name: &str, found: std::result::Result<String, String>, remedy: &str, package: Option<&'static str>) -> Item {
    Item { name: name.to_owned(), found, remedy: remedy.to_owned(), package }
}

fn probe(name: &str, remedy: &str, look: impl FnOnce() -> std::result::Result<(), String>) -> Item {
    item(name, look().map(|()| "works".to_owned()), remedy, None)
}

fn system() -> Item {
    let uname = rustix::system::uname();
    let (os, release, machine) =
        (uname.sysname().to_string_lossy(), uname.release().to_string_lossy(), uname.machine().to_string_lossy());
    let text = format!("{os} {release} {machine}");
    let fits = os == "Linux" && ["x86_64", "aarch64"].contains(&machine.as_ref());
    item(
        "system",
        if fits { Ok(text) } else { Err(text) },
        "Linux on x86_64 or aarch64; a virtual machine will do",
        None,
    )
}

fn root() -> Item {
    let is = rustix::process::geteuid().is_root();
    let found =
        if is { Ok("yes".to_owned()) } else { Err("this is a user without the right to make namespaces".to_owned()) };
    item("root", found, "sudo -E env \"PATH=$PATH\" cargo demo", None)
}

fn namespaces() -> Item {
    let found = quiet(Command::new("unshare").args([
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "true",
    ]));
    item(
        "namespaces",
        found.map(|()| "net, mount, pid".to_owned()),
        "run as root, in a container with --privileged",
        Some("util-linux"),
    )
}

/// Creates a group and removes it: the only way to know that it may be done.
fn cgroups() -> Item {
    let remedy = "a machine with /sys/fs/cgroup writable; in a container: --privileged, for v2 also --cgroupns=private with no process in its root group";
    let found = match Layout::here() {
        Err(failure) => Err(failure.to_string()),
        Ok(Layout::None) => Err("no cgroup file system at /sys/fs/cgroup".to_owned()),
        Ok(layout) => {
            let name = format!("tidegate-check-{}", std::process::id());
            let created = layout.create(&name).map_err(|f| f.to_string());
            let removed = layout.remove(&name);
            created.and_then(|()| {
                if removed { Ok(layout.describe()) } else { Err("a group could not be removed".to_owned()) }
            })
        }
    };
    item("cgroups", found, remedy, None)
}

fn overlay(cache: &Cache) -> std::result::Result<(), String> {
    let root = cache.root().join(format!("check-{}", std::process::id()));
    for dir in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(root.join(dir)).map_err(|e| e.to_string())?;
    }
    let options = format!("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", root.display());
    let mut mount = Command::new("unshare");
    let tried =
        quiet(mount.args(["--mount", "mount", "-t", "overlay", "overlay", "-o", &options]).arg(root.join("merged")));
    // Left behind it would only be an empty folder of the cache.
    let _ = fs::remove_dir_all(&root);
    tried
}

fn run_apart(words: &[&str]) -> std::result::Result<(), String> {
    quiet(Command::new("unshare").arg("--net").args(words))
}

/// kube-proxy writes its rules with `nft`.
fn nf_tables(cache: &Cache) -> Item {
    let debian = Unpacked::at(cache);
    let unpacked = debian.programs()[0].join("nft");
    let (program, libraries) = match process::find("nft") {
        Some(found) => (found, None),
        None if unpacked.is_file() => (unpacked, std::env::join_paths(debian.libraries()).ok()),
        None => {
            return item("nf_tables", Ok("tried once nft is unpacked, by build".to_owned()), "", None);
        }
    };
    let mut nft = Command::new("unshare");
    nft.arg("--net").arg(&program).args(["add", "table", "ip", "check"]);
    if let Some(libraries) = libraries {
        nft.env("LD_LIBRARY_PATH", libraries);
    }
    let found = quiet(&mut nft).map(|()| format!("works, with {}", program.display()));
    item("nf_tables", found, "modprobe nf_tables; a kernel with CONFIG_NF_TABLES", None)
}

fn tools(cache: &Cache) -> Vec<Item> {
    let mut items = Vec::new();
    for (tool, package) in [
        ("cc", "gcc"),
        ("git", "git"),
        ("bash", "bash"),
        ("ip", "iproute2"),
        ("mount", "util-linux"),
        ("ldd", "libc-bin"),
        ("pkg-config", "pkg-config"),
        ("python3", "python3"),
    ] {
        let found = process::find(tool).map(|p| p.display().to_string()).ok_or_else(|| "not on the PATH".to_owned());
        items.push(item(tool, found, &format!("apt-get install {package}"), Some(package)));
    }
    let pip = quiet(Command::new("python3").args(["-m", "pip", "--version"])).map(|()| "works".to_owned());
    items.push(item("pip", pip, "apt-get install python3-pip (Traefik comes as a wheel)", Some("python3-pip")));
    items.push(go());
    let target = rust::target();
    let remedy = format!("rustup target add {target}");
    items.push(item(&format!("rust target {target}"), rust::found(cache), &remedy, None));
    let marks = [".libseccomp", ".nftables", ".nginx"];
    let found = if marks.iter().all(|m| cache.debian().join(m).exists()) {
        Ok("unpacked in the cache".to_owned())
    } else if process::find("apt-get").is_some() && process::find("dpkg").is_some() {
        Ok("will be unpacked into the cache by build: libseccomp, nftables, nginx".to_owned())
    } else {
        Err("neither unpacked nor apt-get and dpkg to fetch them".to_owned())
    };
    items.push(item("Debian packages", found, "a Debian or Ubuntu, or a container of one with --privileged", None));
    items
}

fn go() -> Item {
    // What the newest of the pinned modules asks for.
    const NEEDED: (u32, u32, u32) = (1, 26, 7);
    let text = process::output("asking go", Command::new("go").args(["env", "GOVERSION"])).unwrap_or_default();
    let found = match go_version(&text) {
        Some(version) if version >= NEEDED => Ok(text.trim().to_owned()),
        Some(_) => Err(format!("{} is older than 1.26.7", text.trim())),
        None => Err("not on the PATH".to_owned()),
    };
    item("go", found, "install Go 1.26.7 or newer from https://go.dev/dl", None)
}

fn go_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.trim().strip_prefix("go")?.split(['.', '-', ' ']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next().and_then(std::result::Result::ok).unwrap_or(0)))
}

/// What to expect of the disk where cargo builds, when a whole verification may fill it: its parts would fail one after the
/// other, each in its own words.
pub fn room_to_build() -> Option<String> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| cache::checkout().join("target"), Into::into);
    let built = folder.join("debug/deps").is_dir() && folder.join("explore/deps").is_dir();
    let free = free_gb(&folder).ok()?;
    (!built && free < BUILD_GB).then(|| {
        let folder = folder.display();
        format!("{free} GB free at {folder}, a first run takes up to {BUILD_GB}: CARGO_TARGET_DIR names another folder")
    })
}

fn free_gb(folder: &Path) -> std::result::Result<u64, String> {
    let stat = rustix::fs::statvfs(folder).map_err(|e| e.to_string())?;
    Ok((stat.f_bavail * stat.f_frsize) >> 30)
}

fn disk(cache: &Cache) -> Item {
    let built = fs::read_dir(cache.programs()).is_ok_and(|entries| entries.count() > 15);
    let needed = if built { DISK_WARM_GB } else { DISK_GB };
    let found =
        free_gb(cache.root()).and_then(|free| enough(free, needed, &format!("free at {}", cache.root().display())));
    item("disk", found, "set TIDEGATE_CACHE to a folder with more room", None)
}

fn memory() -> Item {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        text.lines().find_map(|l| l.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse::<u64>().ok());
    item(
        "memory",
        kib.map_or(Err("unknown".to_owned()), |kib| enough(kib >> 20, MEMORY_GB, "available")),
        "end something large, or add memory",
        None,
    )
}

fn enough(have: u64, needed: u64, of: &str) -> std::result::Result<String, String> {
    if have >= needed {
        Ok(format!("{have} GB {of}, {needed} needed"))
    } else {
        Err(format!("{have} GB {of}, {needed} needed"))
    }
}

/// Runs a program for its verdict only; an error is its last line.
fn quiet(command: &mut Command) -> std::result::Result<(), String> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr);
    Err(text.lines().rfind(|l| !l.trim().is_empty()).map_or_else(|| out.status.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_as_numbers() {
        assert_eq!(go_version("go1.26.10\n"), Some((1, 26, 10)));
        assert_eq!(go_version("go1.27-devel"), Some((1, 27, 0)));
        assert!(go_version("go1.26.10") > go_version("go1.26.7"));
        assert_eq!(go_version(""), None);
    }

    #[test]
    fn every_lack_is_named_with_its_remedy() {
        let items = [
            item("go", Ok("go1.26.8".to_owned()), "", None),
            item("veth", Err("no".to_owned()), "modprobe veth", None),
        ];
        let text = require(&items).expect_err("one is lacking").to_string();
        assert!(text.contains("veth: no → modprobe veth") && !text.contains("go1.26"), "{text}");
    }
}
