//! `tidemill runs parked`: lists the runs that wait for an operator, counted by cause, with what to
//! do next. Cancelled runs whose compensation failed are among them.

use tidemill_api_types::{ParkedGroup, ParkedPage, ParkedRun};
use tidemill_core::wire::grouped;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};
use crate::query::Query;
use crate::text::cut;

/// Maximum length of a message in a table, in characters.
const MESSAGE: usize = 60;

/// Arguments of `tidemill runs parked`.
#[derive(Debug, clap::Args)]
#[command(after_help = "To retry them: tidemill runs retry --parked [--deployment NAME] [--code CODE]\n\
                        A cancelled run is listed if its compensation failed: tidemill runs cancel ID removes it from the list")]
pub struct RunParkedArgs {
    /// Show only runs of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// Show only runs with this code
    #[arg(long, value_name = "CODE")]
    code: Vec<String>,

    /// Show only the counts, by deployment and code
    #[arg(long)]
    counts: bool,

    /// Maximum number of runs
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

impl Row for ParkedRun {
    const HEADS: &'static [&'static str] = &["RUN", "DEPLOYMENT", "STATE", "SINCE", "ATTEMPT", "CODE", "WHY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.run.to_string(),
            self.deployment.clone(),
            self.state.to_string(),
            self.since.to_string(),
            self.attempt.to_string(),
            clean(&self.code),
            cut(&clean(&self.message), MESSAGE),
        ]
    }
}

impl Row for ParkedGroup {
    const HEADS: &'static [&'static str] = &["RUNS", "DEPLOYMENT", "CODE", "OLDEST", "FIX"];

    fn cells(&self) -> Vec<String> {
        let fix = clean(self.fix.as_deref().unwrap_or_default());
        vec![grouped(self.runs), self.deployment.clone(), clean(&self.code), self.oldest.to_string(), fix]
    }
}

/// Runs the command.
pub async fn run(args: &RunParkedArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let query = Query::of("limit", if args.counts { 1 } else { args.limit })
        .with_each("deployment", &args.deployment)
        .with_each("code", &args.code);
    let inbox: Record<ParkedPage> = client.get(&query.of_path("/v1/parked")).await?;
    const NOTHING: &str = "no run waits for an operator";
    let groups = inbox.groups.as_deref().unwrap_or_default();
    if args.counts {
        printer.rows(groups, NOTHING);
    } else if printer.is_json() {
        printer.value(&inbox);
    } else if groups.is_empty() {
        printer.note(NOTHING);
    } else {
        printer.rows(groups, NOTHING);
        printer.line("");
        printer.rows(&inbox.items, NOTHING);
        if inbox.next.is_some() {
            printer.note("there are more: name a deployment or a code, or raise --limit");
        }
    }
    Ok(())
}
