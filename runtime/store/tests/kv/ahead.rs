//! Values that are read before they are durable: each reader's own commit checks them, so no
//! acknowledged commit depends on a lost one, whatever fails.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tidemill_store::kv::{Kv, KvConfig, KvError, SubmitError, Tx};
use tokio::sync::oneshot;

use super::disk::Faults;
use super::support::{EVENTS, RUNS, all, copy, open, small, unhurried};

/// The value that a run read before its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ValueRead {
    n: u64,
    /// The position of the commit that wrote the value.
    version: u64,
}

#[derive(Debug)]
enum Refusal {
    Conflict,
    Store,
}

impl From<KvError> for Refusal {
    fn from(_: KvError) -> Self {
        Self::Store
    }
}

fn seen(value: Option<&[u8]>) -> ValueRead {
    let number = |at: usize| value.map_or(0, |value| u64::from_le_bytes(*value[at..].first_chunk().unwrap()));
    ValueRead { n: number(0), version: number(8) }
}

fn read(kv: &Kv) -> ValueRead {
    seen(kv.newest(RUNS, "n").unwrap().as_deref())
}

/// A guard that notifies when it is dropped.
struct Flag(Option<oneshot::Sender<()>>);

impl Drop for Flag {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(());
        }
    }
}

/// Adds one to the value that was read, if it is still current, and writes a row for it. The second
/// future resolves when the turn is handed on.
fn add(
    kv: &Kv,
    read: ValueRead,
) -> (impl Future<Output = Result<u64, SubmitError<Refusal>>> + Send + use<>, oneshot::Receiver<()>) {
    let (flag, handed_on) = oneshot::channel();
    let flag = Flag(Some(flag));
    let submitted = kv.submit(move |tx: &mut Tx<'_>| {
        if seen(tx.get(RUNS, "n")?.as_deref()) != read {
            return Err(Refusal::Conflict);
        }
        let n = read.n + 1;
        tx.put(RUNS, "n", [n.to_le_bytes(), tx.position().to_le_bytes()].concat())?;
        tx.put(EVENTS, n.to_be_bytes(), "x".repeat(200))?;
        tx.publish_early(Box::new(flag));
        Ok(n)
    });
    (submitted, handed_on)
}

/// Returns the counter after checking that it matches its rows.
fn counted(kv: &Kv) -> u64 {
    let n = seen(kv.get(RUNS, "n").unwrap().as_deref()).n;
    let rows: Vec<Vec<u8>> = all(kv, EVENTS).unwrap().into_keys().collect();
    assert_eq!(rows, (1..=n).map(|row| row.to_be_bytes().to_vec()).collect::<Vec<_>>());
    n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_readers_proceeds_before_anything_is_durable_and_is_answered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    let mut answers = Vec::new();
    for n in 0..500 {
        assert_eq!(read(&kv).n, n);
        let (added, handed_on) = add(&kv, read(&kv));
        answers.push(tokio::spawn(added));
        handed_on.await.unwrap();
    }
    for (n, answer) in (1..).zip(answers) {
        assert_eq!(answer.await.unwrap().unwrap(), n);
    }
    assert!(kv.sync_count() < 500, "{} syncs: no two were made durable together", kv.sync_count());
    assert_eq!(counted(&kv), 500);
    kv.scrub().unwrap();
    kv.close().await.unwrap();
    let (kv, report) = open(small(dir.path()));
    assert!(report.clean);
    assert_eq!(counted(&kv), 500);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn uncommitted_values_are_visible_only_to_newest() {
    let dir = tempfile::tempdir().unwrap();
    let durable = tempfile::tempdir().unwrap();
    let disk = Faults::new(dir.path(), durable.path());
    let (kv, _) = open(KvConfig { disk: Arc::new(disk.clone()), ..unhurried(dir.path()) });
    let (first, handed_on) = add(&kv, read(&kv));
    let syncing = disk.hold_syncs();
    let first = tokio::spawn(first);
    handed_on.await.unwrap();
    let (second, handed_on) = add(&kv, read(&kv));
    let second = tokio::spawn(second);
    handed_on.await.unwrap();
    assert_eq!(read(&kv).n, 2);
    assert_eq!((kv.get(RUNS, "n").unwrap(), kv.commits().borrow().position), (None, 0));
    assert!(all(&kv, EVENTS).unwrap().is_empty());
    assert!(!first.is_finished() && !second.is_finished());
    drop(syncing);
    assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap().unwrap()), (1, 2));
    assert_eq!(counted(&kv), 2);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_failed_group_fails_its_readers_and_its_positions_are_not_reused() {
    let dir = tempfile::tempdir().unwrap();
    let durable = tempfile::tempdir().unwrap();
    let disk = Faults::new(dir.path(), durable.path());
    // A small segment, so that a new one is soon needed and cannot be created.
    let config = KvConfig { first_segment_bytes: 8 << 10, ..unhurried(dir.path()) };
    let (kv, _) = open(KvConfig { disk: Arc::new(disk.clone()), ..config });
    disk.fail_growth(true);
    let mut stale = Vec::new();
    loop {
        stale.push(read(&kv));
        let (added, _) = add(&kv, read(&kv));
        match added.await {
            Ok(_) => {}
            Err(SubmitError::Store(KvError::DiskFull { .. } | KvError::Io { .. })) => break,
            Err(other) => panic!("{other:?}"),
        }
        assert!(stale.len() < 500, "the store never refused");
    }
    let durable = counted(&kv);
    assert_eq!(read(&kv).n, durable, "what failed is no longer shown");
    // The version that was read and lost is never reused.
    let lost = ValueRead { n: durable + 1, version: kv.commits().borrow().position + 1 };
    disk.fail_growth(false);
    let (added, _) = add(&kv, read(&kv));
    assert_eq!(added.await.unwrap(), lost.n);
    let now = read(&kv);
    assert!(now.n == lost.n && now.version > lost.version, "{now:?} and {lost:?}");
    let (late, _) = add(&kv, lost);
    assert!(matches!(late.await, Err(SubmitError::Refused(Refusal::Conflict))));
    assert_eq!(counted(&kv), durable + 1);
    kv.close().await.unwrap();
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// The number of log syncs that fail: one goes to a fresh segment, more make the store
    /// read-only.
    Syncs(u64),
    /// No segment can be created for a while.
    Growth,
    /// The power is cut at this sync.
    Power(u64),
    /// The process is killed; the files keep their current content.
    Kill,
    /// The index is reopened.
    Checkpoint,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        2 => prop_oneof![Just(1), Just(1000)].prop_map(Fault::Syncs),
        2 => Just(Fault::Growth),
        2 => (1..12_u64).prop_map(Fault::Power),
        2 => Just(Fault::Kill),
        1 => Just(Fault::Checkpoint),
    ]
}

