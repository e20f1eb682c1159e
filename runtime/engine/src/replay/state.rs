//! What one activation knows of its past: the journal that it replays and then writes, and what is saved beside it.
//!
//! The journal holds what the host answered. Its *head* holds what answers alone do not bring back: the effects that have not taken hold
//! and belong to no entry, and a few counts. Here is neither what is recorded of which call (`host/`) nor how it is
//! committed ([`crate::journaled`]).

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

use crate::activation::NextAttempt;
use crate::guest::random::RunRandom;
use crate::transaction::Transaction;

/// What an open stretch records is saved after so many bytes or milliseconds.
const SAVE_BYTES: usize = 1 << 20;
const SAVE_MILLIS: u128 = 100;

/// A point of the journal, with the number of steps that were open there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalMark {
    pub at: Position,
    pub depth: u32,
}

/// When the guest was told that it is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CancelNotice {
    /// The entry that says so, or the step's that it was in.
    pub entry: Position,
    /// What the generation had used by then.
    pub fuel: u64,
    pub at: Timestamp,
}

/// What stands beside the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplaySnapshot {
    /// The end of the journal that it belongs to.
    pub at: Position,
    /// What the generation has used up, dropped attempts included.
    pub fuel: u64,
    /// The place that the next log line had at the last entry; none where lines that came later are written again all the same.
    pub next_line: Option<u64>,
    /// Bytes of log of this generation, and its HTTP.
    pub log_bytes: u64,
    pub http_calls: u64,
    pub http_bytes: u64,
    pub told: Option<CancelNotice>,
    /// The stretch and its marks, where it is not blank.
    pub open: Option<OpenTransaction>,
}

/// What a retry keeps, and what a changed read does again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RollbackMarks {
    /// A retry keeps everything up to here.
    pub kept: JournalMark,
    /// The stretch begins here,
    pub first: JournalMark,
    /// and this was kept then.
    pub first_kept: JournalMark,
}

impl RollbackMarks {
    /// All at one point.
    pub const fn at(mark: JournalMark) -> Self {
        Self { kept: mark, first: mark, first_kept: mark }
    }
}

/// A stretch that is not blank, or has open steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenTransaction {
    pub stretch: Transaction,
    pub marks: RollbackMarks,
}

impl ReplaySnapshot {
    /// Reads what [`ReplaySnapshot::write`] wrote.
    pub fn read(bytes: &[u8]) -> Result<Self, postcard::Error> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest),
            _ => Err(postcard::Error::DeserializeBadEncoding),
        }
    }

    /// As it is stored; none where there is nothing that the journal alone does not say.
    pub fn write(&self, recorded_fuel: u64) -> Result<Option<Bytes>, postcard::Error> {
        // Where no line was written, the place of the next one says nothing.
        let Self { at: _, fuel, next_line: _, log_bytes, http_calls, http_bytes, told, open } = self;
        let counts = *log_bytes | *http_calls | *http_bytes;
        if *fuel <= recorded_fuel && counts == 0 && told.is_none() && open.is_none() {
            return Ok(None);
        }
        postcard::to_extend(self, vec![FORMAT]).map(|bytes| Some(bytes.into()))
    }
}

/// The format of a head.
const FORMAT: u8 = 1;

/// What is counted in one step, or in the run outside of all steps, so that each call has a name of its own that it has in
/// every attempt and replay.
pub(crate) struct NameCounters {
    /// The step's number; 0 outside of all steps.
    pub id: u32,
    /// Where it is.
    pub path: Hash,
    /// The attempt that is carried out; counts from 1.
    pub attempt: u32,
    /// How it is tried again.
    pub retry: RetryPolicy,
    /// Postings so far.
    pub posts: u32,
    /// Signals so far.
    pub signals: u32,
    /// Events so far.
    pub events: u32,
    /// How often each request was sent.
    pub sent: HashMap<[u8; 32], u64>,
    /// How often each start was made.
    pub started: HashMap<Hash, u64>,
    /// Its own randomness.
    pub random: RunRandom,
    /// What was sent to which place in this attempt, and in the one before.
    pub places: Vec<SentRequest>,
    pub places_before: Vec<SentRequest>,
    /// What the last answer said about the next attempt.
    pub next_attempt: NextAttempt,
    /// Whether it undoes what was done before: the SDK's sagas name such steps `undo …`.
    pub undoes: bool,
}

/// A request that left a step: to which place, and what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentRequest {
    pub place: Hash,
    pub content: [u8; 32],
}

impl NameCounters {
    /// What is counted outside of all steps.
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

    /// What is counted in a step.
    pub fn step(seed: Seed, generation: u32, id: u32, path: Hash, attempt: u32, retry: RetryPolicy) -> Self {
        let random = RunRandom::of_step(seed, generation, path);
        Self { id, path, attempt, random, ..Self::root(seed, generation, retry) }
    }

