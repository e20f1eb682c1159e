//! The wire form of entries, accounts and totals. Amounts are integers of the currency's minor
//! unit.

use tidemill_api_types as shapes;
use tidemill_store::records::{AccountTotal, LedgerCheck, LedgerEntry, LedgerLeg, StreamTotal};

use crate::wire::FromRecord;

impl<'a> FromRecord<&'a LedgerEntry> for shapes::LedgerEntry<'a> {
    fn of(entry: &'a LedgerEntry) -> Self {
        Self {
            id: (&entry.id).into(),
            stream: entry.stream.as_str().into(),
            run: entry.run,
            external_id: (&entry.external_id).into(),
            kind: (&entry.kind).into(),
            minor_units: entry.minor_units,
            currency: (&entry.currency).into(),
            net_revenue: entry.net_revenue,
            occurred_at: entry.occurred_at.into(),
            posted_at: entry.posted_at.into(),
            customer: entry.customer.as_deref().map(Into::into),
            description: (&entry.description).into(),
            metadata: Some(shapes::StoredJson::of(entry.metadata.as_bytes())),
            legs: entry.legs.iter().map(shapes::LedgerLeg::of).collect(),
        }
    }
}

impl<'a> FromRecord<&'a LedgerLeg> for shapes::LedgerLeg<'a> {
    fn of(leg: &'a LedgerLeg) -> Self {
        Self { account: (&leg.account).into(), minor_units: leg.minor_units }
    }
}

impl<'a> FromRecord<&'a AccountTotal> for shapes::Account<'a> {
    fn of(total: &'a AccountTotal) -> Self {
        Self {
            stream: total.stream.as_str().into(),
            account: (&total.account).into(),
            currency: (&total.currency).into(),
            minor_units: total.minor_units,
        }
    }
}

impl FromRecord<&StreamTotal> for shapes::Total {
    fn of(total: &StreamTotal) -> Self {
        Self { currency: total.currency.clone(), net_revenue: total.net_revenue, entries: total.entries }
    }
}

impl<'a> FromRecord<&'a LedgerCheck> for shapes::LedgerCheck<'a> {
    fn of(check: &'a LedgerCheck) -> Self {
        Self {
            good: check.problems.is_empty(),
            entries: check.entries,
            totals: check.totals,
            problems: (&check.problems).into(),
        }
    }
}
