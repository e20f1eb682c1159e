//! The entries that a stream reports and their checks.
//!
//! A checked entry moves its amount between two accounts: see [`EntryKind`]. What happens if its
//! external id is known already is decided by its content: see [`EntryContent`].

use sha2::{Digest as _, Sha256};

use super::balance::{GrantTerms, InvalidGrant};
use super::content::{ContentHash, EntryCall, EntryContent};
use super::kind::EntryKind;
use super::leg::{Leg, net_revenue};
use super::metadata::{EntryLinks, is_external_id};
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
/// Ends of external ids that only the host gives.
pub const HOST_SUFFIXES: [&str; 5] = ["/settled", "/voided", "/expired", "/corrected", "/right"];

/// An entry as the guest reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryDraft<'a> {
    /// What the module does with it: post, reserve or draw; or `correct`, if a person posts it.
    pub call: EntryCall,
    /// The provider's own id: 1 to [`EXTERNAL_ID_BYTES`], without a suffix of [`HOST_SUFFIXES`]
    /// unless a person posts it.
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

/// A checked entry: what the ledger writes for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The amount of the entry.
    pub amount: Money,
    /// Two legs that sum to zero: the account that gives, and the account that receives. Pending if
    /// the entry is a reservation.
    pub legs: [Leg; 2],
    /// The change of net revenue, in minor units; 0 for a reservation.
    pub net_revenue: i64,
    /// What its metadata refers to.
    pub links: EntryLinks,
    /// Hash of the content. The same external id with another one is a
    /// [`Code::ExternalIdConflict`].
    pub content: ContentHash,
    /// Hash of all fields except the external id, which identifies the call in a run's journal.
    /// Metadata counts as a value: spaces and the order of names do not matter.
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
    /// The terms of a grant cannot be used.
    #[error("{0}")]
    Grant(#[from] InvalidGrant),
    /// The amount of a reservation is zero or negative.
    #[error("a reservation of {0}: its amount is above zero")]
    ReservedSign(i64),
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
            Self::Sign { .. } | Self::ReservedSign(_) => Code::WrongSign,
            Self::Overflow(_) => Code::AmountOverflow,
            Self::Field { .. } | Self::Grant(_) => Code::BadEntry,
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
        if !is_external_id(self.external_id) {
            return field("external-id", "has 1 to 256 bytes, none of them a control character");
        }
        let by_hand = self.call == EntryCall::Correct;
        if !by_hand && HOST_SUFFIXES.iter().any(|suffix| self.external_id.ends_with(suffix)) {
            return field(
                "external-id",
                "does not end in `/settled`, `/voided`, `/expired`, `/corrected` or `/right`: such ids are the host's",
            );
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
        let links = EntryLinks::read(&metadata)?;
        let kind = EntryKind::parse(self.kind).ok_or_else(|| InvalidEntry::Kind {
            given: json::shown(self.kind),
            nearest: EntryKind::nearest(self.kind),
        })?;
        if self.call == EntryCall::Draw {
            if kind != EntryKind::Drawdown {
                return field("kind", "is `drawdown` for a draw");
            }
            if self.customer.is_none_or(str::is_empty) {
                return field("customer", "is needed for a draw, which takes from the customer's credit");
            }
        }
        if kind.is_grant() && self.customer.is_some_and(|customer| !customer.is_empty()) {
            GrantTerms::of_metadata(&metadata, self.occurred_at)?;
        }
        let currency =
            currencies.get(self.currency).ok_or_else(|| InvalidEntry::Currency(json::shown(self.currency)))?;
        let reserves = self.call == EntryCall::Reserve;
        if reserves && self.minor_units <= 0 {
            return Err(InvalidEntry::ReservedSign(self.minor_units));
        }
        if self.minor_units == 0 || (self.minor_units < 0 && !kind.may_be_negative()) {
            return Err(InvalidEntry::Sign { minor_units: self.minor_units, kind });
        }
        let legs = kind.legs(self.minor_units).ok_or(InvalidEntry::Overflow(self.minor_units))?;
        let content = EntryContent {
            kind,
            minor_units: self.minor_units,
            currency: currency.code(),
            occurred_at: self.occurred_at,
            of: links.of.as_deref(),
            call: self.call,
            customer: self.customer,
        };
        Ok(Posting {
            kind,
            content: content.hash(),
            amount: Money { minor_units: self.minor_units, currency },
            legs,
            net_revenue: if reserves { 0 } else { net_revenue(legs) },
            links,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::Account;
    use super::*;

    fn draft<'a>(kind: &'a str, minor_units: i64) -> EntryDraft<'a> {
        EntryDraft {
            call: EntryCall::Post,
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
            (EntryDraft { external_id: &long[..257], ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { external_id: "ch_1/settled", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { external_id: "/voided", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { external_id: "a/b/expired", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { external_id: "entry-7/corrected", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { external_id: "entry-7/right", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { call: EntryCall::Correct, external_id: "", ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { metadata: r#"{"of":1}"#, ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { metadata: r#"{"of":"a","of":"b"}"#, ..draft("sale", 1) }, Code::BadEntry),
            (EntryDraft { call: EntryCall::Reserve, ..draft("trade", -1) }, Code::WrongSign),
            (EntryDraft { call: EntryCall::Reserve, ..draft("sale", 0) }, Code::WrongSign),
            (EntryDraft { call: EntryCall::Reserve, ..draft("sale", i64::MIN) }, Code::WrongSign),
            (EntryDraft { call: EntryCall::Draw, customer: Some("c"), ..draft("usage", 1) }, Code::BadEntry),
            (EntryDraft { call: EntryCall::Draw, ..draft("drawdown", 1) }, Code::BadEntry),
            (EntryDraft { call: EntryCall::Draw, customer: Some("c"), ..draft("drawdown", -1) }, Code::WrongSign),
            (EntryDraft { customer: Some("c"), metadata: r#"{"grant":7}"#, ..draft("prepayment", 1) }, Code::BadEntry),
            (
                EntryDraft {
                    customer: Some("c"),
                    metadata: r#"{"grant":{"starts_at":9,"expires_at":9}}"#,
                    ..draft("promotion", 1)
                },
                Code::BadEntry,
            ),
            (EntryDraft { currency: "XAU", ..draft("sale", 1) }, Code::UnknownCurrency),
            (EntryDraft { currency: "DEM", ..draft("sale", 1) }, Code::UnknownCurrency),
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
    fn only_an_entry_that_grants_credit_has_terms() {
        for (kind, customer) in
            [("sale", Some("c")), ("prepayment", None), ("promotion", Some("")), ("drawdown", Some("c"))]
        {
            assert!(check(EntryDraft { customer, metadata: r#"{"grant":7}"#, ..draft(kind, 1) }).is_ok(), "{kind}");
        }
    }

    #[test]
    fn a_person_posts_under_an_id_of_the_host() {
        for external_id in ["entry-7/corrected", "entry-7/right"] {
            assert!(check(EntryDraft { call: EntryCall::Correct, external_id, ..draft("sale", 1) }).is_ok());
        }
    }

    #[test]
    fn remarks_are_no_content() {
        let base = EntryDraft { metadata: r#"{"of":"ch_0","a":1}"#, ..draft("refund", 5) };
        let content = |draft| check(draft).unwrap().content;
        for same in [
            EntryDraft { external_id: "other", ..base },
            EntryDraft { metadata: r#"{ "a": 2, "of": "ch_0" }"#, ..base },
            EntryDraft { customer: Some("cus_1"), ..base },
            EntryDraft { description: "x", ..base },
        ] {
            assert_eq!(content(base), content(same), "{same:?}");
        }
        for other in [
            EntryDraft { kind: "fee", ..base },
            EntryDraft { minor_units: 6, ..base },
            EntryDraft { currency: "USD", ..base },
            EntryDraft { occurred_at: Timestamp::from_millis(2), ..base },
            EntryDraft { metadata: r#"{"of":"ch_1"}"#, ..base },
            EntryDraft { metadata: "{}", ..base },
            EntryDraft { call: EntryCall::Reserve, ..base },
        ] {
            assert_ne!(content(base), content(other), "{other:?}");
        }
    }

    #[test]
    fn a_fingerprint_identifies_everything_that_was_given() {
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

    #[test]
    fn a_reservation_counts_in_no_revenue() {
        let reserved =
            check(EntryDraft { call: EntryCall::Reserve, metadata: r#"{"expires_at":9}"#, ..draft("usage", 7) });
        let reserved = reserved.unwrap();
        assert_eq!((reserved.net_revenue, reserved.links.expires_at), (0, Some(Timestamp::from_millis(9))));
        assert_eq!(reserved.legs, EntryKind::Usage.legs(7).unwrap());
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
            texts in prop::collection::vec("\\PC{0,40}", 5), minor_units in any::<i64>(), at in any::<u64>(),
            call in prop::sample::select(EntryCall::ALL.to_vec())
        ) {
            let _ = check(EntryDraft {
                call,
                external_id: &texts[0], kind: &texts[1], minor_units, currency: &texts[2],
                occurred_at: Timestamp::from_millis(at), customer: Some(&texts[3]), description: &texts[4], metadata: &texts[0],
            });
        }
    }
}
