//! `tidegate status`: a line for a person, an exit code for a pipeline.

use super::access::{Cluster, Target};
use super::arguments::{Named, limit};
use super::failure::{BAD, Failure, TIMEOUT};
use super::output::{Output, print};
use super::show::status::{Status, Verdict};
use super::show::wait::Wait;
use crate::clock::now;
use clap::Args;
use std::process::ExitCode;
use std::time::Duration;

/// `tidegate status`
///
/// Ends with 0 when the Rollout is Healthy, 1 when it is Degraded (aborted, late, invalid), 2 when there is none or the
/// arguments are wrong, 3 when it is neither Healthy nor Degraded (in time), 4 when the cluster cannot be asked.
#[derive(Debug, Args)]
pub struct StatusOf {
    #[command(flatten)]
    named: Named,
    /// Shows each change, until the Rollout is Healthy or Degraded
    #[arg(short, long)]
    watch: bool,
    /// Watches at most so long: 90, 90s, 5m
    #[arg(long, value_name = "TIME", value_parser = limit)]
    timeout: Option<Duration>,
    /// Another form; wide is the same as none here
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

impl StatusOf {
    pub(super) async fn run(self, before: Target) -> Result<ExitCode, Failure> {
        let (cluster, name) = self.named.open(before).await?;
        if !self.watch && self.timeout.is_none() {
            let status = Status::of(&cluster.rollout(&name).await?);
            print(self.output, &[status.line()], &status)?;
            return Ok(code(status.verdict));
        }
        let data = matches!(self.output, Some(Output::Json | Output::Yaml));
        let settled = settled(&cluster, &name, !data);
        let status = match self.timeout {
            None => settled.await?,
            Some(limit) => match tokio::time::timeout(limit, settled).await {
                Ok(status) => status?,
                Err(_) => return Err(late(&cluster, &name, limit).await),
            },
        };
        if data {
            print(self.output, &[], &status)?;
        }
        Ok(code(status.verdict))
    }
}

/// Follows the Rollout until it is good or bad, with a line for each change.
async fn settled(cluster: &Cluster, name: &str, told: bool) -> Result<Status, Failure> {
    let mut shown = None;
    cluster
        .until(name, |rollout| {
            let status = Status::of(rollout);
            if told && shown.as_ref() != Some(&status) {
                print(None, &[status.line()], &status)?;
            }
            let ended = (status.verdict != Verdict::UnderWay).then(|| status.clone());
            shown = Some(status);
            Ok(ended)
        })
        .await
}

async fn late(cluster: &Cluster, name: &str, limit: Duration) -> Failure {
    let what = format!("Rollout {}/{name}: Healthy or Degraded", cluster.namespace);
    // Why is worth one more look; without it the answer is the same.
    let remedy = match cluster.observe(name).await {
        Ok(observed) => format!("it waits for {}; see: tidegate explain {name}", Wait::of(&observed, now()).what),
        Err(_) => format!("see: tidegate explain {name}"),
    };
    Failure::Timeout { what, limit, remedy }
}

fn code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Healthy => ExitCode::SUCCESS,
        Verdict::Degraded => ExitCode::from(BAD),
        Verdict::UnderWay => ExitCode::from(TIMEOUT),
    }
}
