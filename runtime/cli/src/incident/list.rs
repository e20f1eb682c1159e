//! `tidemill incidents list`: lists incidents.

use tidemill_api_types::Incident;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// Arguments of `tidemill incidents list`.
#[derive(Debug, clap::Args)]
pub struct IncidentListArgs {
    /// List only incidents of this deployment
    #[arg(long, short)]
    deployment: Option<String>,

    /// List incidents that have ended, too
    #[arg(long)]
    all: bool,

    /// Maximum number of incidents
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl Row for Incident<'_> {
    const HEADS: &'static [&'static str] =
        &["NUMBER", "DEPLOYMENT", "SEVERITY", "PHASE", "DETECTED", "STEPS", "REASON"];

    fn cells(&self) -> Vec<String> {
        let steps: Vec<_> = self.repairs.iter().map(|repair| repair.step.as_ref()).collect();
        vec![
            self.number.to_string(),
            self.deployment.as_deref().unwrap_or("(the host)").to_owned(),
            self.severity.to_string(),
            self.phase.to_string(),
            self.detected_at.to_string(),
            steps.join(", "),
            self.reason.to_string(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &IncidentListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let query = Query::default().with_each("state", args.all.then_some("all"));
    let path = query.with_each("deployment", &args.deployment).of_path("/v1/incidents");
    let all: Vec<Record<Incident<'static>>> = client.list(&path, args.limit as usize).await?;
    printer.rows(&all, if args.all { "no incidents" } else { "no open incidents" });
    Ok(())
}
