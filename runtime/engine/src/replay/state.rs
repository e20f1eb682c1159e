//! The replay state of one activation: the journal, and the replay snapshot stored with it.
//!
//! The journal holds the host's answers. The replay snapshot holds what the
//! answers cannot restore: uncommitted effects that belong to no entry, and a few counts. Which
//! call records what is in `host/`; how it is committed is in [`crate::replay`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::clock::Stopwatch;
use tidemill_core::journal::{Hash, Journal, Position};
use tidemill_core::retry::RetryPolicy;
use tidemill_core::run::Seed;
use tidemill_core::{Failure, Timestamp};

use crate::activation::result::NextAttempt;
use crate::guest::random::RunRandom;
use crate::transaction::Transaction;
use crate::transaction::earlier::EarlierTransaction;

/// Maximum size and age, in bytes and milliseconds, of unsaved entries of an open transaction.
const SAVE_BYTES: usize = 1 << 20;
const SAVE_MILLIS: u128 = 100;

/// A position in the journal, with the number of steps that were open there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalMark {
    pub at: Position,
    pub depth: u32,
}

/// The moment at which the guest was notified of its cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CancelNotice {
    /// Position after the entry that records the notice, or after the entry of the step that
    /// contained it.
    pub entry: Position,
    /// Fuel that the generation had used by then.
    pub fuel: u64,
    pub at: Timestamp,
}

/// What is stored with the journal to restore the replay state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplaySnapshot {
    /// The end of the journal that the snapshot belongs to.
    pub at: Position,
    /// Fuel used by the generation, dropped attempts included.
    pub fuel: u64,
    /// Sequence number of the next log line at the last entry; `None` if later lines are to be
    /// written again.
    pub next_line: Option<u64>,
    /// Bytes logged, and HTTP calls and bytes, in this generation.
    pub log_bytes: u64,
    pub http_calls: u64,
    pub http_bytes: u64,
    pub notice: Option<CancelNotice>,
    /// The open transaction and its marks, if there is anything in it.
    pub open: Option<OpenTransaction>,
}

/// The positions that a retry and a redo roll back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RollbackMarks {
    /// A retry keeps everything up to here.
    pub kept: JournalMark,
    /// The transaction begins here, and a redo returns here.
    pub first: JournalMark,
    /// The value of `kept` when the transaction began.
    pub first_kept: JournalMark,
}

impl RollbackMarks {
    /// Returns marks that are all at one position.
    pub const fn at(mark: JournalMark) -> Self {
        Self { kept: mark, first: mark, first_kept: mark }
    }
}

/// A transaction that has effects, reads or open steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenTransaction {
    pub stretch: Transaction,
    pub marks: RollbackMarks,
}

impl ReplaySnapshot {
    /// Decodes the output of [`ReplaySnapshot::write`] of this release or an earlier one.
    pub fn read(bytes: &[u8]) -> Result<Self, postcard::Error> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest),
            Some((&EARLIER_FORMAT, rest)) => {
                let earlier: EarlierSnapshot = postcard::from_bytes(rest)?;
                Ok(earlier.into_present())
            }
            _ => Err(postcard::Error::DeserializeBadEncoding),
        }
    }

    /// Encodes the snapshot; `None` if it adds nothing to the journal.
    pub fn write(&self, recorded_fuel: u64) -> Result<Option<Bytes>, postcard::Error> {
        // If no line was written, the number of the next line carries no information.
        let Self { at: _, fuel, next_line: _, log_bytes, http_calls, http_bytes, notice, open } = self;
        let counts = *log_bytes | *http_calls | *http_bytes;
        if *fuel <= recorded_fuel && counts == 0 && notice.is_none() && open.is_none() {
            return Ok(None);
        }
        postcard::to_extend(self, vec![FORMAT]).map(|bytes| Some(bytes.into()))
    }
}

/// Version byte of an encoded replay snapshot.
const FORMAT: u8 = 2;
/// Version byte of releases whose entries of the ledger had no call and no evidence.
const EARLIER_FORMAT: u8 = 1;

