//! Conditions, as every kind has them.

use super::schema;
use jiff::Timestamp;

wire! {
    /// One condition. Types that are there on every kind: Ready, Reconciling, Stalled.
    pub struct Condition {
        /// Type of the condition, unique in its list.
        #[serde(rename = "type")]
        pub kind: String,
        /// True, False or Unknown.
        pub status: String,
        /// One CamelCase word.
        pub reason: String,
        /// For a person.
        pub message: String,
        /// When `status` changed last.
        #[schemars(schema_with = "schema::time")]
        pub last_transition_time: Option<Timestamp>,
        /// When anything of this condition changed last.
        #[schemars(schema_with = "schema::time")]
        pub last_update_time: Option<Timestamp>,
        /// Generation of the object that the condition speaks of.
        pub observed_generation: Option<i64>,
    }
}
