//! What a guest says while it runs, kept until its driver saves or commits it. Nothing here waits but `commit`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidemill_core::run::{Export, Progress};
use tidemill_core::{Code, DeploymentName, Failure};
use tidemill_engine::{Metric, Point, RunSink, StartTarget, Stretched, Went};
use tidemill_store::records::LogLine;
use tokio::sync::{Notify, oneshot};

use crate::samples::Samples;

/// What is to take hold, and who waits for it.
type Leaving = (Box<Stretched>, oneshot::Sender<Result<Went, Failure>>);

/// Between a guest and the driver of its run.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    said: Mutex<Said>,
    /// Wakes the driver: something waits to be saved, or to leave.
    knock: Notify,
    visible: AtomicBool,
    became_visible: Notify,
}

#[derive(Debug, Default)]
struct Said {
    logs: Vec<LogLine>,
    next_seq: u64,
    progress: Option<Progress>,
    status: Option<String>,
    unsaved: bool,
    samples: Samples,
    leaving: Option<Leaving>,
}

/// What the driver takes to save or commit.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) logs: Vec<LogLine>,
    pub(crate) progress: Option<Progress>,
    pub(crate) status: Option<String>,
}

impl Sink {
    /// For a run whose next log line has the place `next_seq`.
    pub(crate) fn new(next_seq: u64, visible: bool) -> Self {
        let sink = Self { visible: AtomicBool::new(visible), ..Self::default() };
        sink.said().next_seq = next_seq;
        sink
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the next log line.
    pub(crate) fn next_seq(&self) -> u64 {
        self.said().next_seq
    }

    /// Everything that was said since the last call.
    pub(crate) fn take(&self) -> Taken {
        let mut said = self.said();
        said.unsaved = false;
        Taken { logs: std::mem::take(&mut said.logs), progress: said.progress.take(), status: said.status.take() }
    }

    /// Gives back what could not be saved, ahead of what was said since.
    pub(crate) fn give_back(&self, taken: Taken) {
        let mut said = self.said();
        let later = std::mem::replace(&mut said.logs, taken.logs);
        said.logs.extend(later);
        said.progress = said.progress.take().or(taken.progress);
        said.status = said.status.take().or(taken.status);
        said.unsaved = true;
    }

    /// The samples of this attempt, and how many were dropped.
    pub(crate) fn take_samples(&self) -> (Vec<Metric>, u64) {
        std::mem::take(&mut self.said().samples).into_metrics()
    }

    /// Whether something waits to be saved.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.said().unsaved
    }

    /// Who waits for leave to send a request.
    pub(crate) fn take_leaving(&self) -> Option<Leaving> {
        self.said().leaving.take()
    }

    /// Waits until the guest has something for the driver.
    pub(crate) async fn knocked(&self) {
        self.knock.notified().await;
    }

    /// The run is in the store, as running.
    pub(crate) fn set_visible(&self) {
        self.visible.store(true, Ordering::Release);
        self.became_visible.notify_waiters();
        if self.is_unsaved() {
            self.knock.notify_one();
        }
    }

    /// Whether the run is in the store.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible.load(Ordering::Acquire)
    }

    /// Waits until the run is in the store.
    pub(crate) async fn visible(&self) {
        loop {
            let became = self.became_visible.notified();
            tokio::pin!(became);
            became.as_mut().enable();
            if self.is_visible() {
                return;
            }
            became.await;
        }
    }

    fn say(&self, change: impl FnOnce(&mut Said)) {
        let first = {
            let mut said = self.said();
            change(&mut said);
            !std::mem::replace(&mut said.unsaved, true)
        };
        if first && self.is_visible() {
            self.knock.notify_one();
        }
    }
}

#[async_trait]
impl RunSink for Sink {
    async fn commit(&self, stretch: Stretched) -> Result<Went, Failure> {
        if stretch.point != Point::Leaving {
            return Err(Code::NotAvailable.failure("waiting is not in this release"));
        }
        let (sender, receiver) = oneshot::channel();
        self.said().leaving = Some((Box::new(stretch), sender));
        self.knock.notify_one();
        receiver.await.unwrap_or_else(|_| Err(Code::ShuttingDown.failure("the run is given up")))
    }

    async fn save(&self, _: Stretched) -> bool {
        false
    }

    async fn target(&self, deployment: &DeploymentName, _: Option<Export>) -> Result<StartTarget, Failure> {
        Err(Code::NotAvailable.failure(format!("starting a run of `{deployment}` is not in this release")))
    }

    fn log(&self, line: LogLine) {
        self.say(|said| {
            said.next_seq = said.next_seq.max(line.seq.saturating_add(1));
            said.logs.push(line);
        });
    }

    fn progress(&self, progress: Progress) {
        self.say(|said| said.progress = Some(progress));
    }

    fn status(&self, json: String) {
        self.say(|said| said.status = Some(json));
    }

    fn metric(&self, metric: Metric) {
        self.said().samples.add(metric);
    }
}
