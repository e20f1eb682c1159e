//! A page of a run's journal for people, out of the parts that the store hands out. Not how a run is brought back: that
//! is `adopt`.

use tidemill_core::RunId;
use tidemill_core::journal::{JournalDamage, JournalPage, PageReader, PageStart};
use tidemill_store::{Store, StoreError};

use crate::error::ControlError;

/// A part ends with the chunk that brings it to so many bytes.
const PART: u64 = 256 << 10;

/// A run that goes on may cut its journal between two parts: so often it is read again from the beginning.
const TRIES: usize = 5;

/// A page of a journal.
///
/// # Errors
/// Those of the store; `host/store-damaged` where what is stored is no journal.
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
            // The place is behind the end, of what is a shorter journal now.
            Ok(None) if start.is_from_beginning() => return Ok(JournalPage::default()),
            Ok(None) => {}
            Err(error) if tries == 0 => {
                let what = format!("the journal of run {id}: {error}");
                return Err(ControlError::Store(StoreError::Damaged { what }));
            }
            Err(_) => tries -= 1,
        }
        start = start.found_anew();
    }
}

/// One try; none where there is no chunk at the place. The steps around it are read first: where its chunk follows after all before it,
/// then they are those of this journal too.
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
        // Behind a place far into a long journal all before it is read: others have their turn meanwhile.
        tokio::task::yield_now().await;
    }
}
