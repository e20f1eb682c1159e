//! The crash matrix: one undisturbed workload tells which gates there are and how often each is passed; then, seed by seed, the same
//! workload with the process ended at one gate after another, and everything that can be compared is.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};

use crate::facts::{self, Facts};
use crate::host::pseudo_random;
use crate::mortal::{Died, Mortal};
use crate::workload;

/// Without a number of seeds in the environment, so long; a seed that has begun is finished.
const SAMPLE: Duration = Duration::from_secs(70);
/// Seeds at a time: a life is mostly waiting.
const AT_ONCE: usize = 3;
/// The gates, and how often each is passed in peace.
type Gates = BTreeMap<String, u64>;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_gate_the_host_dies_at_everything_comes_out_the_same() {
    let template = tempfile::tempdir().unwrap();
    Mortal::prepare(template.path()).await;
    let (expected, gates) = undisturbed(template.path()).await;
    assert!(gates.len() >= 8, "{gates:?}");
    eprintln!("gates: {gates:?}");
    if let Some(seed) = number("TIDEMILL_CRASH_SEED") {
        return disturbed(template.path(), seed, &gates, &expected).await;
    }
    let begun = Instant::now();
    let wanted = number("TIDEMILL_CRASH_SEEDS");
    // Another first seed each time would make a failure hard to tell from luck; `make crash` says where to begin.
    let first = number("TIDEMILL_CRASH_FIRST").unwrap_or(1);
    let seeds = (first..).enumerate().take_while(|(count, _)| match wanted {
        Some(wanted) => (*count as u64) < wanted,
        None => begun.elapsed() < SAMPLE,
    });
    let done = stream::iter(seeds)
        .map(|(_, seed)| disturbed(template.path(), seed, &gates, &expected))
        .buffer_unordered(AT_ONCE)
        .count()
        .await;
    eprintln!("{done} seeds from {first} on, in {:?}", begun.elapsed());
}

/// A folder like the template's.
fn copied(template: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(template, dir.path());
    dir
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The workload in peace: what comes out, and the gates that it passes.
async fn undisturbed(template: &Path) -> (Facts, Gates) {
    let dir = copied(template);
    let trace = dir.path().join("gates");
    let mut mortal = Mortal::on(dir.path()).await;
    mortal.host.set_env(Mortal::env([("TIDEMILL_CRASH_TRACE", trace.display().to_string())]));
    mortal.host.resume().await;
    let known = mortal.work(&workload::mixed()).await.unwrap();
    let facts = facts::collect(&mortal, &known).await.unwrap();
    let transfers: Vec<_> = workload::mixed().into_iter().filter(|asked| asked.input["do"] == "transfer").collect();
    assert_eq!(facts::balances(&facts), workload::balances(&transfers), "{facts:#?}\n{}", mortal.host.said());
    assert!(mortal.host.stop().success(), "{}", mortal.host.said());
    let mut gates = Gates::new();
    for gate in std::fs::read_to_string(trace).unwrap().lines() {
        *gates.entry(gate.to_owned()).or_default() += 1;
    }
    (facts, gates)
}

/// Asks the process to end, after a while.
async fn end(pid: u32, after: Duration) {
    tokio::time::sleep(after).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// The workload with up to three deaths that the seed decides, and the comparison.
async fn disturbed(template: &Path, seed: u64, gates: &Gates, expected: &Facts) {
    let begun = Instant::now();
    let mut random = pseudo_random(seed);
    let names: Vec<(&String, &u64)> = gates.iter().collect();
    let mut deaths: Vec<String> = (0..1 + random(3))
        .map(|death| {
            // The first goes through the gates in turn, so that so many seeds are enough to have died at each.
            let gate = if death == 0 { seed } else { random(names.len() as u64) };
            let (name, count) = names[usize::try_from(gate).unwrap() % names.len()];
            format!("{name}:{}", 1 + random(*count))
        })
        .collect();
    deaths.reverse();
    let plan = format!("seed {seed} ({})", deaths.iter().rev().cloned().collect::<Vec<_>>().join(", then "));
    eprintln!("{plan}");
    let dir = copied(template);
    let mut mortal = Mortal::on(dir.path()).await;
    let all = workload::mixed();
    let mut lives = 0;
    let found = loop {
        lives += 1;
        let death = deaths.pop().map(|at| ("TIDEMILL_CRASH_AT", at));
        // No workload is so long that a checkpoint falls due: one is made when the host is asked to end.
        let asked_to_end = death.as_ref().is_some_and(|(_, at)| at.starts_with("checkpoint/"));
        mortal.host.set_env(Mortal::env(death));
        if mortal.host.try_resume().await.is_err() {
            continue;
        }
        let end = asked_to_end.then(|| tokio::spawn(end(mortal.host.pid(), Duration::from_millis(random(400)))));
        let lived = async {
            let known = mortal.work(&all).await?;
            facts::collect(&mortal, &known).await
        };
        let lived = lived.await;
        if let Some(end) = end {
            // The work may have been quicker; then what it left is looked at once more.
            end.await.unwrap();
            mortal.bury().await;
            continue;
        }
        match lived {
            Ok(facts) => break facts,
            Err(Died) => mortal.bury().await,
        }
    };
    let difference = facts::difference(expected, &found);
    assert!(difference.is_empty(), "{plan}:\n{}\n{}", difference.join("\n"), mortal.host.said());
    eprintln!("seed {seed}: the same after {lives} lives, {:?}", begun.elapsed());
}
