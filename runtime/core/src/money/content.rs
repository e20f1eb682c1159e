//! The content of an entry: what must be equal if an external id comes again. Everything else of an
//! entry is a remark, and the first remarks stay.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::kind::EntryKind;
use crate::ids::Timestamp;

macro_rules! calls {
    ($($(#[$doc:meta])* $variant:ident => $name:literal;)*) => {
        /// How an entry came into the ledger. The order of the variants is stored: add at the end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EntryCall { $($(#[$doc])* $variant,)* }

        impl EntryCall {
            /// Every call.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The call with that name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

calls! {
    /// A module posted it.
    Post => "post";
    /// A module reserved the amount: the legs are pending.
    Reserve => "reserve";
    /// A module drew it from a customer's credit, on the condition that the credit suffices.
    Draw => "draw";
    /// The settlement of a reservation.
    Settle => "settle";
    /// The return of a reservation that a module voided.
    Void => "void";
    /// What a timer posted: the return of a reservation, or of what a grant had left.
    Expire => "expire";
    /// A person corrected an entry.
    Correct => "correct";
}

/// The content of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryContent<'a> {
    /// The kind.
    pub kind: EntryKind,
    /// The amount, in minor units. For a partial draw: the amount asked for.
    pub minor_units: i64,
    /// Code of the currency.
    pub currency: &'a str,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The external id that it answers.
    pub of: Option<&'a str>,
    /// How it came into the ledger.
    pub call: EntryCall,
    /// The customer. Counts only in the kinds that move a customer's credit.
    pub customer: Option<&'a str>,
}

impl EntryContent<'_> {
    /// Hashes the content: every field with its length, in a fixed order.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        put(b"tidemill entry 1");
        put(self.kind.as_str().as_bytes());
        put(&self.minor_units.to_le_bytes());
        put(self.currency.as_bytes());
        put(&self.occurred_at.as_millis().to_le_bytes());
        put(self.call.as_str().as_bytes());
        let customer = self.customer.filter(|_| self.kind.moves_credit());
        for field in [self.of, customer] {
            put(&[u8::from(field.is_some())]);
            put(field.unwrap_or_default().as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        ContentHash(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// The first half of the SHA-256 of an entry's content. The same external id with another content
/// is refused.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash([u8; 16]);

impl ContentHash {
    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HEXLOWER.encode_display(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALE: EntryContent<'_> = EntryContent {
        kind: EntryKind::Sale,
        minor_units: 5,
        currency: "EUR",
        occurred_at: Timestamp::from_millis(1),
        of: None,
        call: EntryCall::Post,
        customer: None,
    };

    /// The hash is stored with each external id, so it never changes.
    #[test]
    fn hashes_keep_their_bytes() {
        let usage = EntryContent {
            kind: EntryKind::Drawdown,
            of: Some("in_1"),
            call: EntryCall::Draw,
            customer: Some("cus_1"),
            ..SALE
        };
        assert_eq!(format!("{:?}", SALE.hash()), "11b19b0e8fadfa9c83de8b78f0b6cb97");
        assert_eq!(format!("{:?}", usage.hash()), "0ba2b7acbc351be7e5a9956b0181308a");
    }

    #[test]
    fn every_field_of_the_content_counts() {
        for other in [
            EntryContent { kind: EntryKind::Usage, ..SALE },
            EntryContent { minor_units: 6, ..SALE },
            EntryContent { currency: "USD", ..SALE },
            EntryContent { occurred_at: Timestamp::from_millis(2), ..SALE },
            EntryContent { of: Some(""), ..SALE },
            EntryContent { call: EntryCall::Reserve, ..SALE },
        ] {
            assert_ne!(SALE.hash(), other.hash(), "{other:?}");
        }
    }

    #[test]
    fn a_customer_counts_only_if_the_kind_moves_credit() {
        for kind in EntryKind::ALL {
            let [one, other] = [Some("a"), Some("b")].map(|customer| EntryContent { kind: *kind, customer, ..SALE });
            assert_eq!(one.hash() != other.hash(), kind.moves_credit(), "{kind:?}");
        }
        let names: Vec<_> =
            EntryKind::ALL.iter().filter(|kind| kind.moves_credit()).map(|kind| kind.as_str()).collect();
        assert_eq!(
            names,
            [
                "prepayment",
                "prepayment-reversal",
                "promotion",
                "promotion-reversal",
                "drawdown",
                "drawdown-reversal",
                "breakage",
                "breakage-reversal"
            ]
        );
    }

    #[test]
    fn a_call_reads_back() {
        for call in EntryCall::ALL {
            assert_eq!(EntryCall::parse(call.as_str()), Some(*call));
        }
    }
}
