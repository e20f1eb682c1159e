//! Entries as a Beancount file: a transaction for each, and at the end the accounts and what they
//! must balance to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, Utc};

use super::ExportEntry;
use crate::ids::Timestamp;
use crate::money::{Account, AccountType, write_decimal};
use crate::wire::text::one_line;

/// Writes entries as Beancount. Keeps the balance of each account, and nothing of the entries.
#[derive(Debug, Default)]
pub struct BeancountWriter {
    /// The sum and the number of decimal places of each account and currency.
    balances: BTreeMap<(String, String), (i128, u8)>,
    /// The last day of an entry.
    last: NaiveDate,
}

impl BeancountWriter {
    /// Adds the head of the file, which names the last sequence number of the cut.
    pub fn head(&self, out: &mut Vec<u8>, sequence: u64) {
        out.extend_from_slice(
            format!("; Tidemill ledger up to sequence {sequence}\noption \"title\" \"Tidemill ledger\"\n").as_bytes(),
        );
    }

    /// Adds an entry. One that changes pending amounts only is no transaction of the books.
    pub fn entry(&mut self, out: &mut Vec<u8>, entry: &ExportEntry<'_>) {
        if entry.legs.is_empty() {
            return;
        }
        let date = date(entry.occurred_at);
        self.last = self.last.max(date);
        let mut text = format!("\n{date} *");
        if let Some(customer) = entry.customer.filter(|customer| !customer.is_empty()) {
            let _ = write!(text, " {}", string(customer));
        }
        let _ = writeln!(text, " {}", string(entry.description));
        let _ = writeln!(text, "  seq: {}", entry.sequence);
        let _ = writeln!(text, "  external_id: {}", string(entry.external_id));
        let _ = writeln!(text, "  kind: {}", string(entry.kind));
        let _ = writeln!(text, "  posted_at: {}", string(&entry.posted_at.to_rfc3339()));
        if let Some(of) = entry.of {
            let _ = writeln!(text, "  of: {}", string(of));
        }
        if entry.late {
            text.push_str("  late: TRUE\n");
        }
        let currency = commodity(entry.currency);
        for (account, minor_units) in &entry.legs {
            let account = account_name(entry.stream, *account);
            let amount = write_decimal((*minor_units).into(), entry.exponent);
            let _ = writeln!(text, "  {account}  {amount} {currency}");
            let balance = self.balances.entry((account, currency.clone())).or_insert((0, entry.exponent));
            balance.0 = balance.0.saturating_add((*minor_units).into());
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// Adds the accounts and their balances on the day after the last entry.
    pub fn end(self, out: &mut Vec<u8>) {
        let mut text = String::new();
        let mut before = None;
        for (account, _) in self.balances.keys() {
            if before != Some(account) {
                let _ = write!(text, "\n1970-01-01 open {account}");
            }
            before = Some(account);
        }
        text.push('\n');
        // After the year 9999 there is no day on which Beancount could check the balances.
        if let Some(day) = self.last.succ_opt().filter(|day| *day <= date(Timestamp::MAX)) {
            for ((account, currency), (sum, exponent)) in &self.balances {
                let _ = write!(text, "\n{day} balance {account}  {} {currency}", write_decimal(*sum, *exponent));
            }
            text.push('\n');
        }
        out.extend_from_slice(text.as_bytes());
    }
}

fn date(at: Timestamp) -> NaiveDate {
    let millis = i64::try_from(at.min(Timestamp::MAX).as_millis()).unwrap_or_default();
    DateTime::<Utc>::from_timestamp_millis(millis).map(|at| at.date_naive()).unwrap_or_default()
}

/// A text in quotation marks, on one line.
fn string(text: &str) -> String {
    format!("\"{}\"", one_line(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// The name of a currency. The words that Beancount reads as values get an ending.
fn commodity(code: &str) -> String {
    if matches!(code, "TRUE" | "FALSE" | "NULL") { format!("{code}-UNIT") } else { code.to_owned() }
}

/// The name of an account, such as `Assets:Stripe:Acct-1:Receivable`.
fn account_name(stream: &str, account: Account) -> String {
    let root = match account.account_type() {
        AccountType::Asset => "Assets",
        AccountType::Liability => "Liabilities",
        AccountType::Neither => "Equity",
        AccountType::Income => "Income",
        AccountType::Expense => "Expenses",
    };
    let mut name = root.to_owned();
    for part in stream.split('/').chain([account.as_str()]) {
        let mut letters = part.chars();
        name.push(':');
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry<'a>() -> ExportEntry<'a> {
        ExportEntry {
            sequence: 7,
            id: "e-7",
            stream: "stripe/acct-1",
            external_id: "ch_1",
            call: "post",
            kind: "sale",
            minor_units: 1_999,
            pending: 0,
            currency: "EUR",
            exponent: 2,
            net_revenue: 1_999,
            occurred_at: Timestamp::parse_rfc3339("2026-10-05T12:00:00Z").unwrap(),
            posted_at: Timestamp::parse_rfc3339("2026-10-05T12:00:01Z").unwrap(),
            customer: Some("Ann \"A\" \\ Co"),
            description: "two\nbooks",
            metadata: "{}",
            of: Some("in_1"),
            legs: vec![(Account::Sales, -1_999), (Account::Receivable, 1_999)],
            run: None,
            late: false,
        }
    }

    #[test]
    fn a_file_has_transactions_accounts_and_balances() {
        let mut out = Vec::new();
        let mut writer = BeancountWriter::default();
        writer.head(&mut out, 8);
        writer.entry(&mut out, &entry());
        writer.entry(&mut out, &ExportEntry { sequence: 8, pending: 5, legs: vec![], ..entry() });
        writer.end(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"; Tidemill ledger up to sequence 8
option "title" "Tidemill ledger"

2026-10-05 * "Ann \"A\" \\ Co" "two books"
  seq: 7
  external_id: "ch_1"
  kind: "sale"
  posted_at: "2026-10-05T12:00:01.000Z"
  of: "in_1"
  Income:Stripe:Acct-1:Sales  -19.99 EUR
  Assets:Stripe:Acct-1:Receivable  19.99 EUR

1970-01-01 open Assets:Stripe:Acct-1:Receivable
1970-01-01 open Income:Stripe:Acct-1:Sales

2026-10-06 balance Assets:Stripe:Acct-1:Receivable  19.99 EUR
2026-10-06 balance Income:Stripe:Acct-1:Sales  -19.99 EUR
"#
        );
    }

    #[test]
    fn a_name_is_one_that_beancount_reads() {
        assert_eq!(account_name("0-shop", Account::TaxHeld), "Liabilities:0-shop:Tax-held");
        assert_eq!(account_name("shop", Account::Conversion), "Equity:Shop:Conversion");
        assert_eq!((commodity("NULL"), commodity("BTC")), ("NULL-UNIT".to_owned(), "BTC".to_owned()));
        assert_eq!(date(Timestamp::MAX).to_string(), "9999-12-31");
    }

    proptest! {
        #[test]
        fn no_text_ends_its_string_or_its_line(text in any::<String>()) {
            let written = string(&text);
            prop_assert!(!written.contains('\n') && written.len() >= 2);
            let inner = written[1..written.len() - 1].replace("\\\\", "").replace("\\\"", "");
            prop_assert!(!inner.contains(['"', '\\']));
        }

        #[test]
        fn balances_sum_to_zero(amounts in prop::collection::vec(any::<i64>(), 0..20)) {
            let mut writer = BeancountWriter::default();
            for minor_units in amounts {
                let legs = vec![(Account::Sales, -(minor_units / 2)), (Account::Receivable, minor_units / 2)];
                writer.entry(&mut Vec::new(), &ExportEntry { legs, ..entry() });
            }
            prop_assert_eq!(writer.balances.values().map(|(sum, _)| sum).sum::<i128>(), 0);
        }
    }
}
