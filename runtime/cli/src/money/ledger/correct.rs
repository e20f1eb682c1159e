//! `tidemill ledger correct`: posts the reversal of an entry, and the right entry.

use tidemill_api_types::{CorrectionRequest, CorrectionResult, RightEntry, Time};

use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::money::shown;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill ledger correct`.
#[derive(Debug, clap::Args)]
pub struct LedgerCorrectArgs {
    /// The entry's id or number
    #[arg(value_name = "ID")]
    id: String,

    /// Why the entry is wrong
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Who corrects it; the user of this shell if left out
    #[arg(long, value_name = "NAME", env = "USER")]
    actor: Option<String>,

    /// Kind of the right entry
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    /// Amount of the right entry, such as 19.99
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    amount: Option<String>,

    /// Currency of the right entry
    #[arg(long, value_name = "CODE", requires = "amount")]
    currency: Option<String>,

    /// When the right entry occurred
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    occurred_at: Option<Time>,

    /// Customer of the right entry
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,

    /// Description of the right entry
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

impl LedgerCorrectArgs {
    /// Returns the right entry, if a flag describes one.
    fn right(&self) -> Option<RightEntry<'_>> {
        let texts = [&self.kind, &self.amount, &self.currency, &self.customer, &self.description];
        (texts.iter().any(|text| text.is_some()) || self.occurred_at.is_some()).then(|| RightEntry {
            kind: self.kind.as_deref().map(Into::into),
            amount: self.amount.as_deref().map(Into::into),
            currency: self.currency.as_deref().map(Into::into),
            occurred_at: self.occurred_at,
            customer: self.customer.as_deref().map(Into::into),
            description: self.description.as_deref().map(Into::into),
        })
    }
}

/// Runs the command.
pub async fn run(args: &LedgerCorrectArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let right = args.right();
    let what = if right.is_some() { "its reversal and the right entry" } else { "its reversal" };
    if args.confirm.dry_run {
        printer.note(&format!("would post for entry {}: {what}", args.id));
        return Ok(());
    }
    args.confirm.ask(&format!("Correct entry {}: post {what}?", args.id), printer)?;
    let actor = args.actor.as_deref().filter(|actor| !actor.is_empty());
    let request = CorrectionRequest { reason: (&args.reason).into(), actor: actor.map(Into::into), entry: right };
    let path = format!("/v1/ledger/entries/{}/correct", encoded(&args.id));
    let result: Record<CorrectionResult<'static>> = client.post_json(&path, &request).await?;
    let line = |entry: &tidemill_api_types::LedgerEntry<'_>| {
        format!("entry {}: {} {}", entry.sequence, clean(&entry.kind), shown(&entry.amount, &entry.currency))
    };
    let mut lines: Vec<_> = result.entries.iter().map(line).collect();
    if result.duplicate {
        lines.insert(0, "this correction was posted before".to_owned());
    }
    printer.record(&result, &lines.join("\n"));
    Ok(())
}
