//! `tidemill modules list`: lists modules and their versions. `tidemill deploy` uploads them.

use clap::Subcommand;
use tidemill_api_types::ModuleVersion;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::text::short_digest;

/// The commands about modules.
#[derive(Debug, Subcommand)]
pub enum ModuleCommand {
    /// List modules and their versions
    List,
}

impl Row for ModuleVersion<'_> {
    const HEADS: &'static [&'static str] = &["MODULE", "VERSION", "COMPONENT", "UPLOADED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.module.to_string(),
            self.version.to_string(),
            short_digest(&self.component),
            self.created_at.to_string(),
        ]
    }
}

/// Runs the command.
pub async fn run(command: ModuleCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let ModuleCommand::List = command;
    let all: Vec<Record<ModuleVersion<'static>>> = client.all("/v1/modules").await?;
    printer.rows(&all, "no modules: upload one with `tidemill deploy DIR`");
    Ok(())
}
