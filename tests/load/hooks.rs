//! Deliveries to a hook: signed bodies of 4 KiB on 64 connections while their runs are worked off.
//!
//! The generator runs on the same machine. It signs each body, keeps the time of each answer, and
//! counts lost and repeated deliveries from the list of runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::json;

use crate::asleep::resident;
use crate::host::{Host, PATIENCE};
use crate::table::Table;

const CONNECTIONS: usize = 64;
const BODY: usize = 4 << 10;
const SECONDS: u64 = 60;
const SECRET: &str = "a-secret-of-the-provider";
/// Number of deliveries of a burst, and the length of the queue that it meets.
const BURST: u64 = 100_000;
const QUEUE: u64 = 100;

pub async fn measure(table: &mut Table) {
    steady(table).await;
    burst(table).await;
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

/// Sends distinct deliveries until `most` are sent or the time is over.
async fn send(host: &Host, most: u64, within: Duration) -> Answers {
    let (next, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let url = host.url("/hooks/shop/events");
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (next, url, http) = (Arc::clone(&next), url.clone(), crate::host::client());
            tokio::spawn(async move {
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                let mut took = Vec::new();
                while begun.elapsed() < within {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= most {
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
                    assert_eq!(answer.status(), 202);
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

/// Waits until no delivery is open, and returns how many have each outcome and number of runs.
async fn worked_off(host: &Host) -> BTreeMap<(String, u64), u64> {
    let begun = Instant::now();
    loop {
        let open = host.get("/v1/deliveries?outcome=stored,running&limit=1").await;
        let rest = open["items"].as_array().is_some_and(|items| !items.is_empty()) || open["next"].is_string();
        if !rest {
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

async fn steady(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let host = hooked(dir.path(), 100_000).await;
    let answers = send(&host, u64::MAX, Duration::from_secs(SECONDS)).await;
    table.row(
        format!("deliveries of {BODY} bytes, sealed, HMAC, {CONNECTIONS} connections, {SECONDS} s"),
        format!(
            "{:.0}/s, p50 {:.1?}, p99 {:.1?}",
            answers.count as f64 / answers.seconds,
            answers.share(0.5),
            answers.share(0.99)
        ),
        "≥ 5,000/s, p99 < 50 ms",
    );
    let found = worked_off(&host).await;
    let once: u64 = found.iter().filter(|((_, runs), _)| *runs == 1).map(|(_, count)| count).sum();
    table.row("deliveries with exactly one run, of those answered", format!("{once} of {}", answers.count), "all");
    assert_eq!((once, found.values().sum::<u64>()), (answers.count, answers.count), "{found:?}");
}

async fn burst(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let host = hooked(dir.path(), QUEUE).await;
    let before = resident(&host);
    let answers = send(&host, BURST, PATIENCE).await;
    let after = resident(&host);
    let found = worked_off(&host).await;
    let once: u64 = found.iter().filter(|((_, runs), _)| *runs == 1).map(|(_, count)| count).sum();
    table.row(
        format!("a burst of {BURST} deliveries at a queue of {QUEUE}: with exactly one run; memory"),
        format!("{once} of {}; {:.0} MiB more", answers.count, after - before),
        "all; < 200 MB",
    );
    assert_eq!((once, answers.count), (BURST, BURST), "{found:?}");
}
