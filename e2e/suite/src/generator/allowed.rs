//! Failures that a test brought about itself, and for how long users may see them.

use super::record::{Failure, Trouble};
use jiff::{SignedDuration, Timestamp};

/// How long users may see it after the last blow.
const SEEN_FOR: SignedDuration = SignedDuration::from_secs(3);

/// What a test broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broke {
    /// All pods of the canary: its share may be answered 502 or 503. Whose share it was is what the router's log says.
    CanaryPods,
    /// An instance of the router: connections to it are cut, or end without a word.
    Router,
}

/// Something broken, from the first blow to the last.
#[derive(Debug, Clone, Copy)]
pub struct Broken {
    pub what: Broke,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Broken {
    fn explains(&self, failure: &Failure) -> bool {
        let record = &failure.record;
        #[expect(clippy::cast_possible_truncation, reason = "a request takes milliseconds")]
        let ended = record.sent + SignedDuration::from_micros((record.took_ms * 1e3) as i64);
        let until = self.to + SEEN_FOR;
        match self.what {
            Broke::CanaryPods => {
                let dead = failure.why == Trouble::Unsigned && matches!(record.status, 502 | 503);
                dead && ended >= self.from && ended <= until
            }
            // A connection that nobody answers any more lasts as long as its user is patient.
            Broke::Router => {
                let cut = matches!(failure.why, Trouble::Connect | Trouble::Broken | Trouble::Timeout);
                cut && ended >= self.from && record.sent <= until
            }
        }
    }

    const fn cause(&self) -> &'static str {
        match self.what {
            Broke::CanaryPods => "the test killed the canary's pods",
            Broke::Router => "the test killed the instance of the router that it was connected to",
        }
    }
}

/// Prints what the test brought about, each with its cause, and gives the other failures.
pub fn unexplained(failures: Vec<Failure>, broken: &[Broken]) -> Vec<Failure> {
    let explained = |failure: &Failure| {
        let cause = broken.iter().find(|b| b.explains(failure))?;
        let record = &failure.record;
        println!("      allowed: {} {:?} status {}: {}", record.sent, failure.why, record.status, cause.cause());
        Some(())
    };
    failures.into_iter().filter(|failure| explained(failure).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + millisecond).expect("in range")
    }

    fn failure(why: Trouble, status: u16, sent: i64, took_ms: f64) -> Failure {
        let trouble = (status == 0).then_some(why);
        let record = Record {
            sent: at(sent),
            took_ms,
            status,
            version: "".into(),
            pod: "".into(),
            signed: false,
            trouble,
            client: None,
        };
        Failure { why, record }
    }

    fn remain(what: Broke, failures: Vec<Failure>) -> usize {
        unexplained(failures, &[Broken { what, from: at(0), to: at(500) }]).len()
    }

    #[test]
    fn a_dead_canary_explains_502_and_503_for_three_seconds_and_nothing_else() {
        let of = |status, sent| remain(Broke::CanaryPods, vec![failure(Trouble::Unsigned, status, sent, 10.0)]);
        assert_eq!([of(502, 0), of(503, 3_400), of(502, 3_600), of(502, -20)], [0, 0, 1, 1]);
        assert_eq!([of(404, 10), of(500, 10), of(504, 10)], [1, 1, 1], "never a 404");
        assert_eq!(remain(Broke::CanaryPods, vec![failure(Trouble::Broken, 0, 10, 10.0)]), 1);
    }

    #[test]
    fn a_killed_router_explains_connections_and_no_answer() {
        let of = |why, sent, took| remain(Broke::Router, vec![failure(why, 0, sent, took)]);
        assert_eq!(of(Trouble::Broken, -100, 150.0), 0, "in flight when it was killed");
        assert_eq!(of(Trouble::Broken, -100, 50.0), 1, "cut before");
        assert_eq!([of(Trouble::Connect, 3_000, 1.0), of(Trouble::Connect, 3_600, 1.0)], [0, 1]);
        assert_eq!(of(Trouble::Timeout, 10, 10_000.0), 0);
        assert_eq!(of(Trouble::Overrun, 10, 1.0), 1);
        for status in [404, 502, 503] {
            assert_eq!(remain(Broke::Router, vec![failure(Trouble::Unsigned, status, 10, 1.0)]), 1, "{status}");
        }
    }
}
