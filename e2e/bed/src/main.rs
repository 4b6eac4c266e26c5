//! `cargo bed`, `cargo demo` and `cargo verify`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bed::cache::Cache;
use bed::cluster::Cluster;
use bed::debian::Unpacked;
use bed::demo::{self, Foreign};
use bed::failure::{Failure, Result};
use bed::{bench, check, init, manifests, node, programs, say, verify};

const USAGE: &str = "\
cargo demo [--once] [--json FILE] [--chaos SEED [--harmless]] [--check] [--keep] [--kubeconfig FILE --registry HOST --entry URL]
  cargo verify [--wide] [--only NAME]... [--kubeconfig FILE --registry HOST --entry URL]
  cargo bed check                     what this machine has and lacks
  cargo bed build [--all]             builds everything that a cluster needs (--all: what only --wide and scale runs need, too)
  cargo bed up [--name NAME]          starts a cluster that stays
  cargo bed metrics NAME              adds metrics-server, which the scenarios of autoscaling read
  cargo bed list                      the clusters that run, with their run folders
  cargo bed bench [--rollouts N] [--only MEASURES] [--json FILE]
                                      measures what the controller costs: memory, requests, times
  cargo bed image NAME                builds the product, pushes it, prints its reference
  cargo bed forward NAME IP:PORT      a port of this machine that leads to an address inside, until it is ended
  cargo bed down NAME                 ends a cluster and removes what it left
  cargo bed sweep                     cleans up after runs that were killed";

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
        // The two that the bed starts itself.
        ["init", run] => init::run(Path::new(run))?,
        ["keep", run, pid] => {
            let pid = pid.parse().map_err(|e| Failure::new("reading the process number", e))?;
            node::keep(&cache_of(Path::new(run))?, Path::new(run), pid)?;
        }
        ["check"] => return demo::run(&demo::Options { check: true, ..demo::Options::default() }),
        ["build"] => programs::build_all(&Cache::open()?)?,
        ["build", "--all"] => {
            let cache = Cache::open()?;
            programs::build_all(&cache)?;
            programs::build(&cache, &Unpacked::open(&cache)?, programs::ON_DEMAND)?;
        }
        ["up"] => up(None)?,
        ["up", "--name", name] => up(Some((*name).to_owned()))?,
        ["demo", rest @ ..] => return demo::run(&demo_options(rest)?),
        ["bench", rest @ ..] => {
            return bench::run(&rest.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        }
        ["verify", rest @ ..] => return verify::run(&verify_options(rest)?),
        ["image", name] => {
            let cache = Cache::open()?;
            println!("{}", manifests::push_product(&cache, &mut named(&cache, name)?)?);
        }
        ["metrics", name] => {
            let cache = Cache::open()?;
            manifests::add_metrics(&cache, &mut named(&cache, name)?)?;
        }
        ["forward", name, target] => {
            let target: SocketAddr = target.parse().map_err(|e| {
                Failure::new(format!("reading the address {target}"), e)
                    .remedy("give IP:PORT; kubectl get pods -o wide shows addresses")
            })?;
            let forward = named(&Cache::open()?, name)?.forward(target)?;
            println!("{}", forward.local());
            loop {
                std::thread::park();
            }
        }
        ["down", name] => node::down(&Cache::open()?, name)?,
        ["sweep"] => node::sweep(&Cache::open()?)?,
        ["list"] => {
            for cluster in node::list(&Cache::open()?)? {
                println!("{} {}", cluster.name, cluster.run.display());
            }
        }
        _ => return Err(Failure::new("reading the command", format!("{:?} is not one", words.join(" "))).remedy(USAGE)),
    }
    Ok(ExitCode::SUCCESS)
}

fn up(name: Option<String>) -> Result<()> {
    let cache = Cache::open()?;
    check::ensure(&cache)?;
    programs::build_all(&cache)?;
    let mut running = node::up(&cache, &node::Options { name, owned: false })?;
    manifests::push_images(&cache, &mut running.cluster)?;
    manifests::apply(&cache, &running.cluster)?;
    let cluster = &running.cluster;
    say::line(&format!("run folder {}; cargo bed down {} ends it", cluster.run.display(), cluster.name));
    println!("export KUBECONFIG={}", cluster.kubeconfig.display());
    Ok(())
}

