//! Cost of a commit: three keys of about 100 bytes, by 1, 16 and 128 writers that each wait for
//! their answer.
//!
//! `bare` is the minimum with the same guarantee: a queue, one append and one fdatasync to a filled
//! file for all waiting writers, plain inserts into sled on the same thread, answers. `kv` is the
//! store: serial operations that can read and refuse, checksums, counts and sums, snapshots for
//! readers, checkpoints, the check of free space. The store must reach 80 % of the bare commits per
//! second at each number of writers.
//!
//! Both are open at once and take turns in short rounds, with the order reversed in every other
//! pair, so that other load on the machine affects both. Each pair gives one ratio; the bench
//! prints their median and quartiles. Checkpoints are made between the rounds, and their share is
//! charged to `kv` in full, as if no commit ran at the same time.
//!
//! This is not criterion, which completes one measurement before the next. The lines have the form
//! of its `bencher` output.
#![allow(clippy::print_stdout, reason = "what it measured")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tidemill_core::clock::Stopwatch;
use tidemill_store::kv::{Kv, KvConfig, KvError, Table, Tx};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// The host's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TABLES: &[Table] = &[Table::new(1, "one"), Table::new(2, "two"), Table::new(3, "three")];
const SEGMENT: u64 = 64 << 20;
/// Number of measured pairs of rounds.
const ROUNDS: usize = 15;
/// Length of a round.
const ROUND: Duration = Duration::from_millis(700);
/// Approximate size of a commit of this bench in the store's log, in bytes.
const COMMIT_BYTES: u64 = 512;

/// Returns a key. Keys are reused, as those of runs are, so that the store's size stays the same.
fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[8..].copy_from_slice(&(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 50_000).to_be_bytes());
    key
}

type Writes = Vec<([u8; 16], Vec<u8>)>;
type Bare = mpsc::Sender<(Writes, oneshot::Sender<()>)>;

fn bare(dir: &Path) -> Bare {
    let db =
        sled::Config::new().path(dir.join("index")).cache_capacity(64 << 20).flush_every_ms(None).open().expect("sled");
    let trees: Vec<sled::Tree> = TABLES.iter().map(|table| db.open_tree(table.name).expect("a tree")).collect();
    let log = File::create_new(dir.join("log")).expect("the log");
    for at in (0..SEGMENT).step_by(4096) {
        log.write_all_at(&[0; 4096], at).expect("filled");
    }
    log.sync_all().expect("synced");
    let (queue, mut queued) = mpsc::channel::<(Writes, oneshot::Sender<()>)>(4096);
    thread::spawn(move || {
        let (mut taken, mut record, mut at) = (Vec::new(), Vec::new(), 0);
        while queued.blocking_recv_many(&mut taken, 1024) > 0 {
            record.clear();
            for (writes, _) in &taken {
                for (key, value) in writes {
                    record.extend_from_slice(key);
                    record.extend_from_slice(value);
                }
            }
            if at + record.len() as u64 > SEGMENT {
                at = 0;
            }
            log.write_all_at(&record, at).expect("appended");
            log.sync_data().expect("synced");
            at += record.len() as u64;
            for (writes, answer) in taken.drain(..) {
                for (tree, (key, value)) in trees.iter().zip(writes) {
                    tree.insert(key, value).expect("inserted");
                }
                answer.send(()).expect("answered");
            }
        }
    });
    queue
}

/// The number of commits in a round, and their time.
#[derive(Clone, Copy)]
struct Round {
    commits: u64,
    took: Duration,
}

impl Round {
    /// Returns the seconds per commit.
    fn each(self) -> f64 {
        self.took.as_secs_f64() / self.commits.max(1) as f64
    }
}

/// Runs `writers` tasks that commit for `length`, each one commit at a time.
fn round<F, Fut>(runtime: &Runtime, writers: u64, length: Duration, commit: F) -> Round
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let watch = Arc::new(Stopwatch::start());
    let commits = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..writers {
            let (commit, watch) = (commit.clone(), Arc::clone(&watch));
            tasks.spawn(async move {
                let mut commits = 0;
                while watch.elapsed() < length {
                    commit(NUMBER.fetch_add(1, Ordering::Relaxed)).await;
                    commits += 1;
                }
                commits
            });
        }
        tasks.join_all().await.into_iter().sum()
    });
    Round { commits, took: watch.elapsed() }
}

