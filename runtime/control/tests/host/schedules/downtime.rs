//! An hour of downtime under each policy: reads the tables of the documentation and executes each
//! row.

use std::time::Duration;

use serde_json::{Value, json};
use tidemill_core::Timestamp;
use tidemill_core::run::{Run, RunState};
use tidemill_store::records::RunFilter;

use crate::fixture::{START, TestHost, evict_immediately, name};

const PAGE: &str = include_str!("../../../../../docs/src/schedules.md");
const CHAPTER: &str = "## An hour of downtime";
const MINUTE: u64 = 60_000;

/// A row: the schedule's policies, whether the run of 12:00 is still running, and the documented
/// result.
#[derive(Debug)]
struct Row {
    fields: Vec<(String, String)>,
    overruns: bool,
    documented: String,
}

fn rows() -> Vec<Row> {
    let chapter = PAGE.split_once(CHAPTER).unwrap().1.split("\n## ").next().unwrap();
    let (mut rows, mut overruns) = (Vec::new(), false);
    for line in chapter.lines() {
        if line.starts_with("### ") {
            overruns = line.contains("continues");
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if !line.starts_with("| `") || cells.len() != 6 {
            continue;
        }
        let field = |text: &str| {
            let (name, value) = text.split_once(" = ").unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        let policies = format!("{}, {}", cells[1].trim_matches('`'), cells[2].trim_matches('`'));
        let documented = format!("{} | {}", cells[3], cells[4]);
        rows.push(Row { fields: policies.split(", ").map(field).collect(), overruns, documented });
    }
    rows
}

/// Returns the time `minutes` after noon.
fn after_noon(minutes: u64) -> Timestamp {
    START.plus_millis((12 * 60 + minutes) * MINUTE)
}

/// Keeps the run of noon running until 14:00 if the row requires it. All other runs end at once.
fn act(world: &TestHost, overruns: bool) {
    world.act(move |mut guest| async move {
        if overruns && guest.job.run.trigger.at == Some(after_noon(0)) {
            guest.sleep_until(after_noon(120)).await?;
        }
        Ok(guest.succeed("1"))
    });
}

/// Ticks until no run makes progress at this time.
async fn settle(world: &TestHost) {
    let mut before = None;
    loop {
        world.tick().await;
        world.host.idle().await;
        let states: Vec<_> =
            world.runs(RunFilter::default()).await.into_iter().map(|run| (run.id, run.state)).collect();
        if before.as_ref() == Some(&states) {
            return;
        }
        before = Some(states);
    }
}

/// Formats a run as `12:10`, and its end if it did not succeed.
fn shown(run: &Run) -> String {
    let minutes = run.trigger.at.unwrap().millis_since(START) / MINUTE;
    let time = format!("{:02}:{:02}", minutes / 60, minutes % 60);
    match run.state {
        RunState::Succeeded => time,
        _ => format!("{time} {}", run.state.name()),
    }
}

/// Executes a row and returns the result.
async fn execute(row: &Row) -> String {
    let mut world = TestHost::paused_with(evict_immediately).await;
    act(&world, row.overruns);
    world.clock.set(START.plus_millis((12 * 60 - 5) * MINUTE));
    let mut schedule = json!({ "name": "often", "cron": "*/10 * * * *" });
    for (field, value) in &row.fields {
        schedule[field] = Value::from(value.as_str());
    }
    world.deploy(json!({ "name": "a", "schedules": [schedule] })).await;
    world.clock.set(after_noon(0));
    settle(&world).await;
    let before = world.store.schedule(&name("a"), &"often".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((before.fired, before.next), (1, Some(after_noon(10))));

    // The host stops at 12:05, and an hour passes.
    world.clock.set(after_noon(5));
    world.host.shutdown(Duration::from_secs(10)).await;
    world.clock.set(after_noon(65));
    world.open_again().await;
    world.next_epoch().await;
    settle(&world).await;
    let counted = world.store.schedule(&name("a"), &"often".parse().unwrap()).await.unwrap().unwrap();
    // Runs that wait for the run of noon follow it. Nothing else is due until 13:10.
    world.host.pause_schedule(&name("a"), &"often".parse().unwrap(), String::new()).await.unwrap();
    world.clock.set(after_noon(120));
    settle(&world).await;

    let mut runs = world.runs(RunFilter::default()).await;
    runs.sort_by_key(|run| run.trigger.at);
    let noon = runs.remove(0);
    assert_eq!(noon.trigger.at, Some(after_noon(0)));
    let mut made: Vec<_> = runs.iter().map(shown).collect();
    if row.overruns && noon.state != RunState::Succeeded {
        made.insert(0, shown(&noon));
    }
    let counts = [
        ("late", counted.late),
        ("skipped", counted.skipped),
        ("dropped", counted.dropped),
        ("missed", counted.missed),
    ];
    let counts: Vec<_> = counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
    let or_none = |parts: Vec<String>, between| if parts.is_empty() { "none".to_owned() } else { parts.join(between) };
    format!("{} | {}", or_none(made, " · "), or_none(counts, ", "))
}

#[tokio::test]
async fn an_hour_of_downtime_fires_exactly_as_documented() {
    let rows = rows();
    assert_eq!(rows.len(), 2 * 6 * 3 + 3);
    let mut wrong = Vec::new();
    for row in rows {
        let lived = execute(&row).await;
        if lived != row.documented {
            let fields: Vec<_> = row.fields.iter().map(|(name, value)| format!("`{name} = \"{value}\"`")).collect();
            wrong.push(format!("| {} | {lived} |  (overruns: {})", fields.join(" | "), row.overruns));
        }
    }
    assert!(wrong.is_empty(), "the page is to say\n{}", wrong.join("\n"));
}