/// A cluster by its name or its run folder.
fn named(cache: &Cache, name: &str) -> Result<Cluster> {
    let folder = Path::new(name);
    Cluster::open(&if folder.is_absolute() { folder.to_owned() } else { cache.runs().join(name) })
}

/// The cache that a run folder lies in.
fn cache_of(run: &Path) -> Result<Cache> {
    Cache::at(run.parent().and_then(Path::parent).map_or_else(PathBuf::new, Path::to_owned))
}

/// The words of a command, taken one by one.
struct Words<'a> {
    rest: std::slice::Iter<'a, &'a str>,
    foreign: [Option<String>; 3],
}

impl<'a> Words<'a> {
    fn new(words: &'a [&'a str]) -> Self {
        Self { rest: words.iter(), foreign: [None, None, None] }
    }

    /// The next word that does not name a foreign cluster.
    fn next(&mut self) -> Result<Option<&'a str>> {
        while let Some(word) = self.rest.next() {
            match ["--kubeconfig", "--registry", "--entry"].iter().position(|known| known == word) {
                Some(at) => self.foreign[at] = Some(self.value(word)?),
                None => return Ok(Some(word)),
            }
        }
        Ok(None)
    }

    fn value(&mut self, of: &str) -> Result<String> {
        self.rest
            .next()
            .map(|v| (*v).to_owned())
            .ok_or_else(|| Failure::new("reading the command", format!("{of} needs a value")).remedy(USAGE))
    }

    fn foreign(self) -> Result<Option<Foreign>> {
        match self.foreign {
            [None, None, None] => Ok(None),
            [Some(kubeconfig), Some(registry), entry] => Ok(Some(Foreign { kubeconfig, registry, entry })),
            _ => {
                Err(Failure::new("reading the command", "another cluster needs --kubeconfig and --registry")
                    .remedy(USAGE))
            }
        }
    }
}

fn unknown(word: &str) -> Failure {
    Failure::new("reading the command", format!("{word} is not known")).remedy(USAGE)
}

fn demo_options(words: &[&str]) -> Result<demo::Options> {
    let mut options = demo::Options::default();
    let mut words = Words::new(words);
    while let Some(word) = words.next()? {
        match word {
            "--check" => options.check = true,
            "--keep" => options.keep = true,
            "--once" | "--harmless" => options.story.push(word.to_owned()),
            "--json" | "--chaos" => {
                let mut value = words.value(word)?;
                // The suite is started in the checkout's folder, the user may be elsewhere.
                if word == "--json"
                    && let Ok(here) = std::env::current_dir()
                {
                    value = here.join(value).display().to_string();
                }
                options.story.extend([word.to_owned(), value]);
            }
            other => return Err(unknown(other)),
        }
    }
    options.foreign = words.foreign()?;
    Ok(options)
}

fn verify_options(words: &[&str]) -> Result<verify::Options> {
    let mut options = verify::Options::default();
    let mut words = Words::new(words);
    while let Some(word) = words.next()? {
        match word {
            "--wide" => options.wide = true,
            "--only" => options.only.push(words.value(word)?),
            other => return Err(unknown(other)),
        }
    }
    options.foreign = words.foreign()?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_story_are_passed_on_and_those_of_the_bed_are_not() {
        let options = demo_options(&["--once", "--keep", "--chaos", "7"]).expect("known words");
        assert_eq!(options.story, ["--once", "--chaos", "7"]);
        assert!(options.keep && options.foreign.is_none());
    }

    #[test]
    fn a_foreign_cluster_is_never_half_named() {
        assert!(verify_options(&["--kubeconfig", "f"]).is_err());
        let options = verify_options(&["--kubeconfig", "f", "--wide", "--registry", "r:5000"]).expect("both are there");
        assert!(options.wide && options.foreign.is_some());
    }

    #[test]
    fn an_unknown_word_is_named() {
        assert!(demo_options(&["--onse"]).expect_err("a typo").to_string().contains("--onse"));
    }
}
