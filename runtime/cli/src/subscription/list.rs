//! `tidemill subscriptions list`.

use tidemill_api_types::Subscription;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;
use crate::text::{paused, time};

/// Arguments of `tidemill subscriptions list`.
#[derive(Debug, Default, clap::Args)]
pub struct SubscriptionListArgs {
    /// List only subscriptions of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,
}

impl Row for Subscription<'_> {
    const HEADS: &'static [&'static str] = &[
        "DEPLOYMENT",
        "SUBSCRIPTION",
        "TOPIC",
        "WAITING",
        "DELIVERED",
        "FILTERED",
        "LOST",
        "SKIPPED",
        "LAST",
        "STATE",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.deployment.to_string(),
            self.name.to_string(),
            self.topic.to_string(),
            self.waiting.to_string(),
            self.delivered.to_string(),
            self.filtered.to_string(),
            self.lost.to_string(),
            self.skipped.to_string(),
            time(self.last),
            paused(self.paused.as_ref()).unwrap_or_else(|| self.state.to_string()),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &SubscriptionListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = Query::default().with_each("deployment", &args.deployment).of_path("/v1/subscriptions");
    let all: Vec<Record<Subscription<'static>>> = client.all(&path).await?;
    printer.rows(&all, "no subscriptions: write a [[subscription]] in a manifest and deploy it");
    Ok(())
}
