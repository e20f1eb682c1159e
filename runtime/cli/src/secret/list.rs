//! `tidemill secrets list`.

use tidemill_api_types::Secret;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::text::time;

impl Row for Secret<'_> {
    const HEADS: &'static [&'static str] = &["SECRET", "FROM", "VERSION", "ENCODING", "SET", "OLDER VERSIONS"];

    fn cells(&self) -> Vec<String> {
        let older = self.older.iter().map(|old| format!("{} until {}", old.version, old.ends_at));
        vec![
            self.name.to_string(),
            self.source.to_string(),
            self.version.map(|version| version.to_string()).unwrap_or_default(),
            self.encoding.as_deref().unwrap_or_default().to_owned(),
            time(self.set_at),
            older.collect::<Vec<_>>().join(", "),
        ]
    }
}

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<Secret<'static>>> = client.all("/v1/secrets").await?;
    printer.rows(&all, "no secrets; `tidemill secrets set NAME` sets one");
    Ok(())
}
