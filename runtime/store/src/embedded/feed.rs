//! The event feed: reads it, and deletes its oldest entries and expired idempotency keys.

use tidemill_core::Timestamp;

use super::codec::decode;
use super::read_tx::{ReadTx, prefix_range};
use super::tables::{FEED, KEY_ENDS, KEYS, at, time_of, under};
use super::throttle::{PIECE, paced};
use super::write_tx::WriteTx;
use super::{EmbeddedStore, topics};
use crate::error::StoreError;
use crate::records::{FeedEntry, FeedEvent};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn after(store: &impl ReadTx, position: u64, limit: usize) -> Result<Vec<FeedEntry>> {
    let start = position.saturating_add(1).to_be_bytes().to_vec();
    store
        .range(FEED, start..prefix_range(&[]).end, false, limit)?
        .into_iter()
        .map(|(key, bytes)| {
            let (at, event): (Timestamp, FeedEvent) = decode(FEED, &bytes)?;
            Ok(FeedEntry { position: place(&key)?, at, event })
        })
        .collect()
}

pub(super) fn ends(store: &impl ReadTx) -> Result<(u64, u64)> {
    let end = |backwards| -> Result<u64> {
        let entries = store.range(FEED, prefix_range(&[]), backwards, 1)?;
        entries.first().map_or(Ok(0), |(key, _)| place(key))
    };
    Ok((end(false)?, end(true)?))
}

/// Deletes the oldest entries, at most `max` and one piece. Returns how many it deleted.
pub(super) fn forget(commit: &mut WriteTx<'_, '_>, max: usize) -> Result<usize> {
    let old = commit.range(FEED, prefix_range(&[]), false, max.min(PIECE))?;
    for (key, _) in &old {
        commit.delete(FEED, key);
    }
    Ok(old.len())
}

/// Deletes one piece of the expired idempotency keys. Returns how many entries it processed.
pub(super) fn forget_keys(commit: &mut WriteTx<'_, '_>, now: Timestamp) -> Result<usize> {
    let range = Vec::new()..now.as_millis().to_be_bytes().to_vec();
    let old = commit.range(KEY_ENDS, range, false, PIECE)?;
    for (key, _) in &old {
        commit.delete(KEY_ENDS, key);
        // If the key was reserved again, it expires later and stays.
        let name = key.get(8..).unwrap_or_default();
        let Some(reserved) = commit.record::<super::runs::RunKeyRecord>(KEYS, name)? else { continue };
        let run = if reserved.until.is_none() { super::runs::run(commit, reserved.run)? } else { None };
        let own = run.as_ref().and_then(|run| run.key.as_deref());
        match &run {
            // The key of a debounced request expires with that of the run it joined.
            Some(run) if own.is_none_or(|own| name != under(run.deployment.as_str(), own.as_bytes())) => {
                match run.ended_at.map(|ended| ended.plus_millis(run.key_millis)) {
                    Some(end) if end <= now => commit.delete(KEYS, name),
                    end => commit.put(KEY_ENDS, &at(end.unwrap_or(now.plus_millis(run.key_millis)), name), &[]),
                }
            }
            None if reserved.until.is_none() || reserved.until == time_of(key) => commit.delete(KEYS, name),
            _ => {}
        }
    }
    Ok(old.len())
}

/// Deletes expired idempotency keys, all but the newest `keep` feed entries, and unreferenced
/// payload files.
pub(super) async fn trim(store: &EmbeddedStore, keep: usize, now: Timestamp) -> Result<()> {
    let keys = move |c: &mut WriteTx<'_, '_>| Ok(forget_keys(c, now)? + topics::forget_keys(c, now)?);
    while paced(store.commit(keys)).await? > 0 {}
    let mut surplus = store.kv.count(FEED).saturating_sub(keep as u64);
    while surplus > 0 {
        let max = usize::try_from(surplus).unwrap_or(usize::MAX);
        let forgotten = paced(store.commit(move |c| forget(c, max))).await?;
        if forgotten == 0 {
            break;
        }
        surplus = surplus.saturating_sub(forgotten as u64);
    }
    store.sweep(now).await
}

fn place(key: &[u8]) -> Result<u64> {
    time_of(key)
        .map(Timestamp::as_millis)
        .ok_or_else(|| StoreError::Damaged { what: "a key of table feed is too short".into() })
}
