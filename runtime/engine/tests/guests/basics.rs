//! Well-behaved guests: their input, their output, and what they can observe.

use serde_json::{Value, json};
use tidemill_core::run::{Export, Trigger, TriggerKind};
use tidemill_core::{Fuel, RunId, Timestamp};
use tidemill_engine::Cause;
use tidemill_store::records::{ReadCheck, StateWrite, Version};

use crate::support::{START, TestHost, failure};

#[tokio::test]
async fn a_workflow_returns_its_input() {
    let host = TestHost::new();
    let module = host.module(tidemill_artifacts::noop()).await;
    assert_eq!(module.exports(), [Export::Workflow]);
    let ended = host.job(module).run(json!({ "a": [1, null, "ä"] })).await;
    assert!(ended.fuel > Fuel::default() && ended.peak_memory > 0);
    let tidemill_engine::Outcome::Output(output) = ended.outcome else { panic!("{:?}", ended.outcome) };
    assert_eq!(serde_json::from_slice::<Value>(&output).unwrap(), json!({ "a": [1, null, "ä"] }));
}

#[tokio::test]
async fn code_is_compiled_once_and_then_loaded() {
    let host = TestHost::new();
    let digest = host.put(tidemill_artifacts::noop());
    let file = host.folder.path().join("components").join(digest.hex()).with_extension("wasm");
    let admitted = host.engine.admit(&file, digest).await.unwrap();
    assert_eq!(admitted.exports, [Export::Workflow]);
    host.engine.module(digest).await.unwrap();
    host.engine.module(digest).await.unwrap();
    let stats = host.engine.stats();
    assert_eq!((stats.compiled, stats.loaded, stats.modules), (1, 2, 1));
    host.engine.evict(digest);
    assert_eq!(host.engine.stats().modules, 0);
    host.engine.module(digest).await.unwrap();
    assert_eq!(host.engine.stats().compiled, 2);
}

#[tokio::test]
async fn a_component_declares_its_workflow_schemas() {
    let host = TestHost::new();
    for (guest, has_schemas) in [(tidemill_artifacts::hello(), true), (tidemill_artifacts::noop(), false)] {
        let digest = host.put(guest);
        let file = host.folder.path().join("components").join(digest.hex()).with_extension("wasm");
        let admitted = host.engine.admit(&file, digest).await.unwrap();
        assert!(admitted.warnings.is_empty(), "{:?}", admitted.warnings);
        assert_eq!(admitted.schemas.is_some(), has_schemas);
        if let Some(schemas) = admitted.schemas {
            let schemas: Value = serde_json::from_str(&schemas).unwrap();
            assert_eq!(schemas["workflow"]["input"]["properties"]["name"]["type"], "string");
            assert_eq!(schemas["workflow"]["output"]["required"], json!(["message", "times", "total"]));
        }
    }
}

#[tokio::test]
async fn reads_and_writes_of_a_run_are_left_for_the_commit() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let ended = job.run(json!({ "do": "counter", "key": "n" })).await;
    assert_eq!(ended.all.effects.reads, [ReadCheck::State { key: "n".to_owned(), version: Version::ABSENT }]);
    assert_eq!(ended.all.effects.writes, [StateWrite { key: "n".to_owned(), value: Some("1".into()) }]);
    let twice = json!({ "do": "all", "acts": [{ "do": "counter" }, { "do": "counter" }, { "do": "scan" }] });
    assert_eq!(job.output(twice).await, json!(["counter"]));
}

#[tokio::test]
async fn committed_values_are_read_with_their_version() {
    let host = TestHost::new();
    let mut job = host.hostile().await;
    let ended = job.run(json!({ "do": "set", "key": "k", "value": 5 })).await;
    assert!(ended.all.effects.reads.is_empty());
    host.commit(&job, ended).await;
    job.context.id = RunId::new(START, 8);
    let ended = job.run(json!({ "do": "all", "acts": [{ "do": "scan" }, { "do": "get", "key": "k" }] })).await;
    let [ReadCheck::State { key, version }, ReadCheck::Scan { seen, more: false, .. }] =
        ended.all.effects.reads.as_slice()
    else {
        panic!("{:?}", ended.all.effects)
    };
    assert_eq!((key.as_str(), seen.as_slice()), ("k", [("k".to_owned(), *version)].as_slice()));
    assert_ne!(*version, Version::ABSENT);
}

