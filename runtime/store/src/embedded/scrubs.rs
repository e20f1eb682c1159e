//! Scrubs, and the stored results of the last ones, which survive a restart.

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

/// Returns the last scrub of everything.
pub(super) fn last(store: &impl ReadTx) -> Result<Option<Scrub>> {
    store.record(META, ALL)
}

/// Returns the last scrub of the index alone. A new result gets the time `now` and is stored.
pub(super) async fn index(store: &EmbeddedStore, now: Timestamp) -> Result<Option<Scrub>> {
    let Some(found) = store.kv.take_scrub() else { return store.kv.record(META, INDEX) };
    let scrub = Scrub { at: now, records: found.records, bytes: found.bytes };
    keep(store, INDEX, scrub).await;
    Ok(Some(scrub))
}

/// Stores a result. If that fails, the scrub still counts, because it found no damage.
async fn keep(store: &EmbeddedStore, key: &'static [u8], scrub: Scrub) {
    if let Err(error) = store.commit(move |c| c.put_record(META, key, &scrub)).await {
        tracing::warn!(%error, "the result of the scrub could not be stored");
    }
}
