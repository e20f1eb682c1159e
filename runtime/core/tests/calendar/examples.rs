//! The worked examples of the documentation: each row of its tables is a schedule and its firings,
//! which the test compares with the schedule's own.

use chrono::DateTime;
use tidemill_core::Timestamp;
use tidemill_core::manifest::ModuleFile;
use tidemill_core::schedule::Schedule;

const PAGE: &str = include_str!("../../../../docs/src/schedules.md");

/// A row: the time zone of its heading, the schedule, and its firings as they are written.
struct Example {
    zone: String,
    schedule: String,
    firings: Vec<String>,
}

/// The text between the first pair of backticks.
fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

fn examples() -> Vec<Example> {
    let (mut found, mut zone, mut inside) = (Vec::new(), String::new(), false);
    for line in PAGE.lines() {
        if line.starts_with('#') {
            zone = quoted(line).unwrap_or_default().to_owned();
        }
        if !line.starts_with('|') {
            inside = false;
        } else if line.starts_with("| schedule | fires") {
            inside = true;
        } else if inside && !line.starts_with("|---") {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let firings = cells[2].split(" · ").map(str::to_owned).collect();
            found.push(Example { zone: zone.clone(), schedule: quoted(cells[1]).unwrap().to_owned(), firings });
        }
    }
    found
}

fn schedule(example: &Example) -> Schedule {
    let Example { zone, schedule, .. } = example;
    let zone = if schedule.contains("time_zone") { String::new() } else { format!("time_zone = \"{zone}\", ") };
    let text = format!("module = \"m@1.0.0\"\nschedule = [{{ name = \"example\", {zone}{schedule} }}]");
    ModuleFile::parse_toml(&text).unwrap_or_else(|why| panic!("{schedule}: {why:?}")).manifest.schedules.remove(0)
}

/// Formats a time as the page writes it: `2026-03-29 03:00 +02:00`.
fn written(local: &str) -> String {
    DateTime::parse_from_rfc3339(local).unwrap().format("%Y-%m-%d %H:%M %:z").to_string()
}

#[test]
fn every_worked_example_fires_at_the_documented_times() {
    let mut wrong = Vec::new();
    for example in examples() {
        let first = DateTime::parse_from_str(&example.firings[0], "%Y-%m-%d %H:%M %:z");
        let first = first.unwrap_or_else(|why| panic!("{}: {why}", example.firings[0]));
        let from = Timestamp::from_millis(u64::try_from(first.timestamp_millis() - 1).unwrap());
        let planned = schedule(&example).ahead(from, example.firings.len(), None).firings;
        let found: Vec<_> =
            planned.iter().filter(|planned| !planned.dropped).map(|planned| written(&planned.local)).collect();
        if found != example.firings {
            wrong.push(format!("{} in {}: {}", example.schedule, example.zone, found.join(" · ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_case_of_daylight_saving_has_an_example() {
    let examples = examples();
    assert!(examples.len() >= 25, "{}", examples.len());
    for zone in ["Europe/Berlin", "Africa/Cairo", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"] {
        assert!(examples.iter().any(|example| example.zone == zone), "{zone}");
    }
    for policy in ["gap = \"skip\"", "repeated = \"both\"", "every = ", "*/30"] {
        assert!(examples.iter().any(|example| example.schedule.contains(policy)), "{policy}");
    }
}
