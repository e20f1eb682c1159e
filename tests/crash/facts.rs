//! The comparable outcome of a workload. Values that differ between executions are omitted: ids,
//! times, fuel and attempts.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Value, json};

use crate::crashable_host::{AcknowledgedRun, CrashableHost, HostDeath};
use crate::host::PATIENCE;

/// Facts by name. Two workloads have the same outcome if all facts are equal.
pub type Facts = BTreeMap<String, Value>;

/// Collects all comparable facts. All runs have ended.
pub async fn collect(host: &CrashableHost, known: &[AcknowledgedRun]) -> Result<Facts, HostDeath> {
    let mut facts = Facts::new();
    let mut keys: HashMap<&str, &str> = HashMap::new();
    for AcknowledgedRun { key, run } in known {
        keys.insert(run["id"].as_str().unwrap(), key);
        facts.insert(format!("run {key}"), json!([run["state"], run["output"], run["failure"]["code"]]));
    }
    let shown = host.run("show", &json!({ "do": "show" })).await?;
    assert_eq!(shown["state"], "succeeded", "{shown}");
    for (key, value) in shown["output"].as_object().unwrap() {
        facts.insert(format!("state {key}"), value.clone());
    }
    let runs = host.list("/v1/runs").await?;
    for run in &runs {
        let name = format!("runs by {} {}", run["trigger"]["kind"], run["state"]);
        add(&mut facts, name, 1);
    }
    let entries = host.list("/v1/ledger/entries").await?;
    for entry in &entries {
        let fact = json!([entry["kind"], entry["minor_units"], entry["currency"]]);
        let twice = facts.insert(format!("entry {}", entry["external_id"]), fact);
        assert!(twice.is_none(), "{entry} is there twice");
    }
    let check = host.process.http.post(host.process.url("/v1/ledger/check")).send().await.map_err(|_| HostDeath)?;
    let check: Value = serde_json::from_str(&check.text().await.map_err(|_| HostDeath)?).unwrap();
    assert_eq!(check["problems"], json!([]), "{check}");
    // The check has read the numbers from 1 on without a gap and recomputed the chain.
    assert_eq!(check["entries"], entries.len(), "{check}");
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let accounts = host.get("/v1/ledger/accounts").await?;
    for account in accounts["items"].as_array().unwrap() {
        *sums.entry(account["currency"].to_string()).or_default() += account["minor_units"].as_i64().unwrap();
    }
    assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
    feed(host, &keys, FeedCount { ends: runs.len(), entries: entries.len() }, &mut facts).await?;
    for (what, times) in host.provider.effects() {
        facts.insert(format!("effect {what}"), json!(times));
    }
    Ok(facts)
}

fn add(facts: &mut Facts, name: String, more: u64) {
    let count = facts.entry(name).or_insert_with(|| json!(0));
    *count = json!(count.as_u64().unwrap() + more);
}

/// Number of run ends and of ledger entries that the feed has reported, or must report.
#[derive(Default)]
struct FeedCount {
    ends: usize,
    entries: usize,
}

/// Collects the ends of runs and the postings from the feed: all of `due`, and events that arrive
/// shortly after them.
async fn feed(
    host: &CrashableHost,
    keys: &HashMap<&str, &str>,
    due: FeedCount,
    facts: &mut Facts,
) -> Result<(), HostDeath> {
    // No event has position 0, so the host answers with the first position of the feed.
    let (_, reset) = follow(host, 0).await?;
    let reset = reset.split_once("data: ").unwrap().1.lines().next().unwrap();
    let reset: Value = serde_json::from_str(reset).unwrap();
    let (mut answer, mut text) = follow(host, reset["first"].as_u64().unwrap() - 1).await?;
    let mut reported = FeedCount::default();
    loop {
        while let Some((event, rest)) = text.split_once("\n\n") {
            note(event, keys, facts, &mut reported);
            text = rest.to_owned();
        }
        // The feed has no end. Stop after all expected events and a short silence. Before that,
        // wait for long: on a machine that stalls for seconds, no event must appear to be missing.
        let all = reported.ends >= due.ends && reported.entries >= due.entries;
        let patience = if all { Duration::from_millis(150) } else { PATIENCE };
        match tokio::time::timeout(patience, answer.chunk()).await {
            Ok(Ok(Some(chunk))) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Ok(_) => return Err(HostDeath),
            Err(_) => return Ok(()),
        }
    }
}

/// Opens the feed after a position and returns the text of its first events.
async fn follow(host: &CrashableHost, after: u64) -> Result<(reqwest::Response, String), HostDeath> {
    let request = host.process.http.get(host.process.url("/v1/events")).header("last-event-id", after);
    let mut answer = request.send().await.map_err(|_| HostDeath)?;
    let mut text = String::new();
    while !text.contains("data: ") || !text.ends_with("\n\n") {
        let chunk = answer.chunk().await.map_err(|_| HostDeath)?.ok_or(HostDeath)?;
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    Ok((answer, text.split_once("\n\n").map(|(_, rest)| rest.to_owned()).unwrap()))
}

/// Adds one event of the feed to the facts.
fn note(event: &str, keys: &HashMap<&str, &str>, facts: &mut Facts, reported: &mut FeedCount) {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    let (Some(name), Some(data)) = (field("event: "), field("data: ")) else { return };
    let data: Value = serde_json::from_str(data).unwrap();
    assert_ne!(name, "reset", "the feed does not go back to its beginning: {data}");
    match name {
        "run" => {
            let state = data["state"].as_str().unwrap();
            let ends = ["succeeded", "failed", "cancelled"].contains(&state);
            if ends {
                let run = data["run"].as_str().unwrap();
                let whose = keys.get(run).copied().unwrap_or("others");
                add(facts, format!("feed: {whose} {state}"), 1);
                reported.ends += 1;
            }
        }
        "posted" => {
            let entries = data["entries"].as_u64().unwrap();
            add(facts, "feed: entries".to_owned(), entries);
            reported.entries += usize::try_from(entries).unwrap();
        }
        "operator" => add(facts, format!("feed: {} at revision {}", data["action"], data["revision"]), 1),
        _ => {}
    }
}

/// Balances of the ten accounts.
pub fn balances(facts: &Facts) -> Vec<i64> {
    (0..10).map(|account| facts[&format!("state account/{account}")].as_i64().unwrap()).collect()
}

/// Facts that differ, one line each.
pub fn difference(expected: &Facts, found: &Facts) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differs = names.into_iter().filter(|name| expected.get(*name) != found.get(*name));
    differs.map(|name| format!("{name}: {:?} became {:?}", expected.get(name), found.get(name))).collect()
}
