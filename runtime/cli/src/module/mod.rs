//! `tidemill modules list`: lists modules and their versions. `tidemill deploy` uploads them.

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// The commands about modules.
#[derive(Debug, Subcommand)]
pub enum ModuleCommand {
    /// List modules and their versions
    List,
}

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
pub async fn run(command: ModuleCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let ModuleCommand::List = command;
    let all: Vec<Version> = client.all("/v1/modules").await?;
    printer.rows(&all, "no modules: upload one with `tidemill deploy DIR`");
    Ok(())
}
