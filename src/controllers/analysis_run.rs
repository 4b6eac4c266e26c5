//! AnalysisRuns: what their decision reads.

use super::{Kind, World};
use crate::cluster::NotYet;
use crate::core::analysis::run::{self, Observed};
use crate::core::object::{Key, ResourceType};
use crate::core::plan::Plan;
use jiff::Timestamp;

/// The kind AnalysisRun.
#[derive(Debug)]
pub struct AnalysisRun;

impl Kind for AnalysisRun {
    /// `None` when the run is gone.
    type Observed = Option<Observed>;

    fn resource() -> ResourceType {
        ResourceType::ANALYSIS_RUN
    }

    fn observe(world: &World, key: &Key) -> Result<Self::Observed, NotYet> {
        let run = world.caches.analysis_runs.synced()?.get(&key.namespace, &key.name);
        Ok(run.map(|run| Observed { run, answers: world.answers.of(key) }))
    }

    fn decide(observed: &Self::Observed, now: Timestamp) -> Plan {
        observed.as_ref().map(|observed| run::decide(observed, now)).unwrap_or_default()
    }

    fn exists(observed: &Self::Observed) -> bool {
        observed.is_some()
    }
}
