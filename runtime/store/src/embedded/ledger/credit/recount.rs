//! The recount of customers' accounts for the check of the ledger: adds what each entry changed,
//! and compares the sums with those of the stored rows. Needs memory only for open reservations.

use tidemill_core::money::balance::{CreditGrant, CreditUse, GrantKind, PartSource};

use crate::embedded::codec::{decode, encode};
use crate::embedded::ledger::credit::account::{self, CreditAccountRecord, OrderRows};
use crate::embedded::ledger::credit::deltas::{CreditDelta, OpenHolds};
use crate::embedded::ledger::credit::entry::CreditEntry;
use crate::embedded::ledger::credit::past::CheckpointRecord;
use crate::embedded::ledger::credit::{deltas, keys, view};
use crate::embedded::ledger::keys::{sequence, sequence_at_end};
use crate::embedded::ledger::sketch::Sketch;
use crate::embedded::tables::{
    CREDIT_ACCOUNTS, CREDIT_CHECKPOINTS, CREDIT_ENDS, CREDIT_ENTRIES, CREDIT_GRANTS, CREDIT_ORDERS, CREDIT_USES,
};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::Result;
use crate::records::LedgerEntry;

/// Sums over the rows of all accounts.
#[derive(Debug, Default, PartialEq, Eq)]
struct CreditSums {
    accounts: Sketch,
    grants: Sketch,
    uses: Sketch,
    entries: Sketch,
    checkpoints: Sketch,
}

/// The recount.
#[derive(Default)]
pub(crate) struct CreditRecount {
    sums: CreditSums,
    holds: OpenHolds,
    /// The account that was looked up last, and its number.
    last: (Vec<u8>, u64),
    /// The account whose checkpoint was looked up last, and that checkpoint.
    checkpoint: (u64, Option<u64>),
}

impl CreditRecount {
    /// Adds what an entry changed.
    pub(crate) fn count(&mut self, store: &impl ReadTx, stored: &LedgerEntry) -> Result<()> {
        let Some(entry) = CreditEntry::of_stored(stored) else { return Ok(()) };
        let key = entry.account();
        if self.last.0 != key {
            let record: Option<CreditAccountRecord> = store.record(CREDIT_ACCOUNTS, &key)?;
            self.last = (key, record.unwrap_or_default().number);
        }
        let (key, number) = (&self.last.0, self.last.1);
        if number == stored.sequence {
            self.sums.accounts.add(key, [number.into(), 0, 0]);
        }
        self.sums.entries.add_row(&keys::entry(number, stored.sequence), &[]);
        let change = entry.stored_change(store, stored)?;
        if self.checkpoint.0 != number || self.checkpoint.1.is_some_and(|at| at < stored.sequence) {
            self.checkpoint = (number, next_checkpoint(store, number, stored.sequence)?);
        }
        let (sums, checkpoint) = (&mut self.sums, self.checkpoint.1);
        self.holds.visit(number, &change, &stored.parts, &mut |delta| {
            sums.add(key, number, &delta);
            if let Some(at) = checkpoint {
                sums.add_checkpoint(number, at, &delta);
            }
        });
        if checkpoint == Some(stored.sequence) {
            self.count_holds(number, stored.sequence)?;
        }
        Ok(())
    }

    /// Adds what the reservations that are open after an entry hold.
    fn count_holds(&mut self, account: u64, sequence: u64) -> Result<()> {
        let held = self.holds.0.range((account, String::new())..(account + 1, String::new()));
        for (_, held) in held {
            self.sums.checkpoints.add_row(&checkpoint_key(account, sequence, 2, &held.id), &encode(held)?);
        }
        Ok(())
    }

    /// Compares the sums with the stored rows, and reports differences.
    pub(crate) fn compare(self, store: &impl ReadTx, problem: &mut dyn FnMut(String)) -> Result<()> {
        let (mut stored, mut expected, mut orders, mut ends) =
            (CreditSums::default(), [Sketch::default(); 2], Sketch::default(), Sketch::default());
        let mut expect = |rows: OrderRows| {
            for (table, key, value) in rows.into_iter().flatten() {
                expected[usize::from(table.id == CREDIT_ENDS.id)].add_row(&key, &value);
            }
        };
        store.each(CREDIT_ACCOUNTS, prefix_range(&[]), |key, bytes| {
            let CreditAccountRecord { number, sums, .. } = decode(CREDIT_ACCOUNTS, bytes)?;
            stored.accounts.add(key, [number.into(), sums.debt, sums.held]);
            Ok(())
        })?;
        store.each(CREDIT_GRANTS, prefix_range(&[]), |key, bytes| {
            let grant: CreditGrant = decode(CREDIT_GRANTS, bytes)?;
            stored.grants.add(key, numbers_of(&grant));
            expect(account::rows_of_grant(keys::name_of(key)?.0, &grant));
            Ok(())
        })?;
        store.each(CREDIT_USES, prefix_range(&[]), |key, bytes| {
            let used: CreditUse = decode(CREDIT_USES, bytes)?;
            stored.uses.add(key, numbers_of_use(&used));
            used.parts.iter().for_each(|part| stored.uses.add(&part_key(key, &part.source), [part.minor_units.into()]));
            expect(account::rows_of_use(keys::name_of(key)?.0, &used));
            Ok(())
        })?;
        for (table, sketch) in
            [(CREDIT_ENTRIES, &mut stored.entries), (CREDIT_ORDERS, &mut orders), (CREDIT_ENDS, &mut ends)]
        {
            store.each(table, prefix_range(&[]), |key, value| {
                sketch.add_row(key, value);
                Ok(())
            })?;
        }
        for (name, differs) in [
            ("accounts", stored.accounts != self.sums.accounts),
            ("grants", stored.grants != self.sums.grants),
            ("uses", stored.uses != self.sums.uses),
            ("entries", stored.entries != self.sums.entries),
        ] {
            if differs {
                problem(format!("the {name} of customers' credit differ from the entries"));
            }
        }
        if checkpoints(store)? != self.sums.checkpoints {
            problem("the checkpoints of customers' accounts differ from the entries".to_owned());
        }
        stored.checkpoints = self.sums.checkpoints;
        if orders != expected[0] {
            problem("the order of customers' grants, debts and holds differs from their rows".to_owned());
        }
        if ends != expected[1] {
            problem("the times at which customers' grants end differ from the grants".to_owned());
        }
        if stored != self.sums {
            view::each_difference(store, problem)?;
        }
        Ok(())
    }
}

