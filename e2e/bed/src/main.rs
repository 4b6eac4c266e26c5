//! `cargo bed`, `cargo demo` and `cargo verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bed::cache::Cache;
use bed::debian::Unpacked;
use bed::failure::{Failure, Result};
use bed::{init, manifests, node, programs, say, verify};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("\nbed: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["init", run] => init::run(Path::new(run))?,
        ["keep", run, pid] => {
            let cache = cache_of(Path::new(run))?;
            node::keep(
                &cache,
                Path::new(run),
                pid.parse().map_err(|e| Failure::new("reading the process number", e))?,
            )?;
        }
        ["build"] => {
            let cache = Cache::open()?;
            let debian = Unpacked::open(&cache)?;
            programs::build(&cache, &debian, programs::NODE)?;
            programs::build(&cache, &debian, programs::IMAGES)?;
            programs::traefik(&cache)?;
            programs::traefik_crds(&cache)?;
        }
        ["up", rest @ ..] => {
            let cache = Cache::open()?;
            let name = match rest {
                ["--name", name] => Some((*name).to_owned()),
                _ => None,
            };
            let mut running = node::up(&cache, &node::Options { name, owned: false })?;
            manifests::push_images(&cache, &mut running.cluster)?;
            manifests::apply(&cache, &running.cluster)?;
            say::line(&format!("run folder {}", running.cluster.run.display()));
        }
        ["verify", rest @ ..] => {
            let mut options = verify::Options::default();
            let mut rest = rest.iter();
            while let Some(word) = rest.next() {
                match (*word, rest.as_slice().first()) {
                    ("--wide", _) => options.wide = true,
                    ("--only", Some(name)) => {
                        options.only.push((*name).to_owned());
                        rest.next();
                    }
                    _ => {
                        return Err(Failure::new("reading the command", format!("{word} is not known"))
                            .remedy("cargo verify [--wide] [--only NAME]"));
                    }
                }
            }
            return verify::run(&options);
        }
        ["down", name] => node::down(&Cache::open()?, name)?,
        ["list"] => {
            for cluster in node::list(&Cache::open()?)? {
                println!("{} {}", cluster.name, cluster.run.display());
            }
        }
        _ => return Err(Failure::new("reading the command", "unknown")),
    }
    Ok(ExitCode::SUCCESS)
}

/// The cache that a run folder lies in.
fn cache_of(run: &Path) -> Result<Cache> {
    let root = run.parent().and_then(Path::parent).map_or_else(PathBuf::new, Path::to_owned);
    Cache::at(root)
}
