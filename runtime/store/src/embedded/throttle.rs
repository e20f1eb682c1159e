//! Paces background removal: each commit removes little, and commits of callers come in between.

use std::future::Future;
use std::time::Duration;

use tidemill_core::clock::Stopwatch;

use crate::error::Result;

/// Maximum number of records that one such commit removes. A removal takes some microseconds, in
/// which all other commits wait.
pub(crate) const PIECE: usize = 256;
/// Maximum rest between two commits.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// Completes `piece`, then rests for the same time.
pub(crate) async fn paced<T>(piece: impl Future<Output = Result<T>>) -> Result<T> {
    let watch = Stopwatch::start();
    let done = piece.await;
    tokio::time::sleep(watch.elapsed().min(LONGEST_REST)).await;
    done
}
