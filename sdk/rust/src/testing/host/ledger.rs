//! `ledger`: the committed entries, overlaid by the postings of this run. `reserve`, `settle` and
//! `void` are refused, as on a host of this release.

use super::current;
use super::types::{Failure as WitFailure, Money};
pub(crate) use crate::bindings::imports::tidemill::guest::ledger::{Entry, Posting};
use crate::testing::failure::cancelled;
use crate::testing::ledger::LedgerEntry;
use crate::testing::run::Fake;
use std::collections::BTreeMap;
use tidemill_core::Code;

pub(crate) fn post(entry: &Entry) -> Result<Posting, WitFailure> {
    let fake = current();
    // Like a host, refuse it before it is recorded.
    let posted = LedgerEntry::of(&fake.deployment, entry)?;
    let request = format!(
        "{} {} {} {} at {} of {:?} {} {}",
        entry.external_id,
        entry.kind,
        entry.amount.minor_units,
        entry.amount.currency,
        entry.occurred_at,
        entry.customer,
        entry.description,
        entry.metadata
    );
    let answer = fake.fallible("ledger.post", &request, || {
        fake.may_post()?;
        let id = posted.id();
        match find(&fake, &entry.external_id) {
            Some(there) if there.fingerprint == posted.fingerprint => Ok((id, true)),
            Some(_) => {
                let message = format!("external id `{}` was posted before with different content", entry.external_id);
                Err(Code::ExternalIdConflict.failure(message))
            }
            None => {
                fake.has_room()?;
                fake.write(|layer| layer.postings.insert(entry.external_id.clone(), posted));
                Ok((id, false))
            }
        }
    });
    Ok(answer.map(|(id, duplicate)| Posting { id, duplicate })?)
}

pub(crate) fn reserve(_: &Entry) -> Result<Posting, WitFailure> {
    refuse("ledger.reserve")
}

pub(crate) fn settle(_: &str, _: Option<&Money>) -> Result<Posting, WitFailure> {
    refuse("ledger.settle")
}

pub(crate) fn void(_: &str) -> Result<Posting, WitFailure> {
    refuse("ledger.void")
}

fn refuse(call: &str) -> Result<Posting, WitFailure> {
    let fake = current();
    let failure = if fake.must_be_notified() {
        cancelled()
    } else {
        Code::NotAvailable.failure(format!("`{call}` is not in this release"))
    };
    fake.hear(&failure);
    Err(failure.into())
}

pub(crate) fn revenue(start: u64, end: u64) -> Result<Vec<Money>, WitFailure> {
    let fake = current();
    let sums = fake.fallible("ledger.revenue", &format!("{start} to {end}"), || {
        fake.may_post()?;
        let mut sums = BTreeMap::<String, i64>::new();
        for posted in fake.world.borrow().ledger.values() {
            if posted.stream == fake.deployment && (start..end).contains(&posted.occurred_at.as_millis()) {
                let sum = sums.entry(posted.amount.currency.clone()).or_default();
                *sum = sum.saturating_add(posted.net_revenue);
            }
        }
        Ok(sums)
    });
    let sums = sums.map_err(WitFailure::from)?;
    Ok(sums.into_iter().map(|(currency, minor_units)| Money { minor_units, currency }).collect())
}

fn find(fake: &Fake, external_id: &str) -> Option<LedgerEntry> {
    let run = fake.run.borrow();
    let own = run.layers.iter().rev().find_map(|layer| layer.postings.get(external_id)).cloned();
    own.or_else(|| fake.world.borrow().ledger.get(&(fake.deployment.clone(), external_id.to_owned())).cloned())
}
