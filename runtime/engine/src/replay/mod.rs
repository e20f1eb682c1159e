//! Replays and records the calls of a guest, and commits its transactions.
//!
//! A recorded call is answered from the journal. A new call is performed and recorded. At a commit
//! point, everything outside open steps takes effect.
//!
//! # Example
//! A run reads the clock, reads key `n` (5), writes `n` = 6, and sleeps. Its journal holds four
//! entries: the time, the value 5, the result of the write, and the deadline of the sleep. The
//! write takes effect at the commit with which the sleep begins. After a crash the guest executes
//! from its start:
//!
//! 1. The first three calls match entries 0 to 2 and return the recorded answers. A replayed write
//!    changes nothing: it is committed already. The effects of an uncommitted transaction are
//!    restored from the replay snapshot instead.
//! 2. The sleep matches entry 3, the last. [`GuestState::go_live`] restores the replay snapshot:
//!    open transaction, rollback marks, counters, fuel and cancellation notice.
//! 3. When the deadline has passed, the end of the sleep becomes entry 4, the first of the next
//!    transaction. Later calls are performed and recorded.
//!
//! If a second run had also read `n` = 5 and had committed first, the commit would have found a
//! changed version. The activation then ends with `ExitReason::Retry`, the journal is cut to
//! `RollbackMarks::first`, and the transaction is redone from there: it reads 6 and writes 7.
//!
//! # Invariants
//! - `live` changes once, from false to true, when the last entry is replayed. No call is performed
//!   before that and none is replayed after it.
//! - A replay snapshot belongs to one end of the journal. A snapshot with another position is
//!   rejected.
//! - Kind and request of a call must match its entry. A difference parks the run; it is never
//!   skipped.
//! - Everything recorded is in the store before a request that can have side effects leaves the
//!   host.

pub(crate) mod checkpoint;
pub(crate) mod state;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_core::journal::{CallReplay, Hash, Kind, Mismatch, NewEntry};
use tidemill_core::run::{Export, Wait};
use tidemill_core::{Code, Failure, Fuel};

use crate::activation::channel::{CommitOutcome, CommitReason, PendingCommit, RunChannel};
use crate::guest::GuestState;
use crate::guest::trap::GuestStop;
use crate::replay::state::{CancelNotice, ExitReason, OpenTransaction, ReplaySnapshot, RollbackMarks};
use crate::transaction::Transaction;
use crate::transaction::effects::Effects;

/// Request hash of the entry that records a cancellation notice.
const CANCEL_NOTICE: Hash = [0; 16];

impl GuestState {
    /// Returns the recorded answer of the next call, or `None` if the call is to be performed.
    ///
    /// # Errors
    /// If the journal records another call.
    pub fn replay<T: DeserializeOwned>(&mut self, kind: Kind, request: Hash) -> wasmtime::Result<Option<T>> {
        if self.history.live {
            return Ok(None);
        }
        match self.history.journal.call(kind, request) {
            Ok(CallReplay::Recorded(recorded)) => {
                self.log.clock.not_before(recorded.at);
                let answer = decode(&recorded.result)?;
                self.replayed_one()?;
                Ok(Some(answer))
            }
            Ok(CallReplay::Live) => self.go_live().map(|()| None),
            Err(mismatch) => Err(self.mismatch(&mismatch).into()),
        }
    }

    /// Returns the answer of the next entry if it has this kind and request.
    ///
    /// # Errors
    /// If the recorded answer cannot be decoded.
    pub fn replay_if<T: DeserializeOwned>(&mut self, kind: Kind, request: Hash) -> wasmtime::Result<Option<T>> {
        if self.history.live {
            return Ok(None);
        }
        let Some(recorded) = self.history.journal.next_if(kind, request) else { return Ok(None) };
        self.log.clock.not_before(recorded.at);
        let answer = decode(&recorded.result)?;
        self.replayed_one()?;
        Ok(Some(answer))
    }

