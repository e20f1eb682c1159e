//! Tests that kill a real process.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use tidemill_store::kv::{KvError, Tx};

use super::support::{EVENTS, RUNS, get, open, small};

const DIR: &str = "TIDEMILL_TEST_KILLED_STORE";

/// The body of the process that the test kills; it does nothing in a normal test run.
#[test]
#[expect(clippy::print_stdout, reason = "reports the acknowledged commits")]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (kv, report) = open(small(dir.as_ref()));
        for number in report.commit.position.. {
            kv.submit(move |tx: &mut Tx<'_>| {
                let value = format!("{number}-{}", "x".repeat(usize::try_from(number % 700).unwrap()));
                tx.put(RUNS, number.to_be_bytes(), &value)?;
                tx.put(RUNS, "newest", number.to_string())?;
                tx.put(EVENTS, number.to_be_bytes(), value)?;
                if number >= 500 {
                    tx.delete(EVENTS, (number - 500).to_be_bytes())?;
                }
                Ok::<_, KvError>(())
            })
            .await
            .unwrap();
            println!("answered {number}");
        }
    });
}

#[tokio::test]
async fn repeated_kills_lose_no_acknowledged_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for kill in 1..=8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answered = 0;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.split("answered ").nth(1) {
                answered = number.parse().unwrap();
            }
            if answered >= before + 97 * kill {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(answered > before, "the child did nothing");

        let (kv, report) = open(small(dir.path()));
        let newest: u64 = get(&kv, RUNS, "newest").unwrap().parse().unwrap();
        assert!(newest >= answered, "answered {answered}, found {newest}");
        assert_eq!(report.commit.position, newest + 1);
        for number in 0..=newest {
            let run = kv.get(RUNS, number.to_be_bytes()).unwrap().unwrap();
            assert!(run.starts_with(format!("{number}-").as_bytes()));
            let event = kv.get(EVENTS, number.to_be_bytes()).unwrap();
            assert_eq!(event.is_some(), number + 500 > newest, "event {number} of {newest}");
        }
        assert!(kv.get(RUNS, (newest + 1).to_be_bytes()).unwrap().is_none());
        before = newest;
        kv.close().await.unwrap();
    }
}
