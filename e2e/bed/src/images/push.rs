//! Moves an image into a registry.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::http::{Body, request};
use super::oci::{Blob, Image, MANIFEST};
use crate::failure::{Doing, Failure, Result};

/// Waits until the registry at `host` (`HOST:PORT`) answers.
pub fn wait(host: &str, patience: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        let why = match request(host, "GET", "/v2/", &[], &Body::Empty) {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => format!("it answers {}", answer.status),
            Err(e) => e.to_string(),
        };
        if start.elapsed() > patience {
            return Err(Failure::new(format!("waiting for the registry {host}"), why));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Stores `image` as `reference` (`[HOST/]REPOSITORY:TAG`); the reference's own host is part of the repository's name only for
/// the puller, which asks this registry for it. True if anything had to be sent.
pub fn push(host: &str, reference: &str, image: &Image) -> Result<bool> {
    let (repository, tag) = split(reference);
    let what = || format!("pushing {reference} to {host}");
    let manifest = format!("/v2/{repository}/manifests/{tag}");
    let there = request(host, "HEAD", &manifest, &[("Accept", MANIFEST)], &Body::Empty).doing(what)?;
    if there.status == 200 && there.header("docker-content-digest") == Some(image.manifest.digest.as_str()) {
        return Ok(false);
    }
    for (blob, file) in image.blobs() {
        store(host, repository, blob, &file).map_err(|f| Failure::new(what(), f))?;
    }
    let bytes = image.manifest_bytes()?;
    let put = request(host, "PUT", &manifest, &[("Content-Type", MANIFEST)], &Body::Bytes(&bytes)).doing(what)?;
    if put.status == 201 {
        Ok(true)
    } else {
        Err(Failure::new(
            what(),
            format!("the manifest was answered {}: {}", put.status, String::from_utf8_lossy(&put.body)),
        ))
    }
}

fn store(host: &str, repository: &str, blob: &Blob, file: &Path) -> Result<()> {
    let what = || format!("storing {}", blob.digest);
    let there =
        request(host, "HEAD", &format!("/v2/{repository}/blobs/{}", blob.digest), &[], &Body::Empty).doing(what)?;
    if there.status == 200 {
        return Ok(());
    }
    let begun = request(host, "POST", &format!("/v2/{repository}/blobs/uploads/"), &[], &Body::Empty).doing(what)?;
    let location = begun
        .header("location")
        .ok_or_else(|| Failure::new(what(), format!("the upload was answered {} without a location", begun.status)))?;
    // Absolute or not, it is at the host that we asked.
    let path = location.strip_prefix("http://").map_or(location, |l| l.find('/').map_or(l, |at| &l[at..]));
    let joint = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{joint}digest={}", blob.digest);
    let put =
        request(host, "PUT", &path, &[("Content-Type", "application/octet-stream")], &Body::File(file)).doing(what)?;
    if put.status == 201 {
        Ok(())
    } else {
        Err(Failure::new(what(), format!("it was answered {}: {}", put.status, String::from_utf8_lossy(&put.body))))
    }
}

/// Repository and tag of a reference, as a puller with one mirror for all hosts asks for them: without the host.
fn split(reference: &str) -> (&str, &str) {
    let (name, tag) = match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    };
    match name.split_once('/') {
        Some((host, repository)) if host.contains('.') || host.contains(':') => (repository, tag),
        _ => (name, tag),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_host_of_a_reference_is_not_part_of_the_repository() {
        assert_eq!(split("tidegate.test/app:1"), ("app", "1"));
        assert_eq!(split("library/nginx:latest"), ("library/nginx", "latest"));
        assert_eq!(split("127.0.0.1:5000/a/b"), ("a/b", "latest"));
    }
}
