//! `tidemill ledger check`: recomputes all totals.

use tidemill_api_types::{FindingCount, LedgerCheck};
use tidemill_core::wire::grouped;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let check: Record<LedgerCheck<'static>> = client.post("/v1/ledger/check").await?;
    if check.problems.is_empty() {
        let (entries, totals) = (grouped(check.entries), grouped(check.totals));
        let findings = findings(&check);
        printer.record(&check, &format!("the ledger is right: {entries} entries, {totals} totals{findings}"));
        return Ok(());
    }
    printer.record(&check, &check.problems.iter().map(|problem| clean(problem)).collect::<Vec<_>>().join("\n"));
    Err(CliError::failed(format!("the ledger differs from its entries in {} places", check.problems.len())).with_fix(
        "stop the host, keep the data folder unchanged, and restore the last backup into another folder to compare",
    ))
}

/// Formats the numbers of open findings; empty if there are none.
fn findings(check: &LedgerCheck<'_>) -> String {
    let open = |on_paper: bool| {
        let number = |count: &FindingCount<'_>| if on_paper { count.on_paper } else { count.open };
        let kinds: Vec<_> = check.findings.iter().filter(|count| number(count) > 0).collect();
        let kinds = kinds.iter().map(|count| format!("{} {}", grouped(number(count)), clean(&count.kind)));
        kinds.collect::<Vec<_>>().join(", ")
    };
    let lines = [("open findings: ", open(false)), ("open findings on paper: ", open(true))];
    let lines = lines.into_iter().filter(|(_, kinds)| !kinds.is_empty());
    lines.map(|(title, kinds)| format!("\n{title}{kinds}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_findings_are_shown_by_kind() {
        let count = |kind: &'static str, open, on_paper| FindingCount { kind: kind.into(), open, on_paper };
        let check = |findings| LedgerCheck { good: true, entries: 1, totals: 1, problems: [][..].into(), findings };
        let found = check(vec![count("below-floor", 1, 0), count("late", 2, 3)]);
        assert_eq!(findings(&found), "\nopen findings: 1 below-floor, 2 late\nopen findings on paper: 3 late");
        assert_eq!(findings(&check(vec![])), "");
    }
}
