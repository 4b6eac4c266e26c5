//! Arguments that several verbs take.

use super::access::{Cluster, Target};
use super::failure::Failure;
use crate::core::scalar::Span;
use clap::Args;
use std::time::Duration;

/// One Rollout.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name of the Rollout; rollout/NAME too
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    #[command(flatten)]
    target: Target,
}

impl Named {
    /// The cluster, and the Rollout's name.
    pub(crate) async fn open(self, before: Target) -> Result<(Cluster, String), Failure> {
        Ok((self.target.or(before).open().await?, self.name))
    }
}

/// `web`, `rollout/web`, `ro/web`.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let name = match text.split_once('/') {
        None => text,
        Some(("rollout" | "rollouts" | "ro" | "rollouts.tidegate.dev", name)) => name,
        Some((kind, _)) => return Err(format!("{kind} is no Rollout; give rollout/NAME, or the name alone")),
    };
    // What an API server accepts as a name; the rest would change the path that is asked for.
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if name.is_empty() || !name.chars().all(sound) {
        return Err(format!("{name:?} cannot be a name; names are of a-z, 0-9, - and ."));
    }
    Ok(name.to_owned())
}

/// `90`, `90s`, `5m`.
pub(crate) fn limit(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse().map_err(|e: crate::core::scalar::SpanError| e.to_string())?;
    Ok(span.as_duration().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_carry_its_kind_and_nothing_else() {
        for (text, wanted) in [("web", "web"), ("rollout/web", "web"), ("ro/web.v1", "web.v1")] {
            assert_eq!(name(text).as_deref(), Ok(wanted));
        }
        for text in ["", "deployment/web", "rollout/", "../nodes", "rollout/a/b", "Web"] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_is_a_number_of_seconds_or_has_units() {
        assert_eq!(limit("90"), Ok(Duration::from_secs(90)));
        assert_eq!(limit("1m30s"), Ok(Duration::from_secs(90)));
        assert!(limit("soon").is_err());
    }
}