/// A snapshot of [`EARLIER_FORMAT`], whose fields [`ReplaySnapshot`] documents.
#[derive(Deserialize)]
struct EarlierSnapshot {
    at: Position,
    fuel: u64,
    next_line: Option<u64>,
    log_bytes: u64,
    http_calls: u64,
    http_bytes: u64,
    notice: Option<CancelNotice>,
    open: Option<(EarlierTransaction, RollbackMarks)>,
}

impl EarlierSnapshot {
    fn into_present(self) -> ReplaySnapshot {
        let Self { at, fuel, next_line, log_bytes, http_calls, http_bytes, notice, open } = self;
        let open = open.map(|(stretch, marks)| OpenTransaction { stretch: stretch.into_present(), marks });
        ReplaySnapshot { at, fuel, next_line, log_bytes, http_calls, http_bytes, notice, open }
    }
}

/// Counters of one step, or of the run outside all steps. They give each call a name that is the
/// same in every attempt and replay.
pub(crate) struct NameCounters {
    /// The step's number; 0 outside all steps.
    pub id: u32,
    /// Hash of the step's path.
    pub path: Hash,
    /// Number of the current attempt, from 1.
    pub attempt: u32,
    /// The retry policy of the step.
    pub retry: RetryPolicy,
    /// Number of postings.
    pub posts: u32,
    /// Number of signals.
    pub signals: u32,
    /// Number of events.
    pub events: u32,
    /// Number of times that each request was sent.
    pub sent: HashMap<[u8; 32], u64>,
    /// Number of times that each child was started.
    pub started: HashMap<Hash, u64>,
    /// The frame's own random generator.
    pub random: RunRandom,
    /// Requests sent in this attempt, and in the attempt before.
    pub places: Vec<SentRequest>,
    pub places_before: Vec<SentRequest>,
    /// Hints of the last response for the next attempt.
    pub next_attempt: NextAttempt,
    /// Whether the step compensates earlier work: the SDK's sagas name such steps `undo …`.
    pub undoes: bool,
}

/// A request sent inside a step: where it went, and the hash of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentRequest {
    pub place: Hash,
    pub content: [u8; 32],
}

impl NameCounters {
    /// Returns the counters outside all steps.
    pub fn root(seed: Seed, generation: u32, retry: RetryPolicy) -> Self {
        Self {
            id: 0,
            path: [0; 16],
            attempt: 1,
            retry,
            posts: 0,
            signals: 0,
            events: 0,
            sent: HashMap::new(),
            started: HashMap::new(),
            random: RunRandom::new(seed, generation),
            places: Vec::new(),
            places_before: Vec::new(),
            next_attempt: NextAttempt::default(),
            undoes: false,
        }
    }

    /// Returns the counters of a step.
    pub fn step(seed: Seed, generation: u32, id: u32, path: Hash, attempt: u32, retry: RetryPolicy) -> Self {
        let random = RunRandom::of_step(seed, generation, path);
        Self { id, path, attempt, random, ..Self::root(seed, generation, retry) }
    }

    /// Resets the counters for another attempt, so that it repeats its calls under the same names.
    pub fn again(&mut self, seed: Seed, generation: u32, attempt: u32) {
        let (before, undoes) = (std::mem::take(&mut self.places), self.undoes);
        *self = Self::step(seed, generation, self.id, self.path, attempt, self.retry);
        (self.places_before, self.undoes) = (before, undoes);
    }
}

/// Why an activation ended if neither the guest nor a failure ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExitReason {
    /// A read conflict: the transaction is redone.
    Retry,
    /// The run leaves memory while it waits.
    Suspend,
    /// The run continues as new with this input.
    ContinueAsNew(Bytes),
    /// The guest made a call that differs from the journal.
    Mismatch(Failure),
    /// Only a replay was requested, and it is complete.
    Replayed,
}

/// The replay state of one activation.
pub(crate) struct ReplayState {
    pub journal: Journal,
    /// The stored replay snapshot, taken when the replay ends.
    pub snapshot: Option<ReplaySnapshot>,
    /// Whether every recorded entry was replayed.
    pub live: bool,
    /// Whether only a replay was requested.
    pub dry: bool,
    /// The run's own counters, then those of each open step.
    pub frames: Vec<NameCounters>,
    pub marks: RollbackMarks,
    /// Fuel used by the generation at the start of the transaction.
    pub first_fuel: u64,
    /// Fuel used by the generation at the last entry.
    pub entry_fuel: u64,
    /// Number of commits in this activation.
    pub commits: u32,
    pub notice: Option<CancelNotice>,
    pub exit: Option<ExitReason>,
    /// Set if a save that was handed out failed.
    pub lost: Arc<AtomicBool>,
    unsaved: UnsavedEntries,
    pub scratch: Vec<u8>,
}

