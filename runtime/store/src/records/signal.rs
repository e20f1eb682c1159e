//! Signals to runs, and the outcomes of runs: what a run can wait for.

use bytes::Bytes;
use tidemill_core::run::RunState;
use tidemill_core::{RunId, Timestamp};

use super::CommitEffects;

/// Signals that wait in one run's inbox at most,
pub const INBOX_SIGNALS: u32 = 1_000;
/// and the bytes of their names and payloads together.
pub const INBOX_BYTES: u64 = 1 << 20;
/// Signals beyond [`INBOX_SIGNALS`] for which there is room where the run waits for them,
pub const INBOX_RESERVE_SIGNALS: u32 = 16;
/// and bytes beyond [`INBOX_BYTES`].
pub const INBOX_RESERVE_BYTES: u64 = 1 << 20;
/// The longest payload of one signal, in bytes.
pub const SIGNAL_BYTES: usize = 64 << 10;

/// A signal on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSignal {
    /// Who gets it.
    pub to: RunId,
    /// Its name, of 1 to 255 bytes.
    pub name: String,
    /// The text of a JSON value, of at most [`SIGNAL_BYTES`].
    pub payload: Bytes,
    /// What tells a repetition from another signal, for as long as the run lives: the sender's position, or the caller's idempotency
    /// key; of at most 512 bytes. Senders and callers each have keys of their own.
    pub key: Option<String>,
}

/// What became of a signal from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalReceipt {
    /// It lies in the inbox.
    Accepted(CommitEffects),
    /// It had come before.
    Duplicate,
    /// The run has ended; the signal is dropped.
    Ended,
}

/// A signal that a run sent and nobody gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeliveredSignal {
    /// Whom it was for: a run that has ended, or that there is not.
    pub to: RunId,
    /// Its name.
    pub name: String,
}

/// A signal in an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxSignal {
    /// Its place: strictly increasing in the order of arrival, for as long as the run lives.
    pub place: u64,
    /// Its name.
    pub name: String,
    /// The text of a JSON value.
    pub payload: Bytes,
    /// When it came.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildOutcome {
    /// When.
    pub ended_at: Timestamp,
    /// Succeeded, failed or cancelled.
    pub state: RunState,
    /// The JSON text of its output, where it succeeded.
    pub output: Option<Bytes>,
}
