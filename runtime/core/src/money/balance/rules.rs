//! The rules of a customer's account. They read and change rows, and know neither a store nor a
//! clock.

use super::change::{AccountChange, AccountEntry, BalanceEffect};
use super::grant::{CreditGrant, GrantKind, GrantTerms};
use super::part::{GrantPart, PartSource, split_at, sum};
use super::rows::{AccountEdit, AccountReader, CreditHold, CreditUse};
use crate::ids::Timestamp;

/// A customer's account at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// What valid grants have left and not held, less debt, in minor units.
    pub available: i128,
    /// What reservations hold, in minor units.
    pub held: i128,
    /// What was used or held beyond the grants, in minor units.
    pub debt: i128,
    /// The next time at which something that is available expires.
    pub next_expiry: Option<Timestamp>,
}

/// The answer to a `reserve` or `draw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreditDecision {
    /// So much may be taken, in minor units: the whole, or less of a partial draw.
    Covered(i64),
    /// The account would end below its floor.
    Short {
        /// What is available, in minor units.
        available: i128,
        /// The floor, in minor units.
        floor: i64,
        /// What was asked for, in minor units.
        needed: i64,
    },
}

impl<R: AccountReader> AccountEdit<'_, R> {
    /// Ends the holds that end by themselves by `now`, so that no answer depends on a timer.
    ///
    /// # Errors
    /// The rows cannot be read. So do the others.
    pub fn release_due(&mut self, now: Timestamp) -> Result<(), R::Error> {
        if self.sums()?.held == 0 {
            return Ok(());
        }
        let mut after = None;
        while let Some(usage) = self.find_due(after, now)? {
            after = usage.due().map(|due| (due, usage.sequence));
            self.release(usage)?;
        }
        Ok(())
    }

    /// The account at the time `now`.
    ///
    /// # Errors
    /// See [`AccountEdit::release_due`].
    pub fn balance(&mut self, now: Timestamp) -> Result<Balance, R::Error> {
        self.release_due(now)?;
        let sums = self.sums()?;
        let (mut left, mut next_expiry) = (0i128, None::<Timestamp>);
        let mut after = None;
        while let Some(grant) = self.find_grant(after)? {
            after = Some(grant.order());
            if grant.covers(now, now) {
                left += i128::from(grant.left);
                next_expiry = [next_expiry, grant.expires_at].into_iter().flatten().min();
            }
        }
        Ok(Balance { available: left - sums.debt, held: sums.held, debt: sums.debt, next_expiry })
    }

    /// What is available to usage of the time `at` that is reported at `now`. Stops to count at
    /// `enough`, if there is that much.
    ///
    /// # Errors
    /// See [`AccountEdit::release_due`].
    pub fn available(&mut self, at: Timestamp, now: Timestamp, enough: i128) -> Result<i128, R::Error> {
        self.release_due(now)?;
        let mut available = -self.sums()?.debt;
        let mut after = None;
        while available < enough
            && let Some(grant) = self.find_grant(after)?
        {
            after = Some(grant.order());
            if grant.covers(at, now) {
                available += i128::from(grant.left);
            }
        }
        Ok(available)
    }

    /// The next time after `now` at which a grant with something left begins to cover usage.
    ///
    /// # Errors
    /// See [`AccountEdit::release_due`].
    pub fn next_start(&mut self, now: Timestamp) -> Result<Option<Timestamp>, R::Error> {
        let (mut next, mut after) = (None::<Timestamp>, None);
        while let Some(grant) = self.find_grant(after)? {
            after = Some(grant.order());
            if grant.starts_at > now {
                next = [next, Some(grant.starts_at)].into_iter().flatten().min();
            }
        }
        Ok(next)
    }

    /// Answers a `reserve` or `draw` of an entry. Changes nothing but what time has changed.
    ///
    /// # Errors
    /// See [`AccountEdit::release_due`].
    pub fn decide(
        &mut self,
        entry: &AccountEntry<'_>,
        floor: i64,
        partial: bool,
        now: Timestamp,
    ) -> Result<CreditDecision, R::Error> {
        let needed = entry.minor_units;
        let enough = i128::from(floor) + i128::from(needed);
        let available = match entry.effect {
            BalanceEffect::Grant(_) | BalanceEffect::Return => return Ok(CreditDecision::Covered(needed)),
            BalanceEffect::Use => self.available(entry.occurred_at, now, enough)?,
            BalanceEffect::TakeBack | BalanceEffect::Lapse => self.available(entry.occurred_at, now, i128::MAX)?,
        };
        if entry.effect != BalanceEffect::Use {
            let mut after = AccountEdit::new(self);
            after.apply(&AccountChange::Reserve(*entry, None), now)?;
            let after = after.available(entry.occurred_at, now, i128::MAX)?;
            let short = CreditDecision::Short { available, floor, needed };
            return Ok(if after >= floor.into() { CreditDecision::Covered(needed) } else { short });
        }
        if available >= enough {
            return Ok(CreditDecision::Covered(needed));
        }
        if partial {
            let above = (available - i128::from(floor)).clamp(0, needed.into());
            return Ok(CreditDecision::Covered(i64::try_from(above).unwrap_or(needed)));
        }
        Ok(CreditDecision::Short { available, floor, needed })
    }

    /// Applies a change at the time `now`, and returns the parts that the commit writes on the
    /// entry.
    ///
    /// # Errors
    /// See [`AccountEdit::release_due`].
    pub fn apply(&mut self, change: &AccountChange<'_>, now: Timestamp) -> Result<Vec<GrantPart>, R::Error> {
        // A release is the entry that ends one hold. The others have entries of their own.
        if !matches!(change, AccountChange::Release(_)) {
            self.release_due(now)?;
        }
        match change {
            AccountChange::Post(entry) => self.post(entry, now),
            AccountChange::Reserve(entry, expires_at) if entry.effect.takes() => {
                self.take(entry, Some(CreditHold { expires_at: *expires_at }), now)
            }
            // What is not granted or returned yet moves nothing.
            AccountChange::Reserve(..) => Ok(Vec::new()),
            AccountChange::Settle(entry) => self.settle(entry, now),
            AccountChange::Release(id) => match self.credit_use(id)?.filter(|usage| usage.hold.is_some()) {
                Some(usage) => self.release(usage),
                None => Ok(Vec::new()),
            },
        }
    }

    fn post(&mut self, entry: &AccountEntry<'_>, now: Timestamp) -> Result<Vec<GrantPart>, R::Error> {
        match entry.effect {
            BalanceEffect::Grant(kind) => {
                let terms = entry.terms.unwrap_or(GrantTerms {
                    priority: super::GRANT_PRIORITY,
                    starts_at: entry.occurred_at,
                    expires_at: None,
                });
                self.add_grant(entry, kind, terms, entry.minor_units)
            }
            BalanceEffect::Use | BalanceEffect::TakeBack | BalanceEffect::Lapse => self.take(entry, None, now),
            BalanceEffect::Return => self.give_back(entry),
        }
    }

    fn add_grant(
        &mut self,
        entry: &AccountEntry<'_>,
        kind: GrantKind,
        terms: GrantTerms,
        minor_units: i64,
    ) -> Result<Vec<GrantPart>, R::Error> {
        let mut grant = CreditGrant {
            id: entry.id.to_owned(),
            kind,
            priority: terms.priority,
            starts_at: terms.starts_at,
            expires_at: terms.expires_at,
            closes_at: terms.expires_at.map(|end| end.plus_millis(entry.late_usage_millis)),
            sequence: entry.sequence,
            granted: minor_units,
            left: minor_units,
            held: 0,
        };
        let parts = self.pay_debts(&mut grant)?;
        self.put_grant(grant);
        Ok(parts)
    }

    /// Pays the oldest debts first, of usage from before the grant expires.
    fn pay_debts(&mut self, grant: &mut CreditGrant) -> Result<Vec<GrantPart>, R::Error> {
        let mut parts = Vec::new();
        let mut sums = self.sums()?;
        let mut after = None;
        while grant.left > 0
            && sums.debt > 0
            && let Some(mut usage) = self.find_debt(after)?
        {
            after = Some(usage.sequence);
            if grant.expires_at.is_some_and(|end| end <= usage.occurred_at) {
                continue;
            }
            let debt = usage.debt();
            let paid = debt.min(grant.left);
            grant.left -= paid;
            sums.debt -= i128::from(paid);
            if usage.hold.is_some() {
                grant.held += paid;
            }
            usage.parts.retain(|part| part.source != PartSource::Debt);
            usage.parts.push(GrantPart::of_grant(&grant.id, paid));
            if debt > paid {
                usage.parts.push(GrantPart::debt(debt - paid));
            }
            parts.push(GrantPart { source: PartSource::DebtOf(usage.id.clone()), minor_units: paid });
            self.put_sums(sums);
            self.put_use(usage);
        }
        Ok(parts)
    }

    /// Takes an amount, or holds it.
    fn take(
        &mut self,
        entry: &AccountEntry<'_>,
        hold: Option<CreditHold>,
        now: Timestamp,
    ) -> Result<Vec<GrantPart>, R::Error> {
        let mut open = entry.minor_units;
        let mut parts = Vec::new();
        let named = match entry.effect {
            BalanceEffect::Use => None,
            _ => entry.of.map(|of| self.grant(of)).transpose()?.flatten(),
        };
        if let Some(grant) = named {
            // What has lapsed is gone, even if the timer has not posted it yet.
            if entry.effect == BalanceEffect::Lapse || !grant.lapses(now) {
                self.take_from(grant, &mut open, hold.is_some(), &mut parts);
            }
        } else {
            let mut after = None;
            while open > 0
                && let Some(grant) = self.find_grant(after)?
            {
                after = Some(grant.order());
                if grant.covers(entry.occurred_at, now) {
                    self.take_from(grant, &mut open, hold.is_some(), &mut parts);
                }
            }
        }
        if open > 0 {
            parts.push(GrantPart::debt(open));
        }
        let mut sums = self.sums()?;
        sums.debt += i128::from(open);
        if hold.is_some() {
            sums.held += i128::from(entry.minor_units);
        }
        self.put_sums(sums);
        self.put_use(CreditUse {
            id: entry.id.to_owned(),
            sequence: entry.sequence,
            occurred_at: entry.occurred_at,
            hold,
            parts: parts.clone(),
        });
        Ok(parts)
    }

    fn take_from(&mut self, mut grant: CreditGrant, open: &mut i64, is_held: bool, parts: &mut Vec<GrantPart>) {
        let taken = grant.left.min(*open);
        if taken <= 0 {
            return;
        }
        *open -= taken;
        grant.left -= taken;
        if is_held {
            grant.held += taken;
        }
        parts.push(GrantPart::of_grant(&grant.id, taken));
        self.put_grant(grant);
    }

    /// Uses what was held up to the settled amount, in the order in which it was taken, and
    /// returns the rest.
    fn settle(&mut self, entry: &AccountEntry<'_>, now: Timestamp) -> Result<Vec<GrantPart>, R::Error> {
        if !entry.effect.takes() {
            return self.post(entry, now);
        }
        let Some(mut usage) = self.credit_use(entry.id)?.filter(|usage| usage.hold.is_some()) else {
            return self.take(entry, None, now);
        };
        let held = sum(&usage.parts);
        let (used, rest) = split_at(&usage.parts, entry.minor_units);
        self.put_back(&rest, true)?;
        for part in &used {
            if let PartSource::Grant(id) = &part.source
                && let Some(mut grant) = self.grant(id)?
            {
                grant.held -= part.minor_units;
                self.put_grant(grant);
            }
        }
        let mut sums = self.sums()?;
        sums.held -= i128::from(held);
        self.put_sums(sums);
        usage.hold = None;
        usage.sequence = entry.sequence;
        usage.parts.clone_from(&used);
        self.put_use(usage);
        Ok(used)
    }

    /// Returns all that a reservation holds.
    fn release(&mut self, usage: CreditUse) -> Result<Vec<GrantPart>, R::Error> {
        self.put_back(&usage.parts, true)?;
        let mut sums = self.sums()?;
        sums.held -= i128::from(sum(&usage.parts));
        self.put_sums(sums);
        self.remove_use(&usage.id);
        Ok(usage.parts)
    }

    fn put_back(&mut self, parts: &[GrantPart], was_held: bool) -> Result<(), R::Error> {
        let mut sums = self.sums()?;
        for part in parts {
            match &part.source {
                PartSource::Grant(id) => {
                    if let Some(mut grant) = self.grant(id)? {
                        grant.left += part.minor_units;
                        if was_held {
                            grant.held -= part.minor_units;
                        }
                        self.put_grant(grant);
                    }
                }
                PartSource::Debt | PartSource::DebtOf(_) => sums.debt -= i128::from(part.minor_units),
            }
        }
        self.put_sums(sums);
        Ok(())
    }

    /// Returns what an entry took, the last part first. What it did not take is a grant.
    fn give_back(&mut self, entry: &AccountEntry<'_>) -> Result<Vec<GrantPart>, R::Error> {
        let named =
            entry.of.map(|of| self.credit_use(of.strip_suffix("/settled").unwrap_or(of))).transpose()?.flatten();
        let mut parts = Vec::new();
        if let Some(mut usage) = named.filter(|usage| usage.hold.is_none()) {
            let (kept, mut back) = split_at(&usage.parts, sum(&usage.parts).saturating_sub(entry.minor_units));
            back.reverse();
            self.put_back(&back, false)?;
            usage.parts = kept;
            self.put_use(usage);
            parts = back;
        }
        let excess = entry.minor_units - sum(&parts);
        if excess > 0 {
            let terms = GrantTerms { priority: super::GRANT_PRIORITY, starts_at: entry.occurred_at, expires_at: None };
            parts.extend(self.add_grant(entry, GrantKind::Prepayment, terms, excess)?);
        }
        Ok(parts)
    }
}
