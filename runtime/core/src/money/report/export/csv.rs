//! Entries as CSV (RFC 4180), one row each, with decimal amounts.
//!
//! A spreadsheet runs a cell that begins like a formula, and texts of entries come from customers
//! and providers. Such a text is written with a `'` in front, which spreadsheets do not show.

use std::borrow::Cow;
use std::io;

use super::ExportEntry;
use crate::money::write_decimal;

/// The head of the table.
const COLUMNS: [&str; 19] = [
    "sequence",
    "id",
    "stream",
    "external_id",
    "call",
    "kind",
    "amount",
    "pending",
    "currency",
    "net_revenue",
    "occurred_at",
    "posted_at",
    "customer",
    "description",
    "of",
    "metadata",
    "run",
    "late",
    "accounts",
];

/// Writes entries as CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvWriter {
    raw: bool,
}

impl CsvWriter {
    /// Returns a writer. If `raw` is set, texts that a spreadsheet would run are written unchanged.
    #[must_use]
    pub const fn new(raw: bool) -> Self {
        Self { raw }
    }

    /// Adds the head of the table.
    ///
    /// # Errors
    /// None if `out` is memory.
    pub fn head(self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut table = table(out);
        table.write_record(COLUMNS)?;
        table.flush()
    }

    /// Adds rows.
    ///
    /// # Errors
    /// None if `out` is memory.
    pub fn rows<'a>(self, out: &mut Vec<u8>, entries: impl IntoIterator<Item = ExportEntry<'a>>) -> io::Result<()> {
        let mut table = table(out);
        for entry in entries {
            let amount = |minor_units: i64| write_decimal(minor_units.into(), entry.exponent);
            let accounts: Vec<_> = entry.legs.iter().map(|(account, _)| account.as_str()).collect();
            let cells: [Cow<'_, str>; COLUMNS.len()] = [
                entry.sequence.to_string().into(),
                self.text(entry.id),
                self.text(entry.stream),
                self.text(entry.external_id),
                self.text(entry.call),
                self.text(entry.kind),
                amount(entry.minor_units).into(),
                amount(entry.pending).into(),
                self.text(entry.currency),
                amount(entry.net_revenue).into(),
                entry.occurred_at.to_rfc3339().into(),
                entry.posted_at.to_rfc3339().into(),
                self.text(entry.customer.unwrap_or_default()),
                self.text(entry.description),
                self.text(entry.of.unwrap_or_default()),
                self.text(entry.metadata),
                entry.run.as_deref().unwrap_or_default().into(),
                if entry.late { "true" } else { "false" }.into(),
                accounts.join(" > ").into(),
            ];
            table.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
        }
        table.flush()
    }

    fn text(self, text: &str) -> Cow<'_, str> {
        if !self.raw && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            format!("'{text}").into()
        } else {
            text.into()
        }
    }
}

fn table(out: &mut Vec<u8>) -> csv::Writer<&mut Vec<u8>> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Timestamp;
    use crate::money::Account;

    fn entry<'a>() -> ExportEntry<'a> {
        ExportEntry {
            sequence: 7,
            id: "e-7",
            stream: "shop/acct-1",
            external_id: "ch_1",
            call: "post",
            kind: "sale",
            minor_units: 1_999,
            pending: 0,
            currency: "EUR",
            exponent: 2,
            net_revenue: 1_999,
            occurred_at: Timestamp::from_millis(0),
            posted_at: Timestamp::from_millis(1),
            customer: Some("=1+1"),
            description: "two \"books\",\nor more",
            metadata: "{}",
            of: None,
            legs: vec![(Account::Sales, -1_999), (Account::Receivable, 1_999)],
            run: None,
            late: false,
        }
    }

    fn written(raw: bool, entry: ExportEntry<'_>) -> String {
        let mut out = Vec::new();
        CsvWriter::new(raw).rows(&mut out, [entry]).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_has_decimal_amounts_and_harmless_texts() {
        let mut head = Vec::new();
        CsvWriter::new(false).head(&mut head).unwrap();
        assert!(head.starts_with(b"sequence,id,stream,") && head.ends_with(b",accounts\r\n"));
        assert_eq!(
            written(false, entry()),
            "7,e-7,shop/acct-1,ch_1,post,sale,19.99,0.00,EUR,19.99,1970-01-01T00:00:00.000Z,1970-01-01T00:00:00.001Z,\
             '=1+1,\"two \"\"books\"\",\nor more\",,{},,false,sales > receivable\r\n"
        );
        assert!(written(true, entry()).contains(",=1+1,"));
        let loss = ExportEntry { minor_units: -5, ..entry() };
        assert!(written(false, loss).contains(",-0.05,"), "an amount is no text");
    }

    proptest! {
        #[test]
        fn a_row_reads_back(texts in prop::collection::vec("[=+@\t\r\n\",'a-]{0,6}|\\PC{0,12}", 4), raw: bool) {
            let entry = ExportEntry {
                external_id: &texts[0], customer: Some(&texts[1]), description: &texts[2], metadata: &texts[3], ..entry()
            };
            let row = written(raw, entry);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(row.as_bytes());
            let cells = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(cells.len(), COLUMNS.len());
            for (at, text) in [(3, &texts[0]), (12, &texts[1]), (13, &texts[2]), (15, &texts[3])] {
                prop_assert!(raw || !cells[at].starts_with(['=', '+', '-', '@', '\t', '\r']));
                let shown = if raw || cells[at] == **text { &cells[at] } else { &cells[at][1..] };
                prop_assert_eq!(shown, text);
            }
        }
    }
}
