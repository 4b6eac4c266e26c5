//! The command line: one file per verb or family of verbs. A verb reads its arguments, calls the room that does the work, and
//! prints.
//!
//! User text is built here and nowhere below; what a verb can fail with ends as one line on stderr and an exit code that says
//! whose turn it is ([`failure`]). `access/` speaks to the cluster as the user, `show/` turns what was read into lines and
//! knows no cluster.

mod access;
mod arguments;
pub mod command;
pub mod completion;
pub mod controller;
pub mod crds;
pub mod failure;
pub mod look;
mod output;
mod owner;
pub mod pause;
pub mod release;
pub mod set;
mod show;
pub mod status;

use access::Target;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

/// Progressive delivery and GitOps for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version)]
pub struct Cli {
    // As kubectl takes them, before the verb too.
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows a Rollout with all that belongs to it.
    Get(look::Get),
    /// Lists Rollouts.
    List(look::List),
    /// Says how a Rollout is, by exit code too: 0 Healthy, 1 Degraded, 2 no such Rollout, 3 not settled (in time), 4 cluster.
    Status(status::StatusOf),
    /// Says the one thing that a Rollout waits for, since when, and what would release it.
    Explain(look::Explain),
    /// Shows the revisions that are kept, and what was asked by whom.
    History(look::History),
    /// Ends the current pause or step, or skips all that is left.
    Promote(command::Promote),
    /// Puts all traffic back to the stable revision, now.
    Abort(command::Abort),
    /// Runs an aborted revision again from its first step.
    Retry(command::Retry),
    /// Stops the steps; weight and safety stay.
    Pause(pause::Pause),
    /// Ends what `pause` began.
    Resume(pause::Resume),
    /// Replaces all pods.
    Restart(command::Restart),
    /// Goes back to a former revision while spec stays.
    Rollback(command::Rollback),
    /// Puts the template of a former revision back into spec; refused where a repository owns it.
    Undo(set::Undo),
    /// Takes the controller's finalizer off Rollouts, where no controller is left to do it.
    Release(release::Release),
    /// Changes a field of the template.
    Set(set::Set),
    /// Prints a completion script.
    Completion(completion::Completion),
    /// Runs the controller until it is told to stop.
    Controller(Box<controller::Controller>),
    /// Prints the CustomResourceDefinitions as YAML.
    Crds(crds::Crds),
}

impl Cli {
    /// Reads the arguments of this process; ends it when they are wrong. Named `kubectl-tidegate` it calls itself what the
    /// user typed, `kubectl tidegate`.
    pub fn read() -> Self {
        let called = std::env::args_os().next().map(std::path::PathBuf::from);
        let plugin = called.as_deref().and_then(|p| p.file_stem()).is_some_and(|name| name == "kubectl-tidegate");
        let mut command = Self::command();
        if plugin {
            command = command.bin_name("kubectl tidegate");
        }
        let matches = command.get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Does what the arguments say.
    ///
    /// # Errors
    /// The first thing that failed, for the person at the terminal.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { target, verb } = self;
        if matches!(verb, Verb::Controller(_) | Verb::Crds(_) | Verb::Completion(_)) && !target.is_empty() {
            let text = "--kubeconfig, --context and --namespace before the verb are for verbs about Rollouts; give this verb its own";
            return Err(Failure::Usage(text.to_owned()).into());
        }
        match verb {
            Verb::Controller(verb) => verb.run()?,
            Verb::Crds(verb) => verb.run()?,
            Verb::Completion(verb) => verb.run()?,
            verb => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let code = runtime.block_on(verb.about_rollouts(target));
                // A lookup of a name may still block a thread; nobody waits for it.
                runtime.shutdown_background();
                return Ok(code?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Verb {
    async fn about_rollouts(self, target: Target) -> Result<ExitCode, Failure> {
        match self {
            Self::Status(verb) => return verb.run(target).await,
            Self::Get(verb) => verb.run(target).await?,
            Self::List(verb) => verb.run(target).await?,
            Self::Explain(verb) => verb.run(target).await?,
            Self::History(verb) => verb.run(target).await?,
            Self::Promote(verb) => verb.run(target).await?,
            Self::Abort(verb) => verb.run(target).await?,
            Self::Retry(verb) => verb.run(target).await?,
            Self::Pause(verb) => verb.run(target).await?,
            Self::Resume(verb) => verb.run(target).await?,
            Self::Restart(verb) => verb.run(target).await?,
            Self::Rollback(verb) => verb.run(target).await?,
            Self::Undo(verb) => verb.run(target).await?,
            Self::Release(verb) => verb.run(target).await?,
            Self::Set(verb) => verb.run(target).await?,
            // Handled before: they need no cluster of the user's.
            Self::Controller(_) | Self::Crds(_) | Self::Completion(_) => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The exit code of what [`Cli::run`] failed with.
pub fn code_of(error: &anyhow::Error) -> ExitCode {
    error.downcast_ref::<Failure>().map_or(ExitCode::FAILURE, Failure::code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_namespace_may_stand_before_and_after_the_verb() {
        for line in [
            "tidegate -n shop status web",
            "tidegate status web --namespace shop",
            "tidegate get rollout web -n shop -w",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in
            ["tidegate status", "tidegate get pod web", "tidegate promote web --timeout soon", "tidegate set image web"]
        {
            assert_eq!(Cli::try_parse_from(line.split(' ')).expect_err(line).exit_code(), 2, "{line}");
        }
    }
}
