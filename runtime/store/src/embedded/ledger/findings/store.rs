//! The part of the store's contract about findings.

use async_trait::async_trait;
use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::FindingKind;

use super::book::{self, FindingBook};
use super::due;
use super::keys::FindingSubject;
use super::raise_id_conflicts;
use crate::embedded::ledger::entries;
use crate::embedded::store::EmbeddedStore;
use crate::error::Result;
use crate::records::{CommitEffects, DueBatch, Finding, FindingClosure, FindingFilter, Page, PageRequest};
use crate::traits::FindingStore;

#[async_trait]
impl FindingStore for EmbeddedStore {
    async fn findings(&self, filter: FindingFilter, page: PageRequest) -> Result<Page<Finding>> {
        book::page(&self.snapshot(), &filter, &page)
    }

    async fn open_finding_count(&self) -> Result<u64> {
        Ok(book::marks(self.latest())?.open)
    }

    async fn close_finding(&self, number: u64, closure: FindingClosure) -> Result<Finding> {
        self.commit(move |c| book::close(c, number, &closure)).await
    }

    async fn note_id_conflict(&self, stream: &LedgerStream, external_id: &str, now: Timestamp) -> Result<()> {
        let Some(entry) = entries::by_external_id(self.latest(), stream, external_id)? else { return Ok(()) };
        let (kind, of, name) = (FindingKind::IdConflict, Some(entry.stream), entry.external_id);
        let subject = FindingSubject { kind, paper: entry.paper, stream: of, name, currency: None };
        // A module may try the same again and again.
        if FindingBook::has(self.latest(), &subject)? {
            return Ok(());
        }
        let (stream, external_ids) = (stream.clone(), [subject.name]);
        self.commit(move |c| raise_id_conflicts(c, &stream, &external_ids, now)).await
    }

    async fn update_due_findings(&self, now: Timestamp, limit: usize) -> Result<(DueBatch, CommitEffects)> {
        // Most ticks find nothing, and then nothing is committed.
        let next = due::next(self.latest())?;
        if next.is_none_or(|next| next > now) {
            return Ok((DueBatch { done: 0, next }, CommitEffects::default()));
        }
        self.commit(move |c| Ok((due::update(c, now, limit)?, c.take_effects()))).await
    }
}
