//! `tidemill deployments pause` and `resume`.

use reqwest::Method;

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
    let answer = client.ask(Method::POST, &path, note(&args.note), &[], std::time::Duration::ZERO).await?;
    let record: serde_json::Value = answer.json().unwrap_or_default();
    printer.record(&record, &format!("{} paused", args.name));
    Ok(())
}

/// Resumes a deployment.
pub async fn resume(args: &DeploymentResumeArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let record = client.post(&format!("/v1/deployments/{}/resume", encoded(&args.name))).await?;
    printer.record(&record, &format!("{} resumed", args.name));
    Ok(())
}

/// Builds the body with a note.
pub fn note(text: &str) -> Vec<u8> {
    let body = if text.is_empty() { serde_json::json!({}) } else { serde_json::json!({ "note": text }) };
    body.to_string().into_bytes()
}
