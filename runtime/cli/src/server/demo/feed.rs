//! The demo's world: a feed of usage records that goes on for ever, and pages that are up, or go down now and then.
//!
//! What a record says follows from the world's seed and the record's number alone, and when it comes from the world's
//! beginning, so a second start serves the very same feed and the demo can say what it ought to earn.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tidemill_core::{Clock, Timestamp};

/// New records come this often, in milliseconds.
const EVERY: u64 = 250;
/// Records from before the world's beginning lie this far apart, in milliseconds.
const APART: u64 = 20_000;
/// The most records of one page.
const PAGE: u64 = 1_000;
/// The shop goes down for so long,
const DOWN: u64 = 12_000;
/// in each span of so long, in milliseconds.
const SPAN: u64 = 45_000;

/// What the demo's world is made from; kept in the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoWorld {
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// What its chance comes from.
    pub seed: u64,
    /// Records that were there at the beginning.
    pub records: u64,
    /// Where it is served on loopback.
    pub port: u16,
}

/// How much of something a customer used at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRecord {
    /// Unique in the feed.
    pub id: String,
    /// Who.
    pub customer: String,
    /// How much,
    pub units: u64,
    /// of what.
    pub unit: &'static str,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

impl DemoWorld {
    /// The record of that number.
    pub fn record(&self, number: u64) -> UsageRecord {
        let chance = mix(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        // A few customers use most, and most records are small.
        let customer = (chance % 40).min((chance >> 8) % 40);
        let size = (chance >> 16) % 100;
        let (unit, units) = match (chance >> 32) % 10 {
            0..=6 => ("call", 1 + size * size / 4),
            7 | 8 => ("gigabyte", 1 + size / 10),
            _ => ("seat-hour", 1 + size / 4),
        };
        UsageRecord {
            id: format!("u-{number:07}"),
            customer: format!("customer-{customer:02}"),
            units,
            unit,
            at: self.at(number),
        }
    }

    /// When the record of that number happens; the feed has it from then on.
    pub const fn at(&self, number: u64) -> u64 {
        if number < self.records {
            self.began.saturating_sub((self.records - number) * APART)
        } else {
            self.began + (number - self.records + 1) * EVERY
        }
    }

    /// How many records happened before `time`.
    pub const fn count_before(&self, time: u64) -> u64 {
        if time > self.began {
            self.records + (time - self.began - 1) / EVERY
        } else {
            // A record of exactly `time` is not before it: `at` has them a whole number of steps ahead of the beginning.
            self.records.saturating_sub((self.began - time) / APART)
        }
    }
}

/// A well-mixed number for each number (the finaliser of SplitMix64).
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[derive(Clone)]
struct FeedResponse {
    world: DemoWorld,
    clock: Arc<dyn Clock>,
}

/// What serves the world over HTTP.
pub fn router(world: DemoWorld, clock: Arc<dyn Clock>) -> Router {
    Router::new()
        .route("/usage", get(usage))
        .route("/steady", get(|| async { "up\n" }))
        .route("/shop", get(shop))
        .with_state(FeedResponse { world, clock })
}

#[derive(Debug, Deserialize)]
struct FeedQuery {
    after: Option<String>,
    limit: Option<u64>,
    until: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Page {
    records: Vec<UsageRecord>,
    next: Option<String>,
}

async fn usage(State(served): State<FeedResponse>, Query(wanted): Query<FeedQuery>) -> Response {
    let after: u64 = match wanted.after.as_deref().map(str::parse).transpose() {
        Ok(after) => after.unwrap_or(0),
        Err(_) => return (StatusCode::BAD_REQUEST, "after: not a cursor of this feed\n").into_response(),
    };
    let now = served.clock.now().as_millis();
    let until = wanted.until.unwrap_or(now).min(now);
    let end = served.world.count_before(until).min(after.saturating_add(wanted.limit.unwrap_or(PAGE).min(PAGE)));
    let records: Vec<_> = (after..end).map(|number| served.world.record(number)).collect();
    let next = (!records.is_empty()).then(|| end.to_string());
    axum::Json(Page { records, next }).into_response()
}

/// A shop that is down for a while in each span, and takes its time when it is up.
async fn shop(State(served): State<FeedResponse>) -> Response {
    let now = served.clock.now().as_millis();
    let past = now.saturating_sub(served.world.began);
    if past % SPAN >= SPAN - DOWN {
        return (StatusCode::SERVICE_UNAVAILABLE, "down for a moment\n").into_response();
    }
    tokio::time::sleep(std::time::Duration::from_millis(5 + mix(now) % 40)).await;
    "open\n".into_response()
}

/// The world in `file`, or a new one that is written there.
///
/// # Errors
/// Where it cannot be read or written.
pub fn world(file: &std::path::Path, records: u64, now: Timestamp) -> std::io::Result<DemoWorld> {
    match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(std::io::Error::from),
        Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => {
            let world = DemoWorld { began: now.as_millis(), seed: mix(now.as_millis()), records, port: 0 };
            write(file, &world)?;
            Ok(world)
        }
        Err(other) => Err(other),
    }
}

/// Keeps the world, whole or not at all.
///
/// # Errors
/// Where it cannot be written.
pub fn write(file: &std::path::Path, world: &DemoWorld) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let draft = file.with_extension("draft");
    std::fs::write(&draft, serde_json::to_vec_pretty(world)?)?;
    std::fs::rename(draft, file)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn a_world() -> DemoWorld {
        DemoWorld { began: 1_800_000_000_000, seed: 7, records: 4_000, port: 0 }
    }

    #[test]
    fn the_feed_is_the_same_at_every_start_and_has_no_id_twice() {
        let records: Vec<_> = (0..6_000).map(|number| a_world().record(number)).collect();
        assert_eq!(records, (0..6_000).map(|number| a_world().record(number)).collect::<Vec<_>>());
        let ids: std::collections::BTreeSet<_> = records.iter().map(|record| &record.id).collect();
        assert_eq!(ids.len(), records.len());
        assert!(records.is_sorted_by_key(|record| record.at));
        assert!(records.iter().all(|record| record.units > 0));
    }

    proptest! {
        #[test]
        fn a_record_is_there_from_its_time_on(number in prop_oneof![0u64..4_002, 0u64..1_000_000]) {
            let (world, at) = (a_world(), a_world().at(number));
            prop_assert!(world.count_before(at) <= number);
            prop_assert!(world.count_before(at + 1) > number);
        }
    }
}