#[derive(Default)]
struct UnsavedEntries {
    since: Option<Stopwatch>,
    entries: u32,
    bytes: usize,
}

impl ReplayState {
    /// Returns the replay state of a run with this journal and snapshot.
    pub fn new(mut journal: Journal, snapshot: Option<ReplaySnapshot>, root: NameCounters) -> Self {
        journal.rewind();
        Self {
            live: false,
            journal,
            snapshot,
            dry: false,
            frames: vec![root],
            marks: RollbackMarks::at(JournalMark::default()),
            first_fuel: 0,
            entry_fuel: 0,
            commits: 0,
            notice: None,
            exit: None,
            lost: Arc::default(),
            unsaved: UnsavedEntries::default(),
            scratch: Vec::new(),
        }
    }

    /// Returns the number of open steps.
    pub fn depth(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX).saturating_sub(1)
    }

    /// Returns the current position and depth.
    pub fn mark(&self) -> JournalMark {
        JournalMark { at: self.journal.position(), depth: self.depth() }
    }

    /// Begins the transaction here. A retry keeps everything up to `kept`, or up to here.
    pub fn begin_here(&mut self, kept: Option<JournalMark>) {
        let first = self.mark();
        let kept = kept.unwrap_or(first);
        self.marks = RollbackMarks { kept, first, first_kept: kept };
        self.first_fuel = self.entry_fuel;
    }

    /// Returns the counters of the innermost open step.
    pub fn frame(&mut self) -> &mut NameCounters {
        // The run's own frame is always present; `frames` is never emptied.
        let last = self.frames.len().saturating_sub(1);
        &mut self.frames[last]
    }

    /// Counts recorded entries that are not saved yet.
    pub fn unsaved(&mut self, entries: u32, bytes: usize) {
        self.unsaved.since.get_or_insert_with(Stopwatch::start);
        self.unsaved.entries += entries;
        self.unsaved.bytes += bytes;
    }

    /// Resets the counts after a save.
    pub fn saved(&mut self) {
        self.unsaved = UnsavedEntries::default();
    }

    /// Whether anything is unsaved.
    pub fn is_unsaved(&self) -> bool {
        self.unsaved.since.is_some()
    }

    /// Whether a save is due, given the maximum number of unsaved entries.
    pub fn is_save_due(&self, entries: u32) -> bool {
        let Some(since) = &self.unsaved.since else { return false };
        self.unsaved.entries >= entries
            || self.unsaved.bytes >= SAVE_BYTES
            || since.elapsed().as_millis() >= SAVE_MILLIS
    }
}

/// Hashes a request: its parts in order, each preceded by its length.
pub(crate) fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.digest128().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_snapshot_decodes_to_what_was_encoded(fuel in 1u64.., next_line: Option<u64>, notice in prop::option::of((any::<u64>(), any::<u64>()))) {
            let notice = notice.map(|(fuel, at)| CancelNotice { entry: Position::new(3), fuel, at: Timestamp::from_millis(at) });
            let snapshot = ReplaySnapshot { fuel, next_line, notice, ..ReplaySnapshot::default() };
            let written = snapshot.write(0).unwrap().unwrap();
            prop_assert_eq!(ReplaySnapshot::read(&written).unwrap(), snapshot);
        }

        #[test]
        fn garbage_is_never_decoded_with_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReplaySnapshot::read(&bytes);
        }
    }

    #[test]
    fn a_snapshot_without_content_is_not_encoded() {
        assert_eq!(ReplaySnapshot { fuel: 5, ..ReplaySnapshot::default() }.write(5).unwrap(), None);
        assert!(ReplaySnapshot { fuel: 6, ..ReplaySnapshot::default() }.write(5).unwrap().is_some());
    }

    #[test]
    fn parts_are_hashed_with_their_lengths() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_eq!(hash(&[b"ab", b"c"]), hash(&[b"ab", b"c"]));
    }
}
