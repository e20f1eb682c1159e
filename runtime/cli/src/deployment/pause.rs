//! `tidemill deployments pause` and `resume`.

use serde_json::Value;
use tidemill_api_types::PauseRequest;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill deployments pause`.
#[derive(Debug, clap::Args)]
pub struct DeploymentPauseArgs {
    /// The deployment
    name: String,

    /// The reason, kept as a note
    #[arg(long, default_value = "")]
    note: String,
}

/// Arguments of `tidemill deployments resume`.
#[derive(Debug, clap::Args)]
pub struct DeploymentResumeArgs {
    /// The deployment
    name: String,
}

/// Pauses a deployment.
pub async fn run(args: &DeploymentPauseArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/deployments/{}/pause", encoded(&args.name));
    let record: Value = client.post_json(&path, &PauseRequest::with_note(&args.note)).await?;
    printer.record(&record, &format!("{} paused", args.name));
    Ok(())
}

/// Resumes a deployment.
pub async fn resume(args: &DeploymentResumeArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let record: Value = client.post(&format!("/v1/deployments/{}/resume", encoded(&args.name))).await?;
    printer.record(&record, &format!("{} resumed", args.name));
    Ok(())
}
