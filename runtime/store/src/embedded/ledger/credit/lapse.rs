//! The entries that post what a grant has left after its expiry.
//!
//! From the millisecond on at which a grant closes it covers nothing, whether or not its rest was
//! posted. A grant of which a reservation holds a part closes only when the reservation ends.

use tidemill_core::Timestamp;
use tidemill_core::money::balance::{CreditGrant, GrantKind};
use tidemill_core::money::{EntryCall, EntryContent, EntryKind, net_revenue};

use crate::embedded::ledger::append::EntryAppender;
use crate::embedded::ledger::credit::account::CreditAccountRecord;
use crate::embedded::ledger::credit::keys;
use crate::embedded::ledger::keys::sequence_at_end;
use crate::embedded::ledger::{entries, expiry};
use crate::embedded::tables::{CREDIT_ACCOUNTS, CREDIT_ENDS, CREDIT_GRANTS, time_of};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::{DueBatch, Evidence, LedgerEntry, LedgerLeg, NewEntry};

/// Returns when the rest of the next grant lapses, or lapsed.
pub(crate) fn next_end(store: &impl ReadTx) -> Result<Option<Timestamp>> {
    let next = store.scan_prefix(CREDIT_ENDS, &[], 1)?;
    Ok(next.first().and_then(|(key, _)| time_of(key)))
}

/// Posts the rests of at most `limit` grants that have lapsed.
pub(crate) fn lapse(commit: &mut WriteTx<'_, '_>, now: Timestamp, limit: usize) -> Result<DueBatch> {
    let until = keys::end(now.plus_millis(1), 0);
    let due = commit.range(CREDIT_ENDS, Vec::new()..until, false, limit)?;
    if !due.is_empty() {
        let mut appending = EntryAppender::begin(commit, now)?;
        for (key, _) in &due {
            let made = entries::EntryReader::new(commit).named(sequence_at_end(key)?)?;
            let rest = rest_of(commit, &made)?;
            appending.add(commit, &rest)?;
        }
        appending.finish(commit)?;
    }
    Ok(DueBatch { done: due.len(), next: next_end(commit)? })
}

/// Returns the entry that posts the rest of the grant that an entry made.
fn rest_of(store: &impl ReadTx, made: &LedgerEntry) -> Result<NewEntry> {
    let damaged = |what: &str| StoreError::Damaged { what: format!("the grant of entry {} {what}", made.sequence) };
    let customer = made.customer.as_deref().unwrap_or_default();
    let account = keys::account(&made.stream, &made.currency, customer);
    let account: CreditAccountRecord =
        store.record(CREDIT_ACCOUNTS, &account)?.ok_or_else(|| damaged("has no account"))?;
    let id = made.external_id.strip_suffix("/settled").filter(|_| made.call == EntryCall::Settle);
    let id = id.unwrap_or(&made.external_id);
    let grant: CreditGrant =
        store.record(CREDIT_GRANTS, &keys::named(account.number, id))?.ok_or_else(|| damaged("is missing"))?;
    let kind = match grant.kind {
        GrantKind::Prepayment => EntryKind::Breakage,
        GrantKind::Promotion => EntryKind::PromotionReversal,
    };
    let legs = kind.legs(grant.left).ok_or_else(|| damaged("has an amount out of range"))?;
    let occurred_at = grant.expires_at.unwrap_or(made.occurred_at);
    let content = EntryContent {
        kind,
        minor_units: grant.left,
        currency: &made.currency,
        occurred_at,
        of: Some(&grant.id),
        call: EntryCall::Expire,
        customer: Some(customer),
    };
    Ok(NewEntry {
        id: String::new(),
        stream: made.stream.clone(),
        run: None,
        external_id: expiry::free_id(store, &made.stream, &grant.id)?,
        call: EntryCall::Expire,
        kind: kind.as_str().to_owned(),
        minor_units: grant.left,
        currency: made.currency.clone(),
        exponent: None,
        net_revenue: net_revenue(legs),
        occurred_at,
        customer: made.customer.clone(),
        description: String::new(),
        metadata: "{}".to_owned(),
        of: Some(grant.id.clone()),
        legs: legs
            .into_iter()
            .map(|leg| LedgerLeg { account: leg.account.as_str().to_owned(), minor_units: leg.minor_units })
            .collect(),
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: made.paper,
        late_usage_millis: 0,
        customer_floor: None,
        content: content.hash(),
    })
}
