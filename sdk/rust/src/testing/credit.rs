//! Accounts of customers in a test: the rules of a host, applied to the entries in the order in
//! which they were written.

use super::ledger::LedgerEntry;
use super::run::Fake;
use tidemill_core::money::balance::{
    AccountChange, AccountEdit, AccountEntry, AccountRows, Balance, BalanceEffect, CreditDecision, GrantTerms,
};
use tidemill_core::money::{Account, Currencies, EntryKind};
use tidemill_core::{Code, Failure, Timestamp};

/// Returns the entries of the stream, those of the run included, in the order in which they were
/// written.
fn entries(fake: &Fake) -> Vec<LedgerEntry> {
    let mut entries: Vec<LedgerEntry> =
        fake.world.borrow().ledger.values().filter(|entry| entry.stream == fake.deployment).cloned().collect();
    entries.extend(fake.run.borrow().layers.iter().flat_map(|layer| layer.postings.values().cloned()));
    entries.sort_by_key(|entry| entry.number);
    entries
}

/// Returns the number of the next entry.
pub(super) fn next_number(fake: &Fake) -> u64 {
    entries(fake).last().map_or(1, |entry| entry.number + 1)
}

fn rows(fake: &Fake, customer: &str, currency: &str) -> AccountRows {
    let mut rows = AccountRows::default();
    for entry in entries(fake) {
        if entry.customer.as_deref() != Some(customer) || entry.amount.currency != currency {
            continue;
        }
        let Some(effect) = EntryKind::parse(&entry.kind).and_then(BalanceEffect::of_kind) else { continue };
        let mut edit = AccountEdit::new(&rows);
        let given = account_entry(fake, &entry, effect);
        let change = match entry.call {
            "reserve" => AccountChange::Reserve(given, entry.expires_at),
            "settle" => AccountChange::Settle(given),
            "void" => AccountChange::Release(given.id),
            _ => AccountChange::Post(given),
        };
        let Ok(_) = edit.apply(&change, entry.posted_at);
        let changes = edit.into_changes();
        rows.extend(changes);
    }
    rows
}

fn account_entry<'a>(fake: &Fake, entry: &'a LedgerEntry, effect: BalanceEffect) -> AccountEntry<'a> {
    let id = entry.external_id.as_str();
    let reserved = match entry.call {
        "settle" => id.strip_suffix("/settled"),
        "void" => id.strip_suffix("/voided"),
        _ => None,
    };
    let occurred_at = Timestamp::from_millis(entry.occurred_at.as_millis());
    AccountEntry {
        id: reserved.unwrap_or(id),
        sequence: entry.number,
        effect,
        minor_units: entry.amount.minor_units,
        occurred_at,
        of: entry.metadata.get("of").and_then(serde_json::Value::as_str),
        terms: GrantTerms::of_metadata(&entry.metadata, occurred_at).ok(),
        late_usage_millis: fake.setup.ledger.late_usage_millis,
    }
}

/// Returns the amount that a `reserve` or `draw` may take: all of it, or what is above the floor if
/// it is partial.
pub(super) fn take(fake: &Fake, entry: &LedgerEntry, partial: bool) -> Result<i64, Failure> {
    let mut minor_units = entry.amount.minor_units;
    let Some(kind) = EntryKind::parse(&entry.kind) else { return Ok(minor_units) };
    let Some(currency) = Currencies::default().get(&entry.amount.currency) else { return Ok(minor_units) };
    let floors = &fake.setup.ledger.floors;
    let short = |available: i128, floor: i64, needed: i64| {
        let message =
            format!("`{}` needs {needed}, but {available} is available, and the floor is {floor}", entry.external_id);
        let details = serde_json::json!({
            "available": available.to_string(),
            "floor": floor.to_string(),
            "needed": needed.to_string(),
            "currency": entry.amount.currency,
        });
        Err(Code::InsufficientBalance.failure(message).with_details(details.to_string()))
    };
    let bad = |why: tidemill_core::money::InvalidDecimal| Code::BadEntry.failure(why.to_string());
    let now = Timestamp::from_millis(fake.now());
    if let Some(customer) = entry.customer.as_deref().filter(|customer| !customer.is_empty())
        && let Some(effect) = BalanceEffect::of_kind(kind).filter(|effect| effect.takes())
    {
        let rows = rows(fake, customer, &entry.amount.currency);
        let floor = floors.of_customer(&currency).map_err(bad)?;
        let asked = account_entry(fake, entry, effect);
        let Ok(decision) = AccountEdit::new(&rows).decide(&asked, floor, partial, now);
        match decision {
            CreditDecision::Covered(covered) => minor_units = covered,
            CreditDecision::Short { available, floor, needed } => return short(available, floor, needed),
        }
    }
    let (from, _) = kind.accounts();
    if let Some(floor) = floors.of_account(from, &currency).map_err(bad)? {
        let available = available_of(fake, from, &entry.amount.currency, now);
        if available - i128::from(minor_units) < i128::from(floor) {
            return short(available, floor, minor_units);
        }
    }
    Ok(minor_units)
}

/// What an account of the stream has posted, less what reservations take from it.
fn available_of(fake: &Fake, account: Account, currency: &str, now: Timestamp) -> i128 {
    let entries = entries(fake);
    let has_ended = |entry: &LedgerEntry| {
        entry.expires_at.is_some_and(|end| end <= now)
            || ["settled", "voided"].iter().any(|end| {
                let id = format!("{}/{end}", entry.external_id);
                entries.iter().any(|other| other.external_id == id)
            })
    };
    let of = |entry: &LedgerEntry| {
        let kind = EntryKind::parse(&entry.kind).filter(|_| entry.amount.currency == currency);
        let legs = kind.and_then(|kind| kind.legs(entry.amount.minor_units));
        let legs = legs.into_iter().flatten().filter(|leg| leg.account == account);
        legs.map(|leg| match entry.call {
            "void" => 0,
            "reserve" if has_ended(entry) => 0,
            "reserve" => leg.minor_units.min(0),
            _ => leg.minor_units,
        })
        .map(i128::from)
        .sum::<i128>()
    };
    entries.iter().map(of).sum()
}

/// Returns the balance of a customer, with the floor of the manifest.
pub(super) fn balance(fake: &Fake, customer: &str, currency: &str) -> Result<(Balance, i64), Failure> {
    if customer.is_empty() || customer.len() > tidemill_core::money::CUSTOMER_BYTES {
        return Err(Code::BadArgument.failure("a customer has 1 to 256 bytes"));
    }
    let Some(unit) = Currencies::default().get(currency) else {
        return Err(Code::UnknownCurrency.failure("this is no currency of ISO 4217"));
    };
    let floor = fake.setup.ledger.floors.of_customer(&unit).map_err(|why| Code::BadEntry.failure(why.to_string()))?;
    let rows = rows(fake, customer, currency);
    let Ok(balance) = AccountEdit::new(&rows).balance(Timestamp::from_millis(fake.now()));
    Ok((balance, floor))
}
