//! The entries that a stream reports, their checks, and the two legs that the ledger writes for
//! each.
//!
//! A leg is an amount that an account receives, or gives if it is negative; the two legs sum to
//! zero. A sale moves its amount from `sales` to `receivable`, the amount that the provider holds
//! for the owner; a payout moves it on to `bank`. Net revenue is the sum that left the revenue
//! accounts: all kinds of sales and adjustments, less refunds, fees and disputes. Tax is held
//! separately, and a payout does not change revenue.

use sha2::{Digest as _, Sha256};

use super::{Currencies, Money};
use crate::codes::Code;
use crate::ids::Timestamp;
use crate::wire::json;

/// Maximum length of an external id, in bytes.
pub const EXTERNAL_ID_BYTES: usize = 256;
/// Maximum length of a customer, in bytes.
pub const CUSTOMER_BYTES: usize = 256;
/// Maximum length of a description, in bytes.
pub const DESCRIPTION_BYTES: usize = 1_024;
/// Maximum size of the metadata, in bytes of JSON.
pub const METADATA_BYTES: usize = 16 * 1024;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $from:ident, $to:ident;)*) => {
        /// The kind of an entry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntryKind { $($(#[$doc])* $variant,)* }

        impl EntryKind {
            /// Every kind, in the order of the WIT.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the WIT and the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The accounts from which and to which its amount moves.
            #[must_use]
            pub const fn accounts(self) -> (Account, Account) {
                match self { $(Self::$variant => (Account::$from, Account::$to),)* }
            }
        }
    };
}

kinds! {
    /// A one-time sale.
    Sale => "sale", Sales, Receivable;
    /// A payment of a subscription.
    Subscription => "subscription", Subscriptions, Receivable;
    /// A commission earned.
    Commission => "commission", Commissions, Receivable;
    /// The gain of a trade, or its loss if it is negative.
    Trade => "trade", Trades, Receivable;
    /// Billed usage.
    Usage => "usage", Usage, Receivable;
    /// Interest earned.
    Interest => "interest", Interest, Receivable;
    /// A refund.
    Refund => "refund", Receivable, Refunds;
    /// A fee paid.
    Fee => "fee", Receivable, Fees;
    /// Money that a dispute withholds or loses.
    Dispute => "dispute", Receivable, Disputes;
    /// Tax collected, which is not revenue.
    Tax => "tax", TaxHeld, Receivable;
    /// Money moved to the bank.
    Payout => "payout", Receivable, Bank;
    /// A returned payout.
    PayoutReversal => "payout-reversal", Bank, Receivable;
    /// A correction in either direction.
    Adjustment => "adjustment", Adjustments, Receivable;
}

impl EntryKind {
    /// The kind with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// Whether its amount may be negative.
    #[must_use]
    pub const fn may_be_negative(self) -> bool {
        matches!(self, Self::Trade | Self::Adjustment)
    }

    const fn sign_rule(self) -> &'static str {
        if self.may_be_negative() { "never zero" } else { "above zero, because the kind defines the direction" }
    }
}

macro_rules! accounts {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, revenue: $revenue:literal;)*) => {
        /// An account of a stream.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Account { $($(#[$doc])* $variant,)* }

        impl Account {
            /// Every account.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether amounts that leave it are net revenue.
            #[must_use]
            pub const fn is_revenue(self) -> bool {
                match self { $(Self::$variant => $revenue,)* }
            }
        }
    };
}

accounts! {
    /// Money that the provider holds for the owner.
    Receivable => "receivable", revenue: false;
    /// Money at the bank.
    Bank => "bank", revenue: false;
    /// Tax that was collected and is owed.
    TaxHeld => "tax-held", revenue: false;
    /// One-time sales.
    Sales => "sales", revenue: true;
    /// Subscriptions.
    Subscriptions => "subscriptions", revenue: true;
    /// Commissions.
    Commissions => "commissions", revenue: true;
    /// Gains and losses of trades.
    Trades => "trades", revenue: true;
    /// Billed usage.
    Usage => "usage", revenue: true;
    /// Interest.
    Interest => "interest", revenue: true;
    /// Corrections.
    Adjustments => "adjustments", revenue: true;
    /// Refunds.
    Refunds => "refunds", revenue: true;
    /// Fees.
    Fees => "fees", revenue: true;
    /// Disputes.
    Disputes => "disputes", revenue: true;
}

/// An entry as the guest reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryDraft<'a> {
    /// The provider's own id; 1 to [`EXTERNAL_ID_BYTES`].
    pub external_id: &'a str,
    /// The name of an [`EntryKind`].
    pub kind: &'a str,
    /// The amount, in minor units.
    pub minor_units: i64,
    /// Code of its currency.
    pub currency: &'a str,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The customer; at most [`CUSTOMER_BYTES`].
    pub customer: Option<&'a str>,
    /// The description; at most [`DESCRIPTION_BYTES`].
    pub description: &'a str,
    /// The metadata: the text of one JSON value; at most [`METADATA_BYTES`].
    pub metadata: &'a str,
}

