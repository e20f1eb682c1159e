//! What a commit costs: three keys of about 100 bytes, by 1, 16 and 128 writers that each wait for their answer.
//!
//! `bare` is the least that keeps the promise: a queue, one append and one fdatasync to a filled file for all
//! who wait, plain inserts into sled, answers. `kv` is the store: serial operations that can read and refuse,
//! checksums, counts and sums, snapshots for readers, checkpoints, the check of free space. The store must
//! reach 80 % of the bare commits a second at each number of writers.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidemill_core::clock::Stopwatch;
use tidemill_store::embedded::{Kv, KvConfig, KvError, Table, Tx};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

const TABLES: &[Table] = &[Table { id: 1, name: "one" }, Table { id: 2, name: "two" }, Table { id: 3, name: "three" }];
const SEGMENT: u64 = 64 << 20;

/// Keys are written again and again, as runs are: the store stays of one size.
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

/// Runs `commits` commits by `writers` tasks and gives the time they took.
fn timed<F, Fut>(runtime: &Runtime, writers: u64, commits: u64, commit: F) -> Duration
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let watch = Stopwatch::start();
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let commit = commit.clone();
            let share = commits / writers + u64::from(writer < commits % writers);
            tasks.spawn(async move {
                for _ in 0..share {
                    commit(NUMBER.fetch_add(1, Ordering::Relaxed)).await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    });
    watch.elapsed()
}

fn commits(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(6));
    for writers in [1, 16, 128] {
        let dir = tempfile::tempdir().expect("a folder");
        let queue = bare(dir.path());
        group.bench_function(format!("bare/{writers}"), |bench| {
            bench.iter_custom(|commits| {
                let queue = queue.clone();
                timed(&runtime, writers, commits, move |number| {
                    let queue = queue.clone();
                    async move {
                        let writes = (0..3).map(|_| (key(number), vec![b'v'; 100])).collect();
                        let (answer, answered) = oneshot::channel();
                        queue.send((writes, answer)).await.expect("queued");
                        answered.await.expect("answered");
                    }
                })
            });
        });
        drop(queue);

        let dir = tempfile::tempdir().expect("a folder");
        let (kv, _) = Kv::open(KvConfig::new(dir.path(), TABLES)).expect("a store");
        group.bench_function(format!("kv/{writers}"), |bench| {
            bench.iter_custom(|commits| {
                let kv = kv.clone();
                timed(&runtime, writers, commits, move |number| {
                    let commit = kv.submit(move |tx: &mut Tx<'_>| {
                        for table in TABLES {
                            tx.put(*table, key(number), [b'v'; 100])?;
                        }
                        Ok::<_, KvError>(tx.position())
                    });
                    async move {
                        black_box(commit.await.expect("committed"));
                    }
                })
            });
        });
        runtime.block_on(kv.close()).expect("closed");
    }
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
