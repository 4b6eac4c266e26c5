//! The one binary of Tidegate.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match tidegate::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
