//! `tidemill ledger export`: writes the entries to stdout.

use clap::ValueEnum;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;
use crate::query::Query;

/// Arguments of `tidemill ledger export`.
#[derive(Debug, clap::Args)]
pub struct LedgerExportArgs {
    /// Export only entries of this stream
    #[arg(long, short, value_name = "NAME")]
    stream: Option<String>,

    /// Format of the export
    #[arg(long, short, value_enum, default_value_t = ExportFormat::Jsonl)]
    format: ExportFormat,

    /// Number of the last entry; the same number gives the same bytes
    #[arg(long, value_name = "NUMBER")]
    until: Option<u64>,

    /// Export streams on paper instead
    #[arg(long)]
    paper: bool,

    /// Write texts in CSV unchanged, also if a spreadsheet would run them
    #[arg(long)]
    raw: bool,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object for each entry, as `ledger entries --json` shows it
    Jsonl,
    /// One row for each entry, with decimal amounts
    Csv,
    /// Transactions and balances for Beancount
    Beancount,
}

/// Runs the command.
pub async fn run(args: &LedgerExportArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let format = args.format.to_possible_value().map(|format| format.get_name().to_owned()).unwrap_or_default();
    let query = Query::of("format", format).with("paper", args.paper).with("raw", args.raw);
    let path = query.with_each("stream", &args.stream).with_each("until", args.until).of_path("/v1/ledger/export");
    // A piece may end within a line, or within a character.
    let mut rest = Vec::new();
    client
        .follow(&path, &[], |piece| {
            rest.extend_from_slice(piece);
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            printer.untrusted_lines(&rest[..whole]);
            rest.drain(..whole);
            true
        })
        .await?;
    printer.untrusted_lines(&rest);
    Ok(())
}
