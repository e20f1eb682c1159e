//! The demo passes its own verification, also after it was killed during its work.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn demo(data: &Path, modules: &Path, time: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["demo", "--addr", "127.0.0.1:0", "--for", time, "--data"]).arg(data).arg("--modules").arg(modules);
    command.stdin(Stdio::null());
    command
}

fn built() -> &'static Path {
    for name in ["uptime", "usage-billing", "prepaid"] {
        tidemill_artifacts::build(name).unwrap();
    }
    tidemill_artifacts::hello().parent().unwrap()
}

#[test]
fn every_part_does_its_job_and_a_kill_loses_and_doubles_nothing() {
    let modules = built();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("demo");

    // Killed during its work: once right after revenue was posted, once a little later.
    for millis in [0, 2_700] {
        let mut child = demo(&data, modules, "10m").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(" posted ")), "nothing was earned");
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let output = demo(&data, modules, "30s").output().unwrap();
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains("found again: usage-billing") && text.contains("found again: prepaid: "), "{text}");
    // The credit of the first start is used up, and nothing took an account below its floor.
    let refused = text.lines().find_map(|line| line.split(" calls and refused ").nth(1)).unwrap();
    assert!(!refused.starts_with("0 "), "{text}");
    assert!(text.contains(" by delivery; 0 times below the floor"), "{text}");

    // And once more, over the data of a clean shutdown.
    let output = demo(&data, modules, "5s").output().unwrap();
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}
