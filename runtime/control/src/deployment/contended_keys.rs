//! Turns on state keys that several runs of a deployment change at once. A key is contended from
//! its first refused commit. From then on a run that reads it waits for its turn, and keeps the
//! turn until its transaction is complete. The turn then passes to the next run together with the
//! value that the transaction writes, so that the next run neither conflicts nor waits for the
//! commit. Commits reach the store in the order of the turns.
//!
//! A turn is advice, not a lock, and a forwarded value is a guess: every commit still checks what
//! it read, so a turn that expires, a wait that times out, or a forwarded value that is never
//! committed costs a retry but no correctness. That also ends every deadlock between two keys.
//!
//! Example: a hundred runs add one to `n`. One commit conflicts, and `n` becomes contended. From
//! then on each run reads the `n` that the run before it has computed. A run costs the next one
//! only the time from its read to its end, on the same thread of the guests. If the commit of one
//! run is refused, the commits of those that computed on top of its value are refused as well, and
//! they execute again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// Maximum time that a run keeps a turn while others wait for it.
const TURN_MAX: Duration = Duration::from_millis(50);
/// Maximum time that a run waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Time without a waiting run after which a key is no longer contended.
const COOLS_AFTER: Duration = Duration::from_secs(1);
/// Maximum number of contended keys of a deployment. Conflicts on other keys are retried.
const KEYS_MAX: usize = 1_000;
/// Maximum size of a forwarded value, in bytes. The next run reads a longer value from the store.
const FORWARDED_BYTES: usize = 4 << 10;

/// The contended keys of a deployment.
#[derive(Debug, Default)]
pub(crate) struct ContendedKeys {
    queues: Mutex<KeyQueues>,
    /// The number of keys. A deployment without contended keys pays one atomic load.
    count: AtomicUsize,
    next_id: AtomicU64,
}

/// A run's turn on a key, or its position in the queue. Dropping it passes the turn on.
#[derive(Debug)]
pub(crate) struct KeyTurn {
    turns: Arc<ContendedKeys>,
    key: String,
    id: u64,
    /// What the run before this one has computed, if its commit was not ordered yet.
    forwarded: Option<ForwardedValue>,
    /// Dropped when the commit of this run is in the store's queue, or never will be.
    submitting: Option<CommitSubmission>,
}

/// Lives until the commit of a run is in the store's queue.
pub(crate) type CommitSubmission = watch::Sender<()>;

/// A value that the next commit of another run is to write.
#[derive(Debug, Clone)]
struct ForwardedValue {
    value: Option<Bytes>,
    /// Closed when that commit is in the store's queue.
    submitted: watch::Receiver<()>,
}

/// The holder and the queue of each key. The caller passes the time in.
#[derive(Debug, Default)]
struct KeyQueues(HashMap<String, KeyQueue>);

#[derive(Debug)]
struct KeyQueue {
    /// The run that has the turn, and since when.
    holder: Option<(u64, Instant)>,
    /// The value of the last complete transaction and the turn of its run, until its commit is
    /// ordered.
    forwarded: Option<(u64, ForwardedValue)>,
    waiting: VecDeque<(u64, oneshot::Sender<Option<ForwardedValue>>)>,
    contended_at: Instant,
}

/// The result of entering the queue of a key.
#[derive(Debug)]
enum QueueEntry {
    /// The key is not contended.
    Free,
    /// The run has the turn.
    Granted(Option<ForwardedValue>),
    /// The run has the turn once the receiver resolves.
    Queued(oneshot::Receiver<Option<ForwardedValue>>),
}

impl KeyQueue {
    fn is_idle(&self, now: Instant) -> bool {
        self.holder.is_none()
            && self.forwarded.is_none()
            && self.waiting.is_empty()
            && self.contended_at + COOLS_AFTER <= now
    }

    fn forwarded(&self) -> Option<ForwardedValue> {
        self.forwarded.as_ref().map(|(_, forwarded)| forwarded.clone())
    }

    fn pass_on(&mut self, now: Instant) {
        self.holder = None;
        while let Some((id, grant)) = self.waiting.pop_front() {
            // Skip a run that no longer waits.
            if grant.send(self.forwarded()).is_ok() {
                self.holder = Some((id, now));
                return;
            }
        }
    }
}

