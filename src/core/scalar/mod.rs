//! Scalars: single values with a meaning, parsed once. One file each, with the vectors that upstream is tested by.

mod span;

pub use span::{Span, SpanError};
