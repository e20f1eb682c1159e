//! `tidemill alerts list`: lists alerts.

use tidemill_api_types::Alert;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// Arguments of `tidemill alerts list`.
#[derive(Debug, clap::Args)]
pub struct AlertListArgs {
    /// List only alerts in this state; without it, those that are firing or acknowledged
    #[arg(long, short, value_parser = ["open", "pending", "firing", "acknowledged", "resolved"])]
    state: Option<String>,

    /// List only alerts of this rule
    #[arg(long, short, value_name = "NAME")]
    rule: Option<String>,

    /// List only alerts about this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// List only alerts with this severity
    #[arg(long, value_parser = ["page", "ticket"])]
    severity: Option<String>,

    /// Maximum number of alerts
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
}

impl Row for Alert<'_> {
    const HEADS: &'static [&'static str] = &["ALERT", "STATE", "SEVERITY", "RULE", "ABOUT", "SINCE", "SUMMARY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.as_deref().unwrap_or_default().to_owned(),
            if self.silenced { format!("{} (silenced)", self.state) } else { self.state.to_string() },
            self.severity.to_string(),
            self.rule.to_string(),
            super::show::about(self),
            self.fired.to_string(),
            self.summary.to_string(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &AlertListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let query = Query::default()
        .with_each("state", args.state.as_deref())
        .with_each("rule", args.rule.as_deref())
        .with_each("deployment", args.deployment.as_deref())
        .with_each("severity", args.severity.as_deref());
    let all: Vec<Record<Alert<'static>>> = client.list(&query.of_path("/v1/alerts"), args.limit).await?;
    printer.rows(&all, "no such alerts");
    Ok(())
}
