//! How many runs may run: a count for the node and one for each deployment, taken and given back without a lock.
//!
//! Which of those that wait comes next is the dispatcher's business; here is only whether one more fits.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemill_core::DeploymentName;
use tokio::sync::{Notify, oneshot};

/// What one node admits.
#[derive(Debug)]
pub(crate) struct NodeLimiter {
    most: u32,
    used: AtomicU32,
    /// Closed until what a dead life left is in hand again, and for good at shutdown.
    open: AtomicBool,
    emptied: Notify,
    /// Those who wait in memory because the node is full; see [`NodeLimiter::admit_soon`].
    waiters: AdmissionWaiters,
    pub(crate) backlog: ReadyQueue,
}

/// Callers who wait for a place without being in the store; served in order.
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

/// What one deployment admits; outlives its revisions.
#[derive(Debug)]
pub(crate) struct DeploymentLimiter {
    pub(crate) name: DeploymentName,
    most: AtomicU32,
    running: AtomicU32,
    open: AtomicBool,
    /// Runs in the store that wait, due or not.
    queued: AtomicI64,
    /// Whether some of them may be due; then new ones queue behind them.
    pub(crate) behind: AtomicBool,
    waiters: AdmissionWaiters,
    emptied: Notify,
}

/// A place that a run holds; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit {
    node: Arc<NodeLimiter>,
    gate: Arc<DeploymentLimiter>,
    /// Dropped with it, for whoever waits for that.
    watched: Option<oneshot::Sender<()>>,
}

/// Says when a place is given back.
#[derive(Debug)]
pub(crate) struct PermitWatch(oneshot::Receiver<()>);

impl PermitWatch {
    /// Waits until the place is given back.
    pub(crate) async fn released(self) {
        let _ = self.0.await;
    }
}

impl Permit {
    const fn new(node: Arc<NodeLimiter>, gate: Arc<DeploymentLimiter>) -> Self {
        Self { node, gate, watched: None }
    }

    /// Whoever gets this can wait until the place is given back. One watches at a time.
    pub(crate) fn watch(&mut self) -> PermitWatch {
        let (sender, receiver) = oneshot::channel();
        self.watched = Some(sender);
        PermitWatch(receiver)
    }
}

impl NodeLimiter {
    /// One that admits `most` runs at once.
    pub(crate) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            used: AtomicU32::new(0),
            open: AtomicBool::new(true),
            emptied: Notify::new(),
            waiters: AdmissionWaiters::default(),
            backlog: ReadyQueue::default(),
        })
    }

    /// A place for one run of `gate`'s deployment, where node and deployment have one.
    pub(crate) fn admit(self: &Arc<Self>, gate: &Arc<DeploymentLimiter>) -> Option<Permit> {
        if !self.open.load(Ordering::Acquire) || !gate.open.load(Ordering::Acquire) {
            return None;
        }
        take(&gate.running, gate.most.load(Ordering::Relaxed)).then_some(())?;
        if take(&self.used, self.most) {
            return Some(Permit::new(Arc::clone(self), Arc::clone(gate)));
        }
        gate.running.fetch_sub(1, Ordering::AcqRel);
        None
    }

    /// A place within `within`, for somebody who waits for the outcome anyway. A full deployment empties in less than the
    /// time after which a run must be visible, mostly; going through the store would cost three commits instead.
    pub(crate) async fn admit_soon(
        self: &Arc<Self>,
        gate: &Arc<DeploymentLimiter>,
        within: Duration,
    ) -> Option<Permit> {
        // Behind those who wait already.
        if gate.waiters.count.load(Ordering::Acquire) == 0
            && let Some(permit) = self.admit(gate)
        {
            return Some(permit);
        }
        let _waiting = (WaiterGuard::begin(&gate.waiters.count), WaiterGuard::begin(&self.waiters.count));
        let late = tokio::time::sleep(within);
        tokio::pin!(late);
        loop {
            if !gate.is_open() || !self.open.load(Ordering::Acquire) || gate.behind.load(Ordering::Acquire) {
                return None;
            }
            let (own, nodes) = (gate.waiters.freed.notified(), self.waiters.freed.notified());
            tokio::pin!(own, nodes);
            own.as_mut().enable();
            nodes.as_mut().enable();
            if let Some(permit) = self.admit(gate) {
                return Some(permit);
            }
            tokio::select! {
                () = own => {}
                () = nodes => {}
                () = &mut late => return None,
            }
        }
    }

    /// A place for a run that holds one already in the store, whatever the bounds say: it was taken over.
    pub(crate) fn admit_beyond(self: &Arc<Self>, gate: &Arc<DeploymentLimiter>) -> Permit {
        gate.running.fetch_add(1, Ordering::AcqRel);
        self.used.fetch_add(1, Ordering::AcqRel);
        Permit::new(Arc::clone(self), Arc::clone(gate))
    }

    /// How many more the node would admit.
    pub(crate) fn free(&self) -> u32 {
        if self.open.load(Ordering::Acquire) { self.most.saturating_sub(self.used()) } else { 0 }
    }

    /// How many may run at once.
    pub(crate) const fn most(&self) -> u32 {
        self.most
    }

    /// Whether anything is admitted.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// How many run.
    pub(crate) fn used(&self) -> u32 {
        self.used.load(Ordering::Acquire)
    }

    /// Admits again, or no more.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
        if open {
            self.backlog.wake();
        }
    }

    /// Waits until nothing runs.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.used() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl DeploymentLimiter {
    pub(crate) fn new(name: DeploymentName) -> Arc<Self> {
        Arc::new(Self {
            name,
            most: AtomicU32::new(0),
            running: AtomicU32::new(0),
            open: AtomicBool::new(false),
            queued: AtomicI64::new(0),
            behind: AtomicBool::new(false),
            waiters: AdmissionWaiters::default(),
            emptied: Notify::new(),
        })
    }

    /// What the present revision says.
    pub(crate) fn set(&self, open: bool, most: u32) {
        self.most.store(most, Ordering::Relaxed);
        self.open.store(open, Ordering::Release);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// How many may run at once.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::Acquire)
    }

    /// Waits until nothing of the deployment runs.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.running() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// How many more the deployment would admit.
    pub(crate) fn free(&self) -> u32 {
        if self.is_open() { self.most.load(Ordering::Relaxed).saturating_sub(self.running()) } else { 0 }
    }

    pub(crate) fn queued(&self) -> u64 {
        u64::try_from(self.queued.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// How many wait, counted anew.
    pub(crate) fn set_queued(&self, queued: i64) {
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// Counts runs that came into the queue, or left it.
    pub(crate) fn add_queued(&self, by: i64) {
        self.queued.fetch_add(by, Ordering::Relaxed);
    }
}

/// Counts one who waits, until dropped.
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
        let node_was_full = self.node.used() >= self.node.most;
        if self.gate.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gate.emptied.notify_waiters();
        }
        if self.node.used.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.node.emptied.notify_waiters();
        }
        self.gate.waiters.admit_next_waiter();
        if node_was_full {
            self.node.waiters.admit_next_waiter();
        }
        if !self.node.backlog.is_empty() {
            self.node.backlog.wake();
        }
    }
}

