//! What is odd about the entries of a ledger. The ledger books what a provider moved and refuses
//! nothing for being odd; a finding names what does not add up, until later entries explain it or a
//! person closes it with a reason.
//!
//! Here are the kinds of findings and the rules that raise them, as functions over the entries that
//! they concern. Which entries these are, and what is stored, is the store's task.

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
    ($($(#[$doc:meta])* $variant:ident => $name:literal;)*) => {
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
        }
    };
}

finding_kinds! {
    /// Refunds and disputes, less their reversals, exceed what they answer.
    OverRefunded => "over-refunded";
    /// Reversals exceed what they reverse.
    OverReversed => "over-reversed";
    /// An entry answers an external id that the stream does not have.
    OfUnknown => "of-unknown";
    /// More left `receivable` than arrived there.
    NegativeReceivable => "negative-receivable";
    /// What streams passed on for an invoice does not sum to zero after a day.
    ClearingOpen => "clearing-open";
    /// One side of a conversion has no other side.
    ConversionUnpaired => "conversion-unpaired";
    /// Nothing ended a reservation for 30 days.
    ReservationOld => "reservation-old";
    /// An entry occurred more than 5 minutes after it was posted.
    FutureDated => "future-dated";
    /// An entry belongs to a period that was closed before.
    Late => "late";
    /// A provider's id came again with other content.
    IdConflict => "id-conflict";
    /// A provider's record has no kind of entry.
    Unmapped => "unmapped";
    /// A provider's report and the ledger differ.
    Reconciliation => "reconciliation";
    /// A posted entry took an account below its floor.
    BelowFloor => "below-floor";
    /// A posted entry exceeded a budget.
    OverBudget => "over-budget";
}

impl FindingKind {
    /// The kind with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// What a rule needs of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelatedEntry<'a> {
    /// Its kind.
    pub kind: EntryKind,
    /// Its posted amount, in minor units.
    pub minor_units: i64,
    /// Its currency.
    pub currency: &'a str,
}

/// An entry, the entries that answer it, and the entries that answer these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredEntry<'a> {
    /// The entry.
    pub entry: RelatedEntry<'a>,
    /// The entries whose `of` names it.
    pub answers: Vec<Self>,
}

impl AnsweredEntry<'_> {
    /// The sum of its reversals in its own currency, in minor units.
    fn reversed(&self) -> i128 {
        let Some(reversal) = self.entry.kind.reversal() else { return 0 };
        let reversals = self.answers.iter().map(|answer| answer.entry);
        reversals
            .filter(|entry| entry.kind == reversal && entry.currency == self.entry.currency)
            .map(|entry| i128::from(entry.minor_units))
            .sum()
    }

    /// Its amount less its reversals; 0 if they exceed it.
    fn rest(&self) -> i128 {
        (i128::from(self.entry.minor_units) - self.reversed()).max(0)
    }

    /// By how much its reversals exceed it, in minor units; `None` if they do not.
    #[must_use]
    pub fn over_reversed(&self) -> Option<i128> {
        let excess = self.reversed() - i128::from(self.entry.minor_units);
        (self.entry.kind.reversal().is_some() && excess > 0).then_some(excess)
    }

    /// By how much refunds and disputes, less their reversals, exceed it, in minor units; `None` if
    /// they do not. Only income can be refunded, in its own currency.
    #[must_use]
    pub fn over_refunded(&self) -> Option<i128> {
        let is_return = |kind| matches!(kind, EntryKind::Refund | EntryKind::Dispute);
        let returns = self.answers.iter().filter(|answer| is_return(answer.entry.kind));
        let returned: i128 =
            returns.filter(|answer| answer.entry.currency == self.entry.currency).map(Self::rest).sum();
        let excess = returned - self.rest();
        (self.entry.kind.accounts().0.is_revenue() && excess > 0).then_some(excess)
    }
}