    /// Another attempt counts anew, so that it does the same under the same names.
    pub fn again(&mut self, seed: Seed, generation: u32, attempt: u32) {
        let (before, undoes) = (std::mem::take(&mut self.places), self.undoes);
        *self = Self::step(seed, generation, self.id, self.path, attempt, self.retry);
        (self.places_before, self.undoes) = (before, undoes);
    }
}

/// What an activation ends with that is neither the guest's doing nor a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExitReason {
    /// A read has changed: the stretch is done again.
    Retry,
    /// It leaves memory while it waits.
    Suspend,
    /// It goes on as new, with this input.
    ContinueAsNew(Bytes),
    /// It does something else than is recorded.
    Mismatch(Failure),
    /// All that is recorded was replayed, and no more was asked for.
    Replayed,
}

/// The past of one activation.
pub(crate) struct ReplayState {
    pub journal: Journal,
    /// Taken when the replay ends.
    pub head: Option<ReplaySnapshot>,
    /// Whether all that is recorded was replayed.
    pub live: bool,
    /// Whether only replay was asked for.
    pub dry: bool,
    /// The run, and each open step.
    pub frames: Vec<NameCounters>,
    pub marks: RollbackMarks,
    /// What the generation had used where the stretch begins.
    pub first_fuel: u64,
    /// What the generation had used at the last entry.
    pub entry_fuel: u64,
    /// How often this activation has committed.
    pub commits: u32,
    pub told: Option<CancelNotice>,
    pub exit: Option<ExitReason>,
    /// Set where something that was handed out to be saved was not.
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
    /// Of a run that has this journal and head.
    pub fn new(mut journal: Journal, head: Option<ReplaySnapshot>, root: NameCounters) -> Self {
        journal.rewind();
        Self {
            live: false,
            journal,
            head,
            dry: false,
            frames: vec![root],
            marks: RollbackMarks::at(JournalMark::default()),
            first_fuel: 0,
            entry_fuel: 0,
            commits: 0,
            told: None,
            exit: None,
            lost: Arc::default(),
            unsaved: UnsavedEntries::default(),
            scratch: Vec::new(),
        }
    }

    /// How many steps are open.
    pub fn depth(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX).saturating_sub(1)
    }

    /// Here.
    pub fn mark(&self) -> JournalMark {
        JournalMark { at: self.journal.position(), depth: self.depth() }
    }

    /// The stretch begins here; up to `kept`, or to here, a retry keeps everything.
    pub fn begin_here(&mut self, kept: Option<JournalMark>) {
        let first = self.mark();
        let kept = kept.unwrap_or(first);
        self.marks = RollbackMarks { kept, first, first_kept: kept };
        self.first_fuel = self.entry_fuel;
    }

    /// The counts of the innermost open step.
    pub fn frame(&mut self) -> &mut NameCounters {
        // There is always the run's own frame; `frames` is never emptied.
        let last = self.frames.len().saturating_sub(1);
        &mut self.frames[last]
    }

    /// Something was recorded that is not saved yet.
    pub fn unsaved(&mut self, entries: u32, bytes: usize) {
        self.unsaved.since.get_or_insert_with(Stopwatch::start);
        self.unsaved.entries += entries;
        self.unsaved.bytes += bytes;
    }

    /// Everything is saved.
    pub fn saved(&mut self) {
        self.unsaved = UnsavedEntries::default();
    }

    /// Whether there is anything to save.
    pub fn is_unsaved(&self) -> bool {
        self.unsaved.since.is_some()
    }

    /// Whether it is time to save.
    pub fn is_save_due(&self, entries: u32) -> bool {
        let Some(since) = &self.unsaved.since else { return false };
        self.unsaved.entries >= entries
            || self.unsaved.bytes >= SAVE_BYTES
            || since.elapsed().as_millis() >= SAVE_MILLIS
    }
}

/// Hashes a request: its parts in order, each with its length.
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
        fn a_head_is_read_as_it_was_written(fuel in 1u64.., next_line: Option<u64>, told in prop::option::of((any::<u64>(), any::<u64>()))) {
            let told = told.map(|(fuel, at)| CancelNotice { entry: Position::new(3), fuel, at: Timestamp::from_millis(at) });
            let head = ReplaySnapshot { fuel, next_line, told, ..ReplaySnapshot::default() };
            let written = head.write(0).unwrap().unwrap();
            prop_assert_eq!(ReplaySnapshot::read(&written).unwrap(), head);
        }

        #[test]
        fn what_is_no_head_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReplaySnapshot::read(&bytes);
        }
    }

    #[test]
    fn a_head_that_says_nothing_is_not_written() {
        assert_eq!(ReplaySnapshot { fuel: 5, ..ReplaySnapshot::default() }.write(5).unwrap(), None);
        assert!(ReplaySnapshot { fuel: 6, ..ReplaySnapshot::default() }.write(5).unwrap().is_some());
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_eq!(hash(&[b"ab", b"c"]), hash(&[b"ab", b"c"]));
    }
}
