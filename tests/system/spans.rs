//! The spans that connect the log lines of one run.

use serde_json::{Value, json};

use crate::host::Host;

/// The lines of a JSON log that have a span of the run.
fn lines(log: &str, run: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_the_run = |span: &Value| span["run"] == run;
    lines.filter(|line| line["spans"].as_array().is_some_and(|spans| spans.iter().any(of_the_run))).collect()
}

/// The spans of a line, the outermost first.
fn spans(line: &Value) -> &[Value] {
    line["spans"].as_array().unwrap()
}

fn names(line: &Value) -> Vec<&str> {
    spans(line).iter().map(|span| span["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_follow_a_run_from_its_request_to_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    let log = "debug,tidemill_engine=trace".to_owned();
    host.set_env(vec![("TIDEMILL_LOG", log), ("TIDEMILL_LOG_FORMAT", "json".to_owned())]);
    host.resume().await;
    host.deploy_survivor("flights", 1).await;
    let run = host.invoke("flights", &json!({ "do": "flown" })).await;
    let id = run["id"].as_str().unwrap();
    assert!(host.stop().success());
    let lines = lines(&host.output(), id);
    let with = |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    let nested = [
        ("admitted run", vec!["request", "run"]),
        ("host call", vec!["request", "run", "activation", "host_call"]),
        ("activation ended", vec!["request", "run", "activation"]),
        ("committed run", vec!["request", "run", "commit"]),
        ("answered", vec!["request"]),
    ];
    for (message, expected) in nested {
        let found = with(message);
        assert!(!found.is_empty(), "no line {message:?} of run {id}: {lines:#?}");
        for line in found {
            assert_eq!(names(line), expected, "{line}");
        }
    }
    let call = with("host call")[0];
    let request = json!({ "name": "request", "method": "POST", "route": "/v1/deployments/{name}/runs" });
    assert_eq!(spans(call)[0], request, "the request does not know the run yet");
    assert_eq!(spans(call)[1], json!({ "name": "run", "run": id, "deployment": "flights", "attempt": 1 }));
    assert!(spans(call)[3]["interface"].is_string() && spans(call)[3]["function"].is_string(), "{call}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_queued_run_have_its_span_at_level_info() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::not_started(dir.path());
    host.set_env(vec![("TIDEMILL_LOG_FORMAT", "json".to_owned())]);
    host.resume().await;
    let once = json!({ "retry": { "attempts": 1 } });
    host.deploy_hostile("unlucky", once).await;
    let id = host.request_surely("unlucky", "once", &json!({ "do": "trap" })).await;
    host.settled(&id).await;
    assert!(host.stop().success());
    let lines = lines(&host.output(), &id);
    let [line] = lines.as_slice() else { panic!("one line is about the parked run: {lines:#?}") };
    assert_eq!(line["code"], json!("\"host/trap\""));
    assert_eq!(*spans(line), [json!({ "name": "run", "run": id, "deployment": "unlucky", "attempt": 1 })]);
}
