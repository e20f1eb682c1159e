//! Reads a page of a run's journal for people, from the parts that the store returns. Resuming a
//! run from its journal is in `resume`.

use tidemill_core::RunId;
use tidemill_core::journal::{JournalDamage, JournalPage, PageReader, PageStart};
use tidemill_store::{Store, StoreError};

use crate::error::ControlError;

/// Size of a part, in bytes. A part ends with the chunk that reaches it.
const PART: u64 = 256 << 10;

/// Maximum number of re-reads of a journal that a running run truncates between two parts.
const TRIES: usize = 5;

/// Returns a page of a journal.
///
/// # Errors
/// Errors of the store; `host/store-damaged` if the stored data is not a journal.
pub(crate) async fn page(
    store: &dyn Store,
    id: RunId,
    mut start: PageStart,
    limit: usize,
    bytes: usize,
) -> Result<JournalPage, ControlError> {
    let mut tries = TRIES;
    loop {
        match read(store, id, PageReader::new(start.clone(), limit, bytes)).await? {
            Ok(Some(page)) => return Ok(page),
            // The position is past the end, because the journal was truncated.
            Ok(None) if start.is_from_beginning() => return Ok(JournalPage::default()),
            Ok(None) => {}
            Err(error) if tries == 0 => {
                let what = format!("the journal of run {id}: {error}");
                return Err(ControlError::Store(StoreError::Damaged { what }));
            }
            Err(_) => tries -= 1,
        }
        start = start.without_position();
    }
}

/// Makes one attempt. Returns `None` if there is no chunk at the position. The enclosing steps are
/// read first; they belong to this journal if its chunk follows after everything before it.
async fn read(
    store: &dyn Store,
    id: RunId,
    mut reader: PageReader,
) -> Result<Result<Option<JournalPage>, JournalDamage>, StoreError> {
    for at in reader.around().to_vec() {
        for chunk in store.journal_part(id, at, 1).await? {
            if let Err(error) = reader.enter(&chunk) {
                return Ok(Err(error));
            }
        }
    }
    let mut found = false;
    loop {
        let part = store.journal_part(id, reader.chunk(), PART).await?;
        if part.is_empty() {
            return Ok(Ok(found.then(|| reader.page())));
        }
        found = true;
        for chunk in &part {
            match reader.read(chunk) {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(Some(reader.page()))),
                Err(error) => return Ok(Err(error)),
            }
        }
        // Far into a long journal, everything before the position is read. Let other tasks run.
        tokio::task::yield_now().await;
    }
}
