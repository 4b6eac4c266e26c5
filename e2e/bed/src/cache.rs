//! Where the bed keeps what it built and what runs: outside the checkout, so that a second clone finds it warm.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure, Result};

/// Folders of the cache.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$TIDEGATE_CACHE`, else `$XDG_CACHE_HOME/tidegate`, else `~/.cache/tidegate`.
    pub fn open() -> Result<Self> {
        let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = set("TIDEGATE_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|p| p.join("tidegate")))
            .or_else(|| set("HOME").map(|p| p.join(".cache/tidegate")))
            .ok_or_else(|| {
                Failure::new("finding the cache", "neither TIDEGATE_CACHE nor HOME is set")
                    .remedy("set TIDEGATE_CACHE to a folder with 15 GB free")
            })?;
        let root = if root.is_absolute() {
            root
        } else {
            env::current_dir().doing(|| "finding the cache".to_owned())?.join(root)
        };
        Self::at(root)
    }

    /// The cache at `root`.
    ///
    /// Folders that a node covers with its own mounts are refused: the run's files would vanish under them.
    pub fn at(root: PathBuf) -> Result<Self> {
        for covered in ["/var", "/run", "/proc", "/sys"] {
            if root.starts_with(covered) {
                return Err(Failure::new(
                    "opening the cache",
                    format!("{} lies below {covered}, which a node covers with its own mount", root.display()),
                )
                .remedy("set TIDEGATE_CACHE to a folder elsewhere, for example in /home or /tmp"));
            }
        }
        let cache = Self { root };
        for dir in [cache.programs(), cache.runs(), cache.images(), cache.logs()] {
            fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        }
        Ok(cache)
    }

    /// The cache's own folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Built programs, one folder per program and version.
    pub fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    /// Unpacked Debian packages.
    pub fn debian(&self) -> PathBuf {
        self.root.join("debian")
    }

    /// Built images, one folder per image and version.
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Storage of the nodes' registries, shared so that an image is written once.
    pub fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    /// Run folders of clusters.
    pub fn runs(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Output of builds.
    pub fn logs(&self) -> PathBuf {
        self.root.join("log")
    }
}

/// The checkout that this program was built from.
pub fn checkout() -> PathBuf {
    source().parent().and_then(Path::parent).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// The folder `e2e/bed` of the checkout.
pub fn source() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn a_cache_that_a_node_would_cover_is_refused_with_a_remedy() {
        let failure = Cache::at("/run/user/0/tidegate".into()).expect_err("a node mounts a tmpfs over /run");
        assert!(failure.to_string().contains("TIDEGATE_CACHE"), "{failure}");
    }
}
