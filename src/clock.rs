//! The one place that asks what time it is. Everything in `core/` takes `now` as an argument.

use jiff::Timestamp;

/// The present, as the machine's clock has it.
#[expect(clippy::disallowed_methods, reason = "this is the place that the rule sends everyone to")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
