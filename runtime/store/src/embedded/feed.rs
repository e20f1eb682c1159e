//! The event feed: adds events, reads them, and deletes the oldest ones.

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::embedded::codec::decode;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{FEED, time_of};
use crate::embedded::throttle::PIECE;
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{FeedEntry, FeedEvent};
use crate::traits::FeedStore;

#[async_trait]
impl FeedStore for EmbeddedStore {
    async fn announce(&self, event: FeedEvent, now: Timestamp) -> Result<()> {
        self.commit(move |c| c.announce(now, &event)).await
    }

    async fn feed(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        let start = after.saturating_add(1).to_be_bytes().to_vec();
        self.latest()
            .range(FEED, start..prefix_range(&[]).end, false, limit)?
            .into_iter()
            .map(|(key, bytes)| {
                let (at, event): (Timestamp, FeedEvent) = decode(FEED, &bytes)?;
                Ok(FeedEntry { position: place(&key)?, at, event })
            })
            .collect()
    }

    async fn feed_range(&self) -> Result<(u64, u64)> {
        let store = self.latest();
        let end = |backwards| -> Result<u64> {
            let entries = store.range(FEED, prefix_range(&[]), backwards, 1)?;
            entries.first().map_or(Ok(0), |(key, _)| place(key))
        };
        Ok((end(false)?, end(true)?))
    }
}

/// Deletes the oldest entries, at most `max` and one piece. Returns how many it deleted.
pub(crate) fn forget(commit: &mut WriteTx<'_, '_>, max: usize) -> Result<usize> {
    let old = commit.range(FEED, prefix_range(&[]), false, max.min(PIECE))?;
    for (key, _) in &old {
        commit.delete(FEED, key);
    }
    Ok(old.len())
}

fn place(key: &[u8]) -> Result<u64> {
    time_of(key)
        .map(Timestamp::as_millis)
        .ok_or_else(|| StoreError::Damaged { what: "a key of table feed is too short".into() })
}
