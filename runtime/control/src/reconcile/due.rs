//! The tick of a loop whose work the store finds by its time: commit after commit, until nothing is
//! due.

use tidemill_core::Timestamp;
use tidemill_store::StoreError;
use tidemill_store::records::DueBatch;
use tokio_util::sync::CancellationToken;

use crate::error::ControlError;
use crate::reconcile::{NextTick, TickReport};

/// Maximum number of items that one commit processes.
const ITEMS_PER_COMMIT: usize = 500;
/// Maximum number of commits per tick.
const COMMITS_PER_TICK: usize = 10;

/// Processes what is due at `now`: `commit` takes the maximum number of items. Ticks again when the
/// next item is due, and after `interval` milliseconds at the latest, because the commit of a new
/// item does not wake the loop.
pub(super) async fn tick<F, R>(
    now: Timestamp,
    interval: u64,
    closing: &CancellationToken,
    commit: F,
) -> Result<TickReport, ControlError>
where
    F: Fn(usize) -> R + Send,
    R: Future<Output = Result<DueBatch, StoreError>> + Send,
{
    let (mut done, mut next) = (0, None);
    for _ in 0..COMMITS_PER_TICK {
        let batch = commit(ITEMS_PER_COMMIT).await?;
        done += batch.done;
        next = batch.next;
        if next.is_none_or(|next| next > now) || closing.is_cancelled() {
            break;
        }
    }
    let latest = now.plus_millis(interval);
    let next = match next {
        Some(next) if next <= now => NextTick::Now,
        next => NextTick::At(next.map_or(latest, |next| next.min(latest))),
    };
    Ok(TickReport { found: done, done, failed: 0, next })
}
