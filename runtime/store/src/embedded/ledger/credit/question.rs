//! Questions to accounts and budgets: what a `reserve` or `draw` may take, as the entries of its
//! transaction leave it. A run decides before it answers its guest, and the commit decides again,
//! against what is committed by then.

use std::collections::HashMap;

use tidemill_core::Timestamp;
use tidemill_core::money::EntryKind;
use tidemill_core::money::balance::{AccountEdit, AccountEntry, Balance, BalanceEffect};

use crate::embedded::budgets;
use crate::embedded::ledger::credit::account::{CreditAccountRecord, StoredAccount};
use crate::embedded::ledger::credit::entry::CreditEntry;
use crate::embedded::ledger::credit::{floors, keys};
use crate::embedded::ledger::keys::sequence;
use crate::embedded::ledger::record::AccountRecord;
use crate::embedded::ledger::{keys as ledger_keys, reservations, sums};
use crate::embedded::tables::{CREDIT_ACCOUNTS, CREDIT_ENTRIES, LEDGER_ACCOUNTS, LEDGER_OUTGOING};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::Result;
use crate::records::{
    AccountDraft, BalanceCheck, BalanceDecision, BalanceQuestion, CustomerAccount, FloorAccount, NewEntry, OwnEntries,
};

/// The sequence number of the first entry that is not committed. It is after that of all others.
const FIRST_UNCOMMITTED: u64 = u64::MAX / 2;

/// Decides the questions of one transaction, in order. What earlier entries of the transaction did
/// to an account is not computed again.
pub(crate) struct BalanceDecider<'a, R: ReadTx> {
    store: &'a R,
    /// The entries of the transaction.
    own: &'a [NewEntry],
    now: Timestamp,
    /// The accounts with a question, by currency; `None` before the first question.
    accounts: Option<HashMap<(String, FloorAccount), AccountPart>>,
}

/// What a transaction does to one account.
#[derive(Default)]
struct AccountPart {
    /// The places of the entries that may move it.
    places: Vec<usize>,
    draft: AccountDraft,
}

impl<'a, R: ReadTx> BalanceDecider<'a, R> {
    pub(crate) const fn new(store: &'a R, own: &'a [NewEntry], now: Timestamp) -> Self {
        Self { store, own, now, accounts: None }
    }

    /// Answers a question that follows the first `after` entries of the transaction.
    fn decide(&mut self, question: &BalanceQuestion, after: usize) -> Result<BalanceDecision> {
        let own = self.own;
        let accounts = self.accounts.get_or_insert_with(|| by_account(own));
        let key = (question.currency.clone(), question.account.clone());
        let part = accounts.entry(key).or_insert_with(|| of_budget(own, question));
        let until = part.places.partition_point(|place| *place < after);
        let new = part.places.get(part.draft.applied..until).unwrap_or_default().iter();
        decide(self.store, question, &mut part.draft, new.filter_map(|place| own.get(*place)), self.now)
    }

    /// Returns the new answer to a question if it differs.
    pub(crate) fn changed(&mut self, check: &BalanceCheck) -> Result<Option<BalanceDecision>> {
        let decision = self.decide(&check.question, check.after)?;
        let covered = match decision {
            BalanceDecision::Covered(minor_units) => Some(minor_units),
            BalanceDecision::Short { .. } | BalanceDecision::OverBudget { .. } => None,
        };
        Ok((covered != check.covered).then_some(decision))
    }
}

fn by_account(own: &[NewEntry]) -> HashMap<(String, FloorAccount), AccountPart> {
    let mut accounts: HashMap<(String, FloorAccount), AccountPart> = HashMap::new();
    for (place, new) in own.iter().enumerate() {
        for account in new.floor_accounts() {
            accounts.entry((new.currency.clone(), account)).or_default().places.push(place);
        }
    }
    accounts
}

