//! Scripted guests for tests, without a sandbox.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tidemill_control::{GuestExecutor, GuestJob};
use tidemill_core::journal::{Journal, Kind, NewEntry};
use tidemill_core::run::Export;
use tidemill_core::{ComponentDigest, Failure, Fuel};
use tidemill_engine::{
    ActivationResult, Cause, ComponentInfo, ComponentRejection, DryRun, Effects, EngineError, EngineStats, Outcome,
    SourceFrame, Urgency,
};
use tidemill_store::Store;
use tidemill_store::records::{ReadCheck, StateWrite, VersionedValue};
use tokio::sync::{Semaphore, watch};

type Script = Arc<dyn Fn(GuestJob) -> BoxFuture<'static, ActivationResult> + Send + Sync>;

/// The executor that runs scripts instead of components.
pub struct Scripted {
    script: Mutex<Script>,
    refuses: Mutex<Option<ComponentDigest>>,
    damaged: Mutex<Option<ComponentDigest>>,
    begun: watch::Sender<usize>,
    gone: watch::Sender<usize>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Scripted {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Arc::new(|_| Box::pin(async { output("null") }))),
            refuses: Mutex::default(),
            damaged: Mutex::default(),
            begun: watch::Sender::new(0),
            gone: watch::Sender::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }

    /// Sets the script of all guests from now on.
    pub fn act<F: Future<Output = ActivationResult> + Send + 'static>(
        &self,
        script: impl Fn(GuestJob) -> F + Send + Sync + 'static,
    ) {
        *self.script.lock().unwrap() = Arc::new(move |job| Box::pin(script(job)));
    }

    /// Makes guests wait for the returned semaphore, or until they are stopped, and then answer
    /// with this JSON.
    pub fn gated(&self, answer: &'static str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        self.act(move |job| {
            let gate = Arc::clone(&held);
            async move { wait(&gate, &job).await.unwrap_or_else(|| output(answer)) }
        });
        gate
    }

    /// Makes dry runs on this component fail.
    pub fn refuse(&self, component: ComponentDigest) {
        *self.refuses.lock().unwrap() = Some(component);
    }

    /// Marks this component's bytes as damaged; `None` repairs them.
    pub fn damage(&self, component: Option<ComponentDigest>) {
        *self.damaged.lock().unwrap() = component;
    }

    /// Returns how many guests have started.
    pub fn begun(&self) -> usize {
        *self.begun.borrow()
    }

    /// Waits until `count` guests have started.
    pub async fn have_begun(&self, count: usize) {
        self.begun.subscribe().wait_for(|begun| *begun >= count).await.unwrap();
    }

    /// Waits until `count` guests have ended.
    pub async fn are_gone(&self, count: usize) {
        self.gone.subscribe().wait_for(|gone| *gone >= count).await.unwrap();
    }

    /// Returns the maximum number of concurrent guests.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl GuestExecutor for Scripted {
    async fn admit(&self, _: &Path, _: ComponentDigest) -> Result<ComponentInfo, ComponentRejection> {
        Ok(ComponentInfo { exports: vec![Export::Workflow], imports: Vec::new(), warnings: Vec::new(), schemas: None })
    }

    async fn dry_run(&self, job: GuestJob) -> DryRun {
        match *self.refuses.lock().unwrap() {
            Some(component) if component == job.component => {
                DryRun::Mismatch(Failure::new("host/journal-mismatch", "it does something else"))
            }
            _ => DryRun::Continues,
        }
    }

    async fn run(&self, job: GuestJob) -> ActivationResult {
        let script = Arc::clone(&self.script.lock().unwrap());
        self.begun.send_modify(|begun| *begun += 1);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let ended = script(job).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.gone.send_modify(|gone| *gone += 1);
        ended
    }

    async fn verify(&self, component: ComponentDigest) -> Result<(), EngineError> {
        let damaged = *self.damaged.lock().unwrap();
        if damaged == Some(component) {
            return Err(EngineError::Damaged { digest: component, why: "a bit has flipped".to_owned() });
        }
        Ok(())
    }

    async fn source_lines(&self, _: ComponentDigest, places: &[u64]) -> Result<Vec<Vec<SourceFrame>>, EngineError> {
        let line = |place: &u64| SourceFrame { line: u32::try_from(*place).ok(), ..SourceFrame::default() };
        Ok(places.iter().map(|place| vec![line(place)]).collect())
    }

    fn evict(&self, _: ComponentDigest) {}

    fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}

/// Returns the result of a guest that succeeds.
pub fn output(json: &str) -> ActivationResult {
    ended(Outcome::Output(Bytes::copy_from_slice(json.as_bytes())))
}

/// Returns the result of a guest that fails after an unkept request, so that another attempt has
/// work to do.
pub fn failure(retryable: bool, cause: Cause) -> ActivationResult {
    let mut ended = ended(failed(retryable, cause));
    let (request, result) = ([0; 16], b"{}".as_slice());
    let (at, fuel) = (crate::world::START, Fuel::new(1));
    let mut journal = Journal::empty();
    journal.record(NewEntry { kind: Kind::Now, request, result, at, fuel, shown: None });
    ended.all.journal_to = journal.position();
    ended.journal = Some(journal);
    ended
}

pub fn failed(retryable: bool, cause: Cause) -> Outcome {
    Outcome::Failed { failure: Failure { retryable, ..Failure::new("no-luck", "it did not work") }, cause }
}

pub fn ended(outcome: Outcome) -> ActivationResult {
    ActivationResult::plain(outcome, Effects::default(), Fuel::new(100), 65_536)
}

/// Waits for the semaphore, or until the guest is stopped.
pub async fn wait(gate: &Semaphore, job: &GuestJob) -> Option<ActivationResult> {
    tokio::select! {
        permit = gate.acquire() => {
            permit.unwrap().forget();
            None
        }
        () = job.cancel.reached(Urgency::Requested) => Some(failure(false, Cause::Cancelled)),
    }
}

/// Reads a key of the state as the engine does.
pub async fn read(store: &Arc<dyn Store>, job: &GuestJob, key: &str) -> VersionedValue {
    let name = &job.run.deployment;
    let newest = job.sink.before_read(key).await;
    if newest { store.newest_state(name, key).await.unwrap() } else { store.state(name, key).await.unwrap() }
}

/// Reads a counter in state and writes it back plus one.
pub async fn count(store: &Arc<dyn Store>, job: &GuestJob) -> ActivationResult {
    let read = read(store, job, "n").await;
    let n: u64 = read.value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap());
    tokio::task::yield_now().await;
    let read = ReadCheck::State { key: "n".to_owned(), version: read.version };
    let write = StateWrite { key: "n".to_owned(), value: Some((n + 1).to_string().into()) };
    let effects = Effects { reads: vec![read], writes: vec![write], ..Effects::default() };
    ActivationResult::plain(output(&(n + 1).to_string()).outcome, effects, Fuel::new(100), 65_536)
}
