//! A full disk: the host refuses runs that it cannot make durable, and admits runs again when there
//! is room.
//!
//! The host gets a small private file system. If the machine forbids that, nothing is tested here;
//! the tests of the store (`runtime/store/tests/kv`) fail a simulated disk at every call.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::host::{Host, PATIENCE};

/// Size of the file system: more than the reserve of the host, with room for its log.
const SIZE: &str = "size=224m";

/// Starts a host on a private file system; `None` if the machine forbids it.
#[allow(clippy::print_stderr, reason = "a skipped test prints a line")]
async fn on_small_disk(dir: &Path) -> Option<Host> {
    let script = format!("mount -t tmpfs -o {SIZE} none \"$0\" && exec \"$@\"");
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script];
    let mut wrapper: Vec<String> = wrapper.into_iter().map(str::to_owned).collect();
    wrapper.push(dir.display().to_string());
    let allowed = Command::new(&wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !allowed.is_ok_and(|tried| tried.status.success()) {
        eprintln!("this machine allows no private file system: test skipped");
        return None;
    }
    let mut host = Host::not_started(dir);
    host.set_wrapper(wrapper);
    host.resume().await;
    Some(host)
}

/// Fills the remaining space with one file and returns its path.
fn fill(host: &Host, dir: &Path) -> PathBuf {
    let path = PathBuf::from(format!("/proc/{}/root{}/filler", host.pid(), dir.display()));
    let mut file = std::fs::File::create(&path).unwrap();
    let chunk = vec![7; 1 << 20];
    while file.write_all(&chunk).is_ok() {}
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_acknowledged_run_and_runs_are_admitted_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(host) = on_small_disk(dir.path()).await else { return };
    host.deploy_hostile("counter", json!({ "concurrency": 16 })).await;
    let count = json!({ "do": "counter", "key": "n" });
    let mut counted = 0;
    for round in 0..2 {
        for run in join_all((0..20).map(|_| host.invoke("counter", &count))).await {
            assert_eq!(run["state"], "succeeded", "{run}");
            counted += 1;
        }
        let filler = fill(&host, dir.path());
        let refused = join_all((0..20).map(|_| host.try_invoke("counter", &count))).await;
        for (status, body) in refused {
            match status {
                // The last free bytes may suffice for some runs.
                200 => counted += 1,
                507 => assert_eq!(body["code"], "host/disk-full", "{body}"),
                _ => panic!("{status}: {body}"),
            }
        }
        let (status, _) = host.try_invoke("counter", &count).await;
        assert_eq!(status, 507, "the disk is full");
        // A read needs no space.
        host.get("/v1/runs").await;
        std::fs::remove_file(filler).unwrap();
        let begun = Instant::now();
        let mut after = (0, Value::Null);
        while after.0 != 200 {
            assert!(begun.elapsed() < PATIENCE, "round {round}: {after:?}\n{}", host.output());
            after = host.try_invoke("counter", &count).await;
        }
        counted += 1;
    }
    let count = host.invoke("counter", &json!({ "do": "get", "key": "n" })).await;
    assert_eq!(count["output"], json!(counted), "each acknowledged run counted once, and no other run did");
}
