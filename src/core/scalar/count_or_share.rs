//! Numbers of pods that are given as a number or as a share of the wanted pods: maxSurge and maxUnavailable.

use crate::api::IntOrText;

/// A number of pods, or a share of the wanted ones in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CountOrShare {
    Count(u32),
    Share(u32),
}

/// Which way a share becomes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    Up,
    Down,
}

/// Why a value is neither a number of pods nor a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CountOrShareError {
    #[error("it is negative")]
    Negative,
    #[error("it is neither a number nor a percentage")]
    Malformed,
}

impl CountOrShare {
    /// The default of both fields.
    pub const QUARTER: Self = Self::Share(25);

    /// Only JSON numbers are counts: text is a share with or without `%`, as upstream reads it, unlike Deployments
    /// (`"5"` is 5 %).
    ///
    /// # Errors
    /// When it is negative or no number.
    pub fn parse(value: &IntOrText) -> Result<Self, CountOrShareError> {
        match value {
            IntOrText::Int(count) if *count < 0 => Err(CountOrShareError::Negative),
            IntOrText::Int(count) => u32::try_from(*count).map(Self::Count).map_err(|_| CountOrShareError::Malformed),
            IntOrText::Text(text) => {
                let digits = text.strip_suffix('%').unwrap_or(text);
                match digits.parse::<i32>() {
                    Ok(share) => u32::try_from(share).map(Self::Share).map_err(|_| CountOrShareError::Negative),
                    Err(_) => Err(CountOrShareError::Malformed),
                }
            }
        }
    }

    /// Nothing, before any rounding.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Count(0) | Self::Share(0))
    }

    /// The number of pods, where `all` are wanted.
    pub fn of(self, all: u32, rounding: Rounding) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => {
                let exact = u64::from(all) * u64::from(share);
                let pods = match rounding {
                    Rounding::Up => exact.div_ceil(100),
                    Rounding::Down => exact / 100,
                };
                u32::try_from(pods).unwrap_or(u32::MAX)
            }
        }
    }
}

/// Pods above and pods missing, where `all` are wanted: surge is rounded up, missing down, and where both come out as nothing
/// one may be missing, so that something can move at all.
pub fn surge_and_unavailable(surge: CountOrShare, unavailable: CountOrShare, all: u32) -> (u32, u32) {
    match (surge.of(all, Rounding::Up), unavailable.of(all, Rounding::Down).min(all)) {
        (0, 0) => (0, 1),
        pair => pair,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_always_a_share_and_only_numbers_are_counts() {
        assert_eq!(CountOrShare::parse(&IntOrText::Int(5)), Ok(CountOrShare::Count(5)));
        assert_eq!(CountOrShare::parse(&"5".into()), Ok(CountOrShare::Share(5)));
        assert_eq!(CountOrShare::parse(&"25%".into()), Ok(CountOrShare::Share(25)));
        assert_eq!(CountOrShare::parse(&"150%".into()), Ok(CountOrShare::Share(150)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "%", "a%", "2.5%", "5%%", " 5%"] {
            assert_eq!(CountOrShare::parse(&text.into()), Err(CountOrShareError::Malformed), "{text:?}");
        }
        assert_eq!(CountOrShare::parse(&"-5%".into()), Err(CountOrShareError::Negative));
        assert_eq!(CountOrShare::parse(&IntOrText::Int(-1)), Err(CountOrShareError::Negative));
    }

    #[test]
    fn surge_is_rounded_up_and_missing_pods_down() {
        let quarter = CountOrShare::QUARTER;
        assert_eq!(surge_and_unavailable(quarter, quarter, 10), (3, 2));
        assert_eq!(surge_and_unavailable(quarter, quarter, 1), (1, 0));
        assert_eq!(surge_and_unavailable(quarter, quarter, 4), (1, 1));
    }

    #[test]
    fn one_pod_may_be_missing_when_both_come_out_as_nothing() {
        assert_eq!(surge_and_unavailable(CountOrShare::Count(0), CountOrShare::Share(1), 3), (0, 1));
    }

    #[test]
    fn no_more_pods_are_missing_than_are_wanted() {
        assert_eq!(surge_and_unavailable(CountOrShare::Count(0), CountOrShare::Count(9), 3), (0, 3));
    }
}
