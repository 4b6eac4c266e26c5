//! Taking a bad revision back: `spec.rescue` and `status.rescue` of an Application.

use super::schema;
use super::{IntOrText, RouteRef};
use jiff::Timestamp;

wire! {
    /// What happens after a revision that broke something.
    pub struct Rescue {
        /// Hold keeps the last good revision applied. Push also writes a revert commit, PullRequest offers one. Hold when not
        /// given; Off does nothing.
        pub mode: Option<String>,
        /// How the revert is written; needed for Push.
        pub push: Option<RescuePush>,
        /// How the revert is offered. Not supported yet.
        pub pull_request: Option<RescuePullRequest>,
        /// How long everything must be Healthy for a revision to be good; 60s when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub soak: Option<IntOrText>,
        /// How long after it was applied a failure counts as caused by the revision; 30m when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub window: Option<IntOrText>,
        /// Reverts in a window; more need a person. 3 when not given.
        pub max_reverts: Option<i32>,
        /// restorePath (when not given). revertRange is not supported yet.
        pub strategy: Option<String>,
    }

    /// How the revert is written.
    pub struct RescuePush {
        /// Secret with the credential for writing, in the Application's namespace.
        pub secret_ref: Option<RouteRef>,
        /// Branch; the one that is followed when not given.
        pub branch: Option<String>,
        /// Name and e-mail of the commit's author.
        pub author: Option<String>,
    }

    /// How the revert is offered.
    pub struct RescuePullRequest {
        /// Secret with the credential for writing, in the Application's namespace.
        pub secret_ref: Option<RouteRef>,
        /// github, gitlab or gitea.
        pub provider: Option<String>,
    }

    /// How far a bad revision is taken back.
    pub struct RescueStatus {
        /// Detected, Holding, RevertPending, Reverted or NeedsHuman.
        pub phase: Option<String>,
        /// The revision that broke something.
        pub bad: Option<RescueCommit>,
        /// The revision that is held.
        pub good: Option<RescueCommit>,
        /// What broke.
        pub reason: Option<String>,
        /// Manifest or Workload.
        pub class: Option<String>,
        /// Since when.
        #[schemars(schema_with = "schema::time")]
        pub since: Option<Timestamp>,
        /// Attempts at writing the revert.
        pub attempts: Option<i32>,
        /// When the last attempt was made.
        #[schemars(schema_with = "schema::time")]
        pub attempted_at: Option<Timestamp>,
        /// The commit that the last attempt expected at the branch's tip.
        pub expected_tip: Option<String>,
        /// The commit that says good again.
        pub revert_commit: Option<String>,
        /// Why the last attempt failed, or what a person has to do.
        pub message: Option<String>,
        /// Trees that were rejected and are not applied again without a retry; the last 20.
        pub rejected: Vec<RescueCommit>,
        /// When reverts were written; those of the last window.
        pub reverts: Vec<RescueCommit>,
    }

    /// A commit and the tree of the path there.
    pub struct RescueCommit {
        /// 40 hex digits.
        pub commit: Option<String>,
        /// 40 hex digits.
        pub tree: Option<String>,
        /// First line of its message.
        pub subject: Option<String>,
        /// When it became what it is listed as.
        #[schemars(schema_with = "schema::time")]
        pub time: Option<Timestamp>,
    }
}
