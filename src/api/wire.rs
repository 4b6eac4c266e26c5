//! How each object of the wire is declared, and the scalars whose wire form is loose.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Declares structs of the wire. Each field may be absent, is left out again when it is, and gets no default in the schema:
/// a status that is read and written back is the same JSON.
macro_rules! wire {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : $ty:ty, )*
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $( $(#[$field_meta])*
               #[serde(default, skip_serializing_if = "crate::api::wire::absent")]
               pub $field: $ty, )*
        }
    )* };
}

/// True for what a field holds when it is not there: `None`, an empty list, an empty map.
pub(super) fn absent<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A value that its users write as a number or as text: `30`, `"30s"`, `"25%"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrText {
    Int(i64),
    Text(String),
}

impl fmt::Display for IntOrText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl From<i64> for IntOrText {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for IntOrText {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
