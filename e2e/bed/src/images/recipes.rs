//! What goes into which image.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::oci::{Image, Start, Summed, hex};
use super::tar::Tar;
use crate::cache::{self, Cache};
use crate::debian::Unpacked;
use crate::failure::{Doing, Failure, Result};
use crate::programs::{self, Program};
use crate::{process, rust, say};

/// Changes when the way in which images are made changes.
const EDITION: &str = "3";
/// Nobody's number, as distroless images have it.
const NONROOT: &str = "65532:65532";
/// Gitea's user, who owns `/data`.
const GIT: &str = "1000:1000";
const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\ngit:x:1000:1000:git:/data:/bin/bash\nnginx:x:101:101:nginx:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ngit:x:1000:\nnginx:x:101:\nnonroot:x:65532:\n";

/// An image with the name under which it is pushed.
#[derive(Debug)]
pub struct Named {
    /// Key in `cluster.json`.
    pub short: String,
    /// `[HOST/]REPOSITORY:TAG`.
    pub reference: String,
    /// Its files.
    pub image: Image,
}

/// A recipe's inputs, and what is made of them.
struct Recipe<'a> {
    cache: &'a Cache,
    short: &'a str,
    key: Sha256,
}

impl<'a> Recipe<'a> {
    fn new(cache: &'a Cache, short: &'a str) -> Self {
        let mut key = Sha256::new();
        key.update(EDITION);
        Self { cache, short, key }
    }

    /// A text that is part of the image.
    fn text(mut self, text: &str) -> Self {
        self.key.update(text.len().to_le_bytes());
        self.key.update(text);
        self
    }

    /// A program of the cache or the machine: its path, size and time say which it is, without reading 200 MB.
    fn program(mut self, path: &Path) -> Result<Self> {
        let meta = fs::metadata(path).doing(|| format!("looking at {}", path.display()))?;
        let time = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
        self.key.update(format!("{} {} {}\n", path.display(), meta.len(), time.as_nanos()));
        Ok(self)
    }

    fn make(
        self,
        reference: &str,
        start: &Start<'_>,
        fill: impl FnOnce(&mut Tar<Summed>) -> io::Result<()>,
    ) -> Result<Named> {
        let hash = hex(&self.key.finalize());
        let folder = self.cache.images().join(format!("{}-{}", self.short, &hash[..12]));
        let image = match Image::load(&folder) {
            Some(image) => image,
            None => Image::build(&folder, start, |tar| {
                tar.folder("tmp", 0o1777, 0)?;
                tar.folder("etc", 0o755, 0)?;
                tar.bytes("etc/passwd", 0o644, 0, PASSWD.as_bytes())?;
                tar.bytes("etc/group", 0o644, 0, GROUP.as_bytes())?;
                fill(tar)
            })?,
        };
        Ok(Named { short: self.short.to_owned(), reference: reference.to_owned(), image })
    }
}

/// The image of what autoscalers read.
pub fn metrics_server(cache: &Cache) -> Result<Named> {
    single(cache, "metrics-server", "tidegate.test/metrics-server:0.9", &programs::METRICS_SERVER.path(cache)?)
}

/// Every image that each cluster gets.
pub fn all(cache: &Cache) -> Result<Vec<Named>> {
    let mut images = own_sources(cache)?;
    images.push(single(cache, "traefik", "tidegate.test/traefik:3.7.15", &programs::traefik(cache)?)?);
    images.push(single(cache, "prometheus", "tidegate.test/prometheus:3", &program("prometheus")?.path(cache)?)?);
    images.push(nginx(cache)?);
    images.push(gitea(cache)?);
    Ok(images)
}

fn program(name: &str) -> Result<Program> {
    programs::IMAGES
        .iter()
        .find(|p| p.name == name)
        .copied()
        .ok_or_else(|| Failure::new(format!("looking for {name}"), "it is not in the list of programs"))
}

/// A static program on an empty base.
fn single(cache: &Cache, short: &str, reference: &str, program: &Path) -> Result<Named> {
    let entry = format!("/{short}");
    let start = Start { entrypoint: &[&entry], user: NONROOT, env: &["PATH=/"], folder: "/" };
    Recipe::new(cache, short).program(program)?.make(reference, &start, |tar| tar.file(short, 0o755, 0, program))
}

