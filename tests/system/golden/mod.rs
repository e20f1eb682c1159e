//! Golden files of one scripted session: answers of the API, the log, and the metrics page.

mod calls;
mod normal;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use tidemill_artifacts::golden::check;

use self::calls::Session;
use self::normal::{Normal, without_numbers};

/// Parts of log lines that depend on the machine, or on how early the first request arrives.
const OF_THE_MACHINE: [&str; 6] = [
    "the host is starting",
    "zone data",
    "no instance pool",
    "cannot raise",
    "refused a time slice",
    "priority of a slow",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_the_same_answers_log_and_metrics_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = Session::begin(dir.path()).await;
    calls::all(&mut session).await;
    let metrics = session.host.http.get(session.host.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(session.host.stop().success());
    check(env!("CARGO_MANIFEST_DIR"), "session.txt", &session.text);
    check(env!("CARGO_MANIFEST_DIR"), "session-log.txt", &log(&session.host.output(), &mut session.normal));
    check(env!("CARGO_MANIFEST_DIR"), "metrics.txt", &families(&metrics));
}

/// The lines of a JSON log, sorted and each once, because their order depends on the threads.
fn log(output: &str, normal: &mut Normal) -> String {
    let mut lines = BTreeSet::new();
    for line in output.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("no JSON ({why}): {line}"));
        let line = normal.value(&line).to_string();
        let line = without_numbers(&line);
        if !OF_THE_MACHINE.iter().any(|own| line.contains(own)) {
            lines.insert(line);
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Help, type and label names of each metric family.
fn families(page: &str) -> String {
    let mut text = String::new();
    let mut series = BTreeSet::new();
    for line in page.lines() {
        if line.starts_with('#') {
            series.iter().for_each(|name| writeln!(text, "{name}").unwrap());
            series.clear();
            writeln!(text, "{line}").unwrap();
            continue;
        }
        let name = line.rsplit_once(' ').map_or(line, |(name, _)| name);
        series.insert(labels(name));
    }
    text
}

fn labels(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else { return series.to_owned() };
    let names: Vec<_> = labels.split("\",").filter_map(|label| label.split('=').next()).collect();
    format!("{name}{{{}}}", names.join(","))
}
