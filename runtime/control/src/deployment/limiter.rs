//! Limits how many runs execute: one counter for the node and one per deployment, without locks.
//!
//! The dispatcher decides which waiting run comes next. This file only decides whether one more
//! fits.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidemill_core::breaker::BreakerAdmission;
use tidemill_core::clock::Stopwatch;
use tidemill_core::{DeploymentName, Timestamp};
use tokio::sync::{Notify, oneshot};

use crate::deployment::breaker::{AttemptEvidence, DeploymentBreaker};

/// The number of executing runs.
#[derive(Debug, Default)]
struct RunCount {
    runs: AtomicU32,
    emptied: Notify,
}

impl RunCount {
    fn get(&self) -> u32 {
        self.runs.load(Ordering::Acquire)
    }

    /// Counts one more run, unless there are `most` already. Returns whether it was counted.
    fn take(&self, most: u32) -> bool {
        let more = |runs| (runs < most).then_some(runs + 1);
        self.runs.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// Counts one more run beyond any maximum.
    fn add(&self) {
        self.runs.fetch_add(1, Ordering::AcqRel);
    }

    fn release(&self) {
        if self.runs.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until no run executes.
    async fn wait_until_zero(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.get() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// The admission limit of one node.
#[derive(Debug)]
pub(crate) struct NodeLimiter {
    most: u32,
    used: RunCount,
    /// Closed until leftover runs are recovered, and from shutdown on.
    open: AtomicBool,
    /// Callers that wait in memory because the node is full; see [`NodeLimiter::admit_soon`].
    waiters: AdmissionWaiters,
    pub(crate) backlog: ReadyQueue,
}

/// Callers that wait for a permit and have no run in the store yet. They are served in order.
#[derive(Debug, Default)]
struct AdmissionWaiters {
    freed: Notify,
    count: AtomicU32,
}

impl AdmissionWaiters {
    fn admit_next_waiter(&self) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.freed.notify_one();
        }
    }
}

/// The admission limit of one deployment. It outlives revisions.
#[derive(Debug)]
pub(crate) struct DeploymentLimiter {
    pub(crate) name: DeploymentName,
    most: AtomicU32,
    running: RunCount,
    open: AtomicBool,
    /// The number of waiting runs in the store, due or not.
    queued: AtomicI64,
    /// Whether some of them may be due. New runs then queue after them.
    pub(crate) has_backlog: AtomicBool,
    waiters: AdmissionWaiters,
    pub(crate) breaker: DeploymentBreaker,
}

/// The right of one run to execute. Dropping it returns it.
#[derive(Debug)]
pub(crate) struct Permit {
    node: Arc<NodeLimiter>,
    limiter: Arc<DeploymentLimiter>,
    /// Dropped with the permit, which notifies its watch.
    watched: Option<oneshot::Sender<()>>,
    /// What the breaker needs at the end of the attempt; `None` if the attempt does not count.
    judged: Option<(BreakerAdmission, Stopwatch)>,
}

/// Resolves when a permit is returned.
#[derive(Debug)]
pub(crate) struct PermitWatch(oneshot::Receiver<()>);

impl PermitWatch {
    /// Waits until the permit is returned.
    pub(crate) async fn released(self) {
        let _ = self.0.await;
    }
}

impl Permit {
    const fn new(node: Arc<NodeLimiter>, limiter: Arc<DeploymentLimiter>) -> Self {
        Self { node, limiter, watched: None, judged: None }
    }

    /// Has the attempt count for the breaker of its deployment, and measures it from now on.
    pub(crate) fn begin_attempt(&mut self, admission: Option<BreakerAdmission>) {
        self.judged = admission.map(|admission| (admission, Stopwatch::start()));
    }

    /// Records the end of the attempt for the breaker. `first` is whether it was the first attempt
    /// of its run. Without this call the attempt shows nothing about the deployment.
    pub(crate) fn attempt_ended(&mut self, evidence: AttemptEvidence, first: bool, now: Timestamp) {
        if let Some((admission, since)) = self.judged.take() {
            let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.limiter.breaker.record(admission, evidence, first, millis, now);
        }
    }

    /// Returns a watch that resolves when the permit is returned. It replaces an earlier watch.
    pub(crate) fn watch(&mut self) -> PermitWatch {
        let (sender, receiver) = oneshot::channel();
        self.watched = Some(sender);
        PermitWatch(receiver)
    }
}

impl NodeLimiter {
    /// Returns a limiter that admits at most `most` runs at once.
    pub(crate) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            used: RunCount::default(),
            open: AtomicBool::new(true),
            waiters: AdmissionWaiters::default(),
            backlog: ReadyQueue::default(),
        })
    }

    /// Returns a permit for one run of `limiter`'s deployment if both node and deployment have a
    /// free slot.
    pub(crate) fn admit(self: &Arc<Self>, limiter: &Arc<DeploymentLimiter>) -> Option<Permit> {
        if !self.open.load(Ordering::Acquire) || !limiter.open.load(Ordering::Acquire) {
            return None;
        }
        limiter.running.take(limiter.most.load(Ordering::Relaxed)).then_some(())?;
        if self.used.take(self.most) {
            return Some(Permit::new(Arc::clone(self), Arc::clone(limiter)));
        }
        limiter.running.release();
        None
    }

    /// Waits at most `within` for a permit, for a caller that waits for the result anyway. A full
    /// deployment usually has a free slot before the new run must become visible. Going through the
    /// store would cost three commits instead.
    pub(crate) async fn admit_soon(
        self: &Arc<Self>,
        limiter: &Arc<DeploymentLimiter>,
        within: Duration,
    ) -> Option<Permit> {
        // Earlier waiting callers come first.
        if limiter.waiters.count.load(Ordering::Acquire) == 0
            && let Some(permit) = self.admit(limiter)
        {
            return Some(permit);
        }
        let _waiting = (WaiterGuard::begin(&limiter.waiters.count), WaiterGuard::begin(&self.waiters.count));
        let late = tokio::time::sleep(within);
        tokio::pin!(late);
        loop {
            if !limiter.is_open() || !self.open.load(Ordering::Acquire) || limiter.has_backlog.load(Ordering::Acquire) {
                return None;
            }
            let (own, nodes) = (limiter.waiters.freed.notified(), self.waiters.freed.notified());
            tokio::pin!(own, nodes);
            own.as_mut().enable();
            nodes.as_mut().enable();
            if let Some(permit) = self.admit(limiter) {
                return Some(permit);
            }
            tokio::select! {
                () = own => {}
                () = nodes => {}
                () = &mut late => return None,
            }
        }
    }

    /// Returns a permit for a recovered run, whatever the limits are: its record already counts as
    /// running.
    pub(crate) fn admit_beyond(self: &Arc<Self>, limiter: &Arc<DeploymentLimiter>) -> Permit {
        limiter.running.add();
        self.used.add();
        Permit::new(Arc::clone(self), Arc::clone(limiter))
    }

    /// Returns how many more runs the node would admit.
    pub(crate) fn free(&self) -> u32 {
        if self.open.load(Ordering::Acquire) { self.most.saturating_sub(self.used()) } else { 0 }
    }

    /// Returns the maximum number of runs that execute at once.
    pub(crate) const fn most(&self) -> u32 {
        self.most
    }

    /// Returns whether runs are admitted.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Returns the number of executing runs.
    pub(crate) fn used(&self) -> u32 {
        self.used.get()
    }

    /// Opens or closes admission.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
        if open {
            self.backlog.wake();
        }
    }

    /// Waits until no run executes.
    pub(crate) async fn wait_until_idle(&self) {
        self.used.wait_until_zero().await;
    }
}