/// One side of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// The account.
    pub account: Account,
    /// The amount that the account receives, in minor units; negative if it gives it.
    pub minor_units: i64,
}

/// The ledger's record of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The amount of the entry.
    pub amount: Money,
    /// Two legs that sum to zero: the account that gives, and the account that receives.
    pub legs: [Leg; 2],
    /// The change of net revenue, in minor units.
    pub net_revenue: i64,
    /// Hash of all fields except the external id. The same id with another hash is a
    /// [`Code::ExternalIdConflict`]. Metadata counts as a value: spaces and the order of names do
    /// not matter.
    pub fingerprint: [u8; 16],
}

/// Why an entry cannot be posted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    /// The kind does not exist.
    #[error("there is no kind of entry `{given}`{}", .nearest.map(|kind| format!("; did you mean `{}`?", kind.as_str())).unwrap_or_default())]
    Kind {
        /// The given name.
        given: String,
        /// The nearest existing kind.
        nearest: Option<EntryKind>,
    },
    /// The currency does not exist.
    #[error("`{0}` is neither a currency of ISO 4217 nor a unit that the operator declared")]
    Currency(String),
    /// The amount is zero, or negative although the kind has a direction.
    #[error("an amount of {minor_units} for the kind `{}`: it is {}", .kind.as_str(), .kind.sign_rule())]
    Sign {
        /// The amount.
        minor_units: i64,
        /// The kind.
        kind: EntryKind,
    },
    /// The amount is out of range.
    #[error("an amount of {0} is out of range")]
    Overflow(i64),
    /// A field is out of bounds.
    #[error("`{field}` {rule}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its rule.
        rule: &'static str,
    },
}

impl InvalidEntry {
    /// Code of the failure for the guest.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Kind { .. } => Code::BadKind,
            Self::Currency(_) => Code::UnknownCurrency,
            Self::Sign { .. } => Code::WrongSign,
            Self::Overflow(_) => Code::AmountOverflow,
            Self::Field { .. } => Code::BadEntry,
        }
    }
}