impl KeyQueues {
    fn contended(&mut self, key: String, now: Instant) {
        if let Some(queue) = self.0.get_mut(&key) {
            queue.contended_at = now;
            return;
        }
        if self.0.len() >= KEYS_MAX {
            self.0.retain(|_, queue| !queue.is_idle(now));
        }
        if self.0.len() < KEYS_MAX {
            let queue = KeyQueue { holder: None, forwarded: None, waiting: VecDeque::new(), contended_at: now };
            self.0.insert(key, queue);
        }
    }

    fn enter(&mut self, key: &str, id: u64, now: Instant) -> QueueEntry {
        let Some(queue) = self.0.get_mut(key) else { return QueueEntry::Free };
        if queue.holder.is_none() {
            queue.holder = Some((id, now));
            return QueueEntry::Granted(queue.forwarded());
        }
        let (grant, granted) = oneshot::channel();
        queue.contended_at = now;
        queue.waiting.push_back((id, grant));
        QueueEntry::Queued(granted)
    }

    /// Passes the turn on with the value that its run is to commit. Returns whether the run had the
    /// turn.
    fn hand_over(&mut self, key: &str, id: u64, forwarded: ForwardedValue, now: Instant) -> bool {
        let Some(queue) = self.0.get_mut(key) else { return false };
        let has = queue.holder.is_some_and(|(holder, _)| holder == id);
        if has {
            queue.forwarded = Some((id, forwarded));
            queue.pass_on(now);
        }
        has
    }

    fn leave(&mut self, key: &str, id: u64, now: Instant) {
        let Some(queue) = self.0.get_mut(key) else { return };
        queue.forwarded.take_if(|(of, _)| *of == id);
        if queue.holder.is_some_and(|(holder, _)| holder == id) {
            queue.pass_on(now);
        } else if let Some(at) = queue.waiting.iter().position(|(waits, _)| *waits == id) {
            queue.waiting.remove(at);
        }
        if queue.is_idle(now) {
            self.0.remove(key);
        }
    }

    fn holder(&self, key: &str) -> Option<(u64, Instant)> {
        self.0.get(key)?.holder
    }

    /// Passes on a turn that was kept for too long.
    fn evict(&mut self, key: &str, now: Instant) {
        if let Some(queue) = self.0.get_mut(key)
            && queue.holder.is_some_and(|(_, since)| since + TURN_MAX <= now)
        {
            queue.pass_on(now);
        }
    }
}

impl ContendedKeys {
    fn lock(&self) -> MutexGuard<'_, KeyQueues> {
        self.queues.lock()
    }

    /// Returns whether no key is contended.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Marks a key as contended because a commit conflicted on it.
    pub(crate) fn mark_contended(&self, key: String) {
        let mut queues = self.lock();
        queues.contended(key, Instant::now());
        self.count.store(queues.0.len(), Ordering::Relaxed);
    }

    /// Waits for the turn on a key. Returns `None` if the key is not contended or the wait timed
    /// out.
    pub(crate) async fn take(self: &Arc<Self>, key: &str) -> Option<KeyTurn> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let entry = self.lock().enter(key, id, now);
        let turn =
            |forwarded| KeyTurn { turns: Arc::clone(self), key: key.to_owned(), id, forwarded, submitting: None };
        let (mut turn, mut granted) = match entry {
            QueueEntry::Free => return None,
            QueueEntry::Granted(forwarded) => return Some(turn(forwarded)),
            QueueEntry::Queued(granted) => (turn(None), granted),
        };
        let until = now + WAIT_MAX;
        loop {
            let holder = self.lock().holder(key);
            let expires = holder.map_or(until, |(_, since)| until.min(since + TURN_MAX));
            match timeout_at(expires, &mut granted).await {
                Ok(granted) => {
                    turn.forwarded = granted.ok()?;
                    return Some(turn);
                }
                Err(_) if Instant::now() >= until => return None,
                Err(_) => self.lock().evict(key, Instant::now()),
            }
        }
    }
}

