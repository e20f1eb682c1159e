//! A process that has used up its open files: the store refuses for as long as that lasts, and recovers by itself.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidemill_store::embedded::{Health, KvConfig, KvError, SubmitError, Tx};

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
        let refused = kv.checkpoint().unwrap_err();
        assert!(matches!(refused, KvError::Exhausted { .. }), "{refused:?}");
        assert_eq!(refused.code(), "host/store-unavailable");
        // The index keeps so long a value in a file of its own, which it cannot make. The log has it.
        let long = "x".repeat(2 << 20);
        put(&kv, RUNS, "long", &long).await;
        let add = async || kv.submit(|tx: &mut Tx<'_>| tx.put(RUNS, "later", "4")).await;
        let refused = add().await.unwrap_err();
        assert!(matches!(refused, SubmitError::Store(KvError::Exhausted { .. })), "{refused:?}");
        assert!(kv.get(RUNS, "before").is_err());

        drop(held);
        // Nothing is submitted, and reads come back all the same.
        for _ in 0..2_000 {
            if kv.get(RUNS, "before").is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(matches!(kv.health(), Health::Healthy), "{:?}", kv.health());
        add().await.unwrap();
        kv.checkpoint().unwrap();
        for (key, value) in [("before", "1"), ("during", "2"), ("long", long.as_str()), ("later", "4")] {
            assert_eq!(get(&kv, RUNS, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(kv.scrub().unwrap().records, 4);
        kv.close().await.unwrap();
    });
}

#[test]
fn a_store_without_open_files_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", "exhausted::child", "--nocapture"]).env(DIR, dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
