//! Data folders of earlier releases. Today's host must open each, show all of its content, and
//! resume its runs.
//!
//! `folder-NAME.gz` was written by the program of commit NAME, which was then killed.
//! `folder-NAME.json` is the answer of that program about the content. Neither is ever rewritten.
//! A release with a new format adds a folder:
//! `TIDEMILL_FOLDER=NAME cargo test -p tidemill --test system -- --ignored writes_a_folder`.
//! `TIDEMILL_FOLDER_PROGRAM` names another program than the present one.

mod archive;
mod facts;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::host::Host;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Disables retention, because a folder may be older than any retention period.
fn disable_retention(host: &mut Host) {
    let never = |name| (name, "never".to_owned());
    host.set_env(vec![never("TIDEMILL_RETENTION"), never("TIDEMILL_EVENT_RETENTION")]);
}

async fn post(host: &Host, path: &str, body: &Value) -> Value {
    let request = host.http.post(host.url(path)).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "POST {path}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// Starts a run of the deployment whose runs resume in the test.
async fn later(host: &Host, query: &str, acts: Value) -> String {
    let run = post(host, &format!("/v1/deployments/later/runs{query}"), &json!({ "acts": acts })).await;
    run["id"].as_str().unwrap().to_owned()
}

async fn until(host: &Host, id: &str, state: &str) {
    host.wait_until_path(&format!("/v1/runs/{id}"), |run| run["state"] == state).await;
}

async fn deploy(host: &Host, name: &str, more: Value) {
    let mut manifest = json!({ "module": "durable@1.0.0", "retry": { "attempts": 1 }, "health": { "enabled": false } });
    manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    host.deploy(name, &manifest).await;
}

/// Creates deployments, and runs that succeed or fail.
async fn work(host: &Host) {
    let (status, answer) = host.upload("durable", tidemill_artifacts::durable()).await;
    assert!(status == 200 || status == 201, "{answer}");
    let shop = |priority: u8| {
        json!({
            "priority": priority,
            "labels": { "team": "blue" },
            "config": { "currency": "EUR" },
            "grants": { "ledger": true, "topics": ["told"], "deployments": ["child"] },
            "schedules": [{ "name": "leap-day", "cron": "0 0 29 2 *" }, { "name": "paused", "cron": "0 3 * * *" }],
            "subscriptions": [{ "name": "told", "topic": "told" }, { "name": "idle", "topic": "idle.*" }],
        })
    };
    deploy(host, "shop", shop(5)).await;
    deploy(host, "shop", shop(6)).await;
    deploy(host, "child", json!({ "retry": { "attempts": 1, "then": "fail" } })).await;
    deploy(host, "later", json!({})).await;
    post(host, "/v1/schedules/shop/paused/pause", &json!({ "note": "for good" })).await;
    let order = json!({ "acts": [
        { "do": "add", "key": "n" }, { "do": "set", "key": "long", "value": "x".repeat(9_000) },
        { "do": "post", "external_id": "sale-1" }, { "do": "log", "message": "sold" },
        { "do": "publish", "topic": "told", "payload": { "acts": [{ "do": "add", "key": "told" }] } },
        { "do": "step", "name": "charge", "attempts": 3, "delay_ms": 1, "fail_until": 2, "acts": [{ "do": "post", "external_id": "sale-2" }] },
    ] });
    let id = host.request_surely("shop", "order-1", &order).await;
    assert_eq!(host.settled(&id).await["state"], "succeeded");
    host.wait_until_path("/v1/subscriptions/shop/told", |told| told["delivered"] == 1).await;
    host.wait_until_path("/v1/runs?state=succeeded", |runs| {
        runs["items"].as_array().is_some_and(|runs| runs.len() == 2)
    })
    .await;
    let scan = json!({ "acts": [{ "do": "scan", "prefix": "" }] });
    assert_eq!(host.invoke("shop", &scan).await["state"], "succeeded");
    let parent = json!({ "acts": [
        { "do": "start", "deployment": "child", "input": { "acts": [{ "do": "set", "key": "a", "value": "1" }] } },
        { "do": "start", "deployment": "child", "input": { "acts": [{ "do": "fail", "code": "too-small" }] } },
        { "do": "await-all", "runs": [0, 1], "timeout": null },
    ] });
    assert_eq!(host.invoke("shop", &parent).await["state"], "succeeded");
}

/// Creates parked, suspended, delayed and cancelled runs.
async fn unended(host: &Host) -> Value {
    for act in [json!({ "do": "fail", "code": "no-luck" }), json!({ "do": "trap" })] {
        let parked = host.request_surely("shop", &act.to_string(), &json!({ "acts": [act] })).await;
        assert_eq!(host.settled(&parked).await["state"], "parked");
    }
    let add = |key: &str| json!({ "do": "add", "key": key });
    let signal = |name: &str| json!({ "do": "await-first", "any_of": [name], "timeout": null });
    let sleep = json!({ "do": "sleep", "ms": 10_000 });
    let sleeping = later(host, "", json!([add("slept"), sleep, add("slept")])).await;
    let waiting = later(host, "", json!([add("waited"), signal("go"), add("waited")])).await;
    let stops = later(host, "", json!([signal("never")])).await;
    let delayed = later(host, "?delay=10s", json!([add("delayed")])).await;
    for id in [&sleeping, &waiting, &stops] {
        until(host, id, "suspended").await;
    }
    post(host, &format!("/v1/runs/{stops}/cancel"), &json!({})).await;
    until(host, &stops, "cancelled").await;
    deploy(host, facts::LAST, json!({})).await;
    json!({ "sleeping": sleeping, "waiting": waiting, "delayed": delayed, "cancelled": stops })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the folder of a release"]
async fn writes_a_folder() {
    let name = std::env::var("TIDEMILL_FOLDER").expect("TIDEMILL_FOLDER is the commit of the program");
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    disable_retention(&mut host);
    if let Ok(program) = std::env::var("TIDEMILL_FOLDER_PROGRAM") {
        let words = ["sh", "-c", &format!("shift && exec {program} \"$@\""), "sh"];
        host.set_wrapper(words.map(str::to_owned).to_vec());
    }
    // A clean shutdown checkpoints the first part. The second is in the log of a killed host.
    host.resume().await;
    work(&host).await;
    assert!(host.stop().success());
    host.resume().await;
    let later = unended(&host).await;
    let facts = json!({ "later": later, "facts": facts::collect(&host).await });
    host.kill();
    std::fs::write(golden(&format!("folder-{name}.gz")), archive::pack(&dir.path().join("data"))).unwrap();
    std::fs::write(golden(&format!("folder-{name}.json")), format!("{facts}\n")).unwrap();
}

/// Opens the folder of a release, compares its content, and resumes its runs.
async fn opens(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    archive::unpack(&std::fs::read(golden(&format!("folder-{name}.gz"))).unwrap(), &dir.path().join("data"));
    let before = std::fs::read_to_string(golden(&format!("folder-{name}.json"))).unwrap();
    let before: Value = serde_json::from_str(&before).unwrap();
    let mut host = Host::not_started(dir.path());
    disable_retention(&mut host);
    host.resume().await;
    let now = facts::collect(&host).await;
    let differences = facts::differences(&before["facts"], &now);
    assert!(differences.is_empty(), "{differences:#?}");

    let of = |name: &str| before["later"][name].as_str().unwrap().to_owned();
    let cancelled = host.get(&format!("/v1/runs/{}", of("cancelled"))).await;
    assert_eq!(cancelled["state"], "cancelled");
    let (sleeping, delayed, waiting) = (of("sleeping"), of("delayed"), of("waiting"));
    let slept = host.settled(&sleeping).await;
    assert_eq!((&slept["state"], &slept["output"]), (&json!("succeeded"), &json!([1, null, 2])), "{slept}");
    assert_eq!(host.settled(&delayed).await["output"], json!([1]));
    assert_eq!(host.get(&format!("/v1/runs/{waiting}")).await["state"], "suspended");
    post(&host, &format!("/v1/runs/{waiting}/signals/go"), &json!(7)).await;
    let waited = host.settled(&waiting).await;
    assert_eq!(waited["output"], json!([1, { "index": 0, "signal": "7" }, 2]), "{waited}");

    // The state is what the last scan by the old program returned.
    let runs = before["facts"]["runs"].as_array().unwrap().iter().map(|run| &run["run"]);
    let scan = json!({ "acts": [{ "do": "scan", "prefix": "" }] });
    let seen = runs.clone().find(|run| run["input"] == scan).expect("a run has listed the state");
    assert_eq!(host.invoke("shop", &scan).await["output"], seen["output"]);

    // New work continues from the stored state.
    let again = json!({ "acts": [{ "do": "add", "key": "n" }, { "do": "post", "external_id": "sale-1" }] });
    let again = host.invoke("shop", &again).await;
    assert_eq!((&again["output"][0], &again["output"][1]["duplicate"]), (&json!(2), &json!(true)), "{again}");
    assert!(host.stop().success());
    host.resume().await;
    let check = post(&host, "/v1/ledger/check", &json!({})).await;
    assert_eq!((&check["entries"], &check["problems"]), (&json!(2), &json!([])), "{check}");
    assert_eq!(host.get(&format!("/v1/runs/{sleeping}")).await["state"], "succeeded");
    assert!(host.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_138c073_opens_with_all_that_was_in_it() {
    opens("138c073").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_a0fb00a_opens_with_all_that_was_in_it() {
    opens("a0fb00a").await;
}
