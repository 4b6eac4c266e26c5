//! All that one decision about an Application may read.

use crate::core::plan::RefusedEffect;
use crate::core::question::{Answer, Told};
use crate::core::row::{AppProjectRow, ApplicationRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The snapshot of one Application.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub application: Option<Arc<ApplicationRow>>,
    /// The AppProject of the control namespace that the Application names.
    pub project: Option<Arc<AppProjectRow>>,
    /// The namespace that Tidegate itself runs in.
    pub control_namespace: String,
    /// How this controller signs its commits' trailers: `tidegate/<namespace>`.
    pub controller: String,
    /// Answers to the questions of this key's last plan, by question id.
    pub answers: BTreeMap<String, Answer>,
    /// Effects of this key that were refused, and that were not carried out since.
    pub refused: Vec<RefusedEffect>,
}

impl Observed {
    pub(super) fn told(&self, id: &str) -> Option<&Told> {
        self.answers.get(id).map(|answer| &answer.what)
    }
}
