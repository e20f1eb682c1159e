//! What is odd about the entries of a ledger. The ledger books what a provider moved and refuses
//! nothing for being odd; a finding names what does not add up, until later entries explain it or a
//! person closes it with a reason.
//!
//! Here are the kinds of findings and the rules that raise them, as functions over sums of the
//! entries that they concern. Which entries these are, and what is stored, is the store's task.

use crate::ids::Timestamp;
use crate::money::EntryKind;

/// After this time a reservation that nothing ended is old, in milliseconds: 30 days.
pub const RESERVATION_OLD_MILLIS: u64 = 30 * DAY_MILLIS;
/// An entry that occurred later than this after it was posted is dated in the future, in
/// milliseconds: 5 minutes.
pub const FUTURE_MILLIS: u64 = 5 * 60 * 1_000;
/// After this time an invoice must have been cleared between streams, in milliseconds: a day.
pub const CLEARING_MILLIS: u64 = DAY_MILLIS;

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;

macro_rules! finding_kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// The kind of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind { $($(#[$doc])* $variant,)* }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its number in keys of the store, which never changes.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }
        }
    };
}

finding_kinds! {
    /// Refunds and disputes, less their reversals, exceed what they answer.
    OverRefunded = 0, "over-refunded";
    /// Reversals exceed what they reverse.
    OverReversed = 1, "over-reversed";
    /// An entry answers an external id that the stream does not have.
    OfUnknown = 2, "of-unknown";
    /// More left `receivable` than arrived there.
    NegativeReceivable = 3, "negative-receivable";
    /// What streams passed on for an invoice does not sum to zero after a day.
    ClearingOpen = 4, "clearing-open";
    /// One side of a conversion has no other side.
    ConversionUnpaired = 5, "conversion-unpaired";
    /// Nothing ended a reservation for 30 days.
    ReservationOld = 6, "reservation-old";
    /// An entry occurred more than 5 minutes after it was posted.
    FutureDated = 7, "future-dated";
    /// An entry belongs to a period that was closed before.
    Late = 8, "late";
    /// A provider's id came again with other content.
    IdConflict = 9, "id-conflict";
    /// Posted entries took an account of a customer below its floor.
    BelowFloor = 10, "below-floor";
    /// Entries used more than a budget allows in a period.
    OverBudget = 11, "over-budget";
}

impl FindingKind {
    /// The kind with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// What answers one entry, summed in the currency of that entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerSums {
    /// The kind of the entry.
    pub kind: EntryKind,
    /// Its posted amount, in minor units.
    pub minor_units: i64,
    /// The sum of its reversals.
    pub reversed: i128,
    /// The sum of refunds and disputes that answer it, each less its own reversals.
    pub returned: i128,
}

impl AnswerSums {
    /// Its amount less its reversals; 0 if they exceed it.
    #[must_use]
    pub fn rest(&self) -> i128 {
        i128::from(self.minor_units).saturating_sub(self.reversed).max(0)
    }

    /// By how much its reversals exceed it, in minor units; `None` if they do not.
    #[must_use]
    pub fn over_reversed(&self) -> Option<i128> {
        let excess = self.reversed.saturating_sub(self.minor_units.into());
        (self.kind.reversal().is_some() && excess > 0).then_some(excess)
    }

    /// By how much refunds and disputes exceed it, in minor units; `None` if they do not. Only
    /// what the stream earned can be refunded, in its own currency.
    #[must_use]
    pub fn over_refunded(&self) -> Option<i128> {
        let excess = self.returned.saturating_sub(self.rest());
        (self.kind.accounts().0.is_revenue() && excess > 0).then_some(excess)
    }
}

/// Whether an entry of this kind returns to a customer what the entry that it answers took.
#[must_use]
pub const fn is_return(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Refund | EntryKind::Dispute)
}

/// Whether the sides of one `conversion` do not belong together. `sums` are what the conversion
/// added to the account `conversion`, for each currency: one gave and one received, or nothing is
/// left of it because all was reversed.
#[must_use]
pub fn is_conversion_unpaired(sums: impl IntoIterator<Item = i128>) -> bool {
    let mut sums = sums.into_iter().filter(|sum| *sum != 0);
    match (sums.next(), sums.next(), sums.next()) {
        (None, ..) => false,
        (Some(one), Some(other), None) => (one < 0) == (other < 0),
        _ => true,
    }
}

