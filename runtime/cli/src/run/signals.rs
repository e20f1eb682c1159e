//! `tidemill runs signals RUN`: lists a run's pending signals, and drops one that it cannot parse.

use tidemill_api_types::InboxSignal;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};
use crate::text::cut;

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

impl Row for InboxSignal<'_> {
    const HEADS: &'static [&'static str] = &["PLACE", "SIGNAL", "CAME", "PAYLOAD"];

    fn cells(&self) -> Vec<String> {
        let payload = cut(&clean(&self.payload.to_value().to_string()), PAYLOAD);
        vec![self.place.to_string(), clean(&self.name), self.at.to_string(), payload]
    }
}

/// Runs the command.
pub async fn run(args: &RunSignalsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let id = super::reference::id(&args.run, client).await?;
    let path = format!("/v1/runs/{}/inbox", encoded(&id));
    if let Some(place) = args.drop {
        client.delete(&format!("{path}/{place}"), &[]).await?;
        printer.note(&format!("dropped the signal at index {place}"));
        return Ok(());
    }
    let signals: Vec<Record<InboxSignal<'static>>> = client.list(&path, args.limit as usize).await?;
    printer.rows(&signals, "no signals wait for the run");
    Ok(())
}