/// The sum over all checkpoints. What each adds is its difference from the one before, so that it
/// is what the entries between them changed.
fn checkpoints(store: &impl ReadTx) -> Result<Sketch> {
    let mut sum = Sketch::default();
    let mut last = (0, CheckpointRecord::default());
    store.each(CREDIT_CHECKPOINTS, prefix_range(&[]), |key, bytes| {
        let (account, sequence) = keys::entry_of(key)?;
        let record: CheckpointRecord = decode(CREDIT_CHECKPOINTS, bytes)?;
        let before = if last.0 == account { std::mem::take(&mut last.1) } else { CheckpointRecord::default() };
        let (debt, held) = (record.sums.debt - before.sums.debt, record.sums.held - before.sums.held);
        sum.add(&checkpoint_key(account, sequence, 0, ""), [debt, held]);
        for (grants, sign) in [(&record.grants, 1), (&before.grants, -1)] {
            for (id, (left, held)) in grants {
                let numbers = [left, held].map(|number| sign * i128::from(*number));
                sum.add(&checkpoint_key(account, sequence, 1, id), numbers);
            }
        }
        for held in &record.holds {
            sum.add_row(&checkpoint_key(account, sequence, 2, &held.id), &encode(held)?);
        }
        last = (account, record);
        Ok(())
    })?;
    Ok(sum)
}

/// The sequence number of the first checkpoint of an account from an entry on.
fn next_checkpoint(store: &impl ReadTx, account: u64, from: u64) -> Result<Option<u64>> {
    let range = keys::entry(account, from)..prefix_range(&sequence(account)).end;
    let found = store.range(CREDIT_CHECKPOINTS, range, false, 1)?;
    found.first().map(|(key, _)| sequence_at_end(key)).transpose()
}

fn checkpoint_key(account: u64, sequence: u64, part: u8, id: &str) -> Vec<u8> {
    [&keys::entry(account, sequence)[..], &[part], id.as_bytes()].concat()
}

impl CreditSums {
    fn add_checkpoint(&mut self, account: u64, at: u64, delta: &CreditDelta<'_>) {
        let (key, numbers) = match *delta {
            CreditDelta::Grant { id, left, held } => (checkpoint_key(account, at, 1, id), [left, held]),
            CreditDelta::Sums { debt, held } => (checkpoint_key(account, at, 0, ""), [debt, held]),
            CreditDelta::NewGrant(..) | CreditDelta::Use { .. } | CreditDelta::Part { .. } => return,
        };
        self.checkpoints.add(&key, numbers.map(i128::from));
    }

    fn add(&mut self, account: &[u8], number: u64, delta: &CreditDelta<'_>) {
        match *delta {
            CreditDelta::NewGrant(entry, kind, granted) => {
                let grant = deltas::new_grant(entry, kind, granted);
                let made = CreditGrant { left: 0, held: 0, ..grant };
                self.grants.add(&keys::named(number, entry.id), numbers_of(&made));
            }
            CreditDelta::Grant { id, left, held } => {
                let numbers = [0, 0, 0, 0, 0, 0, left.into(), held.into()];
                self.grants.add(&keys::named(number, id), numbers);
            }
            CreditDelta::Use { used, gone } => {
                let sign = if gone { -1 } else { 1 };
                self.uses.add(&keys::named(number, &used.id), numbers_of_use(used).map(|number| sign * number));
            }
            CreditDelta::Part { id, source, minor_units } => {
                self.uses.add(&part_key(&keys::named(number, id), source), [minor_units.into()]);
            }
            CreditDelta::Sums { debt, held } => self.accounts.add(account, [0, debt.into(), held.into()]),
        }
    }
}

fn numbers_of(grant: &CreditGrant) -> [i128; 8] {
    let kind = match grant.kind {
        GrantKind::Promotion => 1,
        GrantKind::Prepayment => 2,
    };
    [
        kind,
        grant.priority.into(),
        grant.starts_at.as_millis().into(),
        grant.expires_at.map_or(0, |end| i128::from(end.as_millis()) + 1),
        grant.sequence.into(),
        grant.granted.into(),
        grant.left.into(),
        grant.held.into(),
    ]
}

fn numbers_of_use(used: &CreditUse) -> [i128; 4] {
    let held = if used.hold.is_some() { 1 } else { 0 };
    let end = used.due().map_or(0, |end| i128::from(end.as_millis()) + 1);
    [used.sequence.into(), used.occurred_at.as_millis().into(), held, end]
}

/// The key of a part in the sum over uses.
fn part_key(used: &[u8], source: &PartSource) -> Vec<u8> {
    let (tag, id) = match source {
        PartSource::Grant(id) => (0, id.as_str()),
        PartSource::Debt => (1, ""),
        PartSource::DebtOf(id) => (2, id.as_str()),
    };
    [used, &[0, tag], id.as_bytes()].concat()
}
