//! The canonical bytes of an entry and the hash that chains it to the previous one.
//!
//! The bytes do not depend on the format of the stored record, so that a later release computes the
//! same hashes. All numbers are little-endian; a text or list is preceded by its length or count in
//! eight bytes; an optional field by one byte, 0 or 1. The order of the fields is that of
//! [`LedgerEntry::hash_after`], and `docs/src/understand/formats.md` lists it.

use sha2::{Digest as _, Sha256};
use tidemill_core::money::balance::{GrantPart, PartSource};

use super::{LedgerEntry, LedgerLeg};

/// The first byte of the canonical bytes.
const FORMAT: u8 = 1;

/// A hash over fields.
struct Fields(Sha256);

impl Fields {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.raw(&number.to_le_bytes());
    }

    fn amount(&mut self, amount: i64) {
        self.raw(&amount.to_le_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.raw(&[u8::from(flag)]);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.raw(text.as_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    fn list<T>(&mut self, items: &[T], put: impl Fn(&mut Self, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| put(self, item));
    }

    fn part(&mut self, part: &GrantPart) {
        let (tag, id) = match &part.source {
            PartSource::Grant(grant) => (0, grant.as_str()),
            PartSource::Debt => (1, ""),
            PartSource::DebtOf(entry) => (2, entry.as_str()),
        };
        self.raw(&[tag]);
        self.text(id);
        self.amount(part.minor_units);
    }

    fn leg(&mut self, leg: &LedgerLeg) {
        self.text(&leg.account);
        self.amount(leg.minor_units);
    }
}

impl LedgerEntry {
    /// Computes the hash of the entry from that of the previous entry, which is zeros for the
    /// first. Every field counts except `hash` itself and `content`, which follows from the others.
    #[must_use]
    pub fn hash_after(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut fields = Fields(Sha256::new());
        fields.raw(previous);
        fields.raw(&[FORMAT]);
        fields.number(self.sequence);
        fields.text(&self.id);
        fields.text(self.stream.as_str());
        fields.option(self.run, |fields, run| fields.raw(&run.to_bytes()));
        fields.text(&self.external_id);
        fields.text(self.call.as_str());
        fields.text(&self.kind);
        fields.amount(self.minor_units);
        fields.text(&self.currency);
        fields.amount(self.net_revenue);
        fields.number(self.occurred_at.as_millis());
        fields.number(self.posted_at.as_millis());
        fields.option(self.customer.as_deref(), Fields::text);
        fields.text(&self.description);
        fields.text(&self.metadata);
        fields.option(self.of.as_deref(), Fields::text);
        fields.list(&self.legs, Fields::leg);
        fields.list(&self.pending, Fields::leg);
        fields.option(self.reservation.as_deref(), Fields::text);
        fields.option(self.expires_at, |fields, end| fields.number(end.as_millis()));
        fields.list(&self.parts, Fields::part);
        fields.option(self.evidence.component, |fields, digest| fields.raw(digest.as_bytes()));
        fields.option(self.evidence.delivery.as_deref(), Fields::text);
        fields.list(&self.evidence.responses, |fields, digest| fields.raw(digest));
        fields.option(self.evidence.by_hand.as_ref(), |fields, by| {
            fields.text(&by.actor);
            fields.text(&by.reason);
        });
        fields.flag(self.late);
        fields.flag(self.paper);
        fields.0.finalize().into()
    }
}
