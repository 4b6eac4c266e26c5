//! The toolchain that builds the product as a static program.
//!
//! Its target is a part of `rust-toolchain.toml`, which rustup fetches with the toolchain; where the toolchain was there before, or
//! rustup may not install by itself, the target is missing. The user's toolchains are left as they are: one of the project's own,
//! with the target, is fetched into the cache by rustup and used for this build alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, Cache};
use crate::failure::{Failure, Result};
use crate::{process, say};

/// What the product is built for: no C library that its empty image would have to hold.
pub fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// The version that the checkout asks for.
fn channel() -> Result<&'static str> {
    let text = include_str!("../../../rust-toolchain.toml");
    let line = text.lines().find_map(|l| l.strip_prefix("channel = "));
    line.map(|l| l.trim_matches('"'))
        .ok_or_else(|| Failure::new("reading rust-toolchain.toml", "it has no line that starts with channel ="))
}

/// Whether the toolchain of the checkout can build for the target.
fn is_complete() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(cache::checkout()).args(["--print", "target-libdir", "--target", &target()]);
    process::output("asking rustc", &mut rustc).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// What `check` shows: where the target is or will come from.
pub fn found(cache: &Cache) -> std::result::Result<String, String> {
    if is_complete() {
        return Ok("installed".to_owned());
    }
    match own(cache) {
        Ok(home) if home.join(DONE).exists() => Ok("fetched into the cache".to_owned()),
        Ok(_) if process::find("rustup").is_some() => Ok("will be fetched into the cache by build".to_owned()),
        Ok(_) => Err("not installed, and there is no rustup to fetch it".to_owned()),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Written when a toolchain of ours is complete.
const DONE: &str = ".complete";

/// Home of rustup in the cache.
fn own(cache: &Cache) -> Result<PathBuf> {
    Ok(cache.programs().join(format!("rust-{}", channel()?)))
}

/// A cargo that can build for the target; fetches a toolchain of our own when the user's cannot.
pub fn cargo(cache: &Cache) -> Result<Command> {
    if is_complete() {
        return Ok(Command::new("cargo"));
    }
    let (home, channel) = (own(cache)?, channel()?);
    let rustup = || {
        let mut command = Command::new("rustup");
        command.env("RUSTUP_HOME", &home);
        command
    };
    if !home.join(DONE).exists() {
        let what = format!("fetching Rust {channel} with the target {}", target());
        let step = say::Step::begin(&what, "about a minute");
        let mut install = rustup();
        install.args([
            "toolchain",
            "install",
            channel,
            "--profile",
            "minimal",
            "--no-self-update",
            "--target",
            &target(),
        ]);
        process::logged(&what, &mut install, &cache.logs().join("rustup.log"))
            .map_err(|f| f.remedy(format!("or let the user's toolchain have it: rustup target add {}", target())))?;
        crate::process::append(&home.join(DONE))?;
        step.done();
    }
    let mut cargo = rustup();
    cargo.args(["run", channel, "cargo"]);
    // Those of the cargo that started us name its own toolchain.
    for inherited in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        cargo.env_remove(inherited);
    }
    Ok(cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_names_a_version_and_the_target() {
        let channel = channel().expect("a version");
        assert!(channel.split('.').all(|part| part.parse::<u32>().is_ok()), "{channel}");
        assert!(include_str!("../../../rust-toolchain.toml").contains("-unknown-linux-musl"));
    }
}