    /// Records the answer to a call. `shown` is the request in readable form.
    ///
    /// # Errors
    /// If the journal exceeds its maximum size.
    pub fn record<T: Serialize>(
        &mut self,
        kind: Kind,
        request: Hash,
        answer: &T,
        shown: Option<&[u8]>,
    ) -> wasmtime::Result<()> {
        if self.export == Export::Health {
            return Ok(());
        }
        let mut result = std::mem::take(&mut self.history.scratch);
        result.clear();
        result = postcard::to_extend(answer, result).map_err(|error| internal(&error))?;
        let (at, fuel) = self.moment();
        self.history.journal.record(NewEntry { kind, request, result: &result, at, fuel, shown });
        let size = result.len();
        self.history.scratch = result;
        self.recorded(size)
    }

    /// Returns the time and fuel of the entry that is about to be recorded.
    pub fn moment(&mut self) -> (tidemill_core::Timestamp, Fuel) {
        let fuel = self.fuel.generation();
        self.history.entry_fuel = fuel;
        (self.log.clock.now(), Fuel::new(fuel))
    }

    /// Updates the counts after an entry of `size` bytes was recorded.
    ///
    /// # Errors
    /// If the journal exceeds its maximum size.
    pub fn recorded(&mut self, size: usize) -> wasmtime::Result<()> {
        self.log.entry();
        self.transaction.entry();
        self.history.unsaved(1, size);
        let (bytes, most) = (self.history.journal.bytes(), self.run.limits.journal);
        if bytes > most {
            let message = format!(
                "the journal of this generation has {bytes} bytes; raise the limit with `journal = \"{}MiB\"` under `[limits]`, \
                 or nest steps and continue as new",
                (most >> 20).max(1).saturating_mul(2)
            );
            return Err(GuestStop::new(Code::LimitJournal, message).into());
        }
        Ok(())
    }

    /// Fails once with the cancellation notice. Called before each call that can fail.
    pub fn check_cancelled(&mut self) -> Result<(), Failure> {
        if self.history.notice.is_some() {
            return Ok(());
        }
        if !self.history.live {
            let Some(recorded) = self.history.journal.next_if(Kind::CancelNotice, CANCEL_NOTICE) else { return Ok(()) };
            let entry = self.history.journal.replayed();
            self.history.notice = Some(CancelNotice { entry, fuel: recorded.fuel.get(), at: recorded.at });
            // An unreadable entry is found by the next call, which can stop the guest.
            let _ = self.replayed_one();
            return Err(cancelled());
        }
        if !self.is_cancel_requested() {
            return Ok(());
        }
        self.notify_cancelled();
        Err(cancelled())
    }

    /// Whether a cancellation was requested and the guest is not yet notified.
    pub fn is_cancel_requested(&self) -> bool {
        self.history.notice.is_none() && self.cancel().urgency() >= crate::guest::cancel::Urgency::Requested
    }

    /// Records that the guest is notified of its cancellation.
    pub fn notify_cancelled(&mut self) {
        let (at, fuel) = self.moment();
        self.grace_pending = true;
        if self.export != Export::Health {
            self.history.journal.record(NewEntry {
                kind: Kind::CancelNotice,
                request: CANCEL_NOTICE,
                result: &[],
                at,
                fuel,
                shown: None,
            });
            self.log.entry();
            self.transaction.entry();
            self.history.unsaved(1, 0);
        }
        let entry = self.history.journal.position();
        self.history.notice = Some(CancelNotice { entry, fuel: fuel.get(), at });
        if self.transaction.is_empty() {
            // The notice opens the transaction, as an answer does.
            self.begin_here();
        }
    }

    /// Goes live if the entry just replayed was the last.
    ///
    /// # Errors
    /// As [`GuestState::go_live`].
    pub fn replayed_one(&mut self) -> wasmtime::Result<()> {
        if self.history.journal.is_live() { self.go_live() } else { Ok(()) }
    }

