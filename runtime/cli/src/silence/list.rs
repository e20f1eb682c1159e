//! `tidemill silences list`: lists silences.

use tidemill_api_types::Silence;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill silences list`.
#[derive(Debug, clap::Args)]
pub struct SilenceListArgs {}

impl Row for Silence<'_> {
    const HEADS: &'static [&'static str] = &["SILENCE", "RULE", "DEPLOYMENT", "SEVERITY", "ENDS", "BY", "NOTE"];

    fn cells(&self) -> Vec<String> {
        let any = |word: &Option<std::borrow::Cow<'_, str>>| word.as_deref().unwrap_or("(any)").to_owned();
        vec![
            self.id.to_string(),
            any(&self.rule),
            any(&self.deployment),
            any(&self.severity),
            self.ends.to_string(),
            self.actor.to_string(),
            self.note.to_string(),
        ]
    }
}

/// Runs the command.
pub async fn run(_: &SilenceListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<Silence<'static>>> = client.all("/v1/silences").await?;
    printer.rows(&all, "no silences");
    Ok(())
}