/// Whether the entries of one `conversion` id are anything but one side each, in two currencies.
#[must_use]
pub fn is_conversion_unpaired(entries: &[RelatedEntry<'_>]) -> bool {
    let currency = |kind| {
        let mut sides = entries.iter().filter(|entry| entry.kind == kind).map(|entry| entry.currency);
        sides.next().filter(|_| sides.next().is_none())
    };
    let sides = (currency(EntryKind::ConversionOut), currency(EntryKind::ConversionIn));
    !matches!(sides, (Some(out), Some(into)) if out != into)
}

/// Whether what streams passed on for an invoice should have been cleared by now. `sum` is the
/// invoice's balance of `clearing` in one currency, `since` the time of its first entry.
#[must_use]
pub const fn is_clearing_open(sum: i128, since: Timestamp, now: Timestamp) -> bool {
    sum != 0 && now.millis_since(since) >= CLEARING_MILLIS
}

/// Whether a reservation that nothing has ended is old.
#[must_use]
pub const fn is_reservation_old(reserved_at: Timestamp, now: Timestamp) -> bool {
    now.millis_since(reserved_at) >= RESERVATION_OLD_MILLIS
}

/// Whether an entry is dated in the future. Such a finding closes once its time is past.
#[must_use]
pub const fn is_future_dated(occurred_at: Timestamp, posted_at: Timestamp) -> bool {
    occurred_at.millis_since(posted_at) > FUTURE_MILLIS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(kind: EntryKind, minor_units: i64) -> RelatedEntry<'static> {
        RelatedEntry { kind, minor_units, currency: "EUR" }
    }

    fn answered(kind: EntryKind, minor_units: i64, answers: Vec<AnsweredEntry<'static>>) -> AnsweredEntry<'static> {
        AnsweredEntry { entry: entry(kind, minor_units), answers }
    }

    #[test]
    fn a_sale_is_over_refunded_until_a_reversal_explains_it() {
        use EntryKind::{Dispute, DisputeReversal, Refund, RefundReversal, Sale, SaleReversal};
        let leaf = |kind, minor_units| answered(kind, minor_units, vec![]);
        let mut sale = answered(Sale, 100, vec![leaf(Refund, 60)]);
        assert_eq!(sale.over_refunded(), None);
        sale.answers.push(answered(Dispute, 60, vec![]));
        assert_eq!(sale.over_refunded(), Some(20));
        sale.answers[1].answers.push(leaf(DisputeReversal, 60));
        assert_eq!(sale.over_refunded(), None);
        sale.answers[0].answers.push(leaf(RefundReversal, 70));
        assert_eq!((sale.over_refunded(), sale.over_reversed()), (None, None));
        assert_eq!(sale.answers[0].over_reversed(), Some(10));
        sale.answers.push(leaf(SaleReversal, 100));
        sale.answers.push(leaf(Refund, 1));
        assert_eq!(sale.over_refunded(), Some(1));
        let dollars = RelatedEntry { currency: "USD", ..entry(Refund, 1_000) };
        sale.answers = vec![AnsweredEntry { entry: dollars, answers: vec![] }];
        assert_eq!(sale.over_refunded(), None, "another currency does not compare");
    }

    #[test]
    fn a_conversion_has_one_side_in_each_of_two_currencies() {
        let (out, into) =
            (entry(EntryKind::ConversionOut, 5), RelatedEntry { currency: "USD", ..entry(EntryKind::ConversionIn, 6) });
        assert!(!is_conversion_unpaired(&[into, out]));
        for sides in [&[out][..], &[into], &[], &[out, out, into], &[out, entry(EntryKind::ConversionIn, 5)]] {
            assert!(is_conversion_unpaired(sides), "{sides:?}");
        }
    }

    #[test]
    fn times_count_from_their_very_millisecond() {
        let at = Timestamp::from_millis;
        assert!(!is_clearing_open(0, at(0), at(u64::MAX)));
        assert!(
            !is_clearing_open(5, at(1), at(CLEARING_MILLIS)) && is_clearing_open(-5, at(1), at(CLEARING_MILLIS + 1))
        );
        assert!(
            !is_reservation_old(at(1), at(RESERVATION_OLD_MILLIS))
                && is_reservation_old(at(0), at(RESERVATION_OLD_MILLIS))
        );
        assert!(!is_future_dated(at(FUTURE_MILLIS), at(0)) && is_future_dated(at(FUTURE_MILLIS + 1), at(0)));
        assert!(!is_future_dated(at(0), at(u64::MAX)));
    }

    #[test]
    fn a_name_names_one_kind_of_finding() {
        for kind in FindingKind::ALL {
            assert_eq!(FindingKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(FindingKind::parse("over_refunded"), None);
    }

    proptest! {
        #[test]
        fn returns_up_to_the_amount_are_never_a_finding(
            amount in 1i64.., parts in prop::collection::vec((1u32..1_000, any::<bool>()), 1..10)
        ) {
            let total: u64 = parts.iter().map(|(part, _)| u64::from(*part)).sum();
            let answers = |scale: i64| parts.iter().map(|(part, refund)| {
                let kind = if *refund { EntryKind::Refund } else { EntryKind::Dispute };
                answered(kind, i64::from(*part).saturating_mul(scale), vec![])
            }).collect();
            let scale = amount / i64::try_from(total).unwrap();
            prop_assert_eq!(answered(EntryKind::Sale, amount, answers(scale)).over_refunded(), None);
            let excess = i128::from(total) - 1;
            let tight = answered(EntryKind::Sale, 1, answers(1)).over_refunded();
            prop_assert_eq!(tight, (excess > 0).then_some(excess));
        }
    }
}
