//! `tidemill deliveries hooks`: the hooks of a deployment, and the requests that they refused.

use tidemill_api_types::{Hook, HookRefusal};
use tidemill_core::wire::duration_text;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill deliveries hooks`.
#[derive(Debug, clap::Args)]
#[command(after_help = "For example: tidemill deliveries hooks shop --refused events")]
pub struct DeliveryHooksArgs {
    /// The deployment
    deployment: String,

    /// List the last refused requests of this hook, newest first
    #[arg(long, value_name = "HOOK")]
    refused: Option<String>,
}

impl Row for Hook<'_> {
    const HEADS: &'static [&'static str] = &["HOOK", "PATH", "SCHEME", "REPLY", "CLOCK", "REQUESTS", "REFUSED"];

    fn cells(&self) -> Vec<String> {
        let requests =
            self.requests.iter().map(|count| format!("{} {}", count.requests, count.result)).collect::<Vec<_>>();
        vec![
            self.name.to_string(),
            self.path.clone(),
            self.scheme.to_string(),
            self.reply.to_string(),
            clock(self.clock_offset_ms),
            requests.join(", "),
            self.refusals.first().map(|last| last.reason.clone()).unwrap_or_default(),
        ]
    }
}

/// Describes how far the clock of the host is off, if requests show it.
fn clock(offset_millis: Option<i64>) -> String {
    offset_millis.map_or_else(String::new, |offset| {
        let by = duration_text(offset.unsigned_abs() / 1_000 * 1_000);
        format!("{by} {}", if offset > 0 { "slow" } else { "fast" })
    })
}

impl Row for HookRefusal {
    const HEADS: &'static [&'static str] = &["AT", "REASON", "BYTES", "HEADERS"];

    fn cells(&self) -> Vec<String> {
        vec![self.at.to_string(), self.reason.clone(), self.body_bytes.to_string(), self.headers.join(" ")]
    }
}

/// Runs the command.
pub async fn run(args: &DeliveryHooksArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/deployments/{}/hooks", encoded(&args.deployment));
    let hooks: Vec<Record<Hook<'static>>> = client.all(&path).await?;
    let Some(name) = &args.refused else {
        printer.rows(&hooks, "no hooks: write a [[hook]] in the manifest and deploy it");
        return Ok(());
    };
    let Some(hook) = hooks.iter().find(|hook| hook.name == *name) else {
        return Err(CliError::failed(format!("deployment `{}` has no hook `{name}`", args.deployment))
            .with_fix("list them: tidemill deliveries hooks DEPLOYMENT"));
    };
    printer.rows(&hook.refusals, "the hook has refused no request since the host started");
    Ok(())
}
