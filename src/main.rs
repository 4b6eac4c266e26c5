//! The one binary of Tidegate.

use std::process::ExitCode;
use tidegate::cli::{Cli, code_of};

fn main() -> ExitCode {
    match Cli::read().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            code_of(&error)
        }
    }
}