/// Every Go module under `e2e/images`, as `tidegate.test/NAME:1`.
fn own_sources(cache: &Cache) -> Result<Vec<Named>> {
    let root = cache::checkout().join("e2e/images");
    let mut folders: Vec<PathBuf> = fs::read_dir(&root)
        .doing(|| format!("reading {}", root.display()))?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.join("go.mod").is_file())
        .collect();
    folders.sort();
    let mut images = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let binary = cache.programs().join(format!("image-{name}-{}", sources(&folder)?)).join(&name);
        if !binary.is_file() {
            let what = format!("building the image {name}");
            let step = say::Step::begin(&what, "seconds");
            let half = binary.with_extension("half");
            let mut go = Command::new("go");
            go.current_dir(&folder)
                .env("GOFLAGS", "-buildvcs=false")
                .env("CGO_ENABLED", "0")
                .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
                .arg(&half)
                .arg(".");
            process::logged(&what, &mut go, &cache.logs().join(format!("image-{name}.log")))?;
            fs::rename(&half, &binary).doing(|| format!("naming {}", binary.display()))?;
            step.done();
        }
        images.push(single(cache, &name, &format!("tidegate.test/{name}:1"), &binary)?);
    }
    Ok(images)
}

/// Hash of the files of a folder.
fn sources(folder: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .doing(|| format!("reading {}", folder.display()))?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.is_file())
        .collect();
    files.sort();
    let mut key = Sha256::new();
    for file in files {
        key.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        key.update(fs::read(&file).doing(|| format!("reading {}", file.display()))?);
    }
    Ok(hex(&key.finalize())[..8].to_owned())
}

/// Debian's nginx under its public name, so that a sample that says `image: nginx` runs as written.
fn nginx(cache: &Cache) -> Result<Named> {
    let (conf, page) = (include_str!("../../config/nginx/nginx.conf"), include_str!("../../config/nginx/index.html"));
    let debian = Unpacked::at(cache);
    let binary = debian.root().join("usr/sbin/nginx");
    let libraries = libraries(&binary, &debian)?;
    let start = Start {
        entrypoint: &["/usr/sbin/nginx", "-g", "daemon off;"],
        user: "0:0",
        env: &["PATH=/usr/sbin:/usr/bin"],
        folder: "/",
    };
    Recipe::new(cache, "nginx").text(conf).text(page).program(&binary)?.make("library/nginx:latest", &start, |tar| {
        for dir in ["run", "var/lib/nginx", "var/log/nginx", "var/lock"] {
            tar.folder(dir, 0o755, 0)?;
        }
        tar.file("usr/sbin/nginx", 0o755, 0, &binary)?;
        tar.bytes("etc/nginx/nginx.conf", 0o644, 0, conf.as_bytes())?;
        tar.bytes("usr/share/nginx/html/index.html", 0o644, 0, page.as_bytes())?;
        libraries.iter().try_for_each(|(inside, file)| tar.file(inside, 0o755, 0, file))
    })
}

/// Gitea with the machine's git and the few programs that its hooks call.
fn gitea(cache: &Cache) -> Result<Named> {
    let (ini, script) = (include_str!("../../config/gitea/app.ini"), include_str!("../../config/gitea/start.sh"));
    let debian = Unpacked::at(cache);
    let binary = program("gitea")?.path(cache)?;
    let module = programs::gitea_module()?;
    let mut tools = vec![(binary.clone(), "usr/bin/gitea".to_owned())];
    for tool in ["git", "bash", "sh", "env", "cat", "basename", "dirname", "gzip", "mkdir", "rm"] {
        let found = process::find(tool).ok_or_else(|| {
            Failure::new("making the image gitea", format!("{tool} is not on the PATH"))
                .remedy(format!("install {tool}"))
        })?;
        tools.push((
            fs::canonicalize(&found).doing(|| format!("looking at {}", found.display()))?,
            format!("usr/bin/{tool}"),
        ));
    }
    let mut all = BTreeMap::new();
    for (tool, _) in &tools {
        all.extend(libraries(tool, &debian)?);
    }
    let start = Start {
        entrypoint: &["/usr/bin/bash", "/etc/gitea/start.sh"],
        user: GIT,
        env: &["PATH=/usr/bin", "HOME=/data", "USER=git", "ADMIN_NAME=gitea-admin", "ADMIN_PASSWORD=gitea-admin"],
        folder: "/data",
    };
    Recipe::new(cache, "gitea").text(ini).text(script).program(&binary)?.make(
        "tidegate.test/gitea:1.26",
        &start,
        |tar| {
            tar.folder("data", 0o777, 1000)?;
            tar.bytes("etc/gitea/app.ini", 0o644, 0, ini.as_bytes())?;
            tar.bytes("etc/gitea/start.sh", 0o755, 0, script.as_bytes())?;
            for (tool, inside) in &tools {
                tar.file(inside, 0o755, 0, tool)?;
            }
            tar.symlink("bin", "usr/bin")?;
            // Git starts these by their dashed names, also for a clone within one machine.
            for dashed in ["git-upload-pack", "git-receive-pack", "git-upload-archive"] {
                tar.symlink(&format!("usr/bin/{dashed}"), "git")?;
            }
            for dir in ["templates", "options", "public"] {
                tar.tree(&format!("usr/share/gitea/{dir}"), &module.join(dir))?;
            }
            all.iter().try_for_each(|(inside, file)| tar.file(inside, 0o755, 0, file))
        },
    )
}

