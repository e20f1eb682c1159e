//! What nobody waits for is forgotten a piece at a time: one commit removes little, and others' commits come between.

use std::future::Future;
use std::time::Duration;

use tidemill_core::clock::Stopwatch;

use crate::contract::Result;

/// Records that one such commit removes at most. A removal takes some microseconds, in which all others wait.
pub(super) const PIECE: usize = 256;
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// Does a piece, and then rests for as long as it took.
pub(super) async fn paced<T>(piece: impl Future<Output = Result<T>>) -> Result<T> {
    let watch = Stopwatch::start();
    let done = piece.await;
    tokio::time::sleep(watch.elapsed().min(LONGEST_REST)).await;
    done
}
