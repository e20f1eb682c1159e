//! Laws of a customer's account, for any entries in any order.

use proptest::prelude::*;

use super::super::{AccountChange, AccountEntry, BalanceEffect, CreditDecision, GrantKind, GrantPart, GrantTerms};
use super::model::BalanceModel;
use super::{Account, at};
use crate::ids::Timestamp;

/// A step of a test. Which entry it concerns is chosen by `pick` among those that exist.
#[derive(Debug, Clone)]
struct UsageStep {
    what: u8,
    minor_units: i64,
    /// Time since the step before.
    later: u64,
    /// How long ago it happened.
    ago: u64,
    pick: usize,
    priority: u8,
    lasts: Option<u64>,
    late: u64,
    floor: i64,
}

fn steps() -> impl Strategy<Value = Vec<UsageStep>> {
    let step = (
        (0u8..12, 1i64..20, 0u64..4, 0u64..6, any::<prop::sample::Index>()),
        (99u8..102, prop::option::of(1u64..12), 0u64..4, -8i64..4),
    );
    let step = step.prop_map(|((what, minor_units, later, ago, pick), (priority, lasts, late, floor))| {
        let pick = pick.index(1_000);
        UsageStep { what, minor_units, later, ago, pick, priority, lasts, late, floor }
    });
    prop::collection::vec(step, 1..60)
}

/// Both accounts, and what entries have moved on `deferred`.
#[derive(Default)]
struct Pair {
    account: Account,
    model: BalanceModel,
    deferred: i64,
    now: u64,
    ids: Vec<String>,
}

impl Pair {
    fn apply(&mut self, change: &AccountChange<'_>) -> Result<Vec<GrantPart>, TestCaseError> {
        let parts = self.account.apply(change, self.now);
        prop_assert_eq!(&parts, &self.model.apply(change, at(self.now)));
        if let AccountChange::Post(entry) | AccountChange::Settle(entry) = change {
            let is_lower = entry.effect.takes();
            self.deferred += if is_lower { -entry.minor_units } else { entry.minor_units };
        }
        Ok(parts)
    }

