//! A scripted guest that records its calls and replays its journal, as the engine does for
//! components.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_control::GuestJob;
use tidemill_core::clock::{Clock as _, ManualClock};
use tidemill_core::journal::{CallReplay, Journal, Kind, NewEntry, Position};
use tidemill_core::run::{Wait, WaitCondition};
use tidemill_core::{Fuel, RunId, Timestamp};
use tidemill_engine::{
    ActivationResult, Cause, Checkpoint, CommitOutcome, CommitReason, Effects, NextAttempt, Outcome, PendingCommit,
    Urgency,
};
use tidemill_store::Store;
use tidemill_store::records::{ReadCheck, StateWrite};

use crate::guests::failed;
use crate::world::TestHost;

/// The result of a script. It ends early if it leaves memory or is executed again.
pub type Flow<T> = Result<T, ActivationResult>;

pub struct Durable {
    pub job: GuestJob,
    pub store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    journal: Journal,
    effects: Effects,
    /// The first position of the transaction, to which a conflict returns.
    opener: Position,
    /// The position up to which a retry keeps the journal, and the kept effects.
    kept: Position,
    kept_effects: Effects,
    calls: u8,
    told: bool,
}

impl TestHost {
    /// Sets the script of all guests from now on.
    pub fn act<F>(&self, script: impl Fn(Durable) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Flow<ActivationResult>> + Send + 'static,
    {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        self.guests.act(move |job| {
            let flow = script(Durable::of(job, Arc::clone(&store), Arc::clone(&clock)));
            async move { flow.await.unwrap_or_else(|ended| ended) }
        });
    }
}

impl Durable {
    fn of(mut job: GuestJob, store: Arc<dyn Store>, clock: Arc<ManualClock>) -> Self {
        let mut journal = std::mem::replace(&mut job.journal, Journal::empty());
        journal.rewind();
        let kept = journal.position();
        let (effects, kept_effects) = (Effects::default(), Effects::default());
        Self { job, store, clock, journal, effects, opener: kept, kept, kept_effects, calls: 0, told: false }
    }

    /// Returns whether the whole journal was replayed.
    pub fn is_live(&self) -> bool {
        self.journal.is_live()
    }

    fn met(&mut self, kind: Kind) -> Option<Bytes> {
        self.calls += 1;
        match self.journal.call(kind, [self.calls; 16]).unwrap() {
            CallReplay::Recorded(recorded) => Some(recorded.result),
            CallReplay::Live => None,
        }
    }

    fn record(&mut self, kind: Kind, result: &[u8]) -> Bytes {
        let (request, at, fuel) = ([self.calls; 16], crate::world::START, Fuel::new(1));
        self.journal.record(NewEntry { kind, request, result, at, fuel, shown: None });
        Bytes::copy_from_slice(result)
    }

    /// Records a call that is answered once.
    pub fn call(&mut self, answer: &str) -> Bytes {
        match self.met(Kind::Now) {
            Some(recorded) => recorded,
            None => self.record(Kind::Now, answer.as_bytes()),
        }
    }

    /// Reads a counter and writes it back plus one, within the transaction.
    pub async fn count(&mut self, key: &str) -> u64 {
        if let Some(recorded) = self.met(Kind::StateGet) {
            return std::str::from_utf8(&recorded).unwrap().parse().unwrap();
        }
        let read = crate::guests::read(&self.store, &self.job, key).await;
        let n = read.value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap()) + 1;
        self.effects.reads.push(ReadCheck::State { key: key.to_owned(), version: read.version });
        self.effects.writes.push(StateWrite { key: key.to_owned(), value: Some(n.to_string().into()) });
        self.record(Kind::StateGet, n.to_string().as_bytes());
        n
    }

    /// Keeps everything so far if the attempt fails.
    pub fn keep(&mut self) {
        self.kept = self.journal.position();
        self.kept_effects = self.effects.clone();
    }

    pub fn start(&mut self, start: tidemill_engine::StartRun) -> RunId {
        let id = start.id;
        if self.met(Kind::Start).is_none() {
            self.effects.starts.push(start);
            self.record(Kind::Start, &[]);
        }
        id
    }

    async fn commit(&mut self, point: CommitReason) -> Flow<CommitOutcome> {
        let stretched = self.pending(point);
        match self.job.sink.commit(stretched).await {
            Ok(CommitOutcome::Retry) => {
                self.journal.truncate(self.opener);
                let redo = ActivationResult { redo: true, ..self.left(failed(true, Cause::Host)) };
                Err(redo)
            }
            Ok(CommitOutcome::Suspend) => Err(self.left(Outcome::Suspended)),
            Ok(CommitOutcome::Continue) => {
                self.opener = self.journal.position();
                self.keep();
                self.kept_effects = Effects::default();
                Ok(CommitOutcome::Continue)
            }
            Err(failure) => Err(self.left(Outcome::Failed { failure, cause: Cause::Host })),
        }
    }

    fn pending(&mut self, point: CommitReason) -> PendingCommit {
        let effects = match point {
            CommitReason::Save | CommitReason::BackOff { .. } => Effects::default(),
            _ => std::mem::take(&mut self.effects),
        };
        PendingCommit {
            effects,
            journal: self.journal.change(),
            head: None,
            fuel: Fuel::new(10),
            peak_memory: 0,
            journal_entries: self.journal.entries(),
            told: self.told,
            point,
        }
    }

