//! A number over the last moments: what a process that is a little behind may have seen.

use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;

/// Watches that are late, a write on its way, Traefik's throttle.
const SPAN: SignedDuration = SignedDuration::from_secs(12);

/// Each value from when it was.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent(VecDeque<(Timestamp, i64)>);

impl Recent {
    pub(super) fn note(&mut self, now: Timestamp, value: i64) {
        if self.0.back().is_none_or(|(_, last)| *last != value) {
            self.0.push_back((now, value));
        }
        while self.0.get(1).is_some_and(|(since, _)| *since + SPAN < now) {
            self.0.pop_front();
        }
    }

    fn values(&self, now: Timestamp) -> impl Iterator<Item = i64> {
        let ended = self.0.iter().skip(1).map(|(at, _)| *at).chain([now]);
        self.0.iter().zip(ended).filter(move |(_, end)| *end + SPAN >= now).map(|((_, value), _)| *value)
    }

    /// The highest of late; 0 when there is none.
    pub(super) fn most(&self, now: Timestamp) -> i64 {
        self.values(now).max().unwrap_or(0)
    }

    pub(super) fn least(&self, now: Timestamp) -> i64 {
        self.values(now).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_until_so_long_after_it_ended() {
        let at = |second: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let mut recent = Recent::default();
        recent.note(at(0), 5);
        recent.note(at(100), 1);
        assert_eq!((recent.most(at(110)), recent.least(at(110))), (5, 1));
        recent.note(at(113), 1);
        assert_eq!(recent.most(at(113)), 1);
    }
}
