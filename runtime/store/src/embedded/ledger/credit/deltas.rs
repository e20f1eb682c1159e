//! What an entry changed in the rows of an account, from the entry and its parts alone.
//!
//! The parts on the entries are what the rules decided. So the rows of every account follow from
//! the entries by addition: the check of the ledger adds them to its sums, and the view of an
//! account as of an earlier entry adds them to empty rows.

use std::collections::BTreeMap;

use tidemill_core::money::balance::{
    AccountChange, AccountEntry, BalanceEffect, CreditGrant, CreditHold, CreditUse, GRANT_PRIORITY, GrantKind,
    GrantPart, GrantTerms, PartSource,
};

/// A change of one row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CreditDelta<'d> {
    /// A grant was made by an entry.
    NewGrant(&'d AccountEntry<'d>, GrantKind, i64),
    /// What a grant has left and what is held of it, by its external id.
    Grant { id: &'d str, left: i64, held: i64 },
    /// An entry used or holds an amount; it no longer does if `gone`.
    Use { used: &'d CreditUse, gone: bool },
    /// What an entry used from a source, by its external id.
    Part { id: &'d str, source: &'d PartSource, minor_units: i64 },
    /// The sums of the account.
    Sums { debt: i64, held: i64 },
}

/// What open reservations of accounts hold, by account and external id.
#[derive(Debug, Default)]
pub(crate) struct OpenHolds(pub(crate) BTreeMap<(u64, String), CreditUse>);

impl OpenHolds {
    /// Visits what an entry of an account has changed.
    pub(crate) fn visit(
        &mut self,
        account: u64,
        change: &AccountChange<'_>,
        parts: &[GrantPart],
        visit: &mut dyn FnMut(CreditDelta<'_>),
    ) {
        match change {
            AccountChange::Post(entry) => self.post(account, entry, parts, visit),
            AccountChange::Reserve(entry, expires_at) if entry.effect.takes() => {
                let used = take(entry, parts, Some(CreditHold { expires_at: *expires_at }), visit);
                self.0.insert((account, used.id.clone()), used);
            }
            AccountChange::Reserve(..) => {}
            AccountChange::Settle(entry) => match self.0.remove(&(account, entry.id.to_owned())) {
                Some(held) => settle(entry, &held, parts, visit),
                None => self.post(account, entry, parts, visit),
            },
            AccountChange::Release(id) => {
                let Some(held) = self.0.remove(&(account, (*id).to_owned())) else { return };
                give_back(&held.id, parts, true, visit);
                visit(CreditDelta::Use { used: &held, gone: true });
            }
        }
    }

    fn post(
        &mut self,
        account: u64,
        entry: &AccountEntry<'_>,
        parts: &[GrantPart],
        visit: &mut dyn FnMut(CreditDelta<'_>),
    ) {
        match entry.effect {
            BalanceEffect::Grant(kind) => self.grant(account, entry, (kind, entry.minor_units), parts, visit),
            BalanceEffect::Return => {
                let returned: Vec<_> =
                    parts.iter().filter(|part| !matches!(part.source, PartSource::DebtOf(_))).cloned().collect();
                if let Some(of) = entry.of {
                    give_back(of.strip_suffix("/settled").unwrap_or(of), &returned, false, visit);
                }
                let excess = entry.minor_units - sum(&returned);
                if excess > 0 {
                    self.grant(account, entry, (GrantKind::Prepayment, excess), parts, visit);
                }
            }
            BalanceEffect::Use | BalanceEffect::TakeBack | BalanceEffect::Lapse => {
                take(entry, parts, None, visit);
            }
        }
    }

    /// A new grant pays debts first.
    fn grant(
        &mut self,
        account: u64,
        entry: &AccountEntry<'_>,
        (kind, minor_units): (GrantKind, i64),
        parts: &[GrantPart],
        visit: &mut dyn FnMut(CreditDelta<'_>),
    ) {
        visit(CreditDelta::NewGrant(entry, kind, minor_units));
        let (mut left, mut held) = (minor_units, 0);
        let source = PartSource::Grant(entry.id.to_owned());
        for part in parts {
            let PartSource::DebtOf(id) = &part.source else { continue };
            let paid = part.minor_units;
            left -= paid;
            visit(CreditDelta::Part { id, source: &PartSource::Debt, minor_units: -paid });
            visit(CreditDelta::Part { id, source: &source, minor_units: paid });
            visit(CreditDelta::Sums { debt: -paid, held: 0 });
            if let Some(hold) = self.0.get_mut(&(account, id.clone())) {
                held += paid;
                add(&mut hold.parts, &PartSource::Debt, -paid);
                add(&mut hold.parts, &source, paid);
            }
        }
        visit(CreditDelta::Grant { id: entry.id, left, held });
    }
}

fn take(
    entry: &AccountEntry<'_>,
    parts: &[GrantPart],
    hold: Option<CreditHold>,
    visit: &mut dyn FnMut(CreditDelta<'_>),
) -> CreditUse {
    let used = CreditUse {
        id: entry.id.to_owned(),
        sequence: entry.sequence,
        occurred_at: entry.occurred_at,
        hold,
        parts: parts.to_vec(),
    };
    visit(CreditDelta::Use { used: &used, gone: false });
    for part in parts {
        let GrantPart { source, minor_units } = part;
        visit(CreditDelta::Part { id: entry.id, source, minor_units: *minor_units });
        let held = if hold.is_some() { *minor_units } else { 0 };
        match source {
            PartSource::Grant(id) => visit(CreditDelta::Grant { id, left: -minor_units, held }),
            _ => visit(CreditDelta::Sums { debt: *minor_units, held: 0 }),
        }
        visit(CreditDelta::Sums { debt: 0, held });
    }
    used
}

/// Uses the parts of a hold that the settlement names, and returns the others.
fn settle(entry: &AccountEntry<'_>, held: &CreditUse, used: &[GrantPart], visit: &mut dyn FnMut(CreditDelta<'_>)) {
    let mut rest = held.parts.clone();
    used.iter().for_each(|part| add(&mut rest, &part.source, -part.minor_units));
    give_back(&held.id, &rest, true, visit);
    for part in used {
        if let PartSource::Grant(id) = &part.source {
            visit(CreditDelta::Grant { id, left: 0, held: -part.minor_units });
        }
        visit(CreditDelta::Sums { debt: 0, held: -part.minor_units });
    }
    visit(CreditDelta::Use { used: held, gone: true });
    let settled = CreditUse { sequence: entry.sequence, hold: None, ..held.clone() };
    visit(CreditDelta::Use { used: &settled, gone: false });
}

fn give_back(id: &str, parts: &[GrantPart], was_held: bool, visit: &mut dyn FnMut(CreditDelta<'_>)) {
    for part in parts {
        let GrantPart { source, minor_units } = part;
        visit(CreditDelta::Part { id, source, minor_units: -minor_units });
        let held = if was_held { *minor_units } else { 0 };
        match source {
            PartSource::Grant(id) => visit(CreditDelta::Grant { id, left: *minor_units, held: -held }),
            _ => visit(CreditDelta::Sums { debt: -minor_units, held: 0 }),
        }
        visit(CreditDelta::Sums { debt: 0, held: -held });
    }
}

/// Adds an amount to the part with a source.
fn add(parts: &mut Vec<GrantPart>, source: &PartSource, minor_units: i64) {
    match parts.iter_mut().find(|part| part.source == *source) {
        Some(part) => part.minor_units += minor_units,
        None => parts.push(GrantPart { source: source.clone(), minor_units }),
    }
    parts.retain(|part| part.minor_units != 0);
}

fn sum(parts: &[GrantPart]) -> i64 {
    parts.iter().map(|part| part.minor_units).sum()
}

/// A grant as its entry made it.
pub(crate) fn new_grant(entry: &AccountEntry<'_>, kind: GrantKind, granted: i64) -> CreditGrant {
    let default = GrantTerms { priority: GRANT_PRIORITY, starts_at: entry.occurred_at, expires_at: None };
    let terms = entry.terms.unwrap_or(default);
    CreditGrant {
        id: entry.id.to_owned(),
        kind,
        priority: terms.priority,
        starts_at: terms.starts_at,
        expires_at: terms.expires_at,
        closes_at: terms.expires_at.map(|end| end.plus_millis(entry.late_usage_millis)),
        sequence: entry.sequence,
        granted,
        left: granted,
        held: 0,
    }
}
