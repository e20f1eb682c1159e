//! Deliveries to a hook: signed bodies of 4 KiB on 64 connections while their runs are worked off,
//! a burst at a short queue, and a flood of unsigned requests.
//!
//! The generator runs on the same machine. It signs each body, keeps the time of each answer, and
//! counts lost and repeated deliveries from the list of deliveries. `TIDEMILL_LOAD_SHARE=100`
//! divides all numbers and times by 100, to see that everything works.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::json;

use crate::asleep::resident;
use crate::host::{Host, PATIENCE};
use crate::machine::LoadShare;
use crate::table::Table;

const CONNECTIONS: usize = 64;
const BODY: usize = 4 << 10;
/// Duration of the steady part, in seconds.
const SECONDS: u64 = 60;
const SECRET: &str = "a-secret-of-the-provider";
/// Number of deliveries of a burst, and the length of the queue that it meets.
const BURST: u64 = 100_000;
const QUEUE: u64 = 100;
/// Number of requests of a flood without valid signatures, and of the signed ones among them.
const FLOOD: u64 = 200_000;
const SIGNED_IN_FLOOD: u64 = 5_000;

pub async fn measure(table: &mut Table) {
    let share = LoadShare::of_environment();
    steady(table, share).await;
    burst(table, share).await;
    flood(table, share).await;
}

