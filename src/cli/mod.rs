//! The command line: one file per verb. A verb reads its arguments, calls the room that does the work, and prints.
//!
//! User text is built here and nowhere below; what a verb can fail with ends as one line on stderr and a non-zero exit.

pub mod controller;
pub mod crds;

use clap::{Parser, Subcommand};

/// Progressive delivery and GitOps for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs the controller until it is told to stop.
    Controller(Box<controller::Controller>),
    /// Prints the CustomResourceDefinitions as YAML.
    Crds(crds::Crds),
}

impl Cli {
    /// Does what the arguments say.
    ///
    /// # Errors
    /// The first thing that failed, for the person at the terminal.
    pub fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::Controller(verb) => verb.run(),
            Verb::Crds(verb) => verb.run(),
        }
    }
}
