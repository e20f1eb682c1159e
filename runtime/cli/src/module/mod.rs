//! `tidemill modules`: lists modules and their versions. `tidemill deploy` uploads them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill modules`: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Version {
    module: String,
    version: String,
    component: String,
    created_at: String,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Row for Version {
    const HEADS: &'static [&'static str] = &["MODULE", "VERSION", "COMPONENT", "UPLOADED"];

    fn cells(&self) -> Vec<String> {
        let component = crate::wire::short_digest(&self.component);
        vec![self.module.clone(), self.version.clone(), component, self.created_at.clone()]
    }
}

/// Runs the command.
pub async fn run(_: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Version> = client.all("/v1/modules").await?;
    printer.rows(&all, "no modules: upload one with `tidemill deploy DIR`");
    Ok(())
}
