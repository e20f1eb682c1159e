//! `tidemill ledger findings`: lists findings, or closes one.

use tidemill_api_types::{Finding, FindingClosure};
use tidemill_core::wire::grouped;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::money::shown;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// Arguments of `tidemill ledger findings`.
#[derive(Debug, clap::Args)]
pub struct LedgerFindingsArgs {
    /// List only findings of this kind, such as over-refunded
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    /// List only findings of this stream
    #[arg(long, short, value_name = "NAME")]
    stream: Option<String>,

    /// List findings that a person closed
    #[arg(long)]
    closed: bool,

    /// List findings about streams on paper instead
    #[arg(long)]
    paper: bool,

    /// Maximum number of findings
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,

    /// Close the finding with this number instead of listing
    #[arg(long, value_name = "NUMBER", requires = "reason", conflicts_with_all = ["kind", "stream", "closed", "paper", "limit"])]
    close: Option<u64>,

    /// Why the closed finding is no problem
    #[arg(long, value_name = "TEXT", requires = "close")]
    reason: Option<String>,

    /// Who closes it; the user of this shell if left out
    #[arg(long, value_name = "NAME", env = "USER")]
    actor: Option<String>,
}

impl Row for Finding<'_> {
    const HEADS: &'static [&'static str] = &["NUMBER", "KIND", "STREAM", "SUBJECT", "AMOUNT", "ENTRY", "OPENED"];

    fn cells(&self) -> Vec<String> {
        let amount = self.amount.as_ref().map(|amount| shown(&amount.amount, &amount.currency));
        let currency = || self.currency.as_deref().unwrap_or_default().to_owned();
        vec![
            self.number.to_string(),
            self.kind.to_string(),
            self.stream.as_deref().unwrap_or("several").to_owned(),
            self.subject.to_string(),
            amount.unwrap_or_else(currency),
            grouped(self.sequence),
            self.opened_at.to_string(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerFindingsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    if let (Some(number), Some(reason)) = (args.close, &args.reason) {
        let actor = args.actor.as_deref().filter(|actor| !actor.is_empty());
        let closure = FindingClosure { reason: reason.into(), actor: actor.map(Into::into) };
        let path = format!("/v1/ledger/findings/{number}/close");
        let closed: Record<Finding<'static>> = client.post_json(&path, &closure).await?;
        printer.record(&closed, &format!("closed finding {number}"));
        return Ok(());
    }
    let query = Query::of("paper", args.paper).with_each("state", args.closed.then_some("closed"));
    let path = query.with_each("kind", &args.kind).with_each("stream", &args.stream).of_path("/v1/ledger/findings");
    let all: Vec<Record<Finding<'static>>> = client.list(&path, args.limit as usize).await?;
    printer.rows(&all, "no findings: the entries add up");
    Ok(())
}