impl KeyTurn {
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Returns the value that the run before this one has computed, if its commit was not ordered
    /// when this run got the turn. `Some(None)` means that it deletes the key.
    pub(crate) fn forwarded(&self) -> Option<Option<Bytes>> {
        self.forwarded.as_ref().map(|forwarded| forwarded.value.clone())
    }

    /// Passes the turn on with the value that this run's next commit is to write.
    pub(crate) fn hand_over(&mut self, value: Option<&Bytes>) {
        if value.is_some_and(|value| value.len() > FORWARDED_BYTES) {
            return;
        }
        let (submitting, submitted) = watch::channel(());
        let forwarded = ForwardedValue { value: value.cloned(), submitted };
        if self.turns.lock().hand_over(&self.key, self.id, forwarded, Instant::now()) {
            self.submitting = Some(submitting);
        }
    }

    /// Waits until the commit whose value this run has read is in the store's queue, at most for
    /// the time of one turn.
    pub(crate) async fn wait_for_predecessor(&mut self) {
        if let Some(ForwardedValue { mut submitted, .. }) = self.forwarded.take() {
            let _ = timeout(TURN_MAX, async { while submitted.changed().await.is_ok() {} }).await;
        }
    }

    /// Takes what the run after this one waits for.
    pub(crate) fn take_submission(&mut self) -> Option<CommitSubmission> {
        self.submitting.take()
    }

    /// Returns whether the turn still belongs to this run.
    pub(crate) fn is_valid(&self) -> bool {
        self.turns.lock().holder(&self.key).is_some_and(|(id, _)| id == self.id)
    }
}