    /// Ends the replay and restores the replay snapshot; later calls are performed.
    ///
    /// # Errors
    /// If the snapshot belongs to another end of the journal, or if only a replay was requested.
    pub fn go_live(&mut self) -> wasmtime::Result<()> {
        let history = &mut self.history;
        if std::mem::replace(&mut history.live, true) {
            return Ok(());
        }
        let (at, recorded) = (history.journal.last_at(), history.journal.last_fuel());
        let snapshot = history
            .snapshot
            .take()
            .unwrap_or_else(|| ReplaySnapshot { at: history.journal.position(), ..ReplaySnapshot::default() });
        if snapshot.at != history.journal.position() {
            return Err(GuestStop::new(
                Code::Internal,
                "the replay snapshot belongs to another position in the journal",
            )
            .into());
        }
        self.log.clock.not_before(at);
        self.log.resumes(snapshot.next_line, snapshot.log_bytes);
        self.usage.resume(snapshot.http_calls, snapshot.http_bytes);
        let here = history.mark();
        let open = snapshot
            .open
            .unwrap_or_else(|| OpenTransaction { stretch: Transaction::default(), marks: RollbackMarks::at(here) });
        (self.transaction, history.marks) = (open.stretch, open.marks);
        self.transaction.open_to(history.depth());
        history.notice = history.notice.or(snapshot.notice);
        history.entry_fuel = recorded.get().max(snapshot.fuel);
        history.first_fuel = history.entry_fuel;
        let before = history.entry_fuel.max(self.fuel_used);
        self.fuel.replayed(before, self.fuel_left(before));
        if self.history.dry {
            return Err(self.exit(ExitReason::Replayed).into());
        }
        Ok(())
    }

    /// Returns the fuel left after `used`: of the grace period if the guest is notified, else of
    /// its limit.
    fn fuel_left(&self, used: u64) -> u64 {
        let limit = self.run.limits.fuel.get();
        let most = self
            .history
            .notice
            .map_or(limit, |notice| notice.fuel.saturating_add(limit / tidemill_core::limits::GRACE_FUEL));
        most.saturating_sub(used)
    }

    /// Ends the activation for a reason that is not a failure.
    pub fn exit(&mut self, exit: ExitReason) -> GuestStop {
        let end = GuestStop::new(Code::Internal, "the activation ends");
        self.history.exit.get_or_insert(exit);
        end
    }

    /// Ends the activation because the journal records another call.
    pub fn mismatch(&mut self, mismatch: &Mismatch) -> GuestStop {
        let seen = |seen: &tidemill_core::journal::CallDescription| {
            serde_json::json!({
                "call": seen.kind,
                "step": seen.step,
                "request": seen.shown.as_ref().map(|shown| String::from_utf8_lossy(shown).into_owned()),
            })
        };
        let details = serde_json::json!({
            "entry": mismatch.seq,
            "recorded": seen(&mismatch.recorded),
            "called": seen(&mismatch.called),
        });
        let failure = Code::JournalMismatch.failure(mismatch.to_string()).with_details(details.to_string());
        self.exit(ExitReason::Mismatch(failure))
    }

