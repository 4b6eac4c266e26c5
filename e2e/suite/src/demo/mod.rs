//! The main job, told as it happens.
