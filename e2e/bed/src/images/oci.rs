//! An image of one layer in the OCI format, as files of the cache.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::tar::Tar;
use crate::failure::{Doing, Result};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of the manifest, for the registry.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// How an image is started.
#[derive(Debug, Clone, Default)]
pub struct Start<'a> {
    /// Program and its first arguments.
    pub entrypoint: &'a [&'a str],
    /// `USER:GROUP` by number.
    pub user: &'a str,
    /// `NAME=VALUE`.
    pub env: &'a [&'a str],
    /// Where it is started.
    pub folder: &'a str,
}

/// A part of an image that a registry stores under its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// `sha256:…`.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

/// A finished image in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Image {
    /// Where its files are.
    folder: PathBuf,
    /// The only layer, `layer.tar`.
    pub layer: Blob,
    /// The configuration, `config.json`.
    pub config: Blob,
    /// The manifest, `manifest.json`; its digest is the image's identity.
    pub manifest: Blob,
}

impl Image {
    /// The image that was built for this folder before, if it is whole.
    pub fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join("image.json")).ok()?).ok()
    }

    /// Writes an image whose layer is filled by `fill`.
    pub fn build(
        folder: &Path,
        start: &Start<'_>,
        fill: impl FnOnce(&mut Tar<Summed>) -> io::Result<()>,
    ) -> Result<Self> {
        fs::create_dir_all(folder).doing(|| format!("creating {}", folder.display()))?;
        let write = || -> io::Result<Self> {
            let mut tar = Tar::new(Summed::create(&folder.join("layer.tar"))?);
            fill(&mut tar)?;
            let layer = tar.finish()?.blob();
            let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
            let config = serde_json::to_vec(&json!({
                "architecture": architecture,
                "os": "linux",
                "config": {"Entrypoint": start.entrypoint, "Env": start.env, "User": start.user, "WorkingDir": start.folder},
                "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
                "history": [{"created_by": "cargo bed"}],
            }))?;
            let config_blob = blob(&config);
            let manifest = serde_json::to_vec(&json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": config_blob.digest, "size": config_blob.size},
                "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size}],
            }))?;
            fs::write(folder.join("config.json"), &config)?;
            fs::write(folder.join("manifest.json"), &manifest)?;
            let image = Self { folder: folder.to_owned(), layer, config: config_blob, manifest: blob(&manifest) };
            // Last, so that its presence says that the rest is whole.
            fs::write(folder.join(".image.json"), serde_json::to_vec(&image)?)?;
            fs::rename(folder.join(".image.json"), folder.join("image.json"))?;
            Ok(image)
        };
        write().doing(|| format!("writing the image {}", folder.display()))
    }

    /// The files of its blobs, to be stored before the manifest.
    pub fn blobs(&self) -> [(&Blob, PathBuf); 2] {
        [(&self.layer, self.folder.join("layer.tar")), (&self.config, self.folder.join("config.json"))]
    }

    /// The manifest's bytes.
    pub fn manifest_bytes(&self) -> Result<Vec<u8>> {
        let path = self.folder.join("manifest.json");
        fs::read(&path).doing(|| format!("reading {}", path.display()))
    }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { digest: digest(&Sha256::digest(bytes)), size: bytes.len() as u64 }
}

fn digest(hash: &[u8]) -> String {
    format!("sha256:{}", hex(hash))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file that is hashed while it is written.
#[derive(Debug)]
pub struct Summed {
    out: BufWriter<File>,
    hash: Sha256,
    size: u64,
}

impl Summed {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::with_capacity(1 << 20, File::create(path)?), hash: Sha256::new(), size: 0 })
    }

    fn blob(self) -> Blob {
        Blob { digest: digest(&self.hash.finalize()), size: self.size }
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_the_same_image_and_is_found_again() {
        let root = std::env::temp_dir().join(format!("bed-oci-{}", std::process::id()));
        let start = Start { entrypoint: &["/app"], user: "65532:65532", ..Start::default() };
        let build = |folder: &str| {
            Image::build(&root.join(folder), &start, |tar| tar.bytes("app", 0o755, 0, b"#!")).expect("written")
        };
        let (a, b) = (build("a"), build("b"));
        assert_eq!(a.manifest, b.manifest);
        assert_eq!(Image::load(&root.join("a")).expect("is whole").manifest, a.manifest);
        assert_eq!(a.layer.size, 512 + 512 + 1024, "header, content, end");
        fs::remove_dir_all(&root).expect("was written");
    }
}