impl DeploymentLimiter {
    pub(crate) fn new(name: DeploymentName, breaker: DeploymentBreaker) -> Arc<Self> {
        Arc::new(Self {
            name,
            breaker,
            most: AtomicU32::new(0),
            running: RunCount::default(),
            open: AtomicBool::new(false),
            queued: AtomicI64::new(0),
            has_backlog: AtomicBool::new(false),
            waiters: AdmissionWaiters::default(),
        })
    }

    /// Sets what the present revision allows.
    pub(crate) fn set(&self, open: bool, most: u32) {
        self.most.store(most, Ordering::Relaxed);
        self.open.store(open, Ordering::Release);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Returns the maximum number of runs that execute at once.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    pub(crate) fn running(&self) -> u32 {
        self.running.get()
    }

    /// Waits until no run of the deployment executes.
    pub(crate) async fn wait_until_idle(&self) {
        self.running.wait_until_zero().await;
    }

    /// Returns how many more runs the deployment would admit.
    pub(crate) fn free(&self) -> u32 {
        if self.is_open() { self.most.load(Ordering::Relaxed).saturating_sub(self.running()) } else { 0 }
    }

    pub(crate) fn queued(&self) -> u64 {
        u64::try_from(self.queued.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Sets the recounted number of waiting runs.
    pub(crate) fn set_queued(&self, queued: i64) {
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// Counts runs that entered the queue or left it.
    pub(crate) fn add_queued(&self, by: i64) {
        self.queued.fetch_add(by, Ordering::Relaxed);
    }
}

/// Counts one waiting caller until it is dropped.
struct WaiterGuard<'a>(&'a AtomicU32);

impl<'a> WaiterGuard<'a> {
    fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((admission, _)) = self.judged.take() {
            self.limiter.breaker.abandon(admission);
        }
        let node_was_full = self.node.used() >= self.node.most;
        self.limiter.running.release();
        self.node.used.release();
        self.limiter.waiters.admit_next_waiter();
        if node_was_full {
            self.node.waiters.admit_next_waiter();
        }
        if !self.node.backlog.is_empty() {
            self.node.backlog.wake();
        }
    }
}

/// Deployments that may have due runs. Each has the number of times that it was passed over for
/// want of a free slot.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    waiting: Mutex<BTreeMap<DeploymentName, u32>>,
    len: AtomicUsize,
    wake: Notify,
}

impl ReadyQueue {
    /// Adds a deployment of which a run may be due, and wakes the dispatcher.
    pub(crate) fn add(&self, limiter: &DeploymentLimiter) {
        limiter.has_backlog.store(true, Ordering::Release);
        self.enqueue_deployment(limiter);
    }

