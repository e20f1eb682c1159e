//! `tidemill ledger growth`: compares net revenue with that of the period before.

use tidemill_api_types::{Growth, GrowthLine};

use super::{ReportArgs, money, range};
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill ledger growth`.
#[derive(Debug, clap::Args)]
pub struct LedgerGrowthArgs {
    #[command(flatten)]
    report: ReportArgs,

    /// Count entries by when they were posted instead of when they occurred
    #[arg(long)]
    by_posting: bool,

    /// List each stream
    #[arg(long)]
    by_stream: bool,

    /// List each kind of entry
    #[arg(long)]
    by_kind: bool,
}

impl Row for GrowthLine {
    const HEADS: &'static [&'static str] = &["STREAM", "KIND", "NOW", "BEFORE", "GROWTH"];

    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
        vec![
            text(&self.stream, "all"),
            text(&self.kind, "all"),
            money(&self.now),
            money(&self.before),
            text(&self.growth, ""),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerGrowthArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let more = [
        ("by", args.by_posting.then_some("posted")),
        ("group", args.by_stream.then_some("stream")),
        ("group", args.by_kind.then_some("kind")),
    ];
    let growth: Record<Growth<'static>> = client.get(&args.report.path("growth", &more)).await?;
    if printer.is_json() {
        printer.value(&growth);
        return Ok(());
    }
    printer.line(&format!("{} against {}", range(&growth.now), range(&growth.before)));
    printer.rows(&growth.lines, "nothing was earned in either");
    Ok(())
}
