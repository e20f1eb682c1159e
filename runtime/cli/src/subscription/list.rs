//! `tidemill subscriptions list`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill subscriptions list`.
#[derive(Debug, Default, clap::Args)]
pub struct SubscriptionListArgs {
    /// List only subscriptions of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Subscription {
    deployment: String,
    name: String,
    topic: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Value>,
    waiting: u64,
    delivered: u64,
    filtered: u64,
    lost: u64,
    skipped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Row for Subscription {
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
            self.deployment.clone(),
            self.name.clone(),
            self.topic.clone(),
            self.waiting.to_string(),
            self.delivered.to_string(),
            self.filtered.to_string(),
            self.lost.to_string(),
            self.skipped.to_string(),
            self.last.clone().unwrap_or_default(),
            crate::deployment::list::paused(self.paused.as_ref()).unwrap_or_else(|| self.state.clone()),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &SubscriptionListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = match &args.deployment {
        Some(deployment) => format!("/v1/subscriptions?deployment={}", encoded(deployment)),
        None => "/v1/subscriptions".to_owned(),
    };
    let all: Vec<Subscription> = client.all(&path).await?;
    printer.rows(&all, "no subscriptions: write a [[subscription]] in a manifest and deploy it");
    Ok(())
}
