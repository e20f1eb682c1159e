//! `tidemill schedules firings`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ScheduleRef;
use crate::client::Client;
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::wire::grouped;

/// Arguments of `tidemill schedules firings`.
#[derive(Debug, clap::Args)]
pub struct ScheduleFiringsArgs {
    #[command(flatten)]
    which: ScheduleRef,

    /// Maximum number of entries
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct IrregularFiring {
    what: String,
    code: String,
    first: String,
    last: String,
    count: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Row for IrregularFiring {
    const HEADS: &'static [&'static str] = &["SEEN", "WHAT", "FIRINGS", "FIRST", "LAST", "WHY", "RUN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.seen.clone(),
            self.what.clone(),
            if self.more { format!("over {}", grouped(self.count)) } else { grouped(self.count) },
            self.first.clone(),
            if self.count > 1 { self.last.clone() } else { String::new() },
            self.code.clone(),
            self.run.clone().unwrap_or_default(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &ScheduleFiringsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let list: Vec<IrregularFiring> = client.list(&format!("{}/firings", args.which.path()), most).await?;
    printer.rows(&list, "no irregular firings");
    Ok(())
}
