//! A process that has used up its open files: the store goes on with those that it keeps in reserve.

use std::fs::File;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidemill_store::kv::{KvConfig, KvHealth};

use super::support::{RUNS, get, open, put, unhurried};

const DIR: &str = "TIDEMILL_TEST_EXHAUSTED_STORE";

/// Uses up every file that this process may have open, for as long as the answer is held.
fn use_up_files() -> Vec<File> {
    let before = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(open + 100), maximum: before.maximum }).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// Not a test by itself: the limit is that of a process.
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
        // The index keeps so long a value in a file of its own, and a checkpoint opens every file.
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
fn a_process_without_open_files_commits_reads_and_makes_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", "exhausted::child", "--nocapture"]).env(DIR, dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
