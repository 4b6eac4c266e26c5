//! When a change that somebody made in the cluster is put back: at once the first time, then less and less often, so that
//! two who want different things do not fight at full speed.

use crate::api::HealStatus;
use crate::core::scalar::Span;
use jiff::Timestamp;

/// The second attempt waits this long; each further one three times as long.
const FIRST_WAIT_SECONDS: u32 = 2;
const LONGEST_WAIT_SECONDS: u32 = 300;
/// After so long without an attempt the next change counts as the first again.
const RESET_SECONDS: u32 = 330;

/// When the next attempt may be made; in the past when it may be made now.
pub fn due(heal: Option<&HealStatus>, now: Timestamp) -> Timestamp {
    let Some(last) = heal.and_then(|h| h.at) else { return now };
    let attempts = attempts(heal, now);
    if attempts == 0 {
        return now;
    }
    let exponent = u32::try_from(attempts - 1).unwrap_or(0).min(8);
    let wait = FIRST_WAIT_SECONDS.saturating_mul(3_u32.saturating_pow(exponent)).min(LONGEST_WAIT_SECONDS);
    Span::from_secs(wait).after(last)
}

/// The state after an attempt at `now`.
pub fn attempted(heal: Option<&HealStatus>, now: Timestamp) -> HealStatus {
    HealStatus { attempts: Some(attempts(heal, now).saturating_add(1)), at: Some(now) }
}

fn attempts(heal: Option<&HealStatus>, now: Timestamp) -> i32 {
    let Some(heal) = heal else { return 0 };
    let over = heal.at.is_none_or(|at| Span::from_secs(RESET_SECONDS).after(at) <= now);
    if over { 0 } else { heal.attempts.unwrap_or_default().max(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_then_two_seconds_times_three_up_to_five_minutes_and_reset() {
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mut heal = None;
        let mut waits = Vec::new();
        for _ in 0..7 {
            let at = due(heal.as_ref(), now);
            waits.push(at.duration_since(now).as_secs());
            now = at;
            heal = Some(attempted(heal.as_ref(), now));
        }
        assert_eq!(waits, [0, 2, 6, 18, 54, 162, 300]);
        let later = Span::from_secs(331).after(now);
        assert_eq!(due(heal.as_ref(), later), later);
        assert_eq!(attempted(heal.as_ref(), later).attempts, Some(1));
    }
}