/// When an invoice that streams have not cleared becomes a finding. `since` is when the first of
/// its entries was posted.
#[must_use]
pub const fn clearing_is_open_at(since: Timestamp) -> Timestamp {
    since.plus_millis(CLEARING_MILLIS)
}

/// When a reservation becomes old, if nothing ends it.
#[must_use]
pub const fn reservation_is_old_at(reserved_at: Timestamp) -> Timestamp {
    reserved_at.plus_millis(RESERVATION_OLD_MILLIS)
}

/// Whether an entry is dated in the future. The finding closes at the entry's time.
#[must_use]
pub const fn is_future_dated(occurred_at: Timestamp, posted_at: Timestamp) -> bool {
    occurred_at.millis_since(posted_at) > FUTURE_MILLIS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sums(kind: EntryKind, minor_units: i64, reversed: i128, returned: i128) -> AnswerSums {
        AnswerSums { kind, minor_units, reversed, returned }
    }

    #[test]
    fn an_excess_is_what_exceeds_the_rest_of_the_entry() {
        use EntryKind::{Payout, Prepayment, Refund, Sale, SaleReversal, Trade};
        for (entry, refunded, reversed) in [
            (sums(Sale, 100, 0, 100), None, None),
            (sums(Sale, 100, 0, 120), Some(20), None),
            (sums(Sale, 100, 100, 1), Some(1), None),
            (sums(Sale, 100, 130, 0), None, Some(30)),
            (sums(Sale, 100, 130, 5), Some(5), Some(30)),
            // Only what was earned can be refunded, and only a kind with a reversal reversed.
            (sums(Refund, 100, 110, 50), None, Some(10)),
            (sums(Payout, 100, 0, 200), None, None),
            (sums(Prepayment, 100, 0, 200), None, None),
            (sums(SaleReversal, 100, 500, 0), None, None),
            (sums(Trade, -5, 0, 3), Some(3), None),
        ] {
            assert_eq!((entry.over_refunded(), entry.over_reversed()), (refunded, reversed), "{entry:?}");
        }
    }

    #[test]
    fn a_conversion_gives_in_one_currency_and_receives_in_another() {
        for paired in [&[5, -6][..], &[0, -6, 5], &[], &[0, 0]] {
            assert!(!is_conversion_unpaired(paired.iter().copied()), "{paired:?}");
        }
        for unpaired in [&[5][..], &[-5], &[5, 6], &[-5, -6], &[5, -6, 1], &[5, 0]] {
            assert!(is_conversion_unpaired(unpaired.iter().copied()), "{unpaired:?}");
        }
    }

    #[test]
    fn times_count_from_their_very_millisecond() {
        let at = Timestamp::from_millis;
        assert_eq!(clearing_is_open_at(at(1)), at(86_400_001));
        assert_eq!(reservation_is_old_at(at(1)), at(2_592_000_001));
        assert!(!is_future_dated(at(FUTURE_MILLIS), at(0)) && is_future_dated(at(FUTURE_MILLIS + 1), at(0)));
        assert!(!is_future_dated(at(0), at(u64::MAX)));
    }

    #[test]
    fn a_name_and_a_number_name_one_kind_of_finding() {
        for (place, kind) in FindingKind::ALL.iter().enumerate() {
            assert_eq!((FindingKind::parse(kind.as_str()), usize::from(kind.number())), (Some(*kind), place));
        }
        assert_eq!(FindingKind::parse("over_refunded"), None);
    }

    proptest! {
        #[test]
        fn returns_up_to_the_rest_are_never_a_finding(amount in 0i64.., reversed in 0i128..1 << 70, part in 0u32..=1_000) {
            let entry = sums(EntryKind::Sale, amount, reversed, 0);
            let returned = entry.rest() * i128::from(part) / 1_000;
            prop_assert_eq!(AnswerSums { returned, ..entry }.over_refunded(), None);
            let over = AnswerSums { returned: entry.rest() + 1, ..entry };
            prop_assert_eq!(over.over_refunded(), Some(1));
        }

        #[test]
        fn any_sums_have_an_answer(kind in prop::sample::select(EntryKind::ALL.to_vec()), a: i64, b: i128, c: i128) {
            let entry = sums(kind, a, b, c);
            let _ = (entry.over_refunded(), entry.over_reversed(), is_conversion_unpaired([b, c, a.into()]));
        }
    }
}
