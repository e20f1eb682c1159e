//! The idempotency keys of runs.

use serde::{Deserialize, Serialize};
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use crate::embedded::runs::record;
use crate::embedded::tables::{KEY_ENDS, KEYS, name_key, time_key, time_of};
use crate::embedded::throttle::PIECE;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};

/// The reservation of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunKeyRecord {
    /// The run of the key.
    pub(crate) run: RunId,
    /// The hash of the run's input.
    pub(crate) input: u128,
    /// When the reservation ends; `None` while the run has not ended.
    pub(crate) until: Option<Timestamp>,
}

/// The result of the look-up of an idempotency key.
pub(crate) enum KeyLookup {
    /// The key is free.
    Free,
    /// The key belongs to a run with the same input.
    Taken(Box<Run>),
}

pub(crate) fn look_up_key(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    key: &str,
    input: &[u8],
    now: Timestamp,
) -> Result<KeyLookup> {
    let Some(reserved) = store.record::<RunKeyRecord>(KEYS, &name_key(deployment.as_str(), key.as_bytes()))? else {
        return Ok(KeyLookup::Free);
    };
    if reserved.until.is_some_and(|until| until <= now) {
        return Ok(KeyLookup::Free);
    }
    if reserved.input != xxh3_128(input) {
        return Err(StoreError::KeyMismatch { run: reserved.run });
    }
    match record::run(store, reserved.run)? {
        // The key of a debounced request ends with the run that the request joined.
        Some(run) if reserved.until.is_none() && is_forgotten(&run, key, now) => Ok(KeyLookup::Free),
        Some(run) => Ok(KeyLookup::Taken(Box::new(run))),
        // The key is reserved for longer than the run's record is stored.
        None => Err(StoreError::KeyOutlivesRun { run: reserved.run }),
    }
}

/// Returns whether the reservation of a debounced request's key has ended with that of the run it
/// joined.
fn is_forgotten(run: &Run, key: &str, now: Timestamp) -> bool {
    run.key.as_deref() != Some(key) && run.ended_at.is_some_and(|ended| ended.plus_millis(run.key_millis) <= now)
}

/// Writes when the reservation of a run's idempotency key ends; `None` means that the run has not
/// ended.
pub(crate) fn keep_key(commit: &mut WriteTx<'_, '_>, run: &Run, until: Option<Timestamp>) -> Result<()> {
    let Some(key) = &run.key else { return Ok(()) };
    let name = name_key(run.deployment.as_str(), key.as_bytes());
    if let Some(mut reserved) = commit.record::<RunKeyRecord>(KEYS, &name)?.filter(|reserved| reserved.run == run.id) {
        reserved.until = until;
        commit.put_record(KEYS, &name, &reserved)?;
        if let Some(until) = until {
            commit.put(KEY_ENDS, &time_key(until, &name), &[]);
        }
    }
    Ok(())
}

/// Deletes one piece of the expired idempotency keys. Returns how many entries it processed.
pub(crate) fn forget_keys(commit: &mut WriteTx<'_, '_>, now: Timestamp) -> Result<usize> {
    let range = Vec::new()..now.as_millis().to_be_bytes().to_vec();
    let old = commit.range(KEY_ENDS, range, false, PIECE)?;
    for (key, _) in &old {
        commit.delete(KEY_ENDS, key);
        // If the key was reserved again, it expires later and stays.
        let name = key.get(8..).unwrap_or_default();
        let Some(reserved) = commit.record::<crate::embedded::runs::RunKeyRecord>(KEYS, name)? else { continue };
        let run = if reserved.until.is_none() { crate::embedded::runs::run(commit, reserved.run)? } else { None };
        let own = run.as_ref().and_then(|run| run.key.as_deref());
        match &run {
            // The key of a debounced request expires with that of the run it joined.
            Some(run) if own.is_none_or(|own| name != name_key(run.deployment.as_str(), own.as_bytes())) => {
                match run.ended_at.map(|ended| ended.plus_millis(run.key_millis)) {
                    Some(end) if end <= now => commit.delete(KEYS, name),
                    end => commit.put(KEY_ENDS, &time_key(end.unwrap_or(now.plus_millis(run.key_millis)), name), &[]),
                }
            }
            None if reserved.until.is_none() || reserved.until == time_of(key) => commit.delete(KEYS, name),
            _ => {}
        }
    }
    Ok(old.len())
}
