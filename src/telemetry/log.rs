//! Log lines: each readable alone, with its fields beside the words.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Json,
    Text,
}

/// Starts logging to stderr. `filter` is a level (`info`) or a list such as `info,tidegate=debug`; what kube's own client says
/// below a warning is left out unless the filter names it, and of its watches below an error: they are told by us.
///
/// # Errors
/// When the filter cannot be read.
pub fn init(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let quiet = if filter.contains("kube") {
        filter.to_owned()
    } else {
        format!("{filter},kube=warn,kube_runtime=error,gix=warn")
    };
    let filter = EnvFilter::try_new(quiet)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).init(),
        LogFormat::Text => lines.init(),
    }
    Ok(())
}
