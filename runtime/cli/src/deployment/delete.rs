//! `tidemill deployments delete`.

use serde::Serialize;
use serde_json::Value;
use tidemill_api_types::{Deployment, List, StoredJson};
use tidemill_core::wire::grouped;

use crate::client::{Client, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;
use crate::query::Query;

/// Maximum count of keys, runs and other parts.
const COUNTED: usize = 500;

/// Arguments of `tidemill deployments delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Deletes the state of the deployment too, with its schedules, subscriptions and revisions.\n\
                        Its runs and ledger entries remain.")]
pub struct DeploymentDeleteArgs {
    /// The deployment
    name: String,

    /// Cancel its unfinished runs first; without this flag, they prevent the deletion
    #[arg(long)]
    cancel_runs: bool,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// The parts that are deleted with a deployment.
#[derive(Debug, Serialize)]
struct DeletionPlan {
    name: String,
    revision: u64,
    schedules: usize,
    subscriptions: usize,
    state_keys: Count,
    unended_runs: Count,
}

/// A count up to a maximum.
#[derive(Debug, Serialize)]
struct Count {
    count: usize,
    more: bool,
}

impl Count {
    fn text(&self, one: &str, many: &str) -> String {
        let least = if self.more { "at least " } else { "" };
        format!("{least}{} {}", grouped(self.count as u64), if self.count == 1 { one } else { many })
    }
}

/// Runs the command.
pub async fn run(args: &DeploymentDeleteArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    if args.confirm.dry_run || args.confirm.is_interactive() {
        let plan = DeletionPlan::of(&args.name, client).await?;
        if args.confirm.dry_run {
            printer.record(&plan, &plan.text(args.cancel_runs));
            return Ok(());
        }
        printer.note(&plan.text(args.cancel_runs));
        args.confirm.ask(&format!("Delete {}?", args.name), printer)?;
    }
    let how = if args.cancel_runs { "?runs=cancel" } else { "" };
    client.delete(&format!("/v1/deployments/{}{how}", encoded(&args.name)), &[]).await?;
    let text = format!("{} deleted with its state; its runs and ledger entries stay", args.name);
    printer.record(&serde_json::json!({ "name": args.name, "deleted": true }), &text);
    Ok(())
}

impl DeletionPlan {
    async fn of(name: &str, client: &Client) -> Result<Self, CliError> {
        let deployment: Deployment<'static> = client.get(&format!("/v1/deployments/{}", encoded(name))).await?;
        let manifest = deployment.manifest.as_ref().map(StoredJson::to_value).unwrap_or_default();
        let list = |field: &str| manifest[field].as_array().map_or(0, Vec::len);
        let runs = Query::of("deployment", name)
            .with_each("state", ["queued", "running", "suspended", "parked"])
            .with("limit", COUNTED);
        Ok(Self {
            name: name.to_owned(),
            revision: deployment.revision,
            schedules: list("schedules"),
            subscriptions: list("subscriptions"),
            state_keys: count(client, &format!("/v1/deployments/{}/state?limit={COUNTED}", encoded(name))).await?,
            unended_runs: count(client, &runs.of_path("/v1/runs")).await?,
        })
    }

    fn text(&self, cancel_runs: bool) -> String {
        let counted = |count: usize, one, many| Count { count, more: false }.text(one, many);
        let runs = match (self.unended_runs.count, cancel_runs) {
            (0, _) => String::new(),
            (_, true) => {
                format!(
                    "\n  {} would be cancelled",
                    self.unended_runs.text("run that has not ended", "runs that have not ended")
                )
            }
            (_, false) => format!(
                "\n  refused while it has {}: cancel them with --cancel-runs",
                self.unended_runs.text("run that has not ended", "runs that have not ended")
            ),
        };
        format!(
            "{} would be deleted with its state ({}), {}, {} and {}; its runs and ledger entries stay{runs}",
            self.name,
            self.state_keys.text("key", "keys"),
            counted(self.schedules, "schedule", "schedules"),
            counted(self.subscriptions, "subscription", "subscriptions"),
            counted(usize::try_from(self.revision).unwrap_or(usize::MAX), "revision", "revisions"),
        )
    }
}

/// Returns the number of items on the first page of a list, and whether there are more.
async fn count(client: &Client, path: &str) -> Result<Count, CliError> {
    let page: List<Value> = client.get(path).await?;
    Ok(Count { count: page.items.len(), more: page.next.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_the_state_first() {
        let plan = |runs| DeletionPlan {
            name: "orders".into(),
            revision: 3,
            schedules: 1,
            subscriptions: 0,
            state_keys: Count { count: 500, more: true },
            unended_runs: Count { count: runs, more: false },
        };
        assert_eq!(
            plan(0).text(false),
            "orders would be deleted with its state (at least 500 keys), 1 schedule, 0 subscriptions and 3 revisions; \
             its runs and ledger entries stay"
        );
        assert!(plan(2).text(true).ends_with("\n  2 runs that have not ended would be cancelled"));
        assert!(plan(1).text(false).contains("refused while it has 1 run that has not ended"));
    }
}
