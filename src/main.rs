//! The one binary of Tidegate.
fn main() {}
