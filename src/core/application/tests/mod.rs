//! The decision as a whole, against a small world that carries its plans out: a repository, a cluster, and a process that can
//! die after any write.

mod rescuing;
mod syncing;
mod world;
