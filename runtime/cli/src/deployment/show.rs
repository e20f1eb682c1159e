//! `tidemill deployments show`: one deployment, with its whole manifest.

use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill deployments show`.
#[derive(Debug, clap::Args)]
pub struct DeploymentShowArgs {
    /// The deployment
    name: String,
}

/// Runs the command. The output is JSON in both modes, because a manifest is JSON.
pub async fn run(args: &DeploymentShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let deployment: Value = client.get(&format!("/v1/deployments/{}", encoded(&args.name))).await?;
    printer.value(&deployment);
    Ok(())
}