#[tokio::test]
async fn compare_and_set_sees_the_runs_own_writes() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let act = |expected: Value, value: u8| json!({ "do": "compare-and-set", "key": "k", "expected": expected, "value": value });
    assert_eq!(job.output(act(Value::Null, 1)).await, json!(true));
    let all = |acts: Vec<Value>| json!({ "do": "all", "acts": acts });
    assert_eq!(
        job.output(all(vec![act(Value::Null, 1), act(json!(1), 2), json!({ "do": "get", "key": "k" })])).await,
        json!(2)
    );
    assert_eq!(job.output(all(vec![act(Value::Null, 1), act(json!(7), 2)])).await, json!(false));
    let deleted = vec![act(Value::Null, 1), json!({ "do": "delete", "key": "k" }), json!({ "do": "get", "key": "k" })];
    assert_eq!(job.output(all(deleted)).await, Value::Null);
}

#[tokio::test]
async fn a_run_sees_its_own_context() {
    let host = TestHost::new();
    let mut job = host.hostile().await;
    job.context.attempt = 3;
    job.context.trigger = Trigger {
        kind: TriggerKind::Schedule,
        name: Some("nightly".to_owned()),
        at: Some(Timestamp::from_millis(5)),
        ..Trigger::default()
    };
    let seen = job.output(json!({ "do": "context" })).await;
    assert_eq!(seen["id"], json!(job.context.id.to_string()));
    assert_eq!(seen["attempt"], json!(3));
    assert!(seen.to_string().contains("nightly"), "{seen}");
    job.context.config = r#"{"x":1}"#.into();
    assert_eq!(job.output(json!({ "do": "config" })).await, json!({ "x": 1 }));
}

#[tokio::test]
async fn time_is_the_hosts_and_the_same_for_std() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let seen = job.output(json!({ "do": "now" })).await.to_string();
    assert!(seen.contains(&START.as_millis().to_string()), "{seen}");
}

#[tokio::test]
async fn randomness_is_the_same_in_every_attempt() {
    let host = TestHost::new();
    let mut job = host.hostile().await;
    let first = job.output(json!({ "do": "random" })).await;
    job.context.attempt = 2;
    assert_eq!(job.output(json!({ "do": "random" })).await, first);
    job.context.seed.0[0] ^= 1;
    assert_ne!(job.output(json!({ "do": "random" })).await, first);
}

#[tokio::test]
async fn a_sandbox_has_no_arguments_environment_or_files() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let seen = job.output(json!({ "do": "environment" })).await;
    assert_eq!(seen, json!({ "arguments": [], "variables": [], "root": null, "passwd": false }));
}

#[tokio::test]
async fn a_guests_failure_becomes_the_runs() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let act =
        json!({ "do": "fail", "code": "card-declined", "retryable": true, "message": "no", "details": { "a": 1 } });
    let (failure, cause) = job.failure(act).await;
    assert_eq!((failure.code.as_str(), failure.message.as_str(), failure.retryable), ("card-declined", "no", true));
    assert_eq!(failure.details.as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(cause, Cause::Guest);
}

#[tokio::test]
async fn log_lines_carry_fields_sequence_number_and_time() {
    let host = TestHost::new();
    let mut job = host.hostile().await;
    job.context.next_log_seq = 5;
    job.output(json!({ "do": "log-line", "message": "hello" })).await;
    let lines = job.channel.lines.lock().unwrap();
    assert_eq!((lines[0].seq, lines[0].message.as_str(), lines[0].at), (5, "hello", START));
    assert_eq!(lines[0].fields, [("attempt".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn a_component_runs_each_of_its_worlds() {
    let host = TestHost::new();
    let module = host.module(tidemill_artifacts::all_worlds()).await;
    assert_eq!(module.exports(), Export::ALL);
    let mut job = host.job(module);
    for export in Export::ALL {
        job.export = export;
        let input = match export {
            Export::Workflow => json!(null),
            Export::RevenueStream => json!({ "start": 1, "end": 2 }),
            Export::Webhook => json!({
                "id": "1", "hook": "h", "method": "POST", "path": "/hooks/a/h", "body": "aGk=",
                "received-at": 3, "verified-by": "none"
            }),
            Export::Health => json!(null),
        };
        let ended = job.run(input).await;
        assert!(
            matches!(&ended.outcome, tidemill_engine::Outcome::Output(_))
                || matches!(&ended.outcome, tidemill_engine::Outcome::Failed { cause: Cause::Guest, .. }),
            "{export:?}: {:?}",
            ended.outcome
        );
    }
}

#[tokio::test]
async fn a_missing_export_lists_the_existing_ones() {
    let host = TestHost::new();
    let module = host.module(tidemill_artifacts::noop()).await;
    let mut job = host.job(module);
    job.export = Export::Webhook;
    let (failure, _) = failure(job.run(json!(null)).await);
    assert_eq!(failure.code, "host/unknown-export");
    assert!(failure.message.contains("workflow"), "{}", failure.message);
}
