//! `ledger`: the committed entries, overlaid by the entries of this run.

use super::current;
use super::types::{Failure as WitFailure, Money};
pub(crate) use crate::bindings::imports::tidemill::guest::ledger::{AccountBalance, Drawn, Entry, Posting};
use crate::testing::credit;
use crate::testing::ledger::LedgerEntry;
use crate::testing::run::Fake;
use std::collections::BTreeMap;
use tidemill_core::money::{EntryCall, ReservationEvent, ReservationState, ReservationStep};
use tidemill_core::{Code, Timestamp};

pub(crate) fn post(entry: &Entry) -> Result<Posting, WitFailure> {
    written(write(EntryCall::Post, "ledger.post", entry, false))
}

pub(crate) fn reserve(entry: &Entry) -> Result<Posting, WitFailure> {
    written(write(EntryCall::Reserve, "ledger.reserve", entry, false))
}

pub(crate) fn draw(entry: &Entry, partial: bool) -> Result<Drawn, WitFailure> {
    write(EntryCall::Draw, "ledger.draw", entry, partial)
}

fn written(drawn: Result<Drawn, WitFailure>) -> Result<Posting, WitFailure> {
    drawn.map(|drawn| drawn.posting.unwrap_or_else(|| Posting { id: String::new(), duplicate: false }))
}

fn write(call: EntryCall, name: &str, entry: &Entry, partial: bool) -> Result<Drawn, WitFailure> {
    let fake = current();
    // Like a host, refuse it before it is recorded.
    let mut new = LedgerEntry::of(&fake.deployment, call, entry)?;
    let request = format!(
        "{} {} {} {} at {} of {:?} {} {}{}",
        entry.external_id,
        entry.kind,
        entry.amount.minor_units,
        entry.amount.currency,
        entry.occurred_at,
        entry.customer,
        entry.description,
        entry.metadata,
        if partial { " or less" } else { "" }
    );
    let answer = fake.fallible(name, &request, || {
        fake.may_post()?;
        let id = new.id();
        match find(&fake, &entry.external_id) {
            Some(there) if there.content == new.content => Ok((Some(id), true, there.amount.minor_units)),
            Some(_) => {
                let message = format!("external id `{}` was posted before with different content", entry.external_id);
                Err(Code::ExternalIdConflict.failure(message))
            }
            None => {
                fake.has_room()?;
                let reserves = call == EntryCall::Reserve;
                if reserves || call == EntryCall::Draw {
                    match credit::take(&fake, &new, partial)? {
                        0 => return Ok((None, false, 0)),
                        minor_units => new.reduce_to(minor_units),
                    }
                }
                new.number = credit::next_number(&fake);
                new.posted_at = Timestamp::from_millis(fake.now());
                let minor_units = new.amount.minor_units;
                if reserves && new.expires_at.is_none() {
                    let expires = fake.setup.ledger.reservations_expire_millis;
                    new.expires_at = expires.map(|millis| Timestamp::from_millis(fake.now()).plus_millis(millis));
                }
                fake.write(|layer| {
                    layer.claimed |= reserves || call == EntryCall::Draw;
                    layer.postings.insert(entry.external_id.clone(), new);
                });
                Ok((Some(id), false, minor_units))
            }
        }
    });
    let (id, duplicate, minor_units) = answer?;
    let amount = Money { minor_units, currency: entry.amount.currency.clone() };
    Ok(Drawn { posting: id.map(|id| Posting { id, duplicate }), amount })
}

pub(crate) fn balance(customer: &str, currency: &str) -> Result<AccountBalance, WitFailure> {
    let fake = current();
    let balance = fake.fallible("ledger.balance", &format!("{customer} in {currency}"), || {
        fake.may_post()?;
        let (balance, floor) = credit::balance(&fake, customer, currency)?;
        let fits = |amount: i128| {
            i64::try_from(amount).map_err(|_| Code::AmountOverflow.failure("the balance exceeds 64 bits"))
        };
        let next = balance.next_expiry.map(Timestamp::as_millis);
        Ok((fits(balance.available)?, fits(balance.held)?, floor, next))
    });
    let (available, held, floor, next_expiry) = balance?;
    Ok(AccountBalance { available, held, floor: Some(floor), next_expiry })
}

pub(crate) fn settle(posting: &str, amount: Option<&Money>) -> Result<Posting, WitFailure> {
    let given = amount.map(|amount| (amount.minor_units, amount.currency.as_str()));
    end("ledger.settle", &format!("{posting} {given:?}"), posting, ReservationEvent::Settle(given))
}

pub(crate) fn void(posting: &str) -> Result<Posting, WitFailure> {
    end("ledger.void", posting, posting, ReservationEvent::Void)
}

fn end(name: &str, request: &str, posting: &str, event: ReservationEvent<'_>) -> Result<Posting, WitFailure> {
    let fake = current();
    let answer = fake.fallible(name, request, || {
        fake.may_post()?;
        let external_id = posting.strip_prefix(&format!("{}/", fake.deployment));
        let reserved = external_id.and_then(|id| find(&fake, id)).filter(|it| it.call == EntryCall::Reserve.as_str());
        let Some(reserved) = reserved else {
            return Err(Code::ReservationNotFound.failure(format!("the stream has no reservation `{posting}`")));
        };
        let end = |state| reserved.end_id(state).and_then(|id| find(&fake, &id));
        let (state, known) = if let Some(settled) = end(ReservationState::Settled { minor_units: 0 }) {
            (ReservationState::Settled { minor_units: settled.amount.minor_units }, Some(settled))
        } else {
            let voided = end(ReservationState::Voided);
            (if voided.is_some() { ReservationState::Voided } else { ReservationState::Open }, voided)
        };
        let step = reserved.terms(state).next(event, Timestamp::from_millis(fake.now()));
        let step = step.map_err(|refusal| refusal.code().failure(refusal.to_string()))?;
        match step {
            ReservationStep::Duplicate => Ok((known.map(|known| known.id()).unwrap_or_default(), true)),
            ReservationStep::End(state) => {
                fake.has_room()?;
                let ended = reserved.ended(state, fake.now(), credit::next_number(&fake));
                let id = ended.as_ref().map(LedgerEntry::id).unwrap_or_default();
                let new = ended.map(|ended| (ended.external_id.clone(), ended));
                fake.write(|layer| layer.postings.extend(new));
                Ok((id, false))
            }
        }
    });
    Ok(answer.map(|(id, duplicate)| Posting { id, duplicate })?)
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
