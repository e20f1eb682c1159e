//! The feed: `GET {feed}/usage?after=CURSOR&limit=500&until=MS` answers `{"records": [{"id",
//! "customer", "units", "unit", "at"}…], "next": CURSOR or null}`. Times are milliseconds since
//! 1970.

use crate::config::Config;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use tidemill_sdk::{Error, Period, Result, Timestamp, http};

/// The maximum length of ids and customers in bytes, which is that of the ledger.
const LONGEST_ID: usize = 256;
/// The maximum length of a unit's name in bytes.
const LONGEST_UNIT: usize = 64;
/// The maximum length of a cursor in bytes.
const LONGEST_CURSOR: usize = 1_024;

/// The usage of a customer at one time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Record {
    pub id: String,
    pub customer: String,
    pub units: u64,
    pub unit: String,
    pub at: Timestamp,
}

/// The reason why a record cannot be billed.
#[derive(Debug, PartialEq)]
pub struct BadRecord(String);

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A page. Each of its records is read or refused separately.
#[derive(Debug)]
pub struct Page {
    pub records: Vec<Result<Record, BadRecord>>,
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct RawPage {
    records: Vec<Value>,
    next: Option<String>,
}

/// Fetches the page after a cursor, with records from before the end of the period.
///
/// # Errors
/// The reason why the feed did not answer; `bad-feed` if the answer is not a page or is larger than
/// requested.
pub fn fetch(config: &Config, after: Option<&str>, period: Period) -> Result<Page> {
    let mut request = http::get(format!("{}/usage", config.feed.trim_end_matches('/')));
    if let Some(cursor) = after {
        request = request.query("after", cursor);
    }
    let answer = request
        .query("limit", config.page_size)
        .query("until", period.end.as_millis())
        .header("Accept", "application/json")
        .timeout(Duration::from_secs(20))
        .send()?;
    read(answer.ok()?.json()?, config.page_size)
}

fn read(page: RawPage, page_size: u32) -> Result<Page> {
    if page.records.len() > page_size as usize {
        let (given, asked) = (page.records.len(), page_size);
        return Err(Error::retryable(
            "bad-feed",
            format!("the page has {given} records; at most {asked} were requested"),
        ));
    }
    if page.next.as_ref().is_some_and(|next| next.len() > LONGEST_CURSOR) {
        return Err(Error::retryable("bad-feed", format!("the cursor has over {LONGEST_CURSOR} bytes")));
    }
    Ok(Page { records: page.records.into_iter().map(record).collect(), next: page.next })
}

fn record(value: Value) -> Result<Record, BadRecord> {
    let id = value["id"].as_str().unwrap_or("without an id").chars().take(80).collect::<String>();
    let record: Record = serde_json::from_value(value).map_err(|why| BadRecord(format!("{id}: {why}")))?;
    for (name, text, longest) in [
        ("id", &record.id, LONGEST_ID),
        ("customer", &record.customer, LONGEST_ID),
        ("unit", &record.unit, LONGEST_UNIT),
    ] {
        if text.is_empty() || text.len() > longest {
            return Err(BadRecord(format!("{id}: {name} has {} bytes, not 1 to {longest}", text.len())));
        }
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(value: Value) -> Result<Page> {
        read(serde_json::from_value(value)?, 2)
    }

    #[test]
    fn one_bad_record_does_not_spoil_the_others() {
        let good = json!({ "id": "r1", "customer": "c1", "units": 3, "unit": "call", "at": 1_793_491_200_000u64, "region": "eu" });
        let mut bad = good.clone();
        bad["units"] = json!(-3);
        let page = page(json!({ "records": [good, bad], "next": "2" })).unwrap();
        assert_eq!(page.records[0].as_ref().unwrap().units, 3);
        assert!(page.records[1].as_ref().unwrap_err().to_string().starts_with("r1: invalid value"));
        assert_eq!(page.next.as_deref(), Some("2"));
    }

    #[test]
    fn what_the_ledger_could_not_take_is_refused_here() {
        for (field, value) in [("id", "x".repeat(257)), ("customer", String::new()), ("unit", "u".repeat(65))] {
            let mut bad = json!({ "id": "r1", "customer": "c1", "units": 3, "unit": "call", "at": 0 });
            bad[field] = json!(value);
            let BadRecord(why) = record(bad).unwrap_err();
            assert!(why.contains(field), "{why}");
        }
        assert!(record(json!(null)).is_err());
        assert!(record(json!("r1")).is_err());
    }

    #[test]
    fn a_page_that_was_not_asked_for_is_refused() {
        assert_eq!(page(json!({ "records": [1, 2, 3], "next": null })).unwrap_err().code(), "bad-feed");
        assert_eq!(page(json!({ "records": [], "next": "x".repeat(1_025) })).unwrap_err().code(), "bad-feed");
        assert!(page(json!({ "records": [] })).unwrap().next.is_none());
        assert!(page(json!({ "next": null })).is_err());
    }
}