impl EntryDraft<'_> {
    /// Checks the entry and returns its posting.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, currencies: &Currencies) -> Result<Posting, InvalidEntry> {
        let field = |field, rule| Err(InvalidEntry::Field { field, rule });
        if self.external_id.is_empty() || self.external_id.len() > EXTERNAL_ID_BYTES {
            return field("external-id", "has 1 to 256 bytes");
        }
        if self.external_id.chars().any(char::is_control) {
            return field("external-id", "holds no control characters");
        }
        if self.customer.is_some_and(|customer| customer.len() > CUSTOMER_BYTES) {
            return field("customer", "has at most 256 bytes");
        }
        if self.description.len() > DESCRIPTION_BYTES {
            return field("description", "has at most 1024 bytes");
        }
        if self.occurred_at > Timestamp::MAX {
            return field("occurred-at", "lies before the year 10000");
        }
        let Ok(metadata) = json::parse(self.metadata.as_bytes(), METADATA_BYTES) else {
            return field("metadata", "is one JSON value of at most 16 KiB, with no name given twice");
        };
        let kind = EntryKind::parse(self.kind)
            .ok_or_else(|| InvalidEntry::Kind { given: json::shown(self.kind), nearest: nearest_kind(self.kind) })?;
        let currency =
            currencies.get(self.currency).ok_or_else(|| InvalidEntry::Currency(json::shown(self.currency)))?;
        if self.minor_units == 0 || (self.minor_units < 0 && !kind.may_be_negative()) {
            return Err(InvalidEntry::Sign { minor_units: self.minor_units, kind });
        }
        let minus = self.minor_units.checked_neg().ok_or(InvalidEntry::Overflow(self.minor_units))?;
        let (from, to) = kind.accounts();
        let legs = [Leg { account: from, minor_units: minus }, Leg { account: to, minor_units: self.minor_units }];
        Ok(Posting {
            kind,
            amount: Money { minor_units: self.minor_units, currency },
            legs,
            net_revenue: net_revenue(legs),
            fingerprint: self.fingerprint(&metadata.to_string()),
        })
    }

    fn fingerprint(&self, metadata: &str) -> [u8; 16] {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        put(self.kind.as_bytes());
        put(&self.minor_units.to_le_bytes());
        put(self.currency.as_bytes());
        put(&self.occurred_at.as_millis().to_le_bytes());
        put(&[u8::from(self.customer.is_some())]);
        put(self.customer.unwrap_or_default().as_bytes());
        put(self.description.as_bytes());
        put(metadata.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
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

fn nearest_kind(text: &str) -> Option<EntryKind> {
    if text.len() > 64 {
        return None;
    }
    let lower = text.to_ascii_lowercase().replace('_', "-");
    EntryKind::ALL
        .iter()
        .map(|kind| (strsim::damerau_levenshtein(&lower, kind.as_str()), *kind))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn draft<'a>(kind: &'a str, minor_units: i64) -> EntryDraft<'a> {
        EntryDraft {
            external_id: "ch_1",
            kind,
            minor_units,
            currency: "EUR",
            occurred_at: Timestamp::from_millis(1),
            customer: None,
            description: "",
            metadata: "{}",
        }
    }

    fn check(draft: EntryDraft<'_>) -> Result<Posting, InvalidEntry> {
        draft.check(&Currencies::default())
    }

    #[test]
    fn each_kind_changes_revenue_as_designed() {
        for (kind, revenue) in [
            ("sale", 100),
            ("subscription", 100),
            ("commission", 100),
            ("trade", 100),
            ("usage", 100),
            ("interest", 100),
            ("adjustment", 100),
            ("refund", -100),
            ("fee", -100),
            ("dispute", -100),
            ("tax", 0),
            ("payout", 0),
            ("payout-reversal", 0),
        ] {
            assert_eq!(check(draft(kind, 100)).unwrap().net_revenue, revenue, "{kind}");
        }
        assert_eq!(check(draft("trade", -100)).unwrap().net_revenue, -100);
        assert_eq!(check(draft("adjustment", -100)).unwrap().net_revenue, -100);
    }

    #[test]
    fn an_entry_that_breaks_a_rule_is_refused_with_its_code() {
        let long = "x".repeat(1_025);
        let meta = format!("\"{}\"", "x".repeat(METADATA_BYTES));
        for (bad, code) in [
            (draft("sail", 1), Code::BadKind),
            (draft("sale", 0), Code::WrongSign),
            (draft("refund", -1), Code::WrongSign),
            (draft("trade", 0), Code::WrongSign),
            (draft("trade", i64::MIN), Code::AmountOverflow),
            (EntryDraft { currency: "eur", ..draft("sale", 1) }, Code::UnknownCurrency),
            (EntryDraft { external_id: "", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { external_id: "a\nb", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { external_id: &long, ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { customer: Some(&long), ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { description: &long, ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { metadata: "", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { metadata: &meta, ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { occurred_at: Timestamp::from_millis(u64::MAX), ..draft("sale", 1) }, Code::BadEntry),
        ] {
            assert_eq!(check(bad).unwrap_err().code(), code, "{bad:?}");
        }
        assert_eq!(
            check(draft("sail", 1)).unwrap_err().to_string(),
            "there is no kind of entry `sail`; did you mean `sale`?"
        );
        assert_eq!(
            check(draft("trade", 0)).unwrap_err().to_string(),
            "an amount of 0 for the kind `trade`: it is never zero"
        );
    }

    #[test]
    fn equal_entries_have_equal_fingerprints_and_different_entries_do_not() {
        let base = EntryDraft { metadata: r#"{"a":1,"b":2}"#, ..draft("sale", 5) };
        let print = |draft| check(draft).unwrap().fingerprint;
        assert_eq!(print(base), print(EntryDraft { metadata: r#"{ "b": 2, "a": 1 }"#, ..base }));
        assert_eq!(print(base), print(EntryDraft { external_id: "other", ..base }));
        for other in [
            EntryDraft { kind: "usage", ..base },
            EntryDraft { minor_units: 6, ..base },
            EntryDraft { currency: "USD", ..base },
            EntryDraft { occurred_at: Timestamp::from_millis(2), ..base },
            EntryDraft { customer: Some(""), ..base },
            EntryDraft { description: "x", ..base },
            EntryDraft { metadata: "{}", ..base },
        ] {
            assert_ne!(print(base), print(other), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn the_books_balance_and_revenue_follows_the_accounts(
            entries in prop::collection::vec((prop::sample::select(EntryKind::ALL.to_vec()), any::<i64>(), any::<bool>()), 0..40)
        ) {
            let mut accounts: BTreeMap<(&str, Account), i128> = BTreeMap::new();
            let mut revenue: BTreeMap<&str, i128> = BTreeMap::new();
            for (kind, minor_units, euro) in &entries {
                let currency = if *euro { "EUR" } else { "JPY" };
                let entry = EntryDraft { currency, ..draft(kind.as_str(), *minor_units) };
                let Ok(posting) = check(entry) else { continue };
                for leg in posting.legs {
                    *accounts.entry((currency, leg.account)).or_default() += i128::from(leg.minor_units);
                }
                *revenue.entry(currency).or_default() += i128::from(posting.net_revenue);
            }
            for currency in ["EUR", "JPY"] {
                let sum = |pick: fn(Account) -> bool| -> i128 {
                    accounts.iter().filter(|((c, account), _)| *c == currency && pick(*account)).map(|(_, n)| n).sum()
                };
                prop_assert_eq!(sum(|_| true), 0);
                prop_assert_eq!(-sum(Account::is_revenue), revenue.get(currency).copied().unwrap_or(0));
            }
        }

        #[test]
        fn every_entry_of_a_guest_is_posted_or_refused(
            texts in prop::collection::vec("\\PC{0,40}", 5), minor_units in any::<i64>(), at in any::<u64>()
        ) {
            let _ = check(EntryDraft {
                external_id: &texts[0], kind: &texts[1], minor_units, currency: &texts[2],
                occurred_at: Timestamp::from_millis(at), customer: Some(&texts[3]), description: &texts[4], metadata: &texts[0],
            });
        }
    }
}