/// Returns the entries that a budget counts. No entry names a budget, so they are looked for at the
/// first question to it. An account without entries has none.
fn of_budget(own: &[NewEntry], question: &BalanceQuestion) -> AccountPart {
    let is_counted = |new: &NewEntry| new.currency == question.currency && new.is_counted_in_budgets();
    let places = match question.account {
        FloorAccount::Budget { .. } => {
            own.iter().enumerate().filter(|(_, new)| is_counted(new)).map(|(n, _)| n).collect()
        }
        FloorAccount::Customer(_) | FloorAccount::Stream(_) => Vec::new(),
    };
    AccountPart { places, draft: AccountDraft::default() }
}

/// Answers a question that follows the entries of a transaction on the account.
pub(crate) fn decide_after(
    store: &impl ReadTx,
    question: &BalanceQuestion,
    own: &mut OwnEntries,
    now: Timestamp,
) -> Result<BalanceDecision> {
    let follows = match &question.account {
        FloorAccount::Customer(customer) => {
            last_entry(store, &keys::account(&question.stream, &question.currency, customer))?
        }
        // What is committed is read each time.
        FloorAccount::Stream(_) => 0,
        // Another number counts other entries.
        FloorAccount::Budget { name, .. } => {
            budgets::get(store, question.stream.deployment(), name)?.map_or(0, |budget| budget.number)
        }
    };
    resume(own, follows, |draft, new| decide(store, question, draft, new, now))
}

/// Returns the balance of an account after the entries of a transaction on it.
pub(crate) fn balance_after(
    store: &impl ReadTx,
    account: &CustomerAccount,
    own: &mut OwnEntries,
    now: Timestamp,
) -> Result<Balance> {
    let follows = last_entry(store, &keys::account(&account.stream, &account.currency, &account.customer))?;
    resume(own, follows, |draft, new| with_account(store, account, draft, new, now, |edit, _| edit.balance(now)))
}

/// Continues the draft of an account, or starts another one if a commit has moved the account.
fn resume<T>(
    own: &mut OwnEntries,
    follows: u64,
    act: impl FnOnce(&mut AccountDraft, &mut dyn Iterator<Item = &NewEntry>) -> Result<T>,
) -> Result<T> {
    let mut draft = std::mem::take(&mut own.draft);
    if draft.follows != follows {
        draft = AccountDraft { follows, ..AccountDraft::default() };
    }
    let mut new = own.entries().iter().skip(draft.applied).map(|entry| &**entry);
    // After an error the next question begins again.
    let done = act(&mut draft, &mut new)?;
    own.draft = draft;
    Ok(done)
}

/// The sequence number of the last entry that moved an account; 0 if none did. No row of an account
/// changes without an entry.
fn last_entry(store: &impl ReadTx, account: &[u8]) -> Result<u64> {
    let Some(record) = store.record::<CreditAccountRecord>(CREDIT_ACCOUNTS, account)? else { return Ok(0) };
    let last = store.range(CREDIT_ENTRIES, prefix_range(&sequence(record.number)), true, 1)?;
    last.first().map_or(Ok(0), |(key, _)| ledger_keys::sequence_at_end(key))
}

/// Answers a question. `new` are the entries of the transaction that follow those in the draft.
fn decide<'e>(
    store: &impl ReadTx,
    question: &BalanceQuestion,
    draft: &mut AccountDraft,
    new: impl Iterator<Item = &'e NewEntry>,
    now: Timestamp,
) -> Result<BalanceDecision> {
    let customer = match &question.account {
        FloorAccount::Customer(customer) => customer,
        FloorAccount::Stream(account) => return decide_of_stream(store, question, account, draft, new, now),
        FloorAccount::Budget { name, customer } => {
            return budgets::question::decide(store, question, (name, customer), draft, new, now);
        }
    };
    let effect = EntryKind::parse(&question.kind).and_then(BalanceEffect::of_kind);
    let Some(effect) = effect else { return Ok(BalanceDecision::Covered(question.minor_units)) };
    let account = CustomerAccount {
        stream: question.stream.clone(),
        currency: question.currency.clone(),
        customer: customer.clone(),
    };
    let floor = floors::get(store, &account)?.map_or(question.floor, |floor| floor.minor_units);
    with_account(store, &account, draft, new, now, |edit, next| {
        let entry = AccountEntry {
            id: &question.external_id,
            sequence: next,
            effect,
            minor_units: question.minor_units,
            occurred_at: question.occurred_at,
            of: question.of.as_deref(),
            terms: None,
            late_usage_millis: 0,
        };
        edit.decide(&entry, floor, question.partial, now)
    })
    .map(Into::into)
}

