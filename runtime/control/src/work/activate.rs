//! One activation: the guest runs, and meanwhile its driver makes it visible, saves what it says, and stops it when
//! its time is over.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::journal::Journal;
use tidemill_core::{Code, Failure};
use tidemill_engine::{Effects, Ended, RunContext, RunSink, Stretched, Urgency, Went};
use tidemill_store::records::{Begins, Committed, StretchCommit};
use tokio::time::{Instant, sleep_until};

use super::{Finish, Hold, SAVE_AFTER, VISIBLE_AFTER, Work};
use crate::guests::Job;
use crate::sink::Taken;

/// A guest that is stopped gets this long to be gone; it cannot run much longer, since its epoch is over.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// An alarm that is never meant to ring.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// How an activation came to its end.
pub(super) enum Activated {
    /// By itself, or because it was cancelled or overran its lifetime.
    Ended(Box<Ended>),
    /// The host stops: the run goes back into the queue.
    HandBack,
    /// There is nothing more to do for it here.
    Stopped(Finish),
}

/// What the driver has to do at a time; all by the monotonic clock, as none of it is a date.
#[derive(Default)]
struct Alarms {
    visible: Option<Instant>,
    save: Option<Instant>,
    lifetime: Option<Instant>,
}

impl Alarms {
    fn next(&self, hold: Option<&Hold>) -> Instant {
        [self.visible, self.save, self.lifetime, hold.map(|hold| hold.until)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + FAR)
    }
}

fn rings(alarm: &mut Option<Instant>, now: Instant) -> bool {
    alarm.take_if(|at| *at <= now).is_some()
}

impl Work {
    pub(super) async fn activate(&mut self) -> Activated {
        let input = match self.guest_input().await {
            Ok(input) => input,
            Err(error) => return self.unreadable(error).await,
        };
        let mut alarms = Alarms::default();
        let now = Instant::now();
        if self.fresh {
            alarms.visible = Some(now + VISIBLE_AFTER);
        }
        if let Some(lifetime) = self.live.plan.limits.lifetime_millis {
            let since = self.run.started_at.unwrap_or(self.run.created_at);
            let used = self.host.clock.now().millis_since(since);
            alarms.lifetime = Some(now + Duration::from_millis(lifetime.saturating_sub(used)));
        }
        let sink = Arc::clone(&self.sink);
        let host = Arc::clone(&self.host);
        let cancel = self.handle.cancel.clone();
        let (journal, head) = self.again.take().unwrap_or_else(|| (Journal::empty(), None));
        let guest = host.guests.run(Job {
            component: self.run.component,
            export: self.run.export,
            input,
            run: Arc::new(self.context()),
            journal,
            head,
            fuel_used: self.fuel_before,
            cancel: cancel.clone(),
            sink: Arc::clone(&sink) as Arc<dyn RunSink>,
        });
        tokio::pin!(guest);
        let stopping = host.stopping();
        tokio::pin!(stopping);
        let alarm = sleep_until(alarms.next(self.hold.as_ref()));
        tokio::pin!(alarm);
        let stop = loop {
            tokio::select! {
                biased;
                ended = &mut guest => {
                    // Lifetime and cancellation look alike to the guest; who asked for it is known here.
                    return Activated::Ended(Box::new(ended));
                }
                () = sink.knocked() => {
                    if let Some((stretched, leave)) = sink.take_leaving() {
                        let held = self.hold_of(*stretched).await;
                        let answer = match &held {
                            Ok(went) => Ok(*went),
                            Err(_) => Err(gone()),
                        };
                        // A guest that no longer waits was stopped.
                        let _ = leave.send(answer);
                        if let Err(finish) = held { break finish; }
                        alarms.visible = None;
                    }
                    if alarms.save.is_none() && !self.fresh && sink.is_unsaved() {
                        alarms.save = Some(Instant::now() + SAVE_AFTER);
                    }
                }
                () = &mut alarm => {
                    let now = Instant::now();
                    if rings(&mut alarms.visible, now) && let Err(finish) = self.show().await { break finish; }
                    if rings(&mut alarms.save, now) { self.save().await; }
                    if rings(&mut alarms.lifetime, now) {
                        self.overran = true;
                        cancel.terminate();
                    }
                    // Others have waited long enough; from here the stretch takes its chance.
                    self.hold.take_if(|hold| hold.until <= now);
                }
                () = &mut stopping => {
                    cancel.terminate();
                    let _ = tokio::time::timeout(STOP_WITHIN, &mut guest).await;
                    return Activated::HandBack;
                }
            }
            alarm.as_mut().reset(alarms.next(self.hold.as_ref()));
        };
        cancel.terminate();
        let _ = tokio::time::timeout(STOP_WITHIN, &mut guest).await;
        Activated::Stopped(stop)
    }