impl Drop for KeyTurn {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        queues.leave(&self.key, self.id, Instant::now());
        self.turns.count.store(queues.0.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn queues(keys: &[&str], now: Instant) -> KeyQueues {
        let mut queues = KeyQueues::default();
        keys.iter().for_each(|key| queues.contended((*key).to_owned(), now));
        queues
    }

    fn queued(entry: QueueEntry) -> oneshot::Receiver<Option<ForwardedValue>> {
        match entry {
            QueueEntry::Queued(granted) => granted,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn turns_are_granted_in_order_of_arrival() {
        let now = Instant::now();
        let mut queues = queues(&["n"], now);
        assert!(matches!(queues.enter("other", 0, now), QueueEntry::Free));
        assert!(matches!(queues.enter("n", 1, now), QueueEntry::Granted(None)));
        let mut second = queued(queues.enter("n", 2, now));
        drop(queues.enter("n", 3, now));
        let mut fourth = queued(queues.enter("n", 4, now));
        let mut fifth = queued(queues.enter("n", 5, now));
        queues.leave("n", 4, now);
        assert!(second.try_recv().is_err());
        queues.leave("n", 1, now);
        assert!(second.try_recv().is_ok() && fifth.try_recv().is_err());
        queues.leave("n", 2, now);
        assert!(fourth.try_recv().is_err(), "it has left");
        assert!(fifth.try_recv().is_ok(), "the third no longer waits");
    }

    #[test]
    fn a_forwarded_value_is_granted_until_its_commit_is_ordered() {
        let now = Instant::now();
        let mut queues = queues(&["n"], now);
        let value = |value: &'static str| ForwardedValue { value: Some(value.into()), submitted: watch::channel(()).1 };
        let granted = |entry| match entry {
            QueueEntry::Granted(forwarded) => forwarded.and_then(|forwarded| forwarded.value),
            other => panic!("{other:?}"),
        };
        assert_eq!(granted(queues.enter("n", 1, now)), None);
        let mut second = queued(queues.enter("n", 2, now));
        assert!(queues.hand_over("n", 1, value("1"), now));
        assert!(!queues.hand_over("n", 1, value("1"), now), "its turn is over");
        assert_eq!(second.try_recv().unwrap().and_then(|forwarded| forwarded.value), Some("1".into()));
        assert!(queues.hand_over("n", 2, value("2"), now));
        queues.leave("n", 1, now);
        assert_eq!(granted(queues.enter("n", 3, now)), Some("2".into()), "the second is not ordered");
        queues.leave("n", 2, now);
        queues.leave("n", 3, now);
        assert_eq!(granted(queues.enter("n", 4, now)), None);
        assert!(queues.hand_over("n", 4, value("4"), now));
        queues.leave("n", 4, now + COOLS_AFTER);
        assert!(queues.0.is_empty());
    }

    #[tokio::test]
    async fn a_run_follows_the_submission_of_the_value_that_it_has_read() {
        let turns = Arc::new(ContendedKeys::default());
        turns.mark_contended("n".to_owned());
        let next = async || turns.take("n").await.unwrap();
        let mut first = next().await;
        assert_eq!(first.forwarded(), None);
        first.hand_over(Some(&Bytes::from_static(b"1")));
        let mut second = next().await;
        assert_eq!(second.forwarded(), Some(Some(Bytes::from_static(b"1"))));
        drop(first.take_submission());
        assert!(second.wait_for_predecessor().now_or_never().is_some());

        second.hand_over(None);
        let mut third = next().await;
        assert_eq!(third.forwarded(), Some(None));
        third.hand_over(Some(&vec![0; FORWARDED_BYTES + 1].into()));
        assert!(turns.take("n").now_or_never().is_none(), "a long value is read from the store");
        let begun = Instant::now();
        third.wait_for_predecessor().await;
        assert!(begun.elapsed() >= TURN_MAX, "the second was not submitted");
        drop(third);
        drop((first, second));
        assert_eq!(next().await.forwarded(), None);
    }

    #[test]
    fn a_turn_that_is_kept_too_long_is_given_to_the_next() {
        let now = Instant::now();
        let mut queues = queues(&["n"], now);
        assert!(matches!(queues.enter("n", 1, now), QueueEntry::Granted(None)));
        let mut next = queued(queues.enter("n", 2, now));
        queues.evict("n", now + TURN_MAX - Duration::from_millis(1));
        assert!(next.try_recv().is_err());
        queues.evict("n", now + TURN_MAX);
        assert!(next.try_recv().is_ok());
        queues.leave("n", 1, now + TURN_MAX);
        assert_eq!(queues.holder("n").map(|(id, _)| id), Some(2), "a run that lost the turn passes none on");
    }

    #[test]
    fn idle_keys_are_forgotten_and_the_number_of_keys_is_bounded() {
        let now = Instant::now();
        let mut queues = queues(&["n"], now);
        queues.enter("n", 1, now);
        queues.leave("n", 1, now);
        assert_eq!(queues.0.len(), 1, "it was contended a moment ago");
        queues.enter("n", 2, now + COOLS_AFTER);
        queues.leave("n", 2, now + COOLS_AFTER);
        assert_eq!(queues.0.len(), 0);
        for key in 0..2 * KEYS_MAX {
            queues.contended(format!("{key}"), now);
        }
        assert_eq!(queues.0.len(), KEYS_MAX);
        queues.contended("n".to_owned(), now + COOLS_AFTER);
        assert_eq!(queues.0.len(), 1);
    }

    #[tokio::test]
    async fn two_runs_that_wait_for_each_other_both_continue() {
        let turns = Arc::new(ContendedKeys::default());
        ["a", "b"].into_iter().for_each(|key| turns.mark_contended(key.to_owned()));
        let (first, second) = (turns.take("a").await.unwrap(), turns.take("b").await.unwrap());
        let (others, same) = tokio::join!(turns.take("b"), turns.take("a"));
        assert!(others.is_some_and(|turn| turn.is_valid()) && same.is_some_and(|turn| turn.is_valid()));
        assert!(!first.is_valid() && !second.is_valid());
    }

    #[tokio::test]
    async fn cancelled_waits_leave_the_queue_and_dropped_turns_are_passed_on() {
        let turns = Arc::new(ContendedKeys::default());
        assert!(turns.is_empty());
        turns.mark_contended("n".to_owned());
        let first = turns.take("n").await.unwrap();
        let mut gone = Box::pin(turns.take("n"));
        let mut next = Box::pin(turns.take("n"));
        assert!(gone.as_mut().now_or_never().is_none() && next.as_mut().now_or_never().is_none());
        drop(gone);
        assert_eq!(turns.lock().0["n"].waiting.len(), 1);
        drop(first);
        assert!(next.await.is_some());
    }
}
