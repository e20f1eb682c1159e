//! A disk that is full: what cannot be made durable is refused before it begins, and all goes on when there is room.
//!
//! The host gets a small file system of its own, which only it sees. Where the machine does not let a test have one, the store's own tests
//! (`runtime/store/tests/kv`), which fail a simulated disk at every call, must do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::host::{Host, PATIENCE};

/// More than the host keeps free for itself, with room for its log.
const SIZE: &str = "size=224m";

/// A host on a file system of its own, where the machine allows it.
#[allow(clippy::print_stderr, reason = "a test that tries nothing says so")]
async fn on_small_disk(dir: &Path) -> Option<Host> {
    let script = format!("mount -t tmpfs -o {SIZE} none \"$0\" && exec \"$@\"");
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script];
    let mut wrapper: Vec<String> = wrapper.into_iter().map(str::to_owned).collect();
    wrapper.push(dir.display().to_string());
    let allowed = Command::new(&wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !allowed.is_ok_and(|tried| tried.status.success()) {
        eprintln!("no file system of its own for a test here: nothing was tried");
        return None;
    }
    let mut host = Host::asleep(dir);
    host.set_wrapper(wrapper);
    host.resume().await;
    Some(host)
}

/// Takes all the room that is left; the file that does.
fn fill(host: &Host, dir: &Path) -> PathBuf {
    let path = PathBuf::from(format!("/proc/{}/root{}/filler", host.pid(), dir.display()));
    let mut file = std::fs::File::create(&path).unwrap();
    let chunk = vec![7; 1 << 20];
    while file.write_all(&chunk).is_ok() {}
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_acknowledged_is_lost_and_the_host_goes_on_when_there_is_room() {
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
                // The last of the room may have been enough for some.
                200 => counted += 1,
                507 => assert_eq!(body["code"], "host/disk-full", "{body}"),
                _ => panic!("{status}: {body}"),
            }
        }
        let (status, _) = host.try_invoke("counter", &count).await;
        assert_eq!(status, 507, "the disk is full");
        // Reading needs no room.
        host.get("/v1/runs").await;
        std::fs::remove_file(filler).unwrap();
        let begun = Instant::now();
        let mut after = (0, Value::Null);
        while after.0 != 200 {
            assert!(begun.elapsed() < PATIENCE, "round {round}: {after:?}\n{}", host.said());
            after = host.try_invoke("counter", &count).await;
        }
        counted += 1;
    }
    let count = host.invoke("counter", &json!({ "do": "get", "key": "n" })).await;
    assert_eq!(count["output"], json!(counted), "each that was answered counted once, and no other did");
}
