//! A naive account: every minor unit that was taken is a slot, and every answer counts slots.

use super::super::{AccountChange, AccountEntry, BalanceEffect, GrantKind, GrantPart, GrantTerms, PartSource};
use crate::ids::Timestamp;

pub(super) struct ModelGrant {
    pub(super) id: String,
    kind: GrantKind,
    terms: GrantTerms,
    closes_at: Option<Timestamp>,
    sequence: u64,
    granted: i64,
}

/// A minor unit that was taken: from the grant with that index, or from none.
type Slot = Option<usize>;

struct ModelUse {
    id: String,
    sequence: u64,
    occurred_at: Timestamp,
    /// `Some` while it is held, with the time at which that ends by itself.
    hold: Option<Option<Timestamp>>,
    slots: Vec<Slot>,
}

#[derive(Default)]
pub(super) struct BalanceModel {
    pub(super) grants: Vec<ModelGrant>,
    uses: Vec<ModelUse>,
}

impl BalanceModel {
    fn taken(&self, grant: usize, held_only: bool) -> i64 {
        let uses = self.uses.iter().filter(|usage| !held_only || usage.hold.is_some());
        i64::try_from(uses.flat_map(|usage| &usage.slots).filter(|slot| **slot == Some(grant)).count()).unwrap()
    }

    pub(super) fn left(&self, grant: usize) -> i64 {
        self.grants[grant].granted - self.taken(grant, false)
    }

    pub(super) fn held_of(&self, grant: usize) -> i64 {
        self.taken(grant, true)
    }

    fn covers(&self, grant: usize, at: Timestamp, now: Timestamp) -> bool {
        let grant = &self.grants[grant];
        at >= grant.terms.starts_at
            && grant.terms.expires_at.is_none_or(|end| at < end)
            && grant.closes_at.is_none_or(|close| now < close)
    }

    pub(super) fn lapsed(&self, grant: usize, now: Timestamp) -> bool {
        self.held_of(grant) == 0 && self.grants[grant].closes_at.is_some_and(|close| close <= now)
    }

    pub(super) fn debt(&self, held_too: bool) -> i64 {
        let uses = self.uses.iter().filter(|usage| held_too || usage.hold.is_none());
        i64::try_from(uses.flat_map(|usage| &usage.slots).filter(|slot| slot.is_none()).count()).unwrap()
    }

    pub(super) fn held(&self) -> i64 {
        let uses = self.uses.iter().filter(|usage| usage.hold.is_some());
        i64::try_from(uses.map(|usage| usage.slots.len()).sum::<usize>()).unwrap()
    }

    pub(super) fn release_due(&mut self, now: Timestamp) {
        self.uses.retain(|usage| !matches!(usage.hold, Some(Some(due)) if due <= now));
    }

    pub(super) fn available(&self, at: Timestamp, now: Timestamp) -> i64 {
        let valid = (0..self.grants.len()).filter(|grant| self.covers(*grant, at, now));
        valid.map(|grant| self.left(grant)).sum::<i64>() - self.debt(true)
    }

    fn parts(&self, slots: &[Slot]) -> Vec<GrantPart> {
        let mut parts: Vec<GrantPart> = Vec::new();
        for slot in slots {
            let source = slot.map_or(PartSource::Debt, |grant| PartSource::Grant(self.grants[grant].id.clone()));
            match parts.last_mut().filter(|last| last.source == source) {
                Some(last) => last.minor_units += 1,
                None => parts.push(GrantPart { source, minor_units: 1 }),
            }
        }
        parts
    }

    fn add_grant(
        &mut self,
        entry: &AccountEntry<'_>,
        kind: GrantKind,
        terms: GrantTerms,
        granted: i64,
    ) -> Vec<GrantPart> {
        let closes_at = terms.expires_at.map(|end| end.plus_millis(entry.late_usage_millis));
        let (id, sequence) = (entry.id.to_owned(), entry.sequence);
        self.grants.push(ModelGrant { id, kind, terms, closes_at, sequence, granted });
        let new = self.grants.len() - 1;
        self.uses.sort_by_key(|usage| usage.sequence);
        let mut parts = Vec::new();
        for usage in 0..self.uses.len() {
            if terms.expires_at.is_some_and(|end| end <= self.uses[usage].occurred_at) {
                continue;
            }
            let mut paid = 0;
            while self.left(new) > 0
                && let Some(open) = self.uses[usage].slots.iter_mut().find(|slot| slot.is_none())
            {
                *open = Some(new);
                paid += 1;
            }
            if paid > 0 {
                let source = PartSource::DebtOf(self.uses[usage].id.clone());
                parts.push(GrantPart { source, minor_units: paid });
            }
        }
        parts
    }