/// Shared libraries of a program: where they belong in the image, and where they are here.
fn libraries(program: &Path, debian: &Unpacked) -> Result<BTreeMap<String, PathBuf>> {
    let what = format!("listing the libraries of {}", program.display());
    let path = std::env::join_paths(debian.libraries()).doing(|| what.clone())?;
    let listing = process::output(&what, Command::new("ldd").arg(program).env("LD_LIBRARY_PATH", path))?;
    let unpacked = debian.root().to_string_lossy().into_owned();
    listed(&listing, &unpacked).ok_or_else(|| Failure::new(what, format!("some were not found:\n{listing}")))
}

/// Reads the output of `ldd`; nothing if a library is missing.
fn listed(listing: &str, unpacked: &str) -> Option<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for line in listing.lines().map(str::trim) {
        let file = match line.split_once(" => ") {
            Some((_, place)) if place.starts_with("not found") => return None,
            Some((_, place)) => place,
            None => line,
        };
        let file = file.split(" (").next().unwrap_or(file);
        if file.starts_with('/') {
            let inside = file.strip_prefix(unpacked).unwrap_or(file).trim_start_matches('/').to_owned();
            found.insert(inside, PathBuf::from(file));
        }
    }
    Some(found)
}

/// Builds the product's program, static, with one of the workspace's profiles; it runs on this machine too.
///
/// # Errors
/// When cargo fails, with the end of its log.
pub fn product_program(cache: &Cache, profile: &str) -> Result<PathBuf> {
    let target = rust::target();
    let mut cargo = rust::cargo(cache)?;
    let what = "building tidegate";
    let step = say::Step::begin(what, "about 6 min cold on two cores, seconds when little changed");
    let log = cache.logs().join("build-tidegate.log");
    let under = target.replace('-', "_");
    cargo.current_dir(cache::checkout()).args(["build", "--profile", profile, "--target", &target, "-p", "tidegate"]);
    // ring's C needs no libc but the compiler's default fortification calls glibc's; so any cc will do, without musl's own.
    cargo.env(format!("CC_{under}"), "cc").env(format!("CFLAGS_{under}"), "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0");
    process::logged(what, &mut cargo, &log)?;
    step.done();
    Ok(built(profile))
}

fn built(profile: &str) -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| cache::checkout().join("target"), PathBuf::from);
    folder.join(rust::target()).join(profile).join("tidegate")
}

/// Where the build of the product's image leaves its program, which runs on this machine too.
pub fn product_binary() -> PathBuf {
    built("image")
}

/// The product: one static program, the machine's root certificates, nobody's user.
pub fn product(cache: &Cache) -> Result<Named> {
    let binary = product_program(cache, "image")?;
    let bytes = fs::read(&binary).doing(|| format!("reading {}", binary.display()))?;
    let hash = hex(&Sha256::digest(&bytes));
    let start = Start { entrypoint: &["/tidegate"], user: NONROOT, env: &["PATH=/"], folder: "/" };
    let roots = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]
        .map(Path::new)
        .into_iter()
        .find(|p| p.is_file());
    Recipe::new(cache, "tidegate").text(&hash).make(&format!("tidegate.test/tidegate:{}", &hash[..12]), &start, |tar| {
        tar.bytes("tidegate", 0o755, 0, &bytes)?;
        roots.map_or(Ok(()), |file| tar.file("etc/ssl/certs/ca-certificates.crt", 0o644, 0, file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LDD: &str = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibssl.so.3 => /c/debian/usr/lib/x/libssl.so.3 (0x00007f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\t/lib64/ld-linux.so.2 (0x00007f)\n";

    #[test]
    fn libraries_go_to_where_the_loader_looks_wherever_they_come_from() {
        let got = listed(LDD, "/c/debian").expect("none is missing");
        assert_eq!(got.keys().collect::<Vec<_>>(), ["lib/x/libc.so.6", "lib64/ld-linux.so.2", "usr/lib/x/libssl.so.3"]);
        assert_eq!(got["usr/lib/x/libssl.so.3"], Path::new("/c/debian/usr/lib/x/libssl.so.3"));
    }

    #[test]
    fn a_missing_library_is_not_left_out_silently() {
        assert!(listed("\tlibx.so => not found\n", "/c").is_none());
    }

    #[test]
    fn a_static_program_has_none() {
        assert!(listed("\tstatically linked\n", "/c").expect("none is missing").is_empty());
    }
}