    /// Commits everything outside open steps. At [`CommitReason::BackOff`] it is only saved.
    ///
    /// # Errors
    /// A read conflict, a suspension or a store failure; each ends the activation.
    pub async fn commit(&mut self, point: CommitReason) -> wasmtime::Result<()> {
        let saves = matches!(point, CommitReason::BackOff { .. });
        let (effects, snapshot) = if saves {
            (Effects::default(), self.open_snapshot()?)
        } else {
            let left = self.snapshot(self.transaction.after_commit(), RollbackMarks::at(self.history.mark()))?;
            (self.transaction.effects(), left)
        };
        let pending = self.pending_commit(point, effects, snapshot);
        let outcome = match self.channel.commit(pending).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                self.history.journal.not_written();
                return Err(GuestStop::from(failure).into());
            }
        };
        if outcome == CommitOutcome::Retry {
            return Err(self.exit(ExitReason::Retry).into());
        }
        if !saves {
            self.transaction.committed();
            self.history.begin_here(None);
            self.history.commits += 1;
            self.log.committed();
        }
        self.history.saved();
        self.log.take_unsaved();
        if outcome == CommitOutcome::Suspend { Err(self.exit(ExitReason::Suspend).into()) } else { Ok(()) }
    }

    /// Waits, but a notified guest waits no longer than its grace period.
    ///
    /// # Errors
    /// As [`GuestState::commit`], or if the grace period is over.
    pub async fn wait(&mut self, mut wait: Wait) -> wasmtime::Result<()> {
        if let Some(notice) = self.history.notice {
            let over = notice.at.plus_millis(crate::guest::GRACE_WAITS);
            if self.log.clock.now() >= over {
                return Err(crate::guest::out_of_waits().into());
            }
            wait.until = Some(wait.until.map_or(over, |until| until.min(over)));
        }
        self.commit(CommitReason::Wait(wait)).await
    }

    /// Commits before a request that can have side effects. Writes nothing if everything is already
    /// committed and saved.
    ///
    /// # Errors
    /// As [`GuestState::commit`].
    pub async fn commit_before_request(&mut self) -> wasmtime::Result<()> {
        if self.history.commits > 0 && self.transaction.is_empty() && !self.history.is_unsaved() {
            self.transaction.committed();
            self.history.begin_here(None);
            return Ok(());
        }
        self.commit(CommitReason::Leaving).await
    }

    /// Saves the entries and log lines recorded since the last save, if any.
    ///
    /// # Errors
    /// If the replay snapshot cannot be encoded.
    pub async fn save(&mut self) -> wasmtime::Result<()> {
        if let Some((channel, pending)) = self.take_unsaved()?
            && !channel.save(pending).await
        {
            self.history.journal.not_written();
        }
        Ok(())
    }

    /// Whether a save is due.
    pub fn is_save_due(&self) -> bool {
        self.history.is_save_due(self.services.save_entries)
    }

    /// Takes what is not yet saved, with the channel that saves it.
    ///
    /// # Errors
    /// If the replay snapshot cannot be encoded.
    pub fn take_unsaved(&mut self) -> wasmtime::Result<Option<(Arc<dyn RunChannel>, PendingCommit)>> {
        let lines = self.log.take_unsaved();
        if !self.history.live || self.export == Export::Health || !(lines || self.history.is_unsaved()) {
            return Ok(None);
        }
        let snapshot = self.open_snapshot()?;
        let pending = self.pending_commit(CommitReason::Save, Effects::default(), snapshot);
        self.history.saved();
        Ok(Some((Arc::clone(&self.channel), pending)))
    }

    fn pending_commit(&mut self, point: CommitReason, effects: Effects, snapshot: Option<Bytes>) -> PendingCommit {
        let history = &mut self.history;
        if history.lost.swap(false, Relaxed) {
            history.journal.not_written();
        }
        PendingCommit {
            effects,
            journal: history.journal.change(),
            snapshot,
            fuel: Fuel::new(self.fuel.of_this(history.entry_fuel)),
            peak_memory: self.memory.peak(),
            journal_entries: history.journal.entries(),
            notified: history.notice.is_some(),
            point,
        }
    }

    /// Encodes the replay snapshot for the open transaction.
    pub fn open_snapshot(&self) -> wasmtime::Result<Option<Bytes>> {
        self.snapshot(self.transaction.clone(), self.history.marks)
    }

    /// Encodes the replay snapshot for `transaction` and `marks`.
    pub fn snapshot(&self, transaction: Transaction, marks: RollbackMarks) -> wasmtime::Result<Option<Bytes>> {
        let (next_line, log_bytes) = self.log.counts();
        let (http_calls, http_bytes) = self.usage.counts();
        let at = self.history.journal.position();
        let snapshot = ReplaySnapshot {
            at,
            fuel: self.history.entry_fuel,
            next_line: Some(next_line),
            log_bytes,
            http_calls,
            http_bytes,
            notice: self.history.notice,
            // Marks that are all at the end carry no information.
            open: (!transaction.is_blank() || marks != RollbackMarks::at(self.history.mark()))
                .then_some(OpenTransaction { stretch: transaction, marks }),
        };
        snapshot.write(self.history.journal.last_fuel().get()).map_err(|error| internal(&error).into())
    }

    /// Makes a retry keep everything up to here.
    pub fn keep(&mut self) {
        self.transaction.savepoint();
        self.history.marks.kept = self.history.mark();
    }

    /// Moves the start of the transaction here, so that a read conflict redoes nothing earlier.
    pub fn begin_here(&mut self) {
        self.transaction.begin_here();
        self.history.begin_here(Some(self.history.marks.kept));
    }
}

/// The failure that notifies the guest of its cancellation.
pub(crate) fn cancelled() -> Failure {
    Code::Cancelled.failure("the run is being cancelled: clean up and return")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> wasmtime::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        let message = format!("a recorded answer does not fit its call: {error}");
        GuestStop::new(Code::StoreDamaged, message).into()
    })
}

fn internal(error: &postcard::Error) -> GuestStop {
    GuestStop::new(Code::Internal, format!("a journal entry could not be encoded: {error}"))
}
