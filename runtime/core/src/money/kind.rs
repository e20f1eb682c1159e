//! The kinds of entries: between which accounts each moves its amount, and its reversal.
//!
//! An amount moves from the account that gives to the account that receives. Net revenue is the sum
//! that left the accounts of income and expense: all kinds of sales, usage, interest and
//! adjustments, less refunds, fees, disputes and promotions. Money of customers (`prepayment`), tax
//! and payouts do not change it.

use super::account::Account;

macro_rules! kinds {
    (
        reversible { $($(#[$doc:meta])* $variant:ident / $reversal:ident => $name:literal, $from:ident, $to:ident;)* }
        irreversible { $($(#[$fdoc:meta])* $fvariant:ident => $fname:literal, $ffrom:ident, $fto:ident;)* }
    ) => {
        /// The kind of an entry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntryKind {
            $(
                $(#[$doc])* $variant,
                #[doc = concat!("What undoes an entry of kind `", $name, "`, in whole or in part.")]
                $reversal,
            )*
            $($(#[$fdoc])* $fvariant,)*
        }

        impl EntryKind {
            /// Every kind; a reversal follows the kind that it undoes.
            pub const ALL: &[Self] = &[$(Self::$variant, Self::$reversal,)* $(Self::$fvariant,)*];

            /// Its name in the WIT and the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name, Self::$reversal => concat!($name, "-reversal"),)*
                    $(Self::$fvariant => $fname,)*
                }
            }

            /// The accounts from which and to which its amount moves.
            #[must_use]
            pub const fn accounts(self) -> (Account, Account) {
                match self {
                    $(
                        Self::$variant => (Account::$from, Account::$to),
                        Self::$reversal => (Account::$to, Account::$from),
                    )*
                    $(Self::$fvariant => (Account::$ffrom, Account::$fto),)*
                }
            }

            /// The kind that undoes it: `refund-reversal` for `refund`. `None` for a reversal, and
            /// for kinds whose opposite is another entry of the same kind or of the other side of a
            /// conversion.
            #[must_use]
            pub const fn reversal(self) -> Option<Self> {
                match self { $(Self::$variant => Some(Self::$reversal),)* _ => None }
            }

            /// The kind that it undoes: `refund` for `refund-reversal`. `None` for any other kind.
            #[must_use]
            pub const fn reverses(self) -> Option<Self> {
                match self { $(Self::$reversal => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    reversible {
        /// A one-time sale.
        Sale / SaleReversal => "sale", Sales, Receivable;
        /// A payment of a subscription.
        Subscription / SubscriptionReversal => "subscription", Subscriptions, Receivable;
        /// A commission earned.
        Commission / CommissionReversal => "commission", Commissions, Receivable;
        /// Billed usage.
        Usage / UsageReversal => "usage", Usage, Receivable;
        /// Interest earned.
        Interest / InterestReversal => "interest", Interest, Receivable;
        /// A refund.
        Refund / RefundReversal => "refund", Receivable, Refunds;
        /// A fee paid.
        Fee / FeeReversal => "fee", Receivable, Fees;
        /// Money that a dispute withholds or loses.
        Dispute / DisputeReversal => "dispute", Receivable, Disputes;
        /// Tax collected, which is not revenue.
        Tax / TaxReversal => "tax", TaxHeld, Receivable;
        /// Tax paid to the authority.
        TaxPaid / TaxPaidReversal => "tax-paid", Bank, TaxHeld;
        /// Money moved to the bank.
        Payout / PayoutReversal => "payout", Receivable, Bank;
        /// Money moved from the bank to the provider.
        Deposit / DepositReversal => "deposit", Bank, Receivable;
        /// Money that a customer paid in advance, which is not revenue yet.
        Prepayment / PrepaymentReversal => "prepayment", Deferred, Receivable;
        /// Credit that a customer received as a gift.
        Promotion / PromotionReversal => "promotion", Deferred, Promotions;
        /// Usage that a customer's credit pays. It is revenue.
        Drawdown / DrawdownReversal => "drawdown", Usage, Deferred;
        /// Credit that expired unused. It is revenue.
        Breakage / BreakageReversal => "breakage", Usage, Deferred;
        /// Money received from another stream.
        Received / ReceivedReversal => "received", Clearing, Receivable;
        /// Money collected for another stream.
        Collected / CollectedReversal => "collected", Receivable, Clearing;
    }
    irreversible {
        /// The gain of a trade, or its loss if it is negative.
        Trade => "trade", Trades, Receivable;
        /// A correction in either direction.
        Adjustment => "adjustment", Adjustments, Receivable;
        /// What a provider's conversion takes in one currency.
        ConversionOut => "conversion-out", Receivable, Conversion;
        /// What a provider's conversion gives in another currency.
        ConversionIn => "conversion-in", Conversion, Receivable;
    }
}

impl EntryKind {
    /// The kind with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// The kind that undoes it with the same amount: its reversal, what it reverses, or the other
    /// side of a conversion. `None` for a trade or an adjustment, which the same kind undoes with
    /// the opposite amount.
    #[must_use]
    pub const fn opposite(self) -> Option<Self> {
        match (self, self.reversal()) {
            (Self::ConversionOut, _) => Some(Self::ConversionIn),
            (Self::ConversionIn, _) => Some(Self::ConversionOut),
            (_, Some(reversal)) => Some(reversal),
            (_, None) => self.reverses(),
        }
    }

    /// Whether its amount may be negative, if it is posted. What is reserved is above zero.
    #[must_use]
    pub const fn may_be_negative(self) -> bool {
        matches!(self, Self::Trade | Self::Adjustment)
    }

    /// Whether it is a side of a conversion, whose metadata name the `conversion`.
    #[must_use]
    pub const fn is_conversion(self) -> bool {
        matches!(self, Self::ConversionOut | Self::ConversionIn)
    }

    /// The kind without `-reversal`.
    #[must_use]
    pub const fn base(self) -> Self {
        match self.reverses() {
            Some(base) => base,
            None => self,
        }
    }

    /// Whether an entry of this kind that names a customer moves the customer's credit. Then the
    /// customer is content.
    #[must_use]
    pub const fn moves_credit(self) -> bool {
        matches!(self.base(), Self::Prepayment | Self::Promotion | Self::Drawdown | Self::Breakage)
    }

    /// Whether an entry of this kind that names a customer grants credit.
    #[must_use]
    pub const fn is_grant(self) -> bool {
        matches!(self, Self::Prepayment | Self::Promotion)
    }

    pub(super) const fn sign_rule(self) -> &'static str {
        if self.may_be_negative() { "never zero" } else { "above zero, because the kind defines the direction" }
    }

    /// The kind that a text probably means.
    pub(super) fn nearest(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let lower = text.to_ascii_lowercase().replace('_', "-");
        let near = Self::ALL.iter().map(|kind| (strsim::damerau_levenshtein(&lower, kind.as_str()), *kind));
        near.filter(|(distance, _)| *distance <= 2).min().map(|(_, kind)| kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_names_one_kind() {
        for kind in EntryKind::ALL {
            assert_eq!(EntryKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(EntryKind::parse("payout-reversal"), Some(EntryKind::PayoutReversal));
        assert_eq!(EntryKind::parse("trade-reversal"), None);
        assert_eq!(EntryKind::parse("sale-reversal-reversal"), None);
    }

    #[test]
    fn each_kind_moves_its_amount_as_designed() {
        use Account::*;
        for (name, from, to) in [
            ("sale", Sales, Receivable),
            ("subscription", Subscriptions, Receivable),
            ("commission", Commissions, Receivable),
            ("trade", Trades, Receivable),
            ("usage", Usage, Receivable),
            ("interest", Interest, Receivable),
            ("refund", Receivable, Refunds),
            ("fee", Receivable, Fees),
            ("dispute", Receivable, Disputes),
            ("tax", TaxHeld, Receivable),
            ("payout", Receivable, Bank),
            ("payout-reversal", Bank, Receivable),
            ("adjustment", Adjustments, Receivable),
            ("deposit", Bank, Receivable),
            ("tax-paid", Bank, TaxHeld),
            ("prepayment", Deferred, Receivable),
            ("promotion", Deferred, Promotions),
            ("drawdown", Usage, Deferred),
            ("breakage", Usage, Deferred),
            ("received", Clearing, Receivable),
            ("collected", Receivable, Clearing),
            ("conversion-out", Receivable, Conversion),
            ("conversion-in", Conversion, Receivable),
        ] {
            assert_eq!(EntryKind::parse(name).unwrap().accounts(), (from, to), "{name}");
        }
    }

    #[test]
    fn each_kind_but_four_has_a_reversal_with_the_accounts_swapped() {
        for kind in EntryKind::ALL.iter().filter(|kind| kind.reverses().is_none()) {
            let final_kinds = ["trade", "adjustment", "conversion-out", "conversion-in"];
            assert_eq!(kind.reversal().is_none(), final_kinds.contains(&kind.as_str()), "{kind:?}");
            let Some(reversal) = kind.reversal() else { continue };
            let (from, to) = kind.accounts();
            assert_eq!(reversal.accounts(), (to, from));
            assert_eq!(reversal.as_str(), format!("{}-reversal", kind.as_str()));
            assert_eq!((reversal.reverses(), reversal.reversal()), (Some(*kind), None));
            assert_eq!((kind.base(), reversal.base()), (*kind, *kind));
        }
    }

    #[test]
    fn an_opposite_swaps_the_accounts_and_is_mutual() {
        for kind in EntryKind::ALL {
            assert_eq!(kind.opposite().is_none(), kind.may_be_negative(), "{kind:?}");
            let Some(opposite) = kind.opposite() else { continue };
            let (from, to) = kind.accounts();
            assert_eq!((opposite.accounts(), opposite.opposite()), ((to, from), Some(*kind)));
        }
    }

    #[test]
    fn only_trades_and_adjustments_may_be_negative() {
        let may: Vec<_> = EntryKind::ALL.iter().filter(|kind| kind.may_be_negative()).collect();
        assert_eq!(may, [&EntryKind::Trade, &EntryKind::Adjustment]);
    }
}
