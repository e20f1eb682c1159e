//! The prepaid service: the credit that the demo grants, and what its entries must add up to.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemill_api_types::{CustomerBalance, LedgerEntry};
use tidemill_core::Timestamp;
use tidemill_core::wire::grouped;

use crate::verify::CheckResult;

/// The price of a call, in minor units, as in the manifest.
const PRICE: i64 = 7;
/// The number of customers that each run serves.
const CUSTOMERS: u64 = 2;

/// The grant that the demo makes by hand: the body of the request. The same again changes nothing.
#[must_use]
pub fn grant_by_hand() -> Value {
    json!({
        "external_id": "welcome-ada",
        "stream": "prepaid",
        "customer": "ada",
        "amount": "0.20",
        "currency": "EUR",
        "reason": "a present of the demo",
        "actor": "tidemill demo",
    })
}

/// The top-up that the demo sends to the hook of the service at each start.
#[must_use]
pub fn top_up(now: Timestamp) -> Value {
    json!({ "id": format!("top-up-{}", now.as_millis()), "customer": "bob", "amount": 50 })
}

/// What a host answers about the prepaid service. The entries must be read before the balances, and
/// the runs first.
#[derive(Debug)]
pub struct PrepaidEvidence {
    /// The output of the newest run that succeeded; `null` if none did.
    pub report: Value,
    /// The entries of its stream.
    pub entries: Vec<LedgerEntry<'static>>,
    /// The balances of its customers.
    pub balances: Vec<CustomerBalance<'static>>,
}

/// Checks that each call that a run counted was drawn once, that balances are what was granted less
/// what was drawn, that no account was ever below its floor, and that calls are refused at the
/// floor.
#[must_use]
pub fn prepaid(evidence: &PrepaidEvidence) -> Vec<CheckResult> {
    let PrepaidEvidence { report, entries, balances } = evidence;
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|entry| entry.sequence);
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut calls, mut drawn, mut by_hand, mut by_delivery, mut below) = (0u64, 0i64, 0u64, 0u64, 0u64);
    for entry in &entries {
        let left = left.entry(entry.customer.as_deref().unwrap_or_default()).or_default();
        if entry.kind == "drawdown" {
            *left -= entry.minor_units;
            calls += 1;
            drawn += entry.minor_units;
        } else {
            *left += entry.minor_units;
            by_hand += u64::from(entry.evidence.actor.is_some());
            by_delivery += u64::from(entry.evidence.delivery.is_some());
        }
        below += u64::from(*left < 0);
    }
    let differing = balances
        .iter()
        .filter(|one| left.get(&*one.customer).is_none_or(|left| i128::from(*left) != one.available.minor_units))
        .count();
    let shown: Vec<_> =
        balances.iter().map(|one| format!("{} {} {}", one.customer, one.available.amount, one.currency)).collect();
    let balance = CheckResult {
        part: "prepaid",
        good: differing == 0 && below == 0 && balances.len() == left.len() && by_hand > 0 && by_delivery > 0,
        found: format!(
            "{}; {} grants by hand, {} by delivery; {below} times below the floor",
            shown.join(", "),
            grouped(by_hand),
            grouped(by_delivery)
        ),
    };
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    let refused = number("refused");
    // Every customer is served by each run: once refused, the credit does not suffice.
    let counted = number("calls") == calls
        && i64::try_from(number("drawn")).is_ok_and(|sum| sum == drawn)
        && calls + refused == CUSTOMERS * number("runs");
    let is_exhausted = balances.iter().any(|one| one.available.minor_units < i128::from(PRICE));
    let served = CheckResult {
        part: "prepaid's calls",
        good: counted && (refused > 0 || !is_exhausted || report.is_null()),
        found: format!(
            "{} runs drew {} calls and refused {} at the floor",
            grouped(number("runs")),
            grouped(calls),
            grouped(refused)
        ),
    };
    vec![balance, served]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(entries: &[(&str, &str, i64)], available: i64, report: &Value) -> PrepaidEvidence {
        let entry = |(number, (kind, customer, cents)): (usize, &(&str, &str, i64))| {
            let evidence = match *kind {
                "promotion" => json!({ "asserted": true, "actor": "ann", "reason": "x" }),
                "prepayment" => json!({ "asserted": false, "delivery": "d" }),
                _ => json!({ "asserted": true }),
            };
            let entry = json!({
                "sequence": number + 1, "id": "e", "stream": "prepaid", "external_id": "x", "call": "post", "kind": kind,
                "minor_units": cents, "amount": "0", "currency": "EUR", "exponent": 2, "net_revenue": 0,
                "net_revenue_amount": "0", "occurred_at": "2026-01-01T00:00:00Z", "posted_at": "2026-01-01T00:00:00Z",
                "customer": customer, "description": "", "metadata": {}, "legs": [], "pending": [], "late": false,
                "paper": false, "evidence": evidence, "hash": "",
            });
            serde_json::from_value(entry).unwrap()
        };
        let amount =
            |minor_units: i64| json!({ "minor_units": minor_units, "amount": "0", "currency": "EUR", "exponent": 2 });
        let balance = json!({
            "stream": "prepaid", "customer": "ada", "currency": "EUR", "available": amount(available),
            "held": amount(0), "debt": amount(0), "floor": amount(0), "own_floor": false, "next_expiry": null,
            "grants": [],
        });
        PrepaidEvidence {
            report: report.clone(),
            entries: entries.iter().enumerate().map(entry).collect(),
            balances: vec![serde_json::from_value(balance).unwrap()],
        }
    }

    fn good(evidence: &PrepaidEvidence) -> Vec<bool> {
        prepaid(evidence).into_iter().map(|check| check.good).collect()
    }

    #[test]
    fn balances_and_calls_follow_from_the_entries() {
        let granted = [("promotion", "ada", 10), ("prepayment", "ada", 2), ("drawdown", "ada", 7)];
        let served =
            |calls: u64, refused: u64| json!({ "runs": 1, "calls": calls, "drawn": 7 * calls, "refused": refused });
        assert_eq!(good(&evidence(&granted, 5, &served(1, 1))), [true, true]);
        assert_eq!(good(&evidence(&granted, 4, &served(1, 1))), [false, true], "a wrong balance");
        assert_eq!(good(&evidence(&granted, 5, &served(2, 0))), [true, false], "a call that was not drawn");
        let early = [("drawdown", "ada", 7), ("promotion", "ada", 10), ("prepayment", "ada", 2)];
        assert_eq!(good(&evidence(&early, 5, &served(1, 1))), [false, true], "below the floor");
        let no_delivery = [("promotion", "ada", 12), ("drawdown", "ada", 7)];
        assert_eq!(good(&evidence(&no_delivery, 5, &served(1, 1))), [false, true]);
    }
}
