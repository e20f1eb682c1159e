//! The demo's world: an endless feed of usage records, and pages that are up or go down now and
//! then.
//!
//! A record's contents depend only on the world's seed and the record's number, and its time on the
//! world's start. So a second start serves the same feed, and the demo can compute the expected
//! revenue.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tidemill_core::{Clock, Timestamp};
use tokio::net::TcpListener;

/// Interval between new records, in milliseconds.
const EVERY: u64 = 250;
/// Interval between records from before the world's start, in milliseconds.
const APART: u64 = 20_000;
/// Maximum number of records on a page.
const PAGE: u64 = 1_000;
/// Duration of each outage of the shop, in milliseconds.
const DOWN: u64 = 12_000;
/// Interval between outages of the shop, in milliseconds.
const SPAN: u64 = 45_000;

/// The parameters of the demo's world; kept in the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoWorld {
    /// When the world started, in milliseconds since 1970.
    pub began: u64,
    /// The seed of its pseudorandom numbers.
    pub seed: u64,
    /// Number of records that existed at the start.
    pub records: u64,
    /// Its address on loopback.
    pub port: u16,
}

/// A usage record: how much of a product a customer used at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRecord {
    /// Unique in the feed.
    pub id: String,
    /// The customer.
    pub customer: String,
    /// The quantity.
    pub units: u64,
    /// The product.
    pub unit: &'static str,
    /// The time, in milliseconds since 1970.
    pub at: u64,
}

impl DemoWorld {
    /// Returns the record of that number.
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

    /// Returns the time of the record of that number. The feed contains the record from then on.
    pub const fn at(&self, number: u64) -> u64 {
        if number < self.records {
            self.began.saturating_sub((self.records - number) * APART)
        } else {
            self.began + (number - self.records + 1) * EVERY
        }
    }

    /// Returns the number of records before `time`.
    pub const fn count_before(&self, time: u64) -> u64 {
        if time > self.began {
            self.records + (time - self.began - 1) / EVERY
        } else {
            // A record at exactly `time` is not before it: `at` places records a whole number of
            // steps before the start.
            self.records.saturating_sub((self.began - time) / APART)
        }
    }
}

/// Returns a well-mixed number for each number (the finaliser of SplitMix64).
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

/// Serves the world of `file` on loopback, at its previous address if that is free. Creates a world
/// with that many records if the file does not exist.
///
/// # Errors
/// If the file cannot be read or written, or nothing can listen on loopback.
pub async fn serve(file: &Path, records: u64, clock: Arc<dyn Clock>) -> std::io::Result<(DemoWorld, String)> {
    let mut world = world(file, records, clock.now())?;
    let at = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = match at(world.port).await {
        Ok(listener) => listener,
        Err(_) => at(0).await?,
    };
    let port = listener.local_addr()?.port();
    if port != world.port {
        world.port = port;
        write(file, &world)?;
    }
    let router = router(world, clock);
    tokio::spawn(async move {
        // Ends with the process. An error affects only its own connection.
        let _ = axum::serve(listener, router).await;
    });
    Ok((world, format!("http://127.0.0.1:{port}")))
}

fn router(world: DemoWorld, clock: Arc<dyn Clock>) -> Router {
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

/// A shop that is down for a while in each interval, and answers slowly while it is up.
async fn shop(State(served): State<FeedResponse>) -> Response {
    let now = served.clock.now().as_millis();
    let past = now.saturating_sub(served.world.began);
    if past % SPAN >= SPAN - DOWN {
        return (StatusCode::SERVICE_UNAVAILABLE, "down for a moment\n").into_response();
    }
    tokio::time::sleep(std::time::Duration::from_millis(5 + mix(now) % 40)).await;
    "open\n".into_response()
}

/// Reads the world from `file`, or creates a new one and writes it there.
fn world(file: &Path, records: u64, now: Timestamp) -> std::io::Result<DemoWorld> {
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

/// Writes the world to `file` atomically.
fn write(file: &Path, world: &DemoWorld) -> std::io::Result<()> {
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
        fn a_record_exists_from_its_time_on(number in prop_oneof![0u64..4_002, 0u64..1_000_000]) {
            let (world, at) = (a_world(), a_world().at(number));
            prop_assert!(world.count_before(at) <= number);
            prop_assert!(world.count_before(at + 1) > number);
        }
    }
}
