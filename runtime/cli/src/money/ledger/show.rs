//! `tidemill ledger show`: shows one entry with its evidence.

use tidemill_api_types::{LedgerEntry, LedgerEntryDetail, LedgerLeg};

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::money::shown;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill ledger show`.
#[derive(Debug, clap::Args)]
pub struct LedgerShowArgs {
    /// The entry's id or number
    #[arg(value_name = "ID")]
    id: String,
}

/// Runs the command.
pub async fn run(args: &LedgerShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let detail: Record<LedgerEntryDetail<'static>> =
        client.get(&format!("/v1/ledger/entries/{}", encoded(&args.id))).await?;
    printer.record(&detail, &text(&detail));
    Ok(())
}

fn text(detail: &LedgerEntryDetail<'_>) -> String {
    let entry = &detail.entry;
    let mut lines = vec![
        format!("entry {}  {}", entry.sequence, entry.id),
        format!("  {} {}  net revenue {}", entry.kind, shown(&entry.amount, &entry.currency), entry.net_revenue_amount),
        format!("  stream {}  external id {}  call {}", entry.stream, clean(&entry.external_id), entry.call),
        format!("  occurred {}  posted {}", entry.occurred_at, entry.posted_at),
    ];
    for (legs, note) in [(&entry.legs, ""), (&entry.pending, "  pending")] {
        lines.extend(legs.iter().map(|leg| leg_line(leg, &entry.currency, note)));
    }
    if let Some(customer) = &entry.customer {
        lines.push(format!("  customer {}", clean(customer)));
    }
    if !entry.description.is_empty() {
        lines.push(format!("  {}", clean(&entry.description)));
    }
    for (is_set, note) in [(entry.late, "late: its own period was closed"), (entry.paper, "on paper")] {
        if is_set {
            lines.push(format!("  {note}"));
        }
    }
    evidence(entry, &mut lines);
    lines.push(format!("  hash {}", entry.hash));
    if let Some(of) = &entry.of {
        lines.push(match &detail.answered {
            Some(answered) => format!("answers {}", related(answered)),
            None => format!("answers {}, which the stream does not have", clean(of)),
        });
    }
    lines.extend(detail.answers.iter().map(|answer| format!("answered by {}", related(answer))));
    lines.join("\n")
}

fn leg_line(leg: &LedgerLeg<'_>, currency: &str, note: &str) -> String {
    format!("  {:<14} {}{note}", leg.account, shown(&leg.amount, currency))
}

fn related(entry: &LedgerEntry<'_>) -> String {
    let id = clean(&entry.external_id);
    let amount = shown(&entry.amount, &entry.currency);
    format!("{} {amount} of {} (entry {}, {id})", entry.kind, entry.occurred_at, entry.sequence)
}

/// Adds the lines about what the entry was made from.
fn evidence(entry: &LedgerEntry<'_>, lines: &mut Vec<String>) {
    let evidence = &entry.evidence;
    if let Some(run) = entry.run {
        lines.push(format!("  run {run}"));
    }
    if let Some(component) = &evidence.component {
        lines.push(format!("  component {}", clean(component)));
    }
    if let Some(delivery) = &evidence.delivery {
        lines.push(format!("  delivery {}", clean(delivery)));
    }
    lines.extend(evidence.responses.iter().map(|digest| format!("  answer sha256:{}", clean(digest))));
    if let (Some(actor), Some(reason)) = (&evidence.actor, &evidence.reason) {
        lines.push(format!("  by {}: {}", clean(actor), clean(reason)));
    } else if evidence.asserted {
        lines.push("  asserted: neither a delivery nor an answer supports it".to_owned());
    }
}