    fn take(&mut self, entry: &AccountEntry<'_>, hold: Option<Option<Timestamp>>, now: Timestamp) -> Vec<GrantPart> {
        let named = entry.of.filter(|_| entry.effect != BalanceEffect::Use);
        let named = named.and_then(|of| self.grants.iter().position(|grant| grant.id == of));
        let is_gone = entry.effect == BalanceEffect::TakeBack && named.is_some_and(|named| self.lapsed(named, now));
        let id = entry.id.to_owned();
        let (sequence, occurred_at) = (entry.sequence, entry.occurred_at);
        self.uses.push(ModelUse { id, sequence, occurred_at, hold, slots: Vec::new() });
        for _ in 0..entry.minor_units {
            let slot = match named {
                Some(named) => (!is_gone && self.left(named) > 0).then_some(named),
                None => (0..self.grants.len())
                    .filter(|grant| self.covers(*grant, occurred_at, now) && self.left(*grant) > 0)
                    .min_by_key(|grant| {
                        let grant = &self.grants[*grant];
                        let never = Timestamp::from_millis(u64::MAX);
                        let is_paid = grant.kind == GrantKind::Prepayment;
                        (grant.terms.priority, grant.terms.expires_at.unwrap_or(never), is_paid, grant.sequence)
                    }),
            };
            self.uses.last_mut().unwrap().slots.push(slot);
        }
        self.parts(&self.uses.last().unwrap().slots)
    }

    pub(super) fn apply(&mut self, change: &AccountChange<'_>, now: Timestamp) -> Vec<GrantPart> {
        self.release_due(now);
        match change {
            AccountChange::Post(entry) => match entry.effect {
                BalanceEffect::Grant(kind) => self.add_grant(entry, kind, entry.terms.unwrap(), entry.minor_units),
                BalanceEffect::Return => {
                    let of =
                        self.uses.iter().position(|usage| Some(usage.id.as_str()) == entry.of && usage.hold.is_none());
                    let mut back = Vec::new();
                    while back.len() < usize::try_from(entry.minor_units).unwrap()
                        && let Some(slot) = of.and_then(|of| self.uses[of].slots.pop())
                    {
                        back.push(slot);
                    }
                    let mut parts = self.parts(&back);
                    let excess = entry.minor_units - i64::try_from(back.len()).unwrap();
                    if excess > 0 {
                        let terms = GrantTerms { priority: 100, starts_at: entry.occurred_at, expires_at: None };
                        parts.extend(self.add_grant(entry, GrantKind::Prepayment, terms, excess));
                    }
                    parts
                }
                _ => self.take(entry, None, now),
            },
            AccountChange::Reserve(entry, expires_at) => self.take(entry, Some(*expires_at), now),
            AccountChange::Settle(entry) => {
                let usage = self.uses.iter_mut().find(|usage| usage.id == entry.id).unwrap();
                usage.slots.truncate(usize::try_from(entry.minor_units).unwrap());
                (usage.hold, usage.sequence) = (None, entry.sequence);
                let slots = usage.slots.clone();
                self.parts(&slots)
            }
            AccountChange::Release(id) => {
                let held = self.uses.iter().position(|usage| usage.id == *id && usage.hold.is_some());
                let slots = held.map(|held| self.uses.remove(held).slots).unwrap_or_default();
                self.parts(&slots)
            }
        }
    }

    /// The reservations that can be settled, with what they hold.
    pub(super) fn open(&self) -> Vec<(String, Timestamp, i64)> {
        let open = self.uses.iter().filter(|usage| usage.hold.is_some());
        open.map(|usage| (usage.id.clone(), usage.occurred_at, i64::try_from(usage.slots.len()).unwrap())).collect()
    }
}
