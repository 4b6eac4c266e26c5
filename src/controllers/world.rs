//! All that a snapshot may read: rows, answers, failed writes, and what the installation decided.

use super::application::Applied;
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
    /// What Applications applied and their watches do not show yet.
    pub applied: Applied,
    pub settings: Settings,
    pub home: Home,
}

/// Where this controller itself is at home.
#[derive(Debug, Clone, Default)]
pub struct Home {
    /// The namespace that Tidegate runs in: its AppProjects count, and its Applications may name other destinations.
    pub namespace: String,
    /// How the trailers of its commits name it.
    pub controller: String,
}
