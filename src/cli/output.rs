//! Where answers go: stdout, as text for a person or as data for a program.

use super::failure::Failure;
use super::show::text::{Line, paint};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write, stdout};

/// A form other than the short text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text with more columns.
    Wide,
    Json,
    Yaml,
}

/// Prints `lines`, or `data` when a form of data was asked for.
pub(crate) fn print(output: Option<Output>, lines: &[Line], data: &impl Serialize) -> Result<(), Failure> {
    match output {
        None | Some(Output::Wide) => write(&paint(lines, coloured())),
        Some(Output::Json) => {
            let text = serde_json::to_string_pretty(data).map_err(std::io::Error::from)?;
            write(&format!("{text}\n"))
        }
        Some(Output::Yaml) => {
            let text = serde_saphyr::to_string(data).map_err(std::io::Error::other)?;
            write(&format!("---\n{}\n", text.trim_end()))
        }
    }
}

/// Prints the next state of something that is watched: a terminal shows the newest only, a file all of them.
pub(crate) fn reprint(output: Option<Output>, lines: &[Line], data: &impl Serialize) -> Result<(), Failure> {
    let text = matches!(output, None | Some(Output::Wide));
    if text && stdout().is_terminal() {
        // Home, and clear below; the scrollback stays as it was.
        write("\u{1b}[H\u{1b}[2J")?;
    }
    print(output, lines, data)?;
    if text && !stdout().is_terminal() { write("\n") } else { Ok(()) }
}

/// A terminal that wants colour: `NO_COLOR`, `CLICOLOR` and `TERM=dumb` are honoured.
fn coloured() -> bool {
    anstream::AutoStream::choice(&stdout()) != anstream::ColorChoice::Never
}

pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read, `head` for one, has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}