fn take(used: &AtomicU32, most: u32) -> bool {
    used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| (used < most).then_some(used + 1)).is_ok()
}

/// The deployments that may have runs which are due, each with how often it was passed over for want of a place.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    waiting: Mutex<BTreeMap<DeploymentName, u32>>,
    len: AtomicUsize,
    wake: Notify,
}

impl ReadyQueue {
    /// A run of the gate's deployment may be due: the dispatcher looks at it.
    pub(crate) fn add(&self, gate: &DeploymentLimiter) {
        gate.behind.store(true, Ordering::Release);
        self.look_at(gate);
    }

    /// The dispatcher looks at the gate's deployment, whether or not anything is known to wait there.
    pub(crate) fn look_at(&self, gate: &DeploymentLimiter) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.entry(gate.name.clone()).or_insert(0);
            self.len.store(waiting.len(), Ordering::Release);
        }
        self.wake();
    }

    pub(crate) fn remove(&self, name: &DeploymentName) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(name);
        self.len.store(waiting.len(), Ordering::Release);
    }

    /// Every deployment in it but those in `served`; those that are not removed until the next look count as passed over once more.
    pub(crate) fn look(&self, served: &HashSet<DeploymentName>) -> Vec<(DeploymentName, u32)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .iter_mut()
            .filter(|(name, _)| !served.contains(*name))
            .map(|(name, passed)| {
                *passed = passed.saturating_add(1);
                (name.clone(), *passed - 1)
            })
            .collect()
    }

    /// How many there are.
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

    /// Waits until somebody wakes the dispatcher.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(most: u32) -> Arc<DeploymentLimiter> {
        let gate = DeploymentLimiter::new("a".parse().unwrap());
        gate.set(true, most);
        gate
    }

    #[test]
    fn usage_never_exceeds_either_bound() {
        let node = NodeLimiter::new(3);
        let (narrow, wide) = (gate(1), gate(9));
        let held: Vec<_> = [&narrow, &narrow, &wide, &wide, &wide].map(|gate| node.admit(gate)).into_iter().collect();
        assert_eq!(held.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true, false]);
        assert_eq!((node.used(), narrow.running(), wide.running()), (3, 1, 2));
        drop(held);
        assert_eq!((node.used(), narrow.running(), wide.running()), (0, 0, 0));
    }

    #[test]
    fn a_closed_gate_or_node_admits_nothing() {
        let (node, gate) = (NodeLimiter::new(3), gate(1));
        gate.set(false, 1);
        assert!(node.admit(&gate).is_none());
        gate.set(true, 1);
        node.set_open(false);
        assert!(node.admit(&gate).is_none());
        assert_eq!(node.free(), 0);
        node.set_open(true);
        assert!(node.admit(&gate).is_some());
    }

    #[test]
    fn places_are_never_lost_between_threads() {
        let (node, gate) = (NodeLimiter::new(4), gate(3));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let permit = node.admit(&gate);
                        assert!(gate.running() <= 3 && node.used() <= 4);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!((node.used(), gate.running()), (0, 0));
    }
}
