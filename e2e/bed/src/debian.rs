//! Debian packages unpacked into the cache: headers, `nft`, nginx, without installing anything into the user's system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Cache;
use crate::failure::{Doing, Failure, Result};
use crate::{process, say};

/// `runc` is linked against libseccomp; without it no sandbox starts.
const SECCOMP: &[&str] = &["libseccomp-dev", "libseccomp2"];
/// kube-proxy calls `nft`.
const NFTABLES: &[&str] = &[
    "nftables",
    "libnftables1",
    "libnftnl11",
    "libmnl0",
    "libjansson4",
    "libedit2",
    "libbsd0",
    "libmd0",
    "libtinfo6",
    "libxtables12",
    "libgmp10",
];
/// The image `nginx` of the samples.
const NGINX: &[&str] = &["nginx", "libpcre2-8-0", "libssl3", "zlib1g", "libcrypt1"];

/// What was unpacked.
#[derive(Debug, Clone)]
pub struct Unpacked {
    root: PathBuf,
}

impl Unpacked {
    /// Makes sure that everything is unpacked, and says where.
    pub fn open(cache: &Cache) -> Result<Self> {
        let unpacked = Self { root: cache.debian() };
        for (name, packages) in [("libseccomp", SECCOMP), ("nftables", NFTABLES), ("nginx", NGINX)] {
            unpack(cache, name, packages)?;
        }
        rewrite_prefix(&unpacked.pkg_config().join("libseccomp.pc"), &unpacked.root)?;
        Ok(unpacked)
    }

    /// Where it would be, unpacked or not.
    pub fn at(cache: &Cache) -> Self {
        Self { root: cache.debian() }
    }

    /// The folder that takes the place of `/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// For `PKG_CONFIG_PATH`.
    pub fn pkg_config(&self) -> PathBuf {
        self.libraries()[0].join("pkgconfig")
    }

    /// For `LD_LIBRARY_PATH`, most specific first.
    pub fn libraries(&self) -> [PathBuf; 2] {
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        [self.root.join("usr/lib").join(&triplet), self.root.join("lib").join(&triplet)]
    }

    /// For `PATH`.
    pub fn programs(&self) -> [PathBuf; 2] {
        [self.root.join("usr/sbin"), self.root.join("usr/bin")]
    }
}

fn unpack(cache: &Cache, name: &str, packages: &[&str]) -> Result<()> {
    let done = cache.debian().join(format!(".{name}"));
    if done.exists() {
        return Ok(());
    }
    let what = format!("unpacking Debian's {name}");
    let step = say::Step::begin(&what, "seconds; nothing is installed");
    let log = cache.logs().join(format!("debian-{name}.log"));
    let debs = cache.root().join("debs").join(name);
    fs::create_dir_all(&debs).doing(|| format!("creating {}", debs.display()))?;
    let fresh = |options: &[String]| {
        process::logged(
            &what,
            Command::new("apt-get").args(options).arg("download").args(packages).current_dir(&debs),
            &log,
        )
    };
    if fresh(&[]).is_err() {
        // The machine's package lists are missing or old: lists of our own, beside them.
        let own = own_lists(&cache.root().join("apt"))?;
        process::logged(&what, Command::new("apt-get").args(&own).arg("update"), &log)
            .and_then(|()| fresh(&own))
            .map_err(|f| {
                f.remedy(format!("install them yourself and run again: apt-get install {}", packages.join(" ")))
            })?;
    }
    let mut found = 0;
    for entry in fs::read_dir(&debs).doing(|| format!("reading {}", debs.display()))?.flatten() {
        if entry.path().extension().is_some_and(|e| e == "deb") {
            process::logged(&what, Command::new("dpkg").arg("-x").arg(entry.path()).arg(cache.debian()), &log)?;
            found += 1;
        }
    }
    if found < packages.len() {
        return Err(Failure::new(what, format!("{found} of {} packages were downloaded", packages.len())).log(&log));
    }
    fs::write(&done, packages.join("\n")).doing(|| format!("writing {}", done.display()))?;
    step.done();
    Ok(())
}

/// Options that make apt keep its lists in a folder of ours, with the machine's own sources.
fn own_lists(dir: &Path) -> Result<Vec<String>> {
    for sub in ["lists/partial", "archives/partial"] {
        let path = dir.join(sub);
        fs::create_dir_all(&path).doing(|| format!("creating {}", path.display()))?;
    }
    let option = |key: &str, sub: &str| format!("-o{key}={}/{sub}", dir.display());
    Ok(vec![option("Dir::State::lists", "lists"), option("Dir::Cache", ""), option("Dir::Cache::archives", "archives")])
}

/// A `.pc` file names `/usr`; unpacked elsewhere it has to name that place.
fn rewrite_prefix(file: &Path, root: &Path) -> Result<()> {
    let text = fs::read_to_string(file).doing(|| format!("reading {}", file.display()))?;
    fs::write(file, relocated(&text, root)).doing(|| format!("writing {}", file.display()))
}

fn relocated(text: &str, root: &Path) -> String {
    let root = root.display().to_string();
    text.lines()
        .map(|line| match line.split_once('=') {
            Some((key, value)) if value.starts_with("/usr") => format!("{key}={root}{value}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pc_file_is_moved_once_however_often_it_is_rewritten() {
        let pc = "prefix=/usr\nexec_prefix=${prefix}\nlibdir=/usr/lib/x86_64-linux-gnu\nName: libseccomp\nCflags: -I${includedir}\n";
        let once = relocated(pc, Path::new("/cache/debian"));
        assert!(
            once.contains("prefix=/cache/debian/usr\n")
                && once.contains("libdir=/cache/debian/usr/lib/x86_64-linux-gnu\n"),
            "{once}"
        );
        assert!(once.contains("exec_prefix=${prefix}\n") && once.contains("Cflags: -I${includedir}\n"), "{once}");
        assert_eq!(relocated(&once, Path::new("/cache/debian")), once);
    }
}
