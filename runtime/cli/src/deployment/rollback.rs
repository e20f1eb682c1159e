//! `tidemill deployments rollback`: rolls a deployment back to an earlier revision.

use reqwest::Method;
use tidemill_api_types::{DeployResult, RollbackRequest};

use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::project::deploy::changes;

/// Arguments of `tidemill deployments rollback`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Creates a new revision with the manifest and the component of the earlier one. The state does not change.\n\
                        `tidemill deployments history NAME` lists the revisions."
)]
pub struct DeploymentRollbackArgs {
    /// The deployment
    name: String,

    /// Revision to roll back to [default: the previous one]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    revision: Option<u64>,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &DeploymentRollbackArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut tag = None;
    if args.confirm.dry_run || args.confirm.is_interactive() {
        let plan = ask(args, true, None, client).await?;
        if args.confirm.dry_run {
            printer.record(&plan, &text(args, &plan, true));
            return Ok(());
        }
        printer.note(&text(args, &plan, true));
        if plan.changes.is_empty() {
            return Ok(());
        }
        // The change must be what was shown: the plan's revision is the one after the current, so
        // expect the current one.
        tag = Some(format!("\"{}\"", plan.deployment.revision.saturating_sub(1)));
        args.confirm.ask(&format!("Roll {} back to this?", args.name), printer)?;
    }
    let done = ask(args, false, tag.as_deref(), client).await?;
    printer.record(&done, &text(args, &done, false));
    Ok(())
}

async fn ask(
    args: &DeploymentRollbackArgs,
    dry_run: bool,
    tag: Option<&str>,
    client: &Client,
) -> Result<Record<DeployResult<'static>>, CliError> {
    let body = serde_json::to_vec(&RollbackRequest { revision: args.revision }).unwrap_or_default();
    let query = if dry_run { "?dry_run=true" } else { "" };
    let path = format!("/v1/deployments/{}/rollback{query}", encoded(&args.name));
    let headers: Vec<_> = tag.iter().map(|tag| ("if-match", *tag)).collect();
    client.ask(Method::POST, &path, body, &headers).await
}

fn text(args: &DeploymentRollbackArgs, result: &DeployResult<'_>, dry_run: bool) -> String {
    let name = &args.name;
    let to = args.revision.map_or_else(|| "the revision before".to_owned(), |revision| format!("revision {revision}"));
    let mut all = vec![match (dry_run, result.changes.is_empty()) {
        (_, true) => format!("{name} already equals revision {to}: nothing changes"),
        (true, false) => format!("{name} would be rolled back to {to}"),
        (false, false) => format!("{name} rolled back to {to}, as revision {}", result.deployment.revision),
    }];
    all.extend(changes(result));
    all.extend(result.warnings.iter().map(|warning| format!("  warning: {}", clean(warning))));
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::project::deploy::test_result;

    #[test]
    fn each_changed_field_is_listed() {
        let args = DeploymentRollbackArgs { name: "hello".into(), revision: Some(1), confirm: ConfirmArgs::default() };
        let result = test_result(&json!({ "changes": [{ "pointer": "/priority", "from": 7, "to": 5 }] }));
        assert_eq!(text(&args, &result, false), "hello rolled back to revision 1, as revision 3\n  /priority: 7 → 5");
        assert!(text(&args, &test_result(&json!({})), false).ends_with("nothing changes"));
    }
}