    /// Has the dispatcher look at a deployment, whether or not it has a known waiting run.
    pub(crate) fn enqueue_deployment(&self, limiter: &DeploymentLimiter) {
        {
            let mut waiting = self.waiting.lock();
            waiting.entry(limiter.name.clone()).or_insert(0);
            self.len.store(waiting.len(), Ordering::Release);
        }
        self.wake();
    }

    pub(crate) fn remove(&self, name: &DeploymentName) {
        let mut waiting = self.waiting.lock();
        waiting.remove(name);
        self.len.store(waiting.len(), Ordering::Release);
    }

    /// Returns every deployment except those in `served`, and counts each as passed over. The
    /// caller removes those that it serves.
    pub(crate) fn candidates(&self, served: &HashSet<DeploymentName>) -> Vec<(DeploymentName, u32)> {
        let mut waiting = self.waiting.lock();
        waiting
            .iter_mut()
            .filter(|(name, _)| !served.contains(*name))
            .map(|(name, passed)| {
                *passed = passed.saturating_add(1);
                (name.clone(), *passed - 1)
            })
            .collect()
    }

    /// Returns the number of deployments.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Wakes the dispatcher.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until the dispatcher is woken.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(most: u32) -> Arc<DeploymentLimiter> {
        let name: DeploymentName = "a".parse().unwrap();
        let breaker =
            DeploymentBreaker::new(name.clone(), Arc::default(), <_>::default(), None, Timestamp::from_millis(0));
        let limiter = DeploymentLimiter::new(name, breaker);
        limiter.set(true, most);
        limiter
    }

    #[test]
    fn usage_never_exceeds_either_bound() {
        let node = NodeLimiter::new(3);
        let (narrow, wide) = (limiter(1), limiter(9));
        let held: Vec<_> =
            [&narrow, &narrow, &wide, &wide, &wide].map(|limiter| node.admit(limiter)).into_iter().collect();
        assert_eq!(held.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true, false]);
        assert_eq!((node.used(), narrow.running(), wide.running()), (3, 1, 2));
        drop(held);
        assert_eq!((node.used(), narrow.running(), wide.running()), (0, 0, 0));
    }

    #[test]
    fn a_closed_gate_or_node_admits_nothing() {
        let (node, limiter) = (NodeLimiter::new(3), limiter(1));
        limiter.set(false, 1);
        assert!(node.admit(&limiter).is_none());
        limiter.set(true, 1);
        node.set_open(false);
        assert!(node.admit(&limiter).is_none());
        assert_eq!(node.free(), 0);
        node.set_open(true);
        assert!(node.admit(&limiter).is_some());
    }

    #[test]
    fn permits_are_never_lost_between_threads() {
        let (node, limiter) = (NodeLimiter::new(4), limiter(3));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let permit = node.admit(&limiter);
                        assert!(limiter.running() <= 3 && node.used() <= 4);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!((node.used(), limiter.running()), (0, 0));
    }
}