    fn context(&self) -> RunContext {
        RunContext {
            id: self.run.id,
            deployment: self.run.deployment.clone(),
            component: self.run.component,
            trigger: self.run.trigger.clone(),
            created_at: self.run.created_at,
            attempt: self.run.attempt,
            generation: self.run.generation,
            config: Arc::clone(&self.plan.config),
            limits: self.live.plan.limits.clone(),
            grants: Arc::clone(&self.live.plan.grants),
            step_retry: self.live.plan.retry.policy,
            seed: self.run.seed,
            next_log_seq: self.sink.next_seq(),
        }
    }

    /// Puts a run that runs first into the store, as running.
    async fn show(&mut self) -> Result<(), Finish> {
        if !self.fresh {
            return Ok(());
        }
        let taken = self.take_said();
        let commit = StretchCommit {
            begins: Begins::Fresh { input: self.input.clone() },
            logs: taken,
            ..StretchCommit::of(self.host.owner.clone(), self.run.clone(), self.host.clock.now())
        };
        match self.host.store.commit_stretch(commit).await {
            Ok(Committed::Done(_)) => {
                self.became_visible();
                Ok(())
            }
            Ok(Committed::KeyTaken(_)) => Err(Finish::KeyTaken),
            // It has read nothing; a store that says so all the same is asked again by nobody.
            Ok(Committed::Conflict { what, .. }) => {
                Err(Finish::Refused(tidemill_store::StoreError::Io(format!("conflict without a read: {what}"))))
            }
            Err(error) => Err(Finish::Refused(error)),
        }
    }

    /// What the guest has done before its request leaves takes hold.
    async fn hold_of(&mut self, stretched: Stretched) -> Result<Went, Finish> {
        let Effects { reads, writes, postings, .. } = stretched.effects;
        let begins = if self.fresh { Begins::Fresh { input: self.input.clone() } } else { Begins::Continues };
        let logs = self.take_said();
        let of = StretchCommit::of(self.host.owner.clone(), self.run.clone(), self.host.clock.now());
        let commit = StretchCommit { begins, reads, writes, postings, logs, ..of };
        match self.host.store.commit_stretch(commit).await {
            Ok(Committed::Done(_)) => {
                if self.fresh {
                    self.became_visible();
                }
                Ok(Went::On)
            }
            Ok(Committed::Conflict { .. }) => Ok(Went::Redo),
            Ok(Committed::KeyTaken(_)) => Err(Finish::KeyTaken),
            Err(error) if self.fresh => Err(Finish::Refused(error)),
            Err(error) => {
                self.host.store_failed(&error);
                Err(Finish::Abandoned)
            }
        }
    }

    pub(super) fn became_visible(&mut self) {
        self.fresh = false;
        self.host.going.add(self.run.id, Arc::clone(&self.handle));
        self.sink.set_visible();
    }

    /// What was said, the log lines for a commit and the rest into the record.
    pub(super) fn take_said(&mut self) -> Vec<tidemill_store::records::LogLine> {
        let Taken { logs, progress, status } = self.sink.take();
        if progress.is_some() {
            self.run.progress = progress;
        }
        if status.is_some() {
            self.run.status = status;
        }
        logs
    }

    /// Saves what was said; where the store cannot, it is said again later.
    async fn save(&mut self) {
        let logs = self.take_said();
        if let Err(error) = self.host.store.save_progress(&self.host.owner, &self.run, logs.clone()).await {
            self.host.store_failed(&error);
            if error.is_transient() {
                self.sink.give_back(Taken { logs, ..Taken::default() });
            }
        }
    }

    async fn unreadable(&mut self, error: tidemill_store::StoreError) -> Activated {
        self.host.store_failed(&error);
        if self.fresh {
            return Activated::Stopped(Finish::Refused(error));
        }
        // Its input is computed from the store; without the store there is nothing to run on.
        self.host.pause_after_failure(1).await;
        if self.handle.cancel.urgency() == Urgency::None && !self.host.is_stopping() && error.is_transient() {
            return Activated::HandBack;
        }
        Activated::Stopped(Finish::Abandoned)
    }
}

fn gone() -> Failure {
    Code::Cancelled.failure("the run does not go on: it could not be made durable, or its idempotency key is another's")
}
