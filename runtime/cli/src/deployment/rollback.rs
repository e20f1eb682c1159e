//! `tidemill deployments rollback`: rolls a deployment back to an earlier revision.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, encoded};
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
    if args.confirm.dry_run || args.confirm.asks() {
        let plan = ask(args, true, None, client).await?;
        if args.confirm.dry_run {
            printer.record(&plan, &text(args, &plan, true));
            return Ok(());
        }
        printer.note(&text(args, &plan, true));
        if changes(&plan).is_empty() {
            return Ok(());
        }
        // The change must be what was shown: the plan's revision is the one after the current, so
        // expect the current one.
        let present = plan["deployment"]["revision"].as_u64().map(|revision| revision.saturating_sub(1));
        tag = present.map(|revision| format!("\"{revision}\""));
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
) -> Result<Value, CliError> {
    let body = args.revision.map_or_else(|| json!({}), |revision| json!({ "revision": revision }));
    let query = if dry_run { "?dry_run=true" } else { "" };
    let path = format!("/v1/deployments/{}/rollback{query}", encoded(&args.name));
    let headers: Vec<_> = tag.iter().map(|tag| ("if-match", *tag)).collect();
    let answer = client.ask(Method::POST, &path, body.to_string().into_bytes(), &headers, Duration::ZERO).await?;
    answer.json().map_err(|why| CliError::failed(format!("the host's answer is not JSON: {why}")))
}

fn text(args: &DeploymentRollbackArgs, record: &Value, dry_run: bool) -> String {
    let name = &args.name;
    let to = args.revision.map_or_else(|| "the revision before".to_owned(), |revision| format!("revision {revision}"));
    let now = record["deployment"]["revision"].as_u64().unwrap_or_default();
    let lines = changes(record);
    let mut all = vec![match (dry_run, lines.is_empty()) {
        (_, true) => format!("{name} already equals revision {to}: nothing changes"),
        (true, false) => format!("{name} would be rolled back to {to}"),
        (false, false) => format!("{name} rolled back to {to}, as revision {now}"),
    }];
    all.extend(lines);
    for warning in record["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        all.push(format!("  warning: {}", clean(warning)));
    }
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_changed_field_is_listed() {
        let args = DeploymentRollbackArgs { name: "hello".into(), revision: Some(1), confirm: ConfirmArgs::default() };
        let record = json!({"deployment": {"revision": 3}, "changes": [{"pointer": "/priority", "from": 7, "to": 5}], "warnings": []});
        assert_eq!(text(&args, &record, false), "hello rolled back to revision 1, as revision 3\n  /priority: 7 → 5");
        assert!(text(&args, &json!({"changes": []}), false).ends_with("nothing changes"));
    }
}
