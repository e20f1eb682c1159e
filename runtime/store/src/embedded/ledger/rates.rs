//! Exchange rates by the currency into which they convert and by day.

use crate::embedded::tables::{LEDGER_RATES, name_key};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{Page, PageRequest, RateRecord};

/// Sets rates; one of the same day and currencies is replaced.
pub(crate) fn put(commit: &mut WriteTx<'_, '_>, rates: &[RateRecord]) -> Result<()> {
    for rate in rates {
        let key = name_key(&rate.to, &name_key(&rate.day, rate.from.as_bytes()));
        commit.put_record(LEDGER_RATES, &key, rate)?;
    }
    Ok(())
}

/// Lists the rates into one currency or into all, the latest day of each currency first.
pub(crate) fn page(store: &impl ReadTx, to: Option<&str>, page: &PageRequest) -> Result<Page<RateRecord>> {
    let prefix = to.map(|to| name_key(to, &[])).unwrap_or_default();
    store.record_page(LEDGER_RATES, &prefix, true, page)
}

/// Returns the rates into a currency from one day to another, both inclusive.
pub(crate) fn into(store: &impl ReadTx, to: &str, first: &str, last: &str) -> Result<Vec<RateRecord>> {
    let mut found = Vec::new();
    // A byte of 1 sorts after the NUL that ends the day.
    let range = name_key(to, first.as_bytes())..name_key(to, &[last.as_bytes(), &[1]].concat());
    store.each(LEDGER_RATES, range, |_, bytes| {
        found.push(crate::embedded::codec::decode(LEDGER_RATES, bytes)?);
        Ok(())
    })?;
    Ok(found)
}
