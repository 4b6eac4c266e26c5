//! The verbs that only look: `get`, `list`, `history`, `explain`.

use super::access::Target;
use super::arguments::Named;
use super::failure::Failure;
use super::output::{Output, print, reprint};
use super::show::history;
use super::show::list;
use super::show::text::Line;
use super::show::tree::Tree;
use super::show::wait::Wait;
use crate::clock::now;
use clap::{Args, Subcommand};
use serde_json::json;

/// `tidegate get`
#[derive(Debug, Args)]
pub struct Get {
    #[command(subcommand)]
    what: GetWhat,
}

#[derive(Debug, Subcommand)]
enum GetWhat {
    /// A Rollout with its revisions, ReplicaSets, pods and AnalysisRuns.
    #[command(visible_aliases = ["ro", "rollouts"])]
    Rollout(GetRollout),
}

#[derive(Debug, Args)]
struct GetRollout {
    #[command(flatten)]
    named: Named,
    /// Shows each change until interrupted
    #[arg(short, long)]
    watch: bool,
    /// wide adds the nodes of pods
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

impl Get {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let GetWhat::Rollout(args) = self.what;
        let (cluster, name) = args.named.open(before).await?;
        let wide = args.output == Some(Output::Wide);
        if !args.watch {
            let tree = Tree::of(&cluster.observe(&name).await?);
            return print(args.output, &tree.lines(wide, now()), &tree);
        }
        let mut watched = cluster.watch(&name).await?;
        let mut shown = None;
        loop {
            let tree = Tree::of(&watched.next().await?);
            // Much of what changes in an object is not shown.
            if shown.as_ref() != Some(&tree) {
                reprint(args.output, &tree.lines(wide, now()), &tree)?;
                shown = Some(tree);
            }
        }
    }
}

/// `tidegate list`
#[derive(Debug, Args)]
pub struct List {
    #[command(subcommand)]
    what: ListWhat,
}

#[derive(Debug, Subcommand)]
enum ListWhat {
    /// Rollouts with their phases and weights.
    #[command(visible_aliases = ["ro", "rollout"])]
    Rollouts(ListRollouts),
}

#[derive(Debug, Args)]
struct ListRollouts {
    #[command(flatten)]
    target: Target,
    /// Those of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// wide adds messages and images
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

impl List {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let ListWhat::Rollouts(args) = self.what;
        let cluster = args.target.or(before).open().await?;
        let found = cluster.list(args.all_namespaces).await?;
        let wide = args.output == Some(Output::Wide);
        let lines = if found.is_empty() {
            let place =
                if args.all_namespaces { "this cluster".into() } else { format!("namespace {}", cluster.namespace) };
            vec![Line::text(format!("No Rollouts in {place}."))]
        } else {
            list::lines(&found, args.all_namespaces, wide, now())
        };
        let data: Vec<_> = found.iter().map(super::show::status::Status::of).collect();
        print(args.output, &lines, &data)
    }
}

/// `tidegate history`
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    named: Named,
    /// Another form; wide is the same as none here
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

impl History {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let (cluster, name) = self.named.open(before).await?;
        let observed = cluster.observe(&name).await?;
        let data = json!({"revisions": history::revisions(&observed), "commands": observed.status().commands});
        print(self.output, &history::lines(&observed, now()), &data)
    }
}

/// `tidegate explain`
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    named: Named,
    /// Prints all that a decision is made from instead, as JSON
    #[arg(long)]
    dump: bool,
    /// Another form; wide is the same as none here
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

impl Explain {
    pub(super) async fn run(self, before: Target) -> Result<(), Failure> {
        let (cluster, name) = self.named.open(before).await?;
        if self.dump {
            let dump = cluster.dump(&name, now()).await?;
            return print(self.output.or(Some(Output::Json)), &[], &dump);
        }
        let wait = Wait::of(&cluster.observe(&name).await?, now());
        print(self.output, &wait.lines(now()), &wait)
    }
}
