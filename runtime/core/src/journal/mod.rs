//! A run's journal: packs, replays and records the host's answers to the run. Does no I/O: stored
//! chunks come in, and chunks to store go out.
//!
//! The journal holds events in order, but not what a completed step did inside: when a step ends,
//! one entry with its result replaces everything since its beginning. Replay finds that entry by
//! the step's path, in any order. All other entries must match in order; otherwise replay is
//! refused with a description of both calls.

mod chunks;
mod completed;
mod kind;
mod mismatch;
mod page;
mod path;
mod record;
mod replay;
mod steps;
mod stored;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{Fuel, Timestamp};

pub use kind::Kind;
pub use mismatch::{CallDescription, DisplayEntry, JournalDamage, Mismatch};
pub use page::{JournalPage, PageReader, PageStart};
pub use replay::Journal;
#[cfg(any(test, feature = "fuzzing"))]
pub use stored::sealed_chunk;

/// 128 bits of a digest: of a request as the guest made it, before secrets are inserted, or of a
/// step's path.
pub type Hash = [u8; 16];

/// The id by which the guest names an open step: equal in every replay.
pub type StepId = u32;

/// Maximum size of the part of a request that is kept for people, in bytes.
pub const SHOWN_BYTES: usize = 1024;

/// A position between two entries: the number of entries before it. A position inside a step is
/// invalid after the step has ended or is retried.
/// tried again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Returns the position after `entries` entries.
    #[must_use]
    pub const fn new(entries: u64) -> Self {
        Self(entries)
    }

    /// Number of entries before it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A recorded answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedAnswer {
    /// The host's answer.
    pub result: Bytes,
    /// When it was recorded.
    pub at: Timestamp,
    /// The run's fuel at that time.
    pub fuel: Fuel,
}

/// How to answer the next call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallReplay {
    /// With the recorded answer.
    Recorded(RecordedAnswer),
    /// It is new: perform it, then record its answer.
    Live,
}

/// How to replay a step. Its id is equal in every replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepReplay {
    /// The step completed before.
    Completed {
        /// Id of the step.
        id: StepId,
        /// Its result.
        result: Bytes,
    },
    /// The step exhausted its retry policy before.
    GaveUp {
        /// Id of the step.
        id: StepId,
        /// The failure.
        failure: Bytes,
    },
    /// The step was refused before it began.
    Refused {
        /// Id of the step.
        id: StepId,
        /// The failure.
        failure: Bytes,
    },
    /// The step was being executed. It is the innermost open step again, and its calls follow.
    Resumed {
        /// Id of the step.
        id: StepId,
        /// Number of the attempt.
        attempt: u32,
        /// Earliest time of that attempt; the epoch for a first attempt.
        not_before: Timestamp,
    },
    /// The step is new and the innermost open one. Record it with [`Journal::open_step`] or
    /// [`Journal::refuse_step`].
    New {
        /// Id of the step.
        id: StepId,
    },
}

/// The record of a call.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'a> {
    /// Kind of the call.
    pub kind: Kind,
    /// Hash of the request.
    pub request: Hash,
    /// The host's answer.
    pub result: &'a [u8],
    /// When it was answered.
    pub at: Timestamp,
    /// The run's fuel at that time.
    pub fuel: Fuel,
    /// The request for people, of which [`SHOWN_BYTES`] bytes are kept.
    pub shown: Option<&'a [u8]>,
}

/// The change that brings the store up to date: chunk `from + i` becomes `chunks[i]`, and all
/// later chunks are removed. With 0 and no chunks, the journal is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalChange {
    /// Index of the first changed chunk.
    pub from: u32,
    /// The first changed chunk and all chunks after it.
    pub chunks: Vec<Bytes>,
}

impl JournalChange {
    /// The change that removes the journal.
    #[must_use]
    pub const fn emptied() -> Self {
        Self { from: 0, chunks: Vec::new() }
    }

    /// Number of bytes to write.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }
}
