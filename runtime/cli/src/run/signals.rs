//! `tidemill runs signals RUN`: lists a run's pending signals, and drops one that it cannot parse.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};

/// Maximum length of a payload in a table, in characters.
const PAYLOAD: usize = 60;

/// Arguments of `tidemill runs signals`.
#[derive(Debug, clap::Args)]
#[command(after_help = "For example: tidemill runs signals 01kafe5tq0s8v3b9c2d4e6f7g8 --drop 0")]
pub struct RunSignalsArgs {
    /// The run: its id, the beginning or the end of it, last, or DEPLOYMENT/KEY
    run: String,

    /// Drop the signal with this index, as if it had never arrived
    #[arg(long, value_name = "N")]
    drop: Option<u64>,

    /// Maximum number of signals
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_016))]
    limit: u32,
}

/// A pending signal.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Signal {
    place: u64,
    name: String,
    at: String,
    payload: Value,
}

impl Row for Signal {
    const HEADS: &'static [&'static str] = &["PLACE", "SIGNAL", "CAME", "PAYLOAD"];

    fn cells(&self) -> Vec<String> {
        let payload = clean(&self.payload.to_string());
        let short: String = payload.chars().take(PAYLOAD).collect();
        let shown = if short.len() < payload.len() { format!("{short}…") } else { short };
        vec![self.place.to_string(), clean(&self.name), self.at.clone(), shown]
    }
}

/// Runs the command.
pub async fn run(args: &RunSignalsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let id = super::reference::id(&args.run, client).await?;
    let path = format!("/v1/runs/{}/inbox", encoded(&id));
    if let Some(place) = args.drop {
        client.delete(&format!("{path}/{place}")).await?;
        printer.note(&format!("dropped the signal at index {place}"));
        return Ok(());
    }
    let signals: Vec<Signal> = client.list(&path, args.limit as usize).await?;
    printer.rows(&signals, "no signals wait for the run");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_payload_is_cut_in_a_table() {
        let signal = Signal { payload: Value::String("é".repeat(PAYLOAD)), ..Signal::default() };
        assert_eq!(signal.cells()[3], format!("\"{}…", "é".repeat(PAYLOAD - 1)));
    }
}