async fn hooked(dir: &std::path::Path, queue: u64) -> Host {
    let mut host = Host::not_started(dir);
    host.set_env(vec![
        ("TIDEMILL_SECRET_PROVIDER", SECRET.to_owned()),
        ("TIDEMILL_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
    ]);
    host.resume().await;
    host.upload("worlds", tidemill_artifacts::all_worlds()).await;
    let manifest = json!({
        "module": "worlds@1.0.0", "concurrency": 64, "queue": queue, "health": { "enabled": false },
        "grants": { "secrets": [{ "name": "provider", "use": "hook" }] },
        "hooks": [{ "name": "events", "scheme": "github", "secret": "provider" }],
    });
    host.deploy("shop", &manifest).await;
    host
}

/// The answers to deliveries.
struct Answers {
    count: u64,
    seconds: f64,
    /// Times of all answers, sorted.
    took: Vec<Duration>,
}

impl Answers {
    fn share(&self, share: f64) -> Duration {
        let last = self.took.len().saturating_sub(1);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index within the list")]
        let at = (last as f64 * share) as usize;
        self.took.get(at).copied().unwrap_or_default()
    }
}

/// What a generator sends.
#[derive(Clone, Copy)]
struct Deliveries {
    /// Number of the first one. Each number is another delivery.
    first: u64,
    /// Maximum number.
    most: u64,
    connections: usize,
    /// Whether the signatures are valid.
    signed: bool,
}

/// Sends distinct deliveries until all are sent or the time is over.
async fn send(host: &Host, deliveries: Deliveries, within: Duration) -> Answers {
    let Deliveries { first, most, connections, signed } = deliveries;
    let (next, begun) = (Arc::new(AtomicU64::new(first)), Instant::now());
    let url = host.url("/hooks/shop/events");
    let (key, status) = if signed { (SECRET, 202) } else { ("another secret", 401) };
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (next, url, http) = (Arc::clone(&next), url.clone(), crate::host::client());
            tokio::spawn(async move {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
                let mut took = Vec::new();
                while begun.elapsed() < within {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number - first >= most {
                        break;
                    }
                    let mut body = format!("{{\"n\":{number},\"pad\":\"").into_bytes();
                    body.resize(BODY - 2, b'x');
                    body.extend_from_slice(b"\"}");
                    let tag = hmac::sign(&key, &body);
                    let hex = tag.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
                    let request = http
                        .post(&url)
                        .header("x-hub-signature-256", format!("sha256={hex}"))
                        .header("x-github-delivery", format!("d-{number}"))
                        .body(body);
                    let sent = Instant::now();
                    let answer = request.send().await.unwrap();
                    assert_eq!(answer.status(), status);
                    let _ = answer.bytes().await.unwrap();
                    took.push(sent.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.append(&mut task.await.unwrap());
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    Answers { count: took.len() as u64, seconds, took }
}

/// Waits until every delivery is settled, and returns how many have each outcome and number of
/// runs.
async fn worked_off(host: &Host) -> BTreeMap<(String, u64), u64> {
    let begun = Instant::now();
    loop {
        // A list of open deliveries would read all settled ones.
        let unended = host.get("/v1/runs?state=queued,running,suspended&limit=1").await;
        let waiting = host.metric("tidemill_delivery_backlog", "shop").await;
        if unended["items"].as_array().is_some_and(Vec::is_empty) && waiting < 1.0 {
            break;
        }
        assert!(begun.elapsed() < 20 * PATIENCE, "deliveries are still open");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut found = BTreeMap::new();
    let mut page = host.get("/v1/deliveries?limit=500").await;
    loop {
        for item in page["items"].as_array().unwrap() {
            let outcome = item["outcome"].as_str().unwrap().to_owned();
            *found.entry((outcome, item["run_count"].as_u64().unwrap())).or_default() += 1;
        }
        let Some(next) = page["next"].as_str().map(str::to_owned) else { return found };
        page = host.get(&format!("/v1/deliveries?limit=500&cursor={next}")).await;
    }
}

/// Returns how many deliveries succeeded with exactly one run.
fn done_once(found: &BTreeMap<(String, u64), u64>) -> u64 {
    found.get(&("done".to_owned(), 1)).copied().unwrap_or_default()
}

async fn steady(table: &mut Table, share: LoadShare) {
    let dir = tempfile::tempdir().unwrap();
    let host = hooked(dir.path(), 100_000).await;
    let within = share.of_time(Duration::from_secs(SECONDS));
    let all = Deliveries { first: 0, most: u64::MAX, connections: CONNECTIONS, signed: true };
    let answers = send(&host, all, within).await;
    table.row(
        format!("deliveries of {BODY} bytes, sealed, HMAC, {CONNECTIONS} connections, {within:.1?}"),
        format!(
            "{:.0}/s, p50 {:.1?}, p99 {:.1?}",
            answers.count as f64 / answers.seconds,
            answers.share(0.5),
            answers.share(0.99)
        ),
        "≥ 5,000/s, p99 < 50 ms",
    );
    let found = worked_off(&host).await;
    let once = done_once(&found);
    table.row("deliveries with exactly one run, of those answered", format!("{once} of {}", answers.count), "all");
    assert_eq!((once, found.values().sum::<u64>()), (answers.count, answers.count), "{found:?}");
}

async fn burst(table: &mut Table, share: LoadShare) {
    let dir = tempfile::tempdir().unwrap();
    let host = hooked(dir.path(), QUEUE).await;
    let most = share.of(BURST);
    let before = resident(&host);
    let all = Deliveries { first: 0, most, connections: CONNECTIONS, signed: true };
    let answers = send(&host, all, 20 * PATIENCE).await;
    let after = resident(&host);
    let found = worked_off(&host).await;
    let once = done_once(&found);
    table.row(
        format!("a burst of {most} deliveries at a queue of {QUEUE}: with exactly one run; memory"),
        format!("{once} of {}; {:.0} MiB more", answers.count, after - before),
        "all; < 200 MB",
    );
    assert_eq!((once, answers.count), (most, most), "{found:?}");
}

/// Size of all files of a store, in bytes.
fn stored_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => stored_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        // A file of the store was replaced.
        Err(_) => 0,
    };
    entries.map(size).sum()
}

async fn flood(table: &mut Table, share: LoadShare) {
    let dir = tempfile::tempdir().unwrap();
    let host = hooked(dir.path(), 100_000).await;
    let good = |first| Deliveries { first, most: share.of(SIGNED_IN_FLOOD), connections: 4, signed: true };
    let forged = Deliveries { first: 1 << 40, most: share.of(FLOOD), connections: CONNECTIONS, signed: false };
    let alone = send(&host, good(0), PATIENCE).await;
    worked_off(&host).await;
    let store = dir.path().join("data").join("store");
    let before = stored_bytes(&store);
    send(&host, forged, 20 * PATIENCE).await;
    let grown = stored_bytes(&store).saturating_sub(before);
    let (_, among) = tokio::join!(send(&host, forged, 20 * PATIENCE), send(&host, good(1 << 20), PATIENCE));
    table.row(
        format!(
            "a flood of {} unsigned requests: growth of the store; p99 of signed ones alone, and among them",
            forged.most
        ),
        format!("{grown} bytes; {:.1?}, {:.1?}", alone.share(0.99), among.share(0.99)),
        "< 1 MB; within 2 ×",
    );
    let found = worked_off(&host).await;
    assert_eq!(done_once(&found), alone.count + among.count, "{found:?}");
}
