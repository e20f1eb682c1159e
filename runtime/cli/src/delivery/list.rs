//! `tidemill deliveries list`.

use tidemill_api_types::Delivery;

use super::filter::DeliveryFilter;
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill deliveries list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "For example: tidemill deliveries list --deployment shop --outcome dead")]
pub struct DeliveryListArgs {
    #[command(flatten)]
    filter: DeliveryFilter,

    /// Maximum number of deliveries
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl Row for Delivery<'_> {
    const HEADS: &'static [&'static str] = &["DELIVERY", "HOOK", "RECEIVED", "EVENT", "KEY", "OUTCOME", "RUN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            format!("{}/{}", self.deployment, self.hook),
            self.received_at.to_string(),
            self.event.as_deref().unwrap_or_default().to_owned(),
            self.key.to_string(),
            self.outcome.to_string(),
            self.last_run.map(|run| run.to_string()).unwrap_or_default(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &DeliveryListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = args.filter.query().of_path("/v1/deliveries");
    let found: Vec<Record<Delivery<'static>>> = client.list(&path, args.limit as usize).await?;
    printer.rows(&found, "no deliveries: write a [[hook]] in a manifest, deploy it, and give its URL to the provider");
    Ok(())
}