    /// Saves the journal so far.
    pub async fn save(&mut self) -> bool {
        let stretched = self.pending(CommitReason::Save);
        self.job.sink.save(stretched).await
    }

    /// Sends a request, and records its answer.
    pub async fn send(&mut self, answer: impl Future<Output = String> + Send) -> Flow<Bytes> {
        if let Some(recorded) = self.met(Kind::Fetch) {
            self.opener = self.journal.replayed();
            return Ok(recorded);
        }
        self.commit(CommitReason::Leaving).await?;
        let answer = answer.await;
        let answered = self.record(Kind::Fetch, answer.as_bytes());
        self.opener = self.journal.position();
        self.keep();
        Ok(answered)
    }

    /// Sleeps until `at`.
    pub async fn sleep_until(&mut self, at: Timestamp) -> Flow<Bytes> {
        if let Some(recorded) = self.replayed() {
            return Ok(recorded);
        }
        while self.clock.now() < at {
            if let Some(told) = self.wait(Wait::until(at)).await? {
                return Ok(told);
            }
        }
        Ok(self.received(b"over"))
    }

    /// Backs off a step until `until`.
    pub async fn back_off(&mut self, until: Timestamp) -> Flow<()> {
        while self.clock.now() < until {
            self.commit(CommitReason::BackOff { until }).await?;
        }
        Ok(())
    }

    /// Waits for a signal and takes it.
    pub async fn signal(&mut self, name: &str) -> Flow<Bytes> {
        if let Some(recorded) = self.replayed() {
            return Ok(recorded);
        }
        let wait = Wait { any_of: vec![WaitCondition::Signal(name.to_owned())], ..Wait::default() };
        loop {
            let after = self.effects.taken.last().copied();
            if let Some(signal) = self.store.inbox(self.job.run.id, name, after).await.unwrap() {
                self.effects.taken.push(signal.place);
                return Ok(self.received(&signal.payload));
            }
            if let Some(told) = self.wait(wait.clone()).await? {
                return Ok(told);
            }
        }
    }

    /// Waits for the end of a run.
    pub async fn child(&mut self, id: RunId) -> Flow<String> {
        let wait = Wait { any_of: vec![WaitCondition::Run(id)], ..Wait::default() };
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        if let Some(recorded) = self.replayed() {
            return Ok(text(recorded));
        }
        loop {
            let outcome = match self.store.run(id).await.unwrap() {
                Some(_) => self.store.outcome(id).await.unwrap(),
                None => None,
            };
            if let Some(outcome) = outcome {
                return Ok(text(self.received(outcome.state.name().as_bytes())));
            }
            if let Some(told) = self.wait(wait.clone()).await? {
                return Ok(text(told));
            }
        }
    }

    fn replayed(&mut self) -> Option<Bytes> {
        let recorded = self.met(Kind::AwaitFirst)?;
        self.opener = self.journal.replayed();
        Some(recorded)
    }

    fn received(&mut self, what: &[u8]) -> Bytes {
        let received = self.record(Kind::AwaitFirst, what);
        self.opener = self.journal.position();
        received
    }

    /// Waits, unless the run is cancelled.
    async fn wait(&mut self, wait: Wait) -> Flow<Option<Bytes>> {
        match self.job.cancel.urgency() {
            Urgency::Now => return Err(self.left(failed(false, Cause::Cancelled))),
            Urgency::Requested if !self.told => {
                self.told = true;
                return Ok(Some(self.received(b"cancelled")));
            }
            _ => {}
        }
        self.commit(CommitReason::Wait(wait)).await?;
        Ok(None)
    }

    fn left(&mut self, outcome: Outcome) -> ActivationResult {
        let all = Checkpoint { journal_to: self.journal.position(), ..Checkpoint::default() };
        let kept = Checkpoint { journal_to: self.kept, ..Checkpoint::default() };
        let again = Checkpoint { journal_to: self.opener, ..Checkpoint::default() };
        let journal = Some(std::mem::replace(&mut self.journal, Journal::empty()));
        ActivationResult {
            outcome,
            all,
            kept,
            again,
            journal,
            fuel: Fuel::new(100),
            peak_memory: 65_536,
            redo: false,
            told: self.told,
            next_attempt: NextAttempt::default(),
        }
    }

    fn end(&mut self, outcome: Outcome) -> ActivationResult {
        let (effects, kept) = (std::mem::take(&mut self.effects), std::mem::take(&mut self.kept_effects));
        let reads = effects.reads.clone();
        let mut ended = self.left(outcome);
        ended.all.effects = effects;
        ended.kept.effects = Effects { reads, ..kept };
        ended
    }

    /// Records that the guest was notified of its cancellation.
    pub fn notify(&mut self) {
        self.told = true;
    }

    /// Writes a key without reading it.
    pub fn write(&mut self, key: &str, value: &str) {
        self.effects.writes.push(StateWrite { key: key.to_owned(), value: Some(value.to_owned().into()) });
    }

    pub fn stop(&mut self, outcome: Outcome) -> ActivationResult {
        self.end(outcome)
    }

    pub fn succeed(&mut self, json: &str) -> ActivationResult {
        self.end(Outcome::Output(Bytes::copy_from_slice(json.as_bytes())))
    }

    pub fn fail(&mut self, retryable: bool) -> ActivationResult {
        self.end(failed(retryable, Cause::Guest))
    }

    pub fn as_new(&mut self, input: &str) -> ActivationResult {
        self.end(Outcome::ContinueAsNew { input: Bytes::copy_from_slice(input.as_bytes()) })
    }
}