/// Lets the rules act on a customer's account as the entries of a transaction leave it. `act` gets
/// the sequence number of the next entry.
fn with_account<'e, R: ReadTx, T>(
    store: &R,
    account: &CustomerAccount,
    draft: &mut AccountDraft,
    new: impl Iterator<Item = &'e NewEntry>,
    now: Timestamp,
    act: impl FnOnce(&mut AccountEdit<'_, StoredAccount<'_, R>>, u64) -> Result<T>,
) -> Result<T> {
    let key = keys::account(&account.stream, &account.currency, &account.customer);
    let record = store.record(CREDIT_ACCOUNTS, &key)?.unwrap_or_default();
    let stored = StoredAccount::new(store, record);
    let mut edit = AccountEdit::resume(&stored, std::mem::take(&mut draft.rows));
    for new in new {
        let sequence = FIRST_UNCOMMITTED + draft.applied as u64;
        draft.applied += 1;
        let Some(entry) = CreditEntry::of_new(new).filter(|entry| entry.account() == key) else { continue };
        if entry.reserves_grant() {
            draft.reserved.insert(new.id.clone(), new.occurred_at);
        }
        let reserved_at = reserved_at(store, &entry, new, |id| draft.reserved.get(id).copied())?;
        edit.apply(&entry.change(sequence, reserved_at, new.late_usage_millis), now)?;
    }
    let done = act(&mut edit, FIRST_UNCOMMITTED + draft.applied as u64)?;
    draft.rows = edit.into_changes();
    Ok(done)
}

/// An account of the stream has available what is posted, less what reservations take from it.
fn decide_of_stream<'e>(
    store: &impl ReadTx,
    question: &BalanceQuestion,
    account: &str,
    draft: &mut AccountDraft,
    new: impl Iterator<Item = &'e NewEntry>,
    now: Timestamp,
) -> Result<BalanceDecision> {
    let BalanceQuestion { stream, currency, minor_units, floor, .. } = question;
    let key = ledger_keys::account(stream, account, currency);
    let record: AccountRecord = store.record(LEDGER_ACCOUNTS, &key)?.unwrap_or_default();
    let outgoing: i128 = store.record(LEDGER_OUTGOING, &key)?.unwrap_or_default();
    let mut available = record.posted - outgoing;
    reservations::each_due(store, now, |entry| {
        if entry.stream == *stream && entry.currency == *currency {
            available += sums::outgoing(&entry.pending, true, account);
        }
        Ok(true)
    })?;
    for own in new {
        draft.applied += 1;
        if own.stream == *stream && own.currency == *currency {
            let posted = own.legs.iter().filter(|leg| leg.account == account);
            draft.available += posted.map(|leg| i128::from(leg.minor_units)).sum::<i128>();
            draft.available -= sums::outgoing(&own.pending, own.reservation.is_none(), account);
        }
    }
    available += draft.available;
    Ok(if available - i128::from(*minor_units) >= i128::from(*floor) {
        BalanceDecision::Covered(*minor_units)
    } else {
        BalanceDecision::Short { available, floor: *floor, needed: *minor_units }
    })
}

/// The time of the reservation that an entry settles, if the terms of a grant depend on it. `own`
/// gives that of a reservation that is not written yet.
pub(crate) fn reserved_at(
    store: &impl ReadTx,
    entry: &CreditEntry<'_>,
    new: &NewEntry,
    own: impl Fn(&str) -> Option<Timestamp>,
) -> Result<Option<Timestamp>> {
    let Some(id) = new.reservation.as_deref().filter(|_| entry.settles_grant()) else { return Ok(None) };
    match own(id) {
        Some(own) => Ok(Some(own)),
        None => Ok(reservations::reservation(store, id)?.map(|reservation| reservation.entry.occurred_at)),
    }
}
