//! Scrubs, and the times of the last ones, which outlive the process.

use tidemill_core::Timestamp;

use super::read_tx::ReadTx;
use super::tables::META;
use super::{EmbeddedStore, blobs, blocking};
use crate::error::StoreError;
use crate::records::Scrub;

type Result<T> = std::result::Result<T, StoreError>;

/// The key of the last scrub of everything.
const ALL: &[u8] = b"scrub";
/// The key of the last scrub of the index alone.
const INDEX: &[u8] = b"index-scrub";

/// Verifies every record and every file.
pub(super) async fn all(store: &EmbeddedStore, now: Timestamp) -> Result<Scrub> {
    let reader = store.clone();
    let read = move || Ok((reader.kv.scrub()?, blobs::verify(&reader.files, &reader.kv)?));
    let (found, (_, in_files)) = blocking(read).await.inspect_err(|error| store.stop_if_damaged(error))?;
    let scrub = Scrub { at: now, records: found.records, bytes: found.bytes.saturating_add(in_files) };
    keep(store, ALL, scrub).await;
    Ok(scrub)
}

/// The last scrub of everything.
pub(super) fn last(store: &impl ReadTx) -> Result<Option<Scrub>> {
    store.record(META, ALL)
}

/// The last scrub of the index alone; one that was not known until now gets the time `now`.
pub(super) async fn index(store: &EmbeddedStore, now: Timestamp) -> Result<Option<Scrub>> {
    let Some(found) = store.kv.take_scrub() else { return store.kv.record(META, INDEX) };
    let scrub = Scrub { at: now, records: found.records, bytes: found.bytes };
    keep(store, INDEX, scrub).await;
    Ok(Some(scrub))
}

/// What was found sound is sound even if there is no room to note it.
async fn keep(store: &EmbeddedStore, key: &'static [u8], scrub: Scrub) {
    if let Err(error) = store.commit(move |c| c.put_record(META, key, &scrub)).await {
        tracing::warn!(%error, "the time of the scrub could not be kept");
    }
}
