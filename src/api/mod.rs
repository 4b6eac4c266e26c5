//! The wire: the types of `tidegate.dev/v1alpha1` exactly as the schema has them, and nothing else.
//!
//! Lenient on purpose: what arrives is kept, what it means is decided once in `core/<kind>/spec.rs`.
