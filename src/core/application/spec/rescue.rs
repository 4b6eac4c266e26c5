//! `spec.rescue`: what happens after a revision that broke something.

use super::Reader;
use crate::api::{ApplicationSpec, IntOrText};
use crate::core::scalar::Span;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescueSpec {
    pub mode: Mode,
    /// How long everything must be Healthy for a revision to be good.
    pub soak: Span,
    /// How long after it was applied a failure counts as caused by the revision.
    pub window: Span,
    /// Reverts within the window; more need a person.
    pub max_reverts: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is taken back.
    Off,
    /// The last good revision is kept applied.
    Hold {
        /// Push was wanted, and no credential for writing was named.
        missing_credential: bool,
    },
    /// Git is made to say good again.
    Push(Writer),
}

/// How the revert is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Secret in the Application's namespace.
    pub secret: String,
    /// The only branch that may be written; the one that is followed when not given.
    pub branch: Option<String>,
}

impl Reader {
    pub(super) fn rescue(&mut self, spec: &ApplicationSpec) -> RescueSpec {
        let given = spec.rescue.is_some();
        let rescue = spec.rescue.clone().unwrap_or_default();
        self.unsupported(rescue.pull_request.is_some(), "spec.rescue.pullRequest", "use mode Push or Hold");
        match rescue.strategy.as_deref() {
            None | Some("restorePath") => {}
            Some(other) => self.refuse("spec.rescue.strategy", other, "is not supported", "use restorePath"),
        }
        let push = rescue.push.unwrap_or_default();
        self.unsupported(push.author.is_some(), "spec.rescue.push.author", "remove it; the controller is the author");
        let mode = match rescue.mode.as_deref() {
            None if !given => Mode::Off,
            None | Some("Hold") => Mode::Hold { missing_credential: false },
            Some("Off") => Mode::Off,
            Some("Push") => match push.secret_ref {
                Some(secret) => Mode::Push(Writer { secret: secret.name, branch: push.branch }),
                None => Mode::Hold { missing_credential: true },
            },
            Some("PullRequest") => {
                self.refuse("spec.rescue.mode", "PullRequest", "is not supported yet", "use Push or Hold");
                Mode::Off
            }
            Some(other) => {
                self.refuse("spec.rescue.mode", other, "is no mode", "use Off, Hold or Push");
                Mode::Off
            }
        };
        let max_reverts = rescue.max_reverts.unwrap_or(3);
        RescueSpec {
            mode,
            soak: self.span("spec.rescue.soak", rescue.soak, Span::from_secs(60)),
            window: self.span("spec.rescue.window", rescue.window, Span::from_secs(30 * 60)),
            max_reverts: usize::try_from(max_reverts).unwrap_or_else(|_| {
                self.refuse("spec.rescue.maxReverts", &max_reverts.to_string(), "is negative", "use 0 or more");
                0
            }),
        }
    }

    fn span(&mut self, field: &str, value: Option<IntOrText>, default: Span) -> Span {
        let text = match value {
            None => return default,
            Some(IntOrText::Int(seconds)) => seconds.to_string(),
            Some(IntOrText::Text(text)) => text,
        };
        text.parse().unwrap_or_else(|error| {
            let error: crate::core::scalar::SpanError = error;
            self.refuse(field, &text, &error.to_string(), "write it like 60s");
            default
        })
    }
}