/// Runs writers that add one in turn, each as soon as the previous one hands its turn on, until
/// they have added `each` or the store fails. Returns the highest acknowledged number.
async fn storm(kv: &Kv, writers: u64, each: u64) -> u64 {
    let answered = Arc::new(AtomicU64::new(0));
    let failed = Arc::new(AtomicBool::new(false));
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    let twice = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let (kv, answered, failed) = (kv.clone(), Arc::clone(&answered), Arc::clone(&failed));
        let (turn, twice) = (Arc::clone(&turn), Arc::clone(&twice));
        tasks.spawn(async move {
            let mut done = 0;
            while done < each && !failed.load(Ordering::Relaxed) {
                // Some writers do not wait for their turn.
                let guard = if writer % 3 < 2 { Some(turn.lock().await) } else { None };
                let (added, handed_on) = add(&kv, read(&kv));
                let added = tokio::spawn(added);
                let _ = handed_on.await;
                drop(guard);
                match added.await.unwrap() {
                    Ok(n) => {
                        assert!(twice.lock().unwrap().insert(n), "{n} was answered twice");
                        answered.fetch_max(n, Ordering::Relaxed);
                        done += 1;
                    }
                    Err(SubmitError::Refused(Refusal::Conflict)) => tokio::task::yield_now().await,
                    Err(_) => failed.store(true, Ordering::Relaxed),
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    answered.load(Ordering::Relaxed)
}

async fn run(faults: Vec<Fault>) {
    let mut dir = tempfile::tempdir().unwrap();
    let mut least = 0;
    for fault in faults {
        let durable = tempfile::tempdir().unwrap();
        copy(dir.path(), durable.path());
        let disk = Faults::new(dir.path(), durable.path());
        let config = KvConfig { first_segment_bytes: 8 << 10, ..unhurried(dir.path()) };
        let (kv, _) = open(KvConfig { disk: Arc::new(disk.clone()), ..config });
        assert!(counted(&kv) >= least, "{fault:?}: {} of {least}", counted(&kv));
        let left = match fault {
            Fault::None => None,
            Fault::Checkpoint => {
                kv.checkpoint().unwrap();
                None
            }
            Fault::Syncs(count) => {
                disk.fail_syncs(count);
                None
            }
            Fault::Growth => {
                disk.fail_growth(true);
                None
            }
            Fault::Power(sync) => {
                disk.cut_at(sync);
                Some(durable.path())
            }
            Fault::Kill => Some(dir.path()),
        };
        least = least.max(storm(&kv, 5, 12).await);
        let copied = tempfile::tempdir().unwrap();
        if let Some(left) = left {
            copy(left, copied.path());
            std::mem::forget(kv);
        } else {
            disk.fail_syncs(0);
            disk.fail_growth(false);
            let _ = kv.close().await;
            copy(dir.path(), copied.path());
        }
        dir = copied;
    }
    let (kv, _) = open(small(dir.path()));
    assert!(counted(&kv) >= least, "{} of {least}", counted(&kv));
    kv.scrub().unwrap();
    kv.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_acknowledged_commit_depends_on_a_lost_one(faults in prop::collection::vec(fault(), 1..5)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(run(faults));
    }
}