    fn entry<'a>(
        &mut self,
        id: &'a str,
        effect: BalanceEffect,
        step: &UsageStep,
        of: Option<&'a str>,
    ) -> AccountEntry<'a> {
        let time = self.now.saturating_sub(step.ago);
        let start = time + u64::from(step.priority.is_multiple_of(3)) * step.late;
        let terms = GrantTerms {
            priority: step.priority,
            starts_at: at(start),
            expires_at: step.lasts.map(|lasts| at(start + lasts)),
        };
        AccountEntry {
            effect,
            of,
            terms: Some(terms),
            late_usage_millis: step.late,
            ..self.account.entry(id, "drawdown", step.minor_units, time)
        }
    }

    /// Posts what has lapsed, as the timer does.
    fn run_timer(&mut self) -> Result<(), TestCaseError> {
        for grant in 0..self.model.grants.len() {
            self.model.release_due(at(self.now));
            let (id, left) = (self.model.grants[grant].id.clone(), self.model.left(grant));
            if left > 0 && self.model.lapsed(grant, at(self.now)) {
                let name = format!("{id}/expired");
                let entry = self.account.entry(&name, "breakage", left, self.now);
                let entry = AccountEntry { effect: BalanceEffect::Lapse, of: Some(&id), ..entry };
                self.apply(&AccountChange::Post(entry))?;
            }
        }
        Ok(())
    }

    fn step(&mut self, number: usize, step: &UsageStep) -> Result<Option<CreditDecision>, TestCaseError> {
        self.now += step.later;
        self.model.release_due(at(self.now));
        let id = format!("e{number:03}");
        let of = (!self.ids.is_empty()).then(|| self.ids[step.pick % self.ids.len()].clone());
        let post = |effect| (effect, false);
        let (effect, is_asked) = match step.what {
            0 | 1 => post(BalanceEffect::Grant(GrantKind::Prepayment)),
            2 => post(BalanceEffect::Grant(GrantKind::Promotion)),
            3 => post(BalanceEffect::Use),
            4 => post(BalanceEffect::TakeBack),
            5 => post(BalanceEffect::Return),
            6..=8 => (BalanceEffect::Use, true),
            9 => (BalanceEffect::TakeBack, true),
            _ => {
                let open = self.model.open();
                if open.is_empty() {
                    return Ok(None);
                }
                let (held, occurred_at, minor_units) = open[step.pick % open.len()].clone();
                if step.what == 10 {
                    let entry = self.entry(&held, BalanceEffect::Use, step, None);
                    let minor_units = step.minor_units.min(minor_units);
                    self.apply(&AccountChange::Settle(AccountEntry { minor_units, occurred_at, ..entry }))?;
                } else {
                    self.apply(&AccountChange::Release(&held))?;
                }
                return Ok(None);
            }
        };
        let entry = self.entry(&id, effect, step, of.as_deref());
        self.ids.push(id.clone());
        if !is_asked {
            self.apply(&AccountChange::Post(entry))?;
            return Ok(None);
        }
        let answer = self.account.decide(&entry, step.floor, step.what == 6, self.now);
        let before = self.model.available(entry.occurred_at, at(self.now));
        if step.what == 6 {
            let above = (before - step.floor).clamp(0, step.minor_units);
            prop_assert_eq!(answer, CreditDecision::Covered(above));
        }
        match answer {
            CreditDecision::Covered(0) => {}
            CreditDecision::Covered(minor_units) => {
                let entry = AccountEntry { minor_units, ..entry };
                let expires_at = step.lasts.map(|lasts| at(self.now + lasts));
                let change =
                    if step.what == 6 { AccountChange::Post(entry) } else { AccountChange::Reserve(entry, expires_at) };
                self.apply(&change)?;
                let after = self.model.available(entry.occurred_at, at(self.now));
                prop_assert!(after >= step.floor, "{} is below the floor {}", after, step.floor);
            }
            CreditDecision::Short { available, floor, needed } => {
                prop_assert_eq!((available, floor, needed), (before.into(), step.floor, step.minor_units));
            }
        }
        Ok(Some(answer))
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        self.model.release_due(at(self.now));
        let balance = self.account.balance(self.now);
        prop_assert_eq!(balance.available, i128::from(self.model.available(at(self.now), at(self.now))));
        prop_assert_eq!(balance.held, i128::from(self.model.held()));
        prop_assert_eq!(balance.debt, i128::from(self.model.debt(true)));
        let mut edit = super::AccountEdit::resume(&self.account.rows, std::mem::take(&mut self.account.open));
        for ago in 0..8 {
            let time = at(self.now.saturating_sub(ago));
            let available = edit.available(time, at(self.now), i128::MAX).unwrap();
            prop_assert_eq!(available, i128::from(self.model.available(time, at(self.now))));
        }
        self.account.open = edit.into_changes();
        for (index, grant) in self.model.grants.iter().enumerate() {
            let row = self.account.grant(&grant.id);
            prop_assert_eq!((row.left, row.held), (self.model.left(index), self.model.held_of(index)));
        }
        prop_assert_eq!(self.account.granted() - self.model.debt(false), self.deferred);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn an_account_agrees_with_one_that_counts_every_unit(steps in steps(), timer in any::<u64>()) {
        let mut pair = Pair::default();
        for (number, step) in steps.iter().enumerate() {
            if timer >> (number % 64) & 1 == 1 {
                pair.run_timer()?;
            }
            pair.step(number, step)?;
            pair.compare()?;
        }
    }

    #[test]
    fn no_answer_depends_on_whether_the_timer_has_run(steps in steps(), timer in any::<u64>()) {
        let (mut with, mut without) = (Pair::default(), Pair::default());
        for (number, step) in steps.iter().enumerate() {
            if timer >> (number % 64) & 1 == 1 {
                with.now += step.later;
                with.run_timer()?;
                with.now -= step.later;
            }
            // The numbers of the timer's entries do not count.
            without.account.sequence = with.account.sequence;
            prop_assert_eq!(with.step(number, step)?, without.step(number, step)?);
            let (now, times) = (with.now, [with.now, with.now + 3]);
            prop_assert_eq!(now, without.now);
            for time in times {
                prop_assert_eq!(with.account.balance(time), without.account.balance(time));
            }
        }
    }

    #[test]
    fn any_metadata_has_terms_or_is_refused(text in "\\PC{0,60}", time in any::<u64>()) {
        let _ = GrantTerms::read(&text, Timestamp::from_millis(time));
        let _ = GrantTerms::read(&format!("{{\"grant\":{text}}}"), Timestamp::from_millis(time));
    }

    #[test]
    fn bytes_sort_as_the_order_of_usage_does(
        grants in prop::collection::vec((any::<u8>(), prop::option::of(any::<u32>()), any::<bool>(), any::<u64>()), 2)
    ) {
        let grant = |(priority, expires, is_paid, sequence): (u8, Option<u32>, bool, u64)| super::super::CreditGrant {
            id: String::new(),
            kind: if is_paid { GrantKind::Prepayment } else { GrantKind::Promotion },
            priority, starts_at: at(0), expires_at: expires.map(|end| at(end.into())), closes_at: None,
            sequence, granted: 1, left: 1, held: 0,
        };
        let [a, b] = [grants[0], grants[1]].map(|given| grant(given).order());
        prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
    }
}
