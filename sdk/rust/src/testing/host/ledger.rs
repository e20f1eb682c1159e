//! `ledger`: the committed entries, overlaid by the postings of this run.

use super::current;
use super::types::{Failure, Money};
pub(crate) use crate::bindings::imports::tidemill::guest::ledger::{Entry, Posting};
use crate::testing::journal::Failed;
use crate::testing::ledger::{Posted, Standing};
use crate::testing::run::Fake;
use std::collections::BTreeMap;

pub(crate) fn post(entry: &Entry) -> Result<Posting, Failure> {
    enter("ledger.post", entry, Standing::Posted)
}

pub(crate) fn reserve(entry: &Entry) -> Result<Posting, Failure> {
    enter("ledger.reserve", entry, Standing::Reserved)
}

fn enter(kind: &str, entry: &Entry, standing: Standing) -> Result<Posting, Failure> {
    let fake = current();
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
    posting(fake.fallible(kind, &request, || {
        let posted = Posted::of(&fake.deployment, entry, standing)?;
        fake.may_post()?;
        let id = posted.id();
        match find(&fake, &entry.external_id) {
            Some(there) if there.again(&posted) => Ok((id, true)),
            Some(_) => Err(Failed::host(
                "external-id-conflict",
                format!("`{}` was posted before with different content", entry.external_id),
            )),
            None => {
                fake.has_room()?;
                fake.write(|layer| layer.postings.insert(entry.external_id.clone(), posted));
                Ok((id, false))
            }
        }
    }))
}

pub(crate) fn settle(posting_id: &str, amount: Option<&Money>) -> Result<Posting, Failure> {
    let text = amount.map_or_else(|| "all".to_owned(), |money| format!("{} {}", money.minor_units, money.currency));
    change("ledger.settle", posting_id, &text, |posted| posted.settle(amount))
}

pub(crate) fn void(posting_id: &str) -> Result<Posting, Failure> {
    change("ledger.void", posting_id, "", Posted::void)
}

fn change(
    kind: &str,
    id: &str,
    how: &str,
    change: impl FnOnce(&Posted) -> Result<Option<Posted>, Failed>,
) -> Result<Posting, Failure> {
    let fake = current();
    posting(fake.fallible(kind, &format!("{id} {how}"), || {
        fake.may_post()?;
        let own = id.strip_prefix(fake.deployment.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let posted = own.and_then(|external_id| find(&fake, external_id));
        let Some(posted) = posted else { return Err(Failed::host("not-found", format!("there is no posting `{id}`"))) };
        let changed = change(&posted)?;
        let duplicate = changed.is_none();
        if let Some(changed) = changed {
            fake.write(|layer| layer.postings.insert(changed.external_id.clone(), changed));
        }
        Ok((id.to_owned(), duplicate))
    }))
}

pub(crate) fn revenue(start: u64, end: u64) -> Result<Vec<Money>, Failure> {
    let fake = current();
    let sums = fake.fallible("ledger.revenue", &format!("{start} to {end}"), || {
        fake.may_post()?;
        let mut sums = BTreeMap::<String, i64>::new();
        for posted in fake.world.borrow().ledger.values() {
            if posted.stream == fake.deployment && (start..end).contains(&posted.occurred_at.as_millis()) {
                let sum = sums.entry(posted.amount.currency.clone()).or_default();
                *sum = sum.saturating_add(posted.net());
            }
        }
        Ok(sums)
    });
    let sums = sums.map_err(Failure::from)?;
    Ok(sums.into_iter().map(|(currency, minor_units)| Money { minor_units, currency }).collect())
}

fn find(fake: &Fake, external_id: &str) -> Option<Posted> {
    let run = fake.run.borrow();
    let own = run.layers.iter().rev().find_map(|layer| layer.postings.get(external_id)).cloned();
    own.or_else(|| fake.world.borrow().ledger.get(&(fake.deployment.clone(), external_id.to_owned())).cloned())
}

fn posting(answer: Result<(String, bool), Failed>) -> Result<Posting, Failure> {
    answer.map(|(id, duplicate)| Posting { id, duplicate }).map_err(Failure::from)
}
