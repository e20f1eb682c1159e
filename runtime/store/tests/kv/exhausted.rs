//! A process that has used up its open files: the store continues with its reserve.

use std::fs::File;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidemill_store::kv::{KvConfig, KvHealth};

use super::support::{RUNS, get, open, put, unhurried};

const DIR: &str = "TIDEMILL_TEST_EXHAUSTED_STORE";

/// Opens every file that this process may have open, until the result is dropped.
fn use_up_files() -> Vec<File> {
    let before = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(open + 100), maximum: before.maximum }).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// The body of a separate process, because the limit applies to a process; it does nothing in a
/// normal test run.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let config = KvConfig { segment_bytes: 16 << 20, first_segment_bytes: 16 << 20, ..unhurried(dir.as_ref()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (kv, _) = open(config);
        put(&kv, RUNS, "before", "1").await;
        kv.checkpoint().unwrap();

        let held = use_up_files();
        put(&kv, RUNS, "during", "2").await;
        // The index keeps such a long value in its own file, and a checkpoint opens every file.
        let long = "x".repeat(2 << 20);
        put(&kv, RUNS, "long", &long).await;
        kv.checkpoint().unwrap();
        put(&kv, RUNS, "after", "4").await;
        assert!(matches!(kv.health(), KvHealth::Healthy), "{:?}", kv.health());

        drop(held);
        kv.checkpoint().unwrap();
        for (key, value) in [("before", "1"), ("during", "2"), ("long", long.as_str()), ("after", "4")] {
            assert_eq!(get(&kv, RUNS, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(kv.scrub().unwrap().records, 4);
        kv.close().await.unwrap();
    });
}

#[test]
fn a_process_without_free_file_descriptors_commits_reads_and_makes_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", "exhausted::child", "--nocapture"]).env(DIR, dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
