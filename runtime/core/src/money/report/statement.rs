//! The lines of a statement: what each account held at the start of a range and at its end, from
//! the sums of each kind of entry.

use std::collections::BTreeMap;

use crate::money::{Account, EntryKind};

/// What the entries of one kind moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindMovement {
    /// The kind.
    pub kind: EntryKind,
    /// The sum of the posted amounts, in minor units.
    pub posted: i128,
    /// The change of the pending amount, in minor units.
    pub pending: i128,
}

/// An account in a statement. Amounts have the sign of reports: income and liabilities are above
/// zero if the account gave more than it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLine {
    /// The account.
    pub account: Account,
    /// The posted balance at the start, in minor units.
    pub opening: i128,
    /// The posted balance at the end, in minor units.
    pub closing: i128,
    /// The pending balance at the end, in minor units.
    pub pending: i128,
}

/// Returns a line for each account that has a balance or moved: from everything before the range,
/// and everything in it, of one currency.
#[must_use]
pub fn account_lines(before: &[KindMovement], within: &[KindMovement]) -> Vec<AccountLine> {
    let mut lines: BTreeMap<Account, AccountLine> = BTreeMap::new();
    let parts = before.iter().map(|movement| (movement, true)).chain(within.iter().map(|movement| (movement, false)));
    for (movement, is_before) in parts {
        if movement.posted == 0 && movement.pending == 0 {
            continue;
        }
        let (from, to) = movement.kind.accounts();
        for (account, direction) in [(from, -1), (to, 1)] {
            let sign = direction * i128::from(account.account_type().report_sign());
            let line = lines.entry(account).or_insert(AccountLine { account, opening: 0, closing: 0, pending: 0 });
            let posted = movement.posted.saturating_mul(sign);
            if is_before {
                line.opening = line.opening.saturating_add(posted);
            }
            line.closing = line.closing.saturating_add(posted);
            line.pending = line.pending.saturating_add(movement.pending.saturating_mul(sign));
        }
    }
    lines.into_values().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn movement(kind: EntryKind, posted: i128, pending: i128) -> KindMovement {
        KindMovement { kind, posted, pending }
    }

    #[test]
    fn a_sale_and_its_refund_show_on_their_accounts() {
        let lines = account_lines(
            &[movement(EntryKind::Sale, 100, 0)],
            &[movement(EntryKind::Refund, 30, 0), movement(EntryKind::Tax, 19, 0), movement(EntryKind::Usage, 0, 5)],
        );
        let line = |account, opening, closing, pending| AccountLine { account, opening, closing, pending };
        assert_eq!(
            lines,
            [
                line(Account::Receivable, 100, 89, 5),
                line(Account::TaxHeld, 0, 19, 0),
                line(Account::Sales, 100, 100, 0),
                line(Account::Usage, 0, 0, 5),
                line(Account::Refunds, 0, 30, 0),
            ]
        );
    }

    proptest! {
        #[test]
        fn lines_balance_and_a_range_continues_where_the_one_before_ended(
            parts in prop::collection::vec((prop::sample::select(EntryKind::ALL.to_vec()), any::<i64>(), any::<i64>(), any::<bool>()), 0..60),
        ) {
            let pick = |within: bool| -> Vec<_> {
                let parts = parts.iter().filter(|(.., is_within)| *is_within == within);
                parts.map(|(kind, posted, pending, _)| movement(*kind, (*posted).into(), (*pending).into())).collect()
            };
            let (before, within) = (pick(false), pick(true));
            let lines = account_lines(&before, &within);
            let sum = |amount: fn(&AccountLine) -> i128| -> i128 {
                lines.iter().map(|line| amount(line) * i128::from(line.account.account_type().report_sign())).sum()
            };
            prop_assert_eq!((sum(|line| line.opening), sum(|line| line.closing), sum(|line| line.pending)), (0, 0, 0));
            for line in account_lines(&[], &before) {
                let next = lines.iter().find(|next| next.account == line.account);
                prop_assert_eq!(next.map(|next| next.opening), Some(line.closing));
            }
        }
    }
}
