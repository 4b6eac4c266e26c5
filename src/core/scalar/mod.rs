//! Scalars: the small values that decisions are made of, one file each, with the vectors that upstream is tested by.
//!
//! The problem: percentages, counts and durations are all numbers, and their upstream texts have traps. The rule kept here:
//! each is parsed once, at the rim, into a type that cannot hold a wrong value; rounding is decided in one place. A value
//! enters when two modules would otherwise agree on its arithmetic by luck.

mod count_or_share;
mod quantity;
mod replicas;
mod span;
mod weight;

pub use count_or_share::{CountOrShare, CountOrShareError, Rounding, surge_and_unavailable};
pub use quantity::{QUANTITY_REMEDY, wrong_quantities};
pub use replicas::{Split, basic_split, raise_cap};
pub use span::{Span, SpanError};
pub use weight::Weight;
