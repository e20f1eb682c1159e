//! A run's log and clock: shared by `log.write`, standard output and standard error.
//!
//! Nothing here fails a guest. Long lines are cut; excess lines are counted and dropped. The log
//! reports both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, MutexGuard};
use tidemill_core::limits::{LOG_FIELD_BYTES, LOG_FIELDS, LOG_LINE_BYTES};
use tidemill_core::{Clock, Code, Timestamp};
use tidemill_store::records::{LogLevel, LogLine};

use crate::activation::channel::RunChannel;
use crate::activation::run_context::RunContext;
use crate::guest::panic::StderrTail;

/// Bytes counted for each line in addition to its text, so that empty lines are not free.
const LINE_OVERHEAD: u64 = 32;

/// Field on lines logged again after a conflict; the value counts the retries.
const TRANSACTION_RETRIES: &str = "tidemill.transaction-retries";
/// Field that replaces the fields beyond the maximum.
const FIELDS_DROPPED: &str = "tidemill.fields-dropped";
/// Field on lines of a retried step; the value is the number of the attempt, from 2.
const STEP_ATTEMPT: &str = "tidemill.step-attempt";

/// The run's time: the host's clock, but never earlier than a time that the run has seen.
pub(crate) struct RunClock {
    clock: Arc<dyn Clock>,
    last: AtomicU64,
}

impl RunClock {
    /// Returns a clock that starts no earlier than `since`.
    pub fn new(clock: Arc<dyn Clock>, since: Timestamp) -> Self {
        Self { clock, last: AtomicU64::new(since.as_millis()) }
    }

    /// Returns the last time that the run has seen; the deadline of a completed sleep counts as
    /// seen.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last.load(Relaxed))
    }

    /// Makes the clock no earlier than `at`.
    pub fn not_before(&self, at: Timestamp) {
        self.last.fetch_max(at.as_millis(), Relaxed);
    }

    /// Returns the run's current time.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now().as_millis();
        Timestamp::from_millis(self.last.fetch_max(now, Relaxed).max(now))
    }
}

/// One of the two standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Logged at level `info`.
    Stdout,
    /// Logged at level `warn`.
    Stderr,
}

/// The log of one activation.
pub(crate) struct RunLog {
    pub clock: RunClock,
    channel: Arc<dyn RunChannel>,
    attempt: u32,
    limit: u64,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    seq: u64,
    bytes: u64,
    dropped: u64,
    open: [OpenLine; 2],
    /// The end of standard error, replayed or not: it holds the text of a panic.
    tail: StderrTail,
    /// Whether the guest is replaying, so that its lines were written before.
    replays: bool,
    /// Number of further lines that were written before.
    skip: u64,
    /// Sequence number of the next line at the last journal entry.
    at_entry: u64,
    /// Whether lines were written since the last save.
    unsaved: bool,
    /// Number of times that the open transaction was redone; its lines carry it.
    redone: u32,
    /// Attempt number of the innermost retried step; 0 if none is retried.
    step_attempt: u32,
}

/// The unfinished line of a standard stream.
#[derive(Default)]
struct OpenLine {
    bytes: Vec<u8>,
    cut: u64,
}

impl RunLog {
    /// Returns the log of one activation.
    pub fn new(run: &RunContext, clock: Arc<dyn Clock>, channel: Arc<dyn RunChannel>) -> Self {
        Self {
            clock: RunClock::new(clock, run.created_at),
            channel,
            attempt: run.attempt,
            limit: run.limits.log,
            state: Mutex::new(LogState { seq: run.next_log_seq, redone: run.redone, ..LogState::default() }),
        }
    }

    /// Begins the replay: lines are dropped until it ends.
    pub fn replays(&self) {
        self.state().replays = true;
    }

    /// Ends the replay. `at_entry` was the number of the next line at the last entry: lines kept
    /// since then are written again now, and are dropped. `bytes` is what the generation has
    /// logged.
    pub fn resumes(&self, at_entry: Option<u64>, bytes: u64) {
        let mut state = self.state();
        (state.replays, state.bytes) = (false, bytes);
        state.at_entry = at_entry.unwrap_or(state.seq);
        state.skip = state.seq.saturating_sub(state.at_entry);
    }

    /// Notes that a journal entry follows.
    pub fn entry(&self) {
        let mut state = self.state();
        (state.at_entry, state.skip) = (state.seq, 0);
    }

