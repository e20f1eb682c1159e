//! `tidemill health list`: lists the health of deployments.

use tidemill_api_types::HealthSummary;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// Arguments of `tidemill health list`.
#[derive(Debug, clap::Args)]
pub struct HealthListArgs {
    /// List only deployments with this status
    #[arg(long, short, value_parser = ["unknown", "healthy", "degraded", "unhealthy"])]
    status: Option<String>,
}

impl Row for HealthSummary<'_> {
    const HEADS: &'static [&'static str] = &["DEPLOYMENT", "HEALTH", "SINCE", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.deployment.to_string(),
            if self.observed { self.status.to_string() } else { format!("{} (not observed)", self.status) },
            self.since.map(|since| since.to_string()).unwrap_or_default(),
            self.reason.as_deref().unwrap_or_default().to_owned(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &HealthListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let query = Query::default().with_each("status", args.status.as_deref());
    let all: Vec<Record<HealthSummary<'static>>> = client.all(&query.of_path("/v1/health/deployments")).await?;
    let none = match &args.status {
        Some(status) => format!("no deployment is {status}"),
        None => "no deployments: make one with `tidemill deploy DIR`".to_owned(),
    };
    printer.rows(&all, &none);
    Ok(())
}
