//! The result of a commit of a ledger's timer.

use tidemill_core::Timestamp;

/// Items of the ledger whose time has come, as one commit processed them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DueBatch {
    /// The number of items that the commit processed.
    pub done: usize,
    /// When the next item is due; `None` if no item is left. A time in the past means that more
    /// items are due already.
    pub next: Option<Timestamp>,
}
