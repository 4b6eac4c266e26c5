//! All that a snapshot may read: rows, answers, failed writes, and what the installation decided.

use super::questions::Answers;
use super::refused::Refused;
use crate::cluster::Caches;
use crate::core::rollout::Settings;
use std::sync::Arc;

/// What is known. Filled by watches, workers and the executor; read by `observe`.
#[derive(Debug, Default)]
pub struct World {
    pub caches: Arc<Caches>,
    pub answers: Answers,
    pub refused: Refused,
    pub settings: Settings,
}
