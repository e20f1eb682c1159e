//! Runs each program in the SDK's test harness.

use super::*;
use tidemill_sdk::testing::{Answer, End, Harness, OperatedDeployment};

const SERVER: &str = "http://127.0.0.1:8080";

fn harness() -> Harness {
    let answer = |sent: &tidemill_sdk::testing::SentRequest| match (&sent.url[SERVER.len()..], sent.nth) {
        ("/ok", _) => Answer::text("fine"),
        ("/busy", 1 | 2) => Answer::status(503),
        ("/busy-again", _) => Answer::status(503),
        ("/later", 1) => Answer::status(503).with_header("Retry-After", "1"),
        ("/busy" | "/later", _) => Answer::status(200),
        _ => Answer::status(404),
    };
    let paths = ["/ok", "/busy-again", "/busy", "/later", "*"];
    let harness = Harness::new()
        .manifest(include_str!("../tidemill.toml"))
        .deployment(OWN, parity)
        .operated("operated", OperatedDeployment::new().at_revision(2))
        .operated("paused-by-hand", OperatedDeployment::new().paused_by_person("a test"));
    paths.iter().fold(harness, |harness, path| harness.http("*", format!("{SERVER}{path}"), answer))
}

#[test]
fn the_harness_gives_the_results_of_the_table() {
    let programs: Vec<Value> = serde_json::from_str(include_str!("../programs.json")).unwrap();
    let differences: Vec<_> = programs.iter().filter_map(difference).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn difference(case: &Value) -> Option<String> {
    let program = case["program"].as_str().unwrap();
    let mut harness = harness();
    for (name, payload) in case["signals"].as_object().into_iter().flatten() {
        harness = harness.signal(Duration::from_millis(20), name, payload);
    }
    if case["cancel"] == true {
        harness = harness.cancel(Duration::from_secs(60));
    }
    let run = harness.run(parity, Input { program: program.to_owned(), server: SERVER.to_owned() });
    let result = match run.end() {
        End::Succeeded(output) => json!({ "succeeded": output }),
        End::Failed(error) => json!({ "failed": error.code(), "attempts": run.attempts() }),
        End::Cancelled => json!("cancelled"),
        other => json!(format!("{other:?}")),
    };
    let prefix = format!("{program}/");
    let own = run.state_of(OWN).into_iter().filter(|(key, _)| key.starts_with(&prefix));
    let state: serde_json::Map<_, _> = own.map(|(key, value)| (key, serde_json::from_slice(&value).unwrap())).collect();
    let found = json!({ "result": result, "state": state });
    let expected = json!({ "result": case["result"], "state": case.get("state").unwrap_or(&json!({})) });
    (found != expected).then(|| format!("{program}: {found}, expected {expected}"))
}