fn bare_round(runtime: &Runtime, queue: &Bare, writers: u64, length: Duration) -> Round {
    let queue = queue.clone();
    round(runtime, writers, length, move |number| {
        let queue = queue.clone();
        async move {
            let writes = (0..3).map(|_| (key(number), vec![b'v'; 100])).collect();
            let (answer, answered) = oneshot::channel();
            queue.send((writes, answer)).await.expect("queued");
            answered.await.expect("answered");
        }
    })
}

fn kv_round(runtime: &Runtime, kv: &Kv, writers: u64, length: Duration) -> Round {
    let store = kv.clone();
    let commits = round(runtime, writers, length, move |number| {
        let commit = store.submit(move |tx: &mut Tx<'_>| {
            for table in TABLES {
                tx.put(*table, key(number), [b'v'; 100])?;
            }
            Ok::<_, KvError>(tx.position())
        });
        async move {
            black_box(commit.await.expect("committed"));
        }
    });
    let watch = Stopwatch::start();
    kv.checkpoint().expect("a checkpoint");
    // As often as the defaults make a checkpoint: by time, or by bytes of the log.
    let defaults = KvConfig::new("", TABLES);
    let by_time = commits.took.as_secs_f64() / defaults.checkpoint_every.as_secs_f64();
    let by_bytes = (commits.commits * COMMIT_BYTES) as f64 / defaults.checkpoint_bytes as f64;
    let share = by_time.max(by_bytes).min(1.0);
    Round { took: commits.took + watch.elapsed().mul_f64(share), ..commits }
}

/// Returns the first quartile, the median and the third quartile.
fn quartiles(mut all: Vec<f64>) -> (f64, f64, f64) {
    all.sort_by(f64::total_cmp);
    let at = |part: f64| all[((all.len() - 1) as f64 * part).round() as usize];
    (at(0.25), at(0.5), at(0.75))
}

fn tell(name: &str, writers: u64, rounds: &[Round]) {
    let (low, median, high) = quartiles(rounds.iter().map(|round| round.each() * 1e9).collect());
    println!("test commit/{name}/{writers} ... bench: {median:>11.0} ns/iter (+/- {:.0})", high - low);
}

fn main() {
    // As criterion does: without `cargo bench`, only check that it works.
    let measure = std::env::args().any(|arg| arg == "--bench") && !std::env::args().any(|arg| arg == "--test");
    let (rounds, length) = if measure { (ROUNDS, ROUND) } else { (1, Duration::from_millis(20)) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    for writers in [1, 16, 128] {
        let (bare_dir, kv_dir) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let queue = bare(bare_dir.path());
        // A checkpoint that is made by time would fall into the other side's round.
        let config = KvConfig { checkpoint_every: Duration::from_secs(3600), ..KvConfig::new(kv_dir.path(), TABLES) };
        let (kv, _) = Kv::open(config).expect("a store");
        let (mut of_bare, mut of_kv) = (Vec::new(), Vec::new());
        // The first pair warms both up and is not counted.
        for number in 0..=rounds {
            if number % 2 == 0 {
                of_bare.push(bare_round(&runtime, &queue, writers, length));
                of_kv.push(kv_round(&runtime, &kv, writers, length));
            } else {
                of_kv.push(kv_round(&runtime, &kv, writers, length));
                of_bare.push(bare_round(&runtime, &queue, writers, length));
            }
        }
        let (of_bare, of_kv) = (&of_bare[1..], &of_kv[1..]);
        tell("bare", writers, of_bare);
        tell("kv", writers, of_kv);
        let ratios = of_bare.iter().zip(of_kv).map(|(bare, kv)| 100.0 * bare.each() / kv.each()).collect();
        let (low, median, high) = quartiles(ratios);
        println!(
            "commit: with {writers} at once the store makes {median:.0} % of the bare commits a second ({low:.0} to {high:.0} % \
             in the middle half of {rounds} pairs of rounds)"
        );
        runtime.block_on(kv.close()).expect("closed");
    }
}
