//! `tidegate completion`: a script for the user's shell.

use super::Cli;
use super::failure::Failure;
use super::output::write;
use clap::{Args, CommandFactory, ValueEnum};

/// `tidegate completion`
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    pub(super) fn run(&self) -> Result<(), Failure> {
        write(&self.script())
    }

    fn script(&self) -> String {
        use clap_complete::shells;
        let (mut command, mut script) = (Cli::command(), Vec::new());
        let name = "tidegate";
        match self.shell {
            Shell::Bash => clap_complete::generate(shells::Bash, &mut command, name, &mut script),
            Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, name, &mut script),
            Shell::Fish => clap_complete::generate(shells::Fish, &mut command, name, &mut script),
        }
        String::from_utf8_lossy(&script).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_told_every_verb() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = Completion { shell }.script();
            for verb in ["promote", "abort", "status", "explain", "history", "undo"] {
                assert!(script.contains(verb), "{shell:?} {verb}");
            }
        }
    }
}
