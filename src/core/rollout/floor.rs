//! How far stable may be scaled in while another revision has a part of its requests.
//!
//! An autoscaler that sees stable with half of the requests asks for half of the pods; an abort then sends all of them to
//! these. So stable keeps as many as it had when the update began, until it serves everybody again or is no longer stable.

use super::pass::Pass;

impl Pass<'_> {
    /// An update begins, or begins again before the former one has ended.
    pub(super) fn begin_floor(&mut self) {
        let wanted = i32::try_from(self.f.spec.replicas).unwrap_or(i32::MAX);
        self.next.update_replicas = Some(self.next.update_replicas.map_or(wanted, |before| before.max(wanted)));
    }

    /// Pods of the stable revision.
    pub(super) fn stable_pods(&self) -> u32 {
        let floor = self.next.update_replicas.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        self.f.spec.replicas.max(floor)
    }

    /// All users were seen to be with stable, and no update is under way.
    pub(super) fn end_floor(&mut self) {
        self.next.update_replicas = None;
    }
}
