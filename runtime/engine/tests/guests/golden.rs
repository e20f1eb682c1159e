//! Golden bytes of the journal entry that each host function records.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tidemill_artifacts::golden::{check, hex};
use tidemill_core::RunId;
use tidemill_core::journal::{PageReader, PageStart};

use crate::durable::host;
use crate::harness::{Event, Scenario, run_scenario};
use crate::support::{START, everything};

/// Every act that records an entry, except HTTP: those answers contain a port and a duration.
fn acts() -> Value {
    json!([
        { "do": "now" }, { "do": "random" }, { "do": "attempt" },
        { "do": "get", "key": "a" }, { "do": "set", "key": "a", "value": "1" }, { "do": "get", "key": "b" },
        { "do": "cas", "key": "a", "expected": "1", "value": "2" }, { "do": "cas", "key": "a", "expected": "1", "value": "3" },
        { "do": "scan", "prefix": "" },
        { "do": "post", "external_id": "sale-1" }, { "do": "post", "external_id": "sale-1" }, { "do": "revenue" },
        { "do": "publish", "topic": "granted.a", "payload": { "n": 1 } },
        { "do": "try", "act": { "do": "sign", "secret": "none" } },
        { "do": "start", "deployment": "child", "input": 1 }, { "do": "start", "deployment": "child", "input": 2 },
        { "do": "start", "deployment": "child", "input": 3 },
        { "do": "signal", "to": 0, "name": "paid", "payload": true },
        { "do": "cancel", "run": 2 },
        { "do": "sleep", "ms": 1_000 }, { "do": "sleep-std", "ms": 5 },
        { "do": "await-first", "any_of": ["go"], "timeout": 500 },
        { "do": "await-first", "any_of": ["go", "stop"], "timeout": null },
        { "do": "await-first", "any_of": [0, 1], "timeout": null },
        { "do": "await-all", "runs": [0, 1, 2], "timeout": 60_000 },
        { "do": "step", "name": "charge", "acts": [{ "do": "now" }] },
        { "do": "step", "name": "again", "attempts": 3, "delay_ms": 10, "fail_until": 2, "acts": [{ "do": "add", "key": "n" }] },
        { "do": "step", "name": "never", "attempts": 1, "fail_until": 9, "caught": true, "acts": [] },
        { "do": "step", "name": "outer", "acts": [{ "do": "step", "name": "inner", "acts": [{ "do": "random" }] }] },
        { "do": "operate", "action": "health", "deployment": "operated" },
        { "do": "operate", "action": "pause", "deployment": "operated", "note": "it fails" },
        { "do": "operate", "action": "resume", "deployment": "operated", "note": "it works" },
        { "do": "operate", "action": "rollback", "deployment": "operated", "note": "it fails" },
        { "do": "operate", "action": "rollback", "deployment": "operated", "revision": 1, "note": "it fails" },
        { "do": "operate", "action": "retry", "deployment": "operated", "limit": 100, "note": "it works" },
        { "do": "operate", "action": "recycle", "deployment": "operated", "note": "it leaks" },
        { "do": "try", "act": { "do": "operate", "action": "pause", "deployment": "other", "note": "not granted" } },
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_entries_keep_their_bytes() {
    let host = host();
    let module = host.module(tidemill_artifacts::durable()).await;
    let mut job = host.job(module).grant(everything(None));
    job.context.id = RunId::new(START, 1);
    job.context.deployment = "golden".parse().unwrap();
    let events = vec![
        Event::Time,
        Event::Time,
        Event::Time,
        Event::Signal("stop", "{\"why\":1}"),
        Event::End(&[(1, Err("broken"))]),
        Event::End(&[(0, Ok("10"))]),
    ];
    let (observed, internals) =
        run_scenario(&job, &json!({ "acts": acts() }), Scenario { events, ..Scenario::default() }).await;
    assert!(observed.end.is_ok(), "{observed:?}");
    let stored = host.store.journal(job.context.id).await.unwrap();
    let mut reader = PageReader::new(PageStart::after(0), usize::MAX, usize::MAX);
    for chunk in &stored.chunks {
        assert!(reader.read(chunk).unwrap());
    }
    let mut text = String::new();
    for entry in reader.page().entries {
        // Fuel depends on the build of the guest.
        let hash = entry.hash.map_or_else(|| "-".to_owned(), |hash| hex(&hash));
        let shown = String::from_utf8_lossy(entry.request.as_deref().unwrap_or_default()).replace('\n', " ");
        writeln!(text, "{} {} `{}` {} [{shown}] {hash}", entry.seq, entry.kind, entry.step, entry.at.to_rfc3339())
            .unwrap();
        writeln!(text, "  {}", hex(&entry.result)).unwrap();
    }
    assert!(internals.journal.entries() > 0);
    check(env!("CARGO_MANIFEST_DIR"), "journal-entries.txt", &text);
}
