//! `tidemill runs signal RUN NAME`: sends a signal to a run.

use reqwest::Method;
use tidemill_api_types::SignalResult;
use tidemill_store::records::SIGNAL_BYTES;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill runs signal`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The signal is kept until the run receives a signal of that name.\n\
                        For example: tidemill runs signal orders/order-7 paid --payload '{\"amount\": 1999}'")]
pub struct RunSignalArgs {
    /// The run: its id, the beginning or the end of it, last, or DEPLOYMENT/KEY
    run: String,

    /// The signal's name
    name: String,

    /// The payload: JSON, or @FILE for a file's JSON, or @- for standard input's; at most 64 KiB
    #[arg(long, short, default_value = "null", value_name = "JSON|@FILE")]
    payload: String,

    /// Idempotency key: the same key sends one signal
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Runs the command.
pub async fn run(args: &RunSignalArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let payload = super::start::json("--payload", &args.payload, SIGNAL_BYTES)?;
    let name = encoded(&args.name);
    let path = match args.run.split_once('/') {
        Some((deployment, key)) if key != "last" => {
            format!("/v1/deployments/{}/keys/{}/signals/{name}", encoded(deployment), encoded(key))
        }
        _ => {
            let run = super::reference::id(&args.run, client).await?;
            format!("/v1/runs/{}/signals/{name}", encoded(&run))
        }
    };
    let headers: Vec<_> = args.key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
    let sent: Record<SignalResult<'static>> = client.ask(Method::POST, &path, payload, &headers).await?;
    let text = if sent.duplicate { "had come before" } else { "sent" };
    printer.record(&sent, &format!("{} {text} to {}", clean(&args.name), sent.run));
    Ok(())
}