    /// Returns the number of the next line at the last entry, and the bytes logged in this
    /// generation.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.at_entry, state.bytes)
    }

    /// Resets the retry count after a commit: later lines are new.
    pub fn committed(&self) {
        self.state().redone = 0;
    }

    /// Sets the attempt number of the innermost retried step; 0 if none is retried.
    pub fn in_attempt(&self, attempt: u32) {
        self.state().step_attempt = attempt;
    }

    /// Whether lines were written since the last call.
    pub fn take_unsaved(&self) -> bool {
        std::mem::take(&mut self.state().unsaved)
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock()
    }

    /// Writes a line.
    pub fn write(&self, level: LogLevel, message: String, fields: Vec<(String, String)>) {
        let mut state = self.state();
        self.push(&mut state, level, message, fields);
    }

    /// Appends to a standard stream. A line ends at its newline, or with the run.
    pub fn write_stream(&self, stream: Stream, mut bytes: &[u8]) {
        let mut state = self.state();
        if stream == Stream::Stderr {
            state.tail.extend(bytes);
        }
        while let Some(at) = bytes.iter().position(|b| *b == b'\n') {
            if let Some(line) = bytes.get(..at) {
                state.open[stream as usize].extend(line);
            }
            self.end_line(&mut state, stream);
            bytes = bytes.get(at + 1..).unwrap_or_default();
        }
        state.open[stream as usize].extend(bytes);
    }

    /// Returns the guest's panic message, if there is one.
    pub fn panic(&self) -> Option<String> {
        self.state().tail.panic()
    }

    /// Ends open lines and reports dropped lines, at the end of the activation.
    pub fn finish(&self) {
        let mut state = self.state();
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !state.open[stream as usize].is_empty() {
                self.end_line(&mut state, stream);
            }
        }
        if state.dropped > 0 {
            let message = format!(
                "{} log lines were dropped: the limit is {} bytes; raise it with `log` under `[limits]`",
                state.dropped, self.limit
            );
            let code = ("code".to_owned(), Code::LimitLog.as_str().to_owned());
            self.emit(&mut state, LogLevel::Warn, message, vec![code]);
        }
    }

    fn end_line(&self, state: &mut LogState, stream: Stream) {
        let line = std::mem::take(&mut state.open[stream as usize]);
        let level = if stream == Stream::Stdout { LogLevel::Info } else { LogLevel::Warn };
        let mut message = String::from_utf8_lossy(&line.bytes).into_owned();
        if message.ends_with('\r') {
            message.pop();
        }
        let name = if stream == Stream::Stdout { "stdout" } else { "stderr" };
        let mut fields = vec![("stream".to_owned(), name.to_owned())];
        if line.cut > 0 {
            fields.push(cut_mark(line.cut));
        }
        self.push(state, level, message, fields);
    }

    fn push(&self, state: &mut LogState, level: LogLevel, mut message: String, mut fields: Vec<(String, String)>) {
        drop_fields(&mut fields);
        // They precede the fields that are cut off a long line.
        if state.step_attempt > 0 {
            fields.insert(0, (STEP_ATTEMPT.to_owned(), state.step_attempt.to_string()));
        }
        if state.redone > 0 {
            fields.insert(0, (TRANSACTION_RETRIES.to_owned(), state.redone.to_string()));
        }
        cut(&mut message, &mut fields);
        let size = LINE_OVERHEAD + counted(&message, &fields);
        if state.replays {
            return;
        }
        if state.skip > 0 {
            // Its bytes are already counted.
            state.skip -= 1;
            return;
        }
        if state.bytes.saturating_add(size) > self.limit {
            state.dropped += 1;
            return;
        }
        state.bytes += size;
        self.emit(state, level, message, fields);
    }

    fn emit(&self, state: &mut LogState, level: LogLevel, message: String, fields: Vec<(String, String)>) {
        let line = LogLine { seq: state.seq, at: self.clock.now(), attempt: self.attempt, level, message, fields };
        state.seq += 1;
        state.unsaved = true;
        self.channel.log(line);
    }
}

impl OpenLine {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.cut == 0
    }

    fn extend(&mut self, more: &[u8]) {
        let room = (LOG_LINE_BYTES / 2).saturating_sub(self.bytes.len()).min(more.len());
        let (kept, lost) = more.split_at(room);
        self.bytes.extend_from_slice(kept);
        self.cut += lost.len() as u64;
    }
}

/// Returns the bytes of a line that count against the log limit, without overhead.
fn counted(message: &str, fields: &[(String, String)]) -> u64 {
    let field = |(name, value): &(String, String)| ((name.len() + value.len()) as u64).max(LOG_FIELD_BYTES);
    message.len() as u64 + fields.iter().map(field).sum::<u64>()
}

/// Drops the fields of a guest's line beyond the maximum, and marks the line.
fn drop_fields(fields: &mut Vec<(String, String)>) {
    if fields.len() > LOG_FIELDS {
        fields.truncate(LOG_FIELDS - 1);
        fields.push((FIELDS_DROPPED.to_owned(), format!("a line has at most {LOG_FIELDS} fields")));
    }
}

/// Cuts a line to its maximum size, and marks it.
fn cut(message: &mut String, fields: &mut Vec<(String, String)>) {
    let whole = message.len() + fields.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
    if whole <= LOG_LINE_BYTES {
        return;
    }
    let room = LOG_LINE_BYTES - 64;
    message.truncate(message.floor_char_boundary(room));
    let mut left = room - message.len();
    let fit = fields
        .iter()
        .take_while(|(name, value)| {
            let size = name.len() + value.len();
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        })
        .count();
    fields.truncate(fit);
    let kept = message.len() + fields.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
    fields.push(cut_mark((whole - kept) as u64));
}

fn cut_mark(bytes: u64) -> (String, String) {
    ("tidemill.cut-bytes".to_owned(), bytes.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_line_is_cut_to_its_maximum_size(
            message in "[a-zä€]{0,80000}",
            fields in prop::collection::vec(("[a-z]{0,10}", "[ß]{0,20000}"), 0..6),
        ) {
            let (mut message, mut fields) = (message, fields);
            drop_fields(&mut fields);
            cut(&mut message, &mut fields);
            let size = message.len() + fields.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
            prop_assert!(size <= LOG_LINE_BYTES);
        }

        #[test]
        fn empty_fields_are_bounded_and_count(count in 0usize..200) {
            let mut fields = vec![(String::new(), String::new()); count];
            drop_fields(&mut fields);
            prop_assert_eq!(fields.len(), count.min(LOG_FIELDS));
            prop_assert!(counted("", &fields) >= fields.len() as u64 * LOG_FIELD_BYTES);
        }
    }
}
