//! The crash matrix. An undisturbed workload shows which failpoints exist and how often each is
//! hit. Then, for each seed, the process is ended at one failpoint after another during the same
//! workload, and all comparable facts are compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};

use crate::crashable_host::{CrashableHost, HostDeath};
use crate::facts::{self, Facts};
use crate::host::pseudo_random;
use crate::workload;

/// Time after which no further seed begins, if the environment gives no number of seeds.
const SAMPLE: Duration = Duration::from_secs(70);
/// Number of seeds at a time. A host spends most of its time waiting.
const AT_ONCE: usize = 3;
/// Failpoints with the number of hits in an undisturbed workload.
type Failpoints = BTreeMap<String, u64>;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_is_the_same_whatever_failpoint_the_host_dies_at() {
    let template = tempfile::tempdir().unwrap();
    CrashableHost::prepare(template.path()).await;
    let (expected, failpoints) = undisturbed(template.path()).await;
    assert!(failpoints.len() >= 8, "{failpoints:?}");
    eprintln!("failpoints: {failpoints:?}");
    if let Some(seed) = number("TIDEMILL_CRASH_SEED") {
        return disturbed(template.path(), seed, &failpoints, &expected).await;
    }
    let begun = Instant::now();
    let wanted = number("TIDEMILL_CRASH_SEEDS");
    // The first seed is fixed, so that a failure can be repeated. `make crash FIRST=N` sets it.
    let first = number("TIDEMILL_CRASH_FIRST").unwrap_or(1);
    let seeds = (first..).enumerate().take_while(|(count, _)| match wanted {
        Some(wanted) => (*count as u64) < wanted,
        None => begun.elapsed() < SAMPLE,
    });
    let done = stream::iter(seeds)
        .map(|(_, seed)| disturbed(template.path(), seed, &failpoints, &expected))
        .buffer_unordered(AT_ONCE)
        .count()
        .await;
    eprintln!("{done} seeds from {first} on, in {:?}", begun.elapsed());
}

/// Copies the template to a new folder.
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

/// Runs the workload without a crash, and returns its facts and the failpoints that it hits.
async fn undisturbed(template: &Path) -> (Facts, Failpoints) {
    let dir = copied(template);
    let trace = dir.path().join("failpoints");
    let mut host = CrashableHost::on(dir.path()).await;
    host.process.set_env(CrashableHost::env([("TIDEMILL_CRASH_TRACE", trace.display().to_string())]));
    host.process.resume().await;
    let known = host.work(&workload::mixed()).await.unwrap();
    let facts = facts::collect(&host, &known).await.unwrap();
    let transfers: Vec<_> = workload::mixed().into_iter().filter(|planned| planned.input["do"] == "transfer").collect();
    assert_eq!(facts::balances(&facts), workload::balances(&transfers), "{facts:#?}\n{}", host.process.output());
    assert!(host.process.stop().success(), "{}", host.process.output());
    let mut failpoints = Failpoints::new();
    for failpoint in std::fs::read_to_string(trace).unwrap().lines() {
        *failpoints.entry(failpoint.to_owned()).or_default() += 1;
    }
    (facts, failpoints)
}

/// Sends SIGTERM to the process after a delay.
async fn end(pid: u32, after: Duration) {
    tokio::time::sleep(after).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// Runs the workload with one to three crashes chosen by the seed, and compares the facts.
async fn disturbed(template: &Path, seed: u64, failpoints: &Failpoints, expected: &Facts) {
    let begun = Instant::now();
    let mut random = pseudo_random(seed);
    let names: Vec<(&String, &u64)> = failpoints.iter().collect();
    let mut deaths: Vec<String> = (0..1 + random(3))
        .map(|death| {
            // The first crash takes the failpoints in turn, so that consecutive seeds reach all.
            let failpoint = if death == 0 { seed } else { random(names.len() as u64) };
            let (name, count) = names[usize::try_from(failpoint).unwrap() % names.len()];
            format!("{name}:{}", 1 + random(*count))
        })
        .collect();
    deaths.reverse();
    let plan = format!("seed {seed} ({})", deaths.iter().rev().cloned().collect::<Vec<_>>().join(", then "));
    eprintln!("{plan}");
    let dir = copied(template);
    let mut host = CrashableHost::on(dir.path()).await;
    let all = workload::mixed();
    let mut processes = 0;
    let found = loop {
        processes += 1;
        let death = deaths.pop().map(|at| ("TIDEMILL_CRASH_AT", at));
        // The workload is too short for a periodic checkpoint, but a clean shutdown makes one.
        let is_shut_down = death.as_ref().is_some_and(|(_, at)| at.starts_with("checkpoint/"));
        host.process.set_env(CrashableHost::env(death));
        if host.process.try_resume().await.is_err() {
            continue;
        }
        let end = is_shut_down.then(|| tokio::spawn(end(host.process.pid(), Duration::from_millis(random(400)))));
        let lived = async {
            let known = host.work(&all).await?;
            facts::collect(&host, &known).await
        };
        let lived = lived.await;
        if let Some(end) = end {
            // If the work ended before the shutdown, the next process collects the facts again.
            end.await.unwrap();
            host.wait_for_end().await;
            continue;
        }
        match lived {
            Ok(facts) => break facts,
            Err(HostDeath) => host.wait_for_end().await,
        }
    };
    let difference = facts::difference(expected, &found);
    assert!(difference.is_empty(), "{plan}:\n{}\n{}", difference.join("\n"), host.process.output());
    eprintln!("seed {seed}: the same after {processes} processes, {:?}", begun.elapsed());
}
