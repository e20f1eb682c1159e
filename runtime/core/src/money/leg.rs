//! The two legs of an entry, and their effect on net revenue.

use super::account::Account;
use super::kind::EntryKind;

/// One side of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// The account.
    pub account: Account,
    /// The amount that the account receives, in minor units; negative if it gives it.
    pub minor_units: i64,
}

impl EntryKind {
    /// The legs of an entry of this kind: the account that gives, and the account that receives.
    /// They sum to zero. `None` for the least `i64`, which has no opposite.
    #[must_use]
    pub const fn legs(self, minor_units: i64) -> Option<[Leg; 2]> {
        let Some(minus) = minor_units.checked_neg() else { return None };
        let (from, to) = self.accounts();
        Some([Leg { account: from, minor_units: minus }, Leg { account: to, minor_units }])
    }
}

/// The effect on net revenue of two legs that sum to zero: what leaves revenue accounts, less what
/// they receive.
#[must_use]
pub fn net_revenue(legs: [Leg; 2]) -> i64 {
    let of = |leg: Leg| if leg.account.is_revenue() { leg.minor_units } else { 0 };
    let [first, second] = legs;
    of(first).saturating_add(of(second)).saturating_neg()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_changes_revenue_as_designed() {
        for kind in EntryKind::ALL {
            let of_base = match kind.base().as_str() {
                "sale" | "subscription" | "commission" | "trade" | "usage" | "interest" | "adjustment" | "drawdown"
                | "breakage" => 100,
                "refund" | "fee" | "dispute" | "promotion" => -100,
                _ => 0,
            };
            let expected = if kind.reverses().is_some() { -of_base } else { of_base };
            assert_eq!(net_revenue(kind.legs(100).unwrap()), expected, "{kind:?}");
        }
        assert_eq!(net_revenue(EntryKind::Trade.legs(-100).unwrap()), -100);
        assert_eq!(EntryKind::Trade.legs(i64::MIN), None);
    }

    proptest! {
        #[test]
        fn legs_sum_to_zero_and_a_reversal_undoes_its_kind_in_every_account(
            kind in prop::sample::select(EntryKind::ALL.to_vec()), minor_units in -i64::MAX..=i64::MAX
        ) {
            let legs = kind.legs(minor_units).unwrap();
            prop_assert_eq!(legs.iter().map(|leg| i128::from(leg.minor_units)).sum::<i128>(), 0);
            prop_assert_eq!(legs[1].minor_units, minor_units);
            if let Some(reversal) = kind.reversal() {
                let mut accounts: BTreeMap<Account, i128> = BTreeMap::new();
                let undone = reversal.legs(minor_units).unwrap();
                for leg in legs.iter().chain(&undone) {
                    *accounts.entry(leg.account).or_default() += i128::from(leg.minor_units);
                }
                prop_assert!(accounts.values().all(|balance| *balance == 0));
                prop_assert_eq!(net_revenue(legs), -net_revenue(undone));
            }
        }
    }
}
