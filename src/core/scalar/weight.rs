//! Weights: shares of requests.

use std::fmt;

/// Share of requests that the canary may have, in percent of all requests (0 to 100).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Weight(u8);

impl Weight {
    pub const ZERO: Self = Self(0);
    pub const FULL: Self = Self(100);

    /// `None` outside of 0 to 100.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100 fits")]
    pub const fn new(percent: i64) -> Option<Self> {
        if percent >= 0 && percent <= 100 { Some(Self(percent as u8)) } else { None }
    }

    pub fn percent(self) -> i32 {
        i32::from(self.0)
    }

    /// What is left for stable.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(100 - self.0)
    }

    /// The pods, of `all`, that carry this share: `ceil(all * weight / 100)` (T1).
    pub fn pods(self, all: u32) -> u32 {
        let exact = u64::from(all) * u64::from(self.0);
        u32::try_from(exact.div_ceil(100)).expect("a share of a u32 is one")
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_percentages_are_weights() {
        assert_eq!(Weight::new(0), Some(Weight::ZERO));
        assert_eq!(Weight::new(100), Some(Weight::FULL));
        assert_eq!([Weight::new(-1), Weight::new(101), Weight::new(256)], [None; 3]);
    }

    /// T1, with the vectors of T4.
    #[test]
    fn pods_of_a_share_are_rounded_up() {
        let cases = [(10, 10, 1), (10, 20, 2), (3, 1, 1), (3, 34, 2), (10, 0, 0), (10, 100, 10), (0, 50, 0), (1, 5, 1)];
        for (all, percent, pods) in cases {
            assert_eq!(Weight::new(percent).map(|w| w.pods(all)), Some(pods), "{percent} % of {all}");
        }
        assert_eq!(Weight::FULL.pods(u32::MAX), u32::MAX);
    }
}
