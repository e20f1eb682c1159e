//! What came out of a workload, without whatever may differ from one time to the next: ids, times, fuel, attempts.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::PATIENCE;
use crate::mortal::{Died, Known, Mortal};

/// Facts by name; two workloads are the same where all of them are.
pub type Facts = BTreeMap<String, Value>;

/// Reads everything that can be compared. All runs have ended.
pub async fn collect(mortal: &Mortal, known: &[Known]) -> Result<Facts, Died> {
    let mut facts = Facts::new();
    let mut keys: HashMap<&str, &str> = HashMap::new();
    for Known { key, run } in known {
        keys.insert(run["id"].as_str().unwrap(), key);
        facts.insert(format!("run {key}"), json!([run["state"], run["output"], run["failure"]["code"]]));
    }
    let shown = mortal.run("show", &json!({ "do": "show" })).await?;
    assert_eq!(shown["state"], "succeeded", "{shown}");
    for (key, value) in shown["output"].as_object().unwrap() {
        facts.insert(format!("state {key}"), value.clone());
    }
    let runs = mortal.list("/v1/runs").await?;
    for run in &runs {
        let name = format!("runs by {} {}", run["trigger"]["kind"], run["state"]);
        add(&mut facts, name, 1);
    }
    let entries = mortal.list("/v1/ledger/entries").await?;
    for entry in &entries {
        let fact = json!([entry["kind"], entry["minor_units"], entry["currency"]]);
        let twice = facts.insert(format!("entry {}", entry["external_id"]), fact);
        assert!(twice.is_none(), "{entry} is there twice");
    }
    let check = mortal.host.http.post(mortal.host.url("/v1/ledger/check")).send().await.map_err(|_| Died)?;
    let check: Value = serde_json::from_str(&check.text().await.map_err(|_| Died)?).unwrap();
    assert_eq!(check["problems"], json!([]), "{check}");
    feed(mortal, &keys, Told { ends: runs.len(), entries: entries.len() }, &mut facts).await?;
    for (what, times) in mortal.provider.effects() {
        facts.insert(format!("effect {what}"), json!(times));
    }
    Ok(facts)
}

fn add(facts: &mut Facts, name: String, more: u64) {
    let count = facts.entry(name).or_insert_with(|| json!(0));
    *count = json!(count.as_u64().unwrap() + more);
}

/// How many ends of runs and how many entries the feed has told of, or has to.
#[derive(Default)]
struct Told {
    ends: usize,
    entries: usize,
}

/// What the feed told of the ends of runs and of postings: all of `due`, and whatever comes soon after.
async fn feed(mortal: &Mortal, keys: &HashMap<&str, &str>, due: Told, facts: &mut Facts) -> Result<(), Died> {
    // Nothing lies at 0: the answer is where the feed begins.
    let (_, reset) = follow(mortal, 0).await?;
    let reset = reset.split_once("data: ").unwrap().1.lines().next().unwrap();
    let reset: Value = serde_json::from_str(reset).unwrap();
    let (mut answer, mut text) = follow(mortal, reset["first"].as_u64().unwrap() - 1).await?;
    let mut told = Told::default();
    loop {
        while let Some((event, rest)) = text.split_once("\n\n") {
            note(event, keys, facts, &mut told);
            text = rest.to_owned();
        }
        // It goes on for ever: enough is what has told of all, and then of nothing for a while. A machine that stands still for
        // seconds must not look like a feed that leaves something out.
        let all = told.ends >= due.ends && told.entries >= due.entries;
        let patience = if all { Duration::from_millis(150) } else { PATIENCE };
        match tokio::time::timeout(patience, answer.chunk()).await {
            Ok(Ok(Some(chunk))) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Ok(_) => return Err(Died),
            Err(_) => return Ok(()),
        }
    }
}

/// The feed behind an event, and what it said first of all.
async fn follow(mortal: &Mortal, after: u64) -> Result<(reqwest::Response, String), Died> {
    let request = mortal.host.http.get(mortal.host.url("/v1/events")).header("last-event-id", after);
    let mut answer = request.send().await.map_err(|_| Died)?;
    let mut text = String::new();
    while !text.contains("data: ") || !text.ends_with("\n\n") {
        let chunk = answer.chunk().await.map_err(|_| Died)?.ok_or(Died)?;
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    Ok((answer, text.split_once("\n\n").map(|(_, rest)| rest.to_owned()).unwrap()))
}

/// Notes one event.
fn note(event: &str, keys: &HashMap<&str, &str>, facts: &mut Facts, told: &mut Told) {
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
                add(facts, format!("told of {whose} {state}"), 1);
                told.ends += 1;
            }
        }
        "posted" => {
            let entries = data["entries"].as_u64().unwrap();
            add(facts, "told of entries".to_owned(), entries);
            told.entries += usize::try_from(entries).unwrap();
        }
        _ => {}
    }
}

/// What the ten accounts hold.
pub fn balances(facts: &Facts) -> Vec<i64> {
    (0..10).map(|account| facts[&format!("state account/{account}")].as_i64().unwrap()).collect()
}

/// What differs, for people.
pub fn difference(expected: &Facts, found: &Facts) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differs = names.into_iter().filter(|name| expected.get(*name) != found.get(*name));
    differs.map(|name| format!("{name}: {:?} became {:?}", expected.get(name), found.get(name))).collect()
}
