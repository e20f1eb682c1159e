//! A run's journal: what the host answered it, packed, replayed and recorded. Pure: what is stored comes in as chunks and
//! what must be stored goes out as chunks.
//!
//! It holds what happened in order, but not what a completed step did inside: when a step ends, everything since its beginning is replaced by
//! one entry with its result, which replay finds by the step's path in whatever order it is met. All else is met again in
//! the order of the record, or replay is refused with both calls in words.

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

/// 128 bits of a digest: of a request as the guest made it, before secrets are put in, or of a step's path.
pub type Hash = [u8; 16];

/// What the guest names an open step by: the same in every replay.
pub type StepId = u32;

/// What is kept of a request for people to read, in bytes.
pub const SHOWN_BYTES: usize = 1024;

/// A place between two entries: how many are before it. One that is inside a step means nothing any more once the step has ended or is
/// tried again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// After so many entries.
    #[must_use]
    pub const fn new(entries: u64) -> Self {
        Self(entries)
    }

    /// How many entries are before it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A recorded answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedAnswer {
    /// What the host answered.
    pub result: Bytes,
    /// When.
    pub at: Timestamp,
    /// The run's fuel at that time.
    pub fuel: Fuel,
}

/// How the next call is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallReplay {
    /// As it was before.
    Recorded(RecordedAnswer),
    /// For the first time: it is to be performed, and recorded.
    Live,
}

/// How a step is met. Its id is the same in every replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepReplay {
    /// It completed before.
    Completed {
        /// What the guest names it by.
        id: StepId,
        /// Its result.
        result: Bytes,
    },
    /// Its policy was exhausted before.
    GaveUp {
        /// What the guest names it by.
        id: StepId,
        /// The failure.
        failure: Bytes,
    },
    /// It was refused before it began.
    Refused {
        /// What the guest names it by.
        id: StepId,
        /// The failure.
        failure: Bytes,
    },
    /// It was being carried out; it is the innermost open one again, and its calls follow.
    Resumed {
        /// What the guest names it by.
        id: StepId,
        /// Which attempt.
        attempt: u32,
        /// When that attempt may begin; the epoch for a first one.
        not_before: Timestamp,
    },
    /// It is met for the first time, and is the innermost open one: to be recorded by [`Journal::open_step`] or
    /// [`Journal::refuse_step`].
    New {
        /// What the guest names it by.
        id: StepId,
    },
}

/// What is recorded of a call.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'a> {
    /// What was called.
    pub kind: Kind,
    /// The hash of the request.
    pub request: Hash,
    /// What the host answered.
    pub result: &'a [u8],
    /// When.
    pub at: Timestamp,
    /// The run's fuel at that time.
    pub fuel: Fuel,
    /// The request for people to read, of which [`SHOWN_BYTES`] are kept.
    pub shown: Option<&'a [u8]>,
}

/// What must be written so that the store has all of a journal: chunk `from + i` becomes `chunks[i]`, and all later ones
/// are removed. 0 and no chunks: the journal is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalChange {
    /// The first chunk that changes.
    pub from: u32,
    /// It and those after it.
    pub chunks: Vec<Bytes>,
}

impl JournalChange {
    /// The change that leaves no journal.
    #[must_use]
    pub const fn emptied() -> Self {
        Self { from: 0, chunks: Vec::new() }
    }

    /// How many bytes are to be written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }
}
