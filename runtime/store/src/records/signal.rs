//! Signals to runs, and outcomes of runs: the conditions that a run can wait for.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::run::RunState;
use tidemill_core::{RunId, Timestamp};

use super::CommitEffects;

/// Maximum number of signals in one run's inbox.
pub const INBOX_SIGNALS: u32 = 1_000;
/// Maximum size of the names and payloads in one run's inbox, in bytes.
pub const INBOX_BYTES: u64 = 1 << 20;
/// Number of signals beyond [`INBOX_SIGNALS`] that are accepted if the run waits for them.
pub const INBOX_RESERVE_SIGNALS: u32 = 16;
/// Number of bytes beyond [`INBOX_BYTES`] that are accepted if the run waits for the signal.
pub const INBOX_RESERVE_BYTES: u64 = 1 << 20;
/// Maximum size of the payload of one signal, in bytes.
pub const SIGNAL_BYTES: usize = 64 << 10;

/// A signal to deliver. Replay snapshots contain those of an open transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSignal {
    /// The receiving run.
    pub to: RunId,
    /// Its name, 1 to 255 bytes.
    pub name: String,
    /// The text of a JSON value, at most [`SIGNAL_BYTES`].
    pub payload: Bytes,
    /// Identifies repetitions of this signal until the run is deleted: the sender's position in its
    /// journal, or the caller's idempotency key; at most 512 bytes. Each sender, and all callers
    /// together, have separate keys.
    #[serde(with = "key_of_run")]
    pub key: Option<String>,
}

/// The key of a run's signal in a replay snapshot: without the option, because it always has one.
mod key_of_run {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub fn serialize<S: Serializer>(key: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        key.as_deref().unwrap_or_default().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        String::deserialize(deserializer).map(Some)
    }
}

/// The result of a signal from a caller outside of any run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalReceipt {
    /// The signal is in the inbox.
    Accepted(CommitEffects),
    /// The signal was received before.
    Duplicate,
    /// The run has ended; the signal is dropped.
    Ended,
}

/// A signal of a run that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeliveredSignal {
    /// The receiver, which has ended or does not exist.
    pub to: RunId,
    /// Its name.
    pub name: String,
}

/// A signal in an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxSignal {
    /// Its position, which strictly increases in the order of arrival.
    pub place: u64,
    /// Its name.
    pub name: String,
    /// The text of a JSON value.
    pub payload: Bytes,
    /// When it was received.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildOutcome {
    /// When the run ended.
    pub ended_at: Timestamp,
    /// The final state: succeeded, failed or cancelled.
    pub state: RunState,
    /// The JSON text of its output, if it succeeded.
    pub output: Option<Bytes>,
}
