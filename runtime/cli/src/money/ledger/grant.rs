//! `tidemill ledger grant`: grants a customer credit by hand.

use tidemill_api_types::{CorrectionResult, GrantRequest, Time};

use crate::client::{Client, Record};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill ledger grant`.
#[derive(Debug, clap::Args)]
pub struct LedgerGrantArgs {
    /// External id of the grant; the same grant again changes nothing
    #[arg(value_name = "ID")]
    external_id: String,

    /// The stream
    #[arg(long, short, value_name = "NAME")]
    stream: String,

    /// The customer
    #[arg(long, short, value_name = "ID")]
    customer: String,

    /// The amount, such as 5.00
    #[arg(long, value_name = "AMOUNT")]
    amount: String,

    /// The currency
    #[arg(long, value_name = "CODE")]
    currency: String,

    /// Why the customer is granted credit
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Who grants it; the user of this shell if left out
    #[arg(long, value_name = "NAME", env = "USER")]
    actor: Option<String>,

    /// Record that the customer has paid for it, instead of a promotion
    #[arg(long)]
    paid: bool,

    /// Lower priorities are used first, 0 to 255; 100 if left out
    #[arg(long, value_name = "NUMBER")]
    priority: Option<u8>,

    /// Cover usage from this time on; from now if left out
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    starts_at: Option<Time>,

    /// Cover usage before this time; for ever if left out
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    expires_at: Option<Time>,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &LedgerGrantArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let what = format!("{} {} to customer {} of {}", args.amount, args.currency, args.customer, args.stream);
    if args.confirm.dry_run {
        printer.note(&format!("would grant {what}"));
        return Ok(());
    }
    args.confirm.ask(&format!("Grant {what}?"), printer)?;
    let request = GrantRequest {
        external_id: (&args.external_id).into(),
        stream: (&args.stream).into(),
        customer: (&args.customer).into(),
        amount: (&args.amount).into(),
        currency: (&args.currency).into(),
        kind: args.paid.then(|| "prepayment".into()),
        reason: (&args.reason).into(),
        actor: args.actor.as_deref().filter(|actor| !actor.is_empty()).map(Into::into),
        occurred_at: None,
        priority: args.priority,
        starts_at: args.starts_at,
        expires_at: args.expires_at,
    };
    let result: Record<CorrectionResult<'static>> = client.post_json("/v1/ledger/grants", &request).await?;
    let line = |entry: &tidemill_api_types::LedgerEntry<'_>| {
        format!("entry {}: {} {} {}", entry.sequence, clean(&entry.kind), entry.amount, clean(&entry.currency))
    };
    let mut lines: Vec<_> = result.entries.iter().map(line).collect();
    if result.duplicate {
        lines.insert(0, "this grant was posted before".to_owned());
    }
    printer.record(&result, &lines.join("\n"));
    Ok(())
}
